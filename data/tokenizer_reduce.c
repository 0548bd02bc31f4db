/* Works on the JSON itself, so that what espalier does not read (decoders, template texts) stays as it was.
 */
#include "data/tokenizer_reduce.h"

#include "data/fields.h"
#include "data/tokenizer_json.h"
#include "data/utf8.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct reduction {
    const struct tokenizer *tokenizer;
    const int32_t *keep;
    uint32_t count;
    int32_t *new_ids; /* by old id; -1: dropped */
    struct map ids;   /* piece text -> old id; the tokenizer's own, or made for "bytes" */
    struct arena arena;
    json_t *root;
    struct tokenizer_reduction report;
};

static int32_t new_id(const struct reduction *r, int32_t old)
{
    return old >= 0 && (uint32_t)old < r->tokenizer->vocabulary ? r->new_ids[old] : -1;
}

static bool is_kept(const struct reduction *r, int32_t old)
{
    return new_id(r, old) >= 0;
}

static enum status number_tokens(struct reduction *r, struct trace *trace)
{
    uint32_t vocabulary = r->tokenizer->vocabulary;
    r->new_ids = ARENA_ARRAY(&r->arena, int32_t, vocabulary);
    memset(r->new_ids, 0xff, vocabulary * sizeof *r->new_ids);
    for (uint32_t i = 0; i < r->count; i++) {
        int32_t old = r->keep[i];
        if (old < 0 || (uint32_t)old >= vocabulary)
            return status_fail(trace, INVALID, "the id %d to keep is not among the tokenizer's %u", old,
                               vocabulary);
        if (r->new_ids[old] >= 0)
            return status_fail(trace, INVALID, "the id %d is to be kept twice", old);
        r->new_ids[old] = (int32_t)i;
        r->report.tokens += r->tokenizer->pieces[old].text.data != NULL;
    }
    if (r->report.tokens == 0)
        return status_fail(trace, INVALID, "no token is to be kept");
    if (r->tokenizer->unknown >= 0 && !is_kept(r, r->tokenizer->unknown))
        return status_fail(trace, INVALID, "the unknown token, id %d, must be kept", r->tokenizer->unknown);
    return OK;
}

/* --- what can no longer be encoded --- */

/* A character of the vocabulary is lost when its token goes and its bytes cannot stand in for it. Those of
 * the one that stands for a space cannot: they would decode to that character. */
static bool character_is_lost(const struct reduction *r, struct str text, int32_t id)
{
    if (is_kept(r, id))
        return false;
    if (str_equal(text, r->tokenizer->marker))
        return true;
    for (size_t i = 0; i < text.length; i++)
        if (!is_kept(r, r->tokenizer->byte_ids[(unsigned char)text.data[i]]))
            return true;
    return false;
}

static enum status count_lost_bytes(struct reduction *r, enum tokenizer_loss loss, struct trace *trace)
{
    for (int byte = 0; byte < 256; byte++) {
        int32_t id = r->tokenizer->byte_ids[byte];
        if (id < 0 || is_kept(r, id))
            continue;
        if (loss == TOKENIZER_REFUSE_LOSS)
            return status_fail(trace, INVALID,
                               "the byte 0x%02x could no longer be encoded: its token, id %d, must be kept",
                               byte, id);
        r->report.lost++;
    }
    return OK;
}

static enum status count_lost_characters(struct reduction *r, enum tokenizer_loss loss, struct trace *trace)
{
    const struct map *characters = &r->tokenizer->characters;
    for (uint32_t i = 0; i < characters->count; i++) {
        char bytes[4];
        uint32_t character = (uint32_t)characters->entries[i].number;
        struct str text = {bytes, utf8_write(bytes, character)};
        int32_t id = (int32_t)characters->entries[i].value;
        if (!character_is_lost(r, text, id))
            continue;
        if (loss == TOKENIZER_REFUSE_LOSS)
            return status_fail(
                trace, INVALID,
                "the character U+%04X could no longer be encoded: its token, id %d, must be kept", character,
                id);
        r->report.lost++;
    }
    return OK;
}

