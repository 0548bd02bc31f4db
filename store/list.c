/* See store/list.h. */
#include "store/list.h"

#include "store/external.h"
#include "store/layout.h"
#include <string.h>

static void describe_object(struct store_entry *out, const struct store *store)
{
    struct store_object object = {0};
    if (store_open_object(&object, store, out->id, NULL, OBJECT_TRUST, NULL) == OK) {
        memcpy(out->kind, object.kind, sizeof out->kind);
        out->size = object.size;
    }
    store_object_release(&object);
}

static void describe_external(struct store_entry *out, const struct store *store)
{
    struct tensor_form form;
    out->is_external = true;
    if (external_read_form(&form, store, out->id, NULL) == OK) {
        memcpy(out->kind, "tensor", sizeof "tensor");
        out->size = TENSOR_HEADER + form.bytes;
    }
}

enum status store_list(struct store_listing *out, struct arena *arena, const struct store *store,
                       struct trace *trace)
{
    struct layout_hashes inside, outside;
    *out = (struct store_listing){0};
    TRY(layout_list_fan(&inside, arena, store, "objects", trace));
    TRY(layout_list_fan(&outside, arena, store, "external", trace));
    for (size_t i = 0, j = 0; i < inside.count || j < outside.count;) {
        int order = i == inside.count    ? 1
                    : j == outside.count ? -1
                                         : store_id_compare(inside.items[i], outside.items[j]);
        struct store_entry entry = {.id = order <= 0 ? inside.items[i] : outside.items[j]};
        if (order <= 0)
            describe_object(&entry, store);
        else
            describe_external(&entry, store);
        *VEC_PUSH(arena, &out->entries) = entry;
        i += order <= 0;
        j += order >= 0;
    }
    return OK;
}

/* The first and the last hash that begin with the digits. */
static bool bounds_from_digits(struct hash128 *first, struct hash128 *last, struct str digits)
{
    char low[HASH128_HEX], high[HASH128_HEX];
    if (digits.length < STORE_PREFIX_DIGITS || digits.length >= HASH128_HEX)
        return false;
    memset(low, '0', sizeof low);
    memset(high, 'f', sizeof high);
    memcpy(low, digits.data, digits.length);
    memcpy(high, digits.data, digits.length);
    return hash128_from_hex((struct str){low, HASH128_HEX - 1}, first) &&
           hash128_from_hex((struct str){high, HASH128_HEX - 1}, last);
}

struct matches {
    struct hash128 first, second; /* distinct */
    size_t count;
};

static void match(struct matches *m, const struct layout_hashes *hashes, struct hash128 first,
                  struct hash128 last)
{
    for (size_t i = 0; i < hashes->count; i++) {
        struct hash128 hash = hashes->items[i];
        if (store_id_compare(hash, first) < 0 || store_id_compare(hash, last) > 0)
            continue;
        if (m->count == 0)
            m->first = hash;
        else if (hash128_equal(hash, m->first))
            continue;
        else if (m->count == 1)
            m->second = hash;
        m->count++;
    }
}

enum status store_find_prefix(struct hash128 *out, const struct store *store, struct str prefix,
                              struct trace *trace)
{
    struct hash128 first, last;
    struct str digits = prefix;
    if (str_starts_with(prefix, "xxh3:"))
        digits = (struct str){prefix.data + 5, prefix.length - 5};
    if (!bounds_from_digits(&first, &last, digits))
        return status_fail(trace, INVALID,
                           "\"" STR_FORMAT
                           "\" is not the beginning of an id; expected %d to 32 digits of 0-9 and a-f",
                           STR_ARGUMENT(prefix), STORE_PREFIX_DIGITS);
    struct arena scratch = {0};
    struct layout_hashes inside = {0}, outside = {0};
    struct matches m = {0};
    enum status s = layout_list_fan(&inside, &scratch, store, "objects", trace);
    if (s == OK)
        s = layout_list_fan(&outside, &scratch, store, "external", trace);
    if (s == OK) {
        match(&m, &inside, first, last);
        match(&m, &outside, first, last);
        char one[STORE_ID_TEXT], two[STORE_ID_TEXT];
        store_id_to_text(m.first, one);
        store_id_to_text(m.second, two);
        if (m.count == 0)
            s = status_fail(trace, NOT_FOUND, "no object's id begins with \"" STR_FORMAT "\"",
                            STR_ARGUMENT(prefix));
        else if (m.count > 1)
            s = status_fail(trace, INVALID,
                            "\"" STR_FORMAT "\" is ambiguous: ids that begin so include %s and %s",
                            STR_ARGUMENT(prefix), one, two);
    }
    if (s == OK)
        *out = m.first;
    arena_release(&scratch);
    return s;
}
