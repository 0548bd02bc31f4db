/* See store/mark.h. */
#include "store/mark.h"

#include <string.h>

bool mark_is_bulk(const char *kind)
{
    return strcmp(kind, "tensor") == 0 || strcmp(kind, "tokens") == 0 || strcmp(kind, "text") == 0 ||
           strcmp(kind, "packed") == 0;
}

bool mark_is_listing(const char *kind)
{
    return strcmp(kind, "model") == 0 || strcmp(kind, "manifest") == 0 || strcmp(kind, "result") == 0;
}

static void merge(struct mark *out, const struct layout_hashes *a, const struct layout_hashes *b)
{
    out->ids = ARENA_ARRAY(&out->arena, struct hash128, a->count + b->count);
    for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
        int order = i == a->count ? 1 : j == b->count ? -1 : store_id_compare(a->items[i], b->items[j]);
        out->ids[out->count++] = order <= 0 ? a->items[i] : b->items[j];
        i += order <= 0;
        j += order >= 0;
    }
    out->reached = ARENA_ARRAY(&out->arena, bool, out->count);
}

enum status mark_init(struct mark *out, const struct store *store, struct trace *trace)
{
    struct layout_hashes inside, outside;
    *out = (struct mark){.store = store};
    enum status s = layout_list_fan(&inside, &out->arena, store, "objects", trace);
    if (s == OK)
        s = layout_list_fan(&outside, &out->arena, store, "external", trace);
    if (s == OK)
        merge(out, &inside, &outside);
    else
        mark_release(out);
    return s;
}

/* The index of an id, or count. */
static size_t find(const struct mark *mark, struct hash128 id)
{
    size_t low = 0, high = mark->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store_id_compare(mark->ids[middle], id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < mark->count && hash128_equal(mark->ids[low], id) ? low : mark->count;
}

static enum status scan(struct mark *mark, struct hash128 id, struct trace *trace)
{
    struct store_object object = {0};
    enum status s = store_open_object(&object, mark->store, id, NULL, OBJECT_TRUST, trace);
    if (s == NOT_FOUND) /* an external tensor */
        return OK;
    TRY(s);
    bool is_bulk = mark_is_bulk(object.kind);
    store_object_release(&object);
    if (is_bulk)
        return OK;
    TRY(store_open_object(&object, mark->store, id, NULL, OBJECT_VERIFY, trace));
    struct hash128 named;
    for (size_t at = 0; store_id_scan(&named, store_object_text(&object), &at);)
        *VEC_PUSH(&mark->arena, &mark->pending) = named;
    store_object_release(&object);
    return OK;
}

enum status mark_from(struct mark *mark, struct hash128 id, struct trace *trace)
{
    *VEC_PUSH(&mark->arena, &mark->pending) = id;
    while (mark->pending.count > 0) {
        struct hash128 next = mark->pending.items[--mark->pending.count];
        size_t index = find(mark, next);
        if (index == mark->count || mark->reached[index])
            continue;
        mark->reached[index] = true;
        TRY(scan(mark, next, trace));
    }
    return OK;
}

bool mark_is_reached(const struct mark *mark, struct hash128 id)
{
    size_t index = find(mark, id);
    return index < mark->count && mark->reached[index];
}

void mark_release(struct mark *mark)
{
    arena_release(&mark->arena);
    *mark = (struct mark){0};
}