static enum status count_lost(struct reduction *r, enum tokenizer_loss loss, struct trace *trace)
{
    TRY(count_lost_bytes(r, loss, trace));
    return r->tokenizer->kind == TOKENIZER_CHARACTERS ? count_lost_characters(r, loss, trace) : OK;
}

/* --- the JSON --- */

static void reduce_vocabulary(struct reduction *r, json_t *model)
{
    const json_t *old = json_object_get(model, "vocab");
    json_t *vocab = json_object();
    const char **names = ARENA_ARRAY(&r->arena, const char *, r->count);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)old, key, value)
    {
        int32_t id = (int32_t)json_integer_value(value);
        map_add_text(&r->ids, &r->arena, str_from(key), (uint32_t)id);
        if (is_kept(r, id))
            names[new_id(r, id)] = key;
    }
    for (uint32_t i = 0; i < r->count; i++)
        if (names[i])
            json_object_set_new(vocab, names[i], json_integer(i));
    json_object_set_new(model, "vocab", vocab);
}

static void reduce_added_tokens(struct reduction *r)
{
    json_t *added = json_array();
    const json_t *old = json_object_get(r->root, "added_tokens");
    for (size_t i = 0; i < json_array_size(old); i++) {
        json_t *token = json_array_get(old, i);
        int32_t id = new_id(r, (int32_t)json_integer_value(json_object_get(token, "id")));
        if (id < 0)
            continue;
        json_object_set_new(token, "id", json_integer(id));
        json_array_append(added, token);
    }
    json_object_set_new(r->root, "added_tokens", added);
}

/* The old id of a merge's left part, right part and result; -1 for one that is gone. */
struct merge_ids {
    int32_t left, right, result;
};

static int32_t find_kept(const struct reduction *r, struct str text)
{
    uint32_t id;
    return map_find_text(&r->ids, text, &id) && is_kept(r, (int32_t)id) ? (int32_t)id : -1;
}

static struct merge_ids find_merge(const struct reduction *r, const json_t *merge)
{
    struct str left, right;
    struct builder both = {0};
    if (tokenizer_merge_parts(&left, &right, merge, 0, NULL) != OK)
        BUG("a merge changed its form");
    builder_add(&both, left.data, left.length);
    builder_add(&both, right.data, right.length);
    struct merge_ids ids = {find_kept(r, left), find_kept(r, right),
                            find_kept(r, (struct str){both.data, both.length})};
    builder_release(&both);
    return ids;
}

/* Marks what merges can make from single characters and bytes; what they never make is unreachable. */
static void count_unreachable(struct reduction *r, const struct merge_ids *merges, size_t count)
{
    const struct tokenizer *t = r->tokenizer;
    bool *is_reached = ARENA_ARRAY(&r->arena, bool, t->vocabulary);
    for (int byte = 0; byte < 256; byte++)
        if (t->byte_ids[byte] >= 0)
            is_reached[t->byte_ids[byte]] = true;
    for (uint32_t i = 0; i < t->characters.count; i++)
        is_reached[t->characters.entries[i].value] = true;
    if (t->unknown >= 0)
        is_reached[t->unknown] = true;
    for (uint32_t i = 0; i < t->added_raw.tokens.count; i++)
        is_reached[t->added_raw.tokens.items[i].id] = true;
    for (uint32_t i = 0; i < t->added_normal.tokens.count; i++)
        is_reached[t->added_normal.tokens.items[i].id] = true;
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        for (size_t i = 0; i < count; i++)
            if (is_reached[merges[i].left] && is_reached[merges[i].right] && !is_reached[merges[i].result])
                is_changed = is_reached[merges[i].result] = true;
    }
    for (uint32_t id = 0; id < t->vocabulary; id++)
        r->report.unreachable +=
            t->pieces[id].text.data && is_kept(r, (int32_t)id) && !is_reached[id] && !t->prefers_whole_words;
}

static void reduce_merges(struct reduction *r, json_t *model)
{
    const json_t *old = json_object_get(model, "merges");
    json_t *merges = json_array();
    struct merge_ids *kept = ARENA_ARRAY(&r->arena, struct merge_ids, json_array_size(old) + 1);
    for (size_t i = 0; i < json_array_size(old); i++) {
        struct merge_ids ids = find_merge(r, json_array_get(old, i));
        if (ids.left < 0 || ids.right < 0 || ids.result < 0) {
            r->report.merges_dropped++;
            continue;
        }
        kept[r->report.merges_kept++] = ids;
        json_array_append(merges, json_array_get(old, i));
    }
    count_unreachable(r, kept, r->report.merges_kept);
    json_object_set_new(model, "merges", merges);
}

/* Renumbers every {"id": TEXT, "ids": [...]} of a template; false when one of its tokens is gone. */
static bool renumber_template(const struct reduction *r, json_t *specials)
{
    const char *key;
    json_t *value;
    json_object_foreach(specials, key, value)
    {
        json_t *ids = json_object_get(value, "ids");
        for (size_t i = 0; i < json_array_size(ids); i++) {
            json_int_t old = json_integer_value(json_array_get(ids, i));
            int32_t id = old >= 0 && old < TOKENIZER_ID_LIMIT ? new_id(r, (int32_t)old) : -1;
            if (id < 0)
                return false;
            json_array_set_new(ids, i, json_integer(id));
        }
    }
    return true;
}

/* False when it cannot be kept. Of other kinds than templates only those that name no tokens are. */
static bool reduce_processor(const struct reduction *r, json_t *processor)
{
    const char *type = json_string_value(json_object_get(processor, "type"));
    if (type && strcmp(type, "ByteLevel") == 0)
        return true;
    if (type && strcmp(type, "TemplateProcessing") == 0)
        return renumber_template(r, json_object_get(processor, "special_tokens"));
    const json_t *list = json_object_get(processor, "processors");
    if (!type || strcmp(type, "Sequence") != 0)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!reduce_processor(r, json_array_get(list, i)))
            return false;
    return true;
}

static enum status reduce_json(struct reduction *r, struct builder *out, struct trace *trace)
{
    TRY(tokenizer_parse_json(&r->root, r->tokenizer->json, trace));
    json_t *model = json_object_get(r->root, "model");
    reduce_vocabulary(r, model);
    reduce_merges(r, model);
    reduce_added_tokens(r);
    if (!reduce_processor(r, json_object_get(r->root, "post_processor")))
        json_object_set_new(r->root, "post_processor", json_null());
    char *text = json_dumps(r->root, JSON_INDENT(1));
    if (!text)
        BUG("a tokenizer.json cannot be printed");
    builder_add_text(out, text);
    builder_add_text(out, "\n");
    free(text);
    return OK;
}

enum status tokenizer_reduce(struct builder *out, struct tokenizer_reduction *report,
                             const struct tokenizer *tokenizer, const int32_t *keep, uint32_t count,
                             enum tokenizer_loss loss, struct trace *trace)
{
    struct reduction r = {.tokenizer = tokenizer, .keep = keep, .count = count};
    if (tokenizer_has_affixes(tokenizer))
        return status_fail(
            trace, UNSUPPORTED,
            "a tokenizer with end_of_word_suffix or continuing_subword_prefix cannot be reduced");
    enum status status = number_tokens(&r, trace);
    if (status == OK)
        status = count_lost(&r, loss, trace);
    if (status == OK)
        status = reduce_json(&r, out, trace);
    if (status != OK)
        trace_add(trace, "while reducing a tokenizer of %u ids to %u", tokenizer->vocabulary, count);
    json_decref(r.root);
    arena_release(&r.arena);
    *report = r.report;
    return status;
}
