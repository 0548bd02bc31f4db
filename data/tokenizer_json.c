/* The order is: normaliser and pre-tokeniser, then the vocabulary with its added tokens, then merges, which
 * must name pieces of the vocabulary, then the tables that encoding looks up. */
#include "data/tokenizer_json.h"

#include "data/byte_alphabet.h"
#include "data/fields.h"
#include "data/utf8.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Ids may have holes, but not so many that a small file asks for much memory. */
enum { HOLES_ALLOWED = 1 << 16 };

enum status tokenizer_parse_json(json_t **out, struct str text, struct trace *trace)
{
    *out = NULL;
    if (text.length > TOKENIZER_FILE_LIMIT)
        return status_fail(trace, INVALID, "a tokenizer.json of %zu bytes, more than the %d allowed",
                           text.length, TOKENIZER_FILE_LIMIT);
    json_error_t error;
    json_t *root =
        json_loadb(text.data ? text.data : "", text.length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root)
        return status_fail(trace, INVALID, "not valid JSON, at line %d column %d: %s", error.line,
                           error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return status_fail(trace, INVALID, "expected a JSON object, the contents of a tokenizer.json");
    }
    *out = root;
    return OK;
}

bool tokenizer_has_affixes(const struct tokenizer *t)
{
    return t->prefix.length > 0 || t->suffix.length > 0;
}

enum status tokenizer_join_merge(struct builder *out, struct str left, struct str right, struct str prefix,
                                 size_t index, struct trace *trace)
{
    if (right.length < prefix.length || memcmp(right.data, prefix.data, prefix.length) != 0)
        return status_fail(trace, INVALID,
                           "model.merges[%zu]: \"%.*s\" does not begin with the prefix \"%.*s\"", index,
                           (int)right.length, right.data, (int)prefix.length, prefix.data);
    builder_add(out, left.data, left.length);
    builder_add(out, right.data + prefix.length, right.length - prefix.length);
    return OK;
}

enum status tokenizer_merge_parts(struct str *left, struct str *right, const json_t *merge, size_t index,
                                  struct trace *trace)
{
    if (json_is_array(merge) && json_array_size(merge) == 2 && json_is_string(json_array_get(merge, 0)) &&
        json_is_string(json_array_get(merge, 1))) {
        *left = fields_text(json_array_get(merge, 0));
        *right = fields_text(json_array_get(merge, 1));
    } else if (json_is_string(merge)) {
        struct str both = fields_text(merge);
        const char *space = memchr(both.data, ' ', both.length);
        size_t before = space ? (size_t)(space - both.data) : both.length;
        *left = (struct str){both.data, before};
        *right = space ? (struct str){space + 1, both.length - before - 1} : (struct str){both.data, 0};
    } else {
        return status_fail(trace, INVALID,
                           "model.merges[%zu]: expected \"left right\" or [\"left\", \"right\"]", index);
    }
    if (left->length == 0 || right->length == 0 ||
        (json_is_string(merge) && memchr(right->data, ' ', right->length)))
        return status_fail(trace, INVALID, "model.merges[%zu]: expected two parts", index);
    return OK;
}

/* --- vocabulary --- */

static enum status grow_vocabulary(struct tokenizer *t, const json_t *vocab, const json_t *added,
                                   struct trace *trace)
{
    const char *key;
    json_t *value;
    json_int_t largest = -1;
    json_object_foreach((json_t *)vocab, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) >= TOKENIZER_ID_LIMIT)
            return status_fail(
                trace, INVALID, "model.vocab[\"%.64s\"]: expected an id from 0 to %d, found %s %lld", key,
                TOKENIZER_ID_LIMIT - 1, fields_type_name(value), (long long)json_integer_value(value));
        if (json_integer_value(value) > largest)
            largest = json_integer_value(value);
    }
    size_t count = json_object_size(vocab) + json_array_size(added);
    for (size_t i = 0; i < json_array_size(added); i++) {
        char path[48];
        snprintf(path, sizeof path, "added_tokens[%zu]", i);
        const json_t *token = json_array_get(added, i);
        uint32_t id;
        TRY(fields_check_object(token, path, trace));
        TRY(fields_get_index(&id, (struct fields){token, path}, "id", TOKENIZER_ID_LIMIT, trace));
        if ((json_int_t)id > largest)
            largest = (json_int_t)id;
    }
    if (json_object_size(vocab) == 0)
        return status_fail(trace, INVALID, "model.vocab: expected tokens, found none");
    if ((size_t)largest > 2 * count + HOLES_ALLOWED)
        return status_fail(trace, INVALID, "the ids reach %lld, but there are only %zu tokens",
                           (long long)largest, count);
    t->vocabulary = (uint32_t)largest + 1;
    t->pieces = ARENA_ARRAY(&t->arena, struct tokenizer_piece, t->vocabulary);
    return OK;
}

static enum status read_vocabulary(struct tokenizer *t, const json_t *vocab, struct trace *trace)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
    {
        uint32_t id = (uint32_t)json_integer_value(value);
        struct tokenizer_piece *piece = &t->pieces[id];
        if (piece->text.data)
            return status_fail(trace, INVALID, "model.vocab: \"%.64s\" and \"%.64s\" have the same id %u",
                               piece->text.data, key, id);
        size_t length = strlen(key);
        piece->text = (struct str){arena_copy_string(&t->arena, key, length), length};
        map_add_text(&t->ids, &t->arena, piece->text, id);
    }
    return OK;
}

static enum status read_added_token(struct tokenizer *t, struct fields fields, struct trace *trace)
{
    static const char *const known[] = {"id",     "content",    "single_word", "lstrip",
                                        "rstrip", "normalized", "special",     NULL};
    struct added_token token = {0};
    uint32_t id, present;
    TRY(fields_check_known(fields, known, trace));
    TRY(fields_get_index(&id, fields, "id", TOKENIZER_ID_LIMIT, trace));
    TRY(fields_get_text(&token.content, fields, "content", FIELD_REQUIRED, trace));
    TRY(fields_get_flag(&token.is_single_word, fields, "single_word", false, trace));
    TRY(fields_get_flag(&token.takes_left, fields, "lstrip", false, trace));
    TRY(fields_get_flag(&token.takes_right, fields, "rstrip", false, trace));
    TRY(fields_get_flag(&token.is_special, fields, "special", false, trace));
    TRY(fields_get_flag(&token.is_searched_in_normal_form, fields, "normalized", !token.is_special, trace));
    if (token.content.length == 0)
        return status_fail(trace, INVALID, "%s.content: expected text, found none", fields.path);
    token.id = (int32_t)id;
    token.content.data = arena_copy_string(&t->arena, token.content.data, token.content.length);
    struct tokenizer_piece *piece = &t->pieces[id];
    if (map_find_text(&t->ids, token.content, &present) ? present != id : piece->text.data != NULL)
        return status_fail(trace, INVALID, "%s: id %u with content \"%.*s\" contradicts model.vocab",
                           fields.path, id, (int)token.content.length, token.content.data);
    piece->text = piece->bytes = token.content;
    piece->is_special = token.is_special;
    struct added_set *set = &t->added_raw;
    if (token.is_searched_in_normal_form) {
        struct str normal;
        set = &t->added_normal;
        TRY(normalizer_apply(&t->normalizer, token.content, &normal, trace));
        token.content = (struct str){arena_copy_string(&t->arena, normal.data, normal.length), normal.length};
    }
    if (token.content.length)
        *VEC_PUSH(&t->arena, &set->tokens) = token;
    return OK;
}

static enum status read_added_tokens(struct tokenizer *t, const json_t *added, struct trace *trace)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        char path[48];
        snprintf(path, sizeof path, "added_tokens[%zu]", i);
        TRY(read_added_token(t, (struct fields){json_array_get(added, i), path}, trace));
    }
    TRY(added_set_sort(&t->added_raw, &t->arena, trace));
    return added_set_sort(&t->added_normal, &t->arena, trace);
}

/* --- what pieces decode to --- */

/* What a space is written as in pieces over characters; empty when spaces stand for themselves. */
static struct str find_marker(const struct tokenizer *t)
{
    for (uint32_t i = 0; i < t->pretokenizer.steps.count; i++)
        if (t->pretokenizer.steps.items[i].kind == PRETOKENIZE_METASPACE)
            return t->pretokenizer.steps.items[i].replacement;
    for (uint32_t i = 0; i < t->normalizer.steps.count; i++) {
        const struct normalize_step *step = &t->normalizer.steps.items[i];
        if (step->kind == NORMALIZE_REPLACE && str_is(step->literal, " "))
            return step->text;
    }
    return (struct str){0};
}

static bool adds_space(const struct tokenizer *t)
{
    if (t->prefix.length > 0 && t->suffix.length == 0)
        return true; /* in front of what begins a word */
    for (uint32_t i = 0; i < t->pretokenizer.steps.count; i++) {
        const struct pretokenize_step *step = &t->pretokenizer.steps.items[i];
        if (step->kind == PRETOKENIZE_PREFIX_SPACE ||
            (step->kind == PRETOKENIZE_METASPACE && step->scheme != PREPEND_NEVER))
            return true;
    }
    for (uint32_t i = 0; i < t->normalizer.steps.count; i++) {
        const struct normalize_step *step = &t->normalizer.steps.items[i];
        if (step->kind == NORMALIZE_PREPEND &&
            (str_is(step->text, " ") || (t->marker.length && str_equal(step->text, t->marker))))
            return true;
    }
    return false;
}

static struct str with_spaces(struct tokenizer *t, struct str piece)
{
    struct str marker = t->marker;
    char *bytes = arena_alloc(&t->arena, piece.length + 1);
    size_t count = 0;
    for (size_t at = 0; at < piece.length;) {
        bool is_marker = marker.length && piece.length - at >= marker.length &&
                         memcmp(piece.data + at, marker.data, marker.length) == 0;
        bytes[count++] = is_marker ? ' ' : piece.data[at];
        at += is_marker ? marker.length : 1;
    }
    return (struct str){bytes, count};
}

/* A piece without its affixes, which say where words end or, without a suffix, begin: a space there. */
static struct str without_affixes(const struct tokenizer *t, struct str piece, bool *begins, bool *ends)
{
    bool follows = t->prefix.length > 0 && str_starts_with(piece, t->prefix.data);
    *begins = t->prefix.length > 0 && t->suffix.length == 0 && !follows;
    if (follows)
        piece = (struct str){piece.data + t->prefix.length, piece.length - t->prefix.length};
    *ends = t->suffix.length > 0 && str_ends_with(piece, t->suffix.data);
    if (*ends)
        piece.length -= t->suffix.length;
    return piece;
}

static struct str spaced(struct tokenizer *t, struct str bytes, bool begins, bool ends)
{
    if (!begins && !ends)
        return bytes;
    char *text = arena_alloc(&t->arena, bytes.length + 2);
    text[0] = ' ';
    memcpy(text + begins, bytes.data, bytes.length);
    if (ends)
        text[begins + bytes.length] = ' ';
    return (struct str){text, bytes.length + begins + ends};
}

static void find_piece_bytes(struct tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocabulary; id++) {
        struct tokenizer_piece *piece = &t->pieces[id];
        if (!piece->text.data || piece->bytes.data)
            continue;
        int value = t->falls_back_to_bytes ? byte_piece_value(piece->text) : -1;
        bool begins, ends;
        struct str bare = without_affixes(t, piece->text, &begins, &ends);
        if (t->kind == TOKENIZER_BYTE_LEVEL) {
            struct str whole;
            if (t->prefers_whole_words && byte_alphabet_decode(&whole, &t->arena, piece->text))
                map_add_text(&t->words, &t->arena, whole, id);
            if (!byte_alphabet_decode(&piece->bytes, &t->arena, bare))
                piece->bytes = bare;
            piece->bytes = spaced(t, piece->bytes, begins, ends);
        } else if (value >= 0) {
            char byte = (char)value;
            piece->bytes = (struct str){arena_copy_string(&t->arena, &byte, 1), 1};
        } else {
            piece->bytes = spaced(t, with_spaces(t, bare), begins, ends);
        }
    }
}

/* --- merging --- */

void tokenizer_add_affixed(const struct tokenizer *t, struct builder *out, struct str symbol, int place)
{
    if (place & SYMBOL_FOLLOWS)
        builder_add(out, t->prefix.data, t->prefix.length);
    builder_add(out, symbol.data, symbol.length);
    if (place & SYMBOL_IS_LAST)
        builder_add(out, t->suffix.data, t->suffix.length);
}

static void find_affixed_bytes(struct tokenizer *t)
{
    if (t->kind != TOKENIZER_BYTE_LEVEL || !tokenizer_has_affixes(t))
        return;
    struct builder text = {0};
    int32_t(*ids)[256] = arena_array(&t->arena, SYMBOL_PLACES, sizeof *ids);
    for (int place = 0; place < SYMBOL_PLACES; place++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            char name[4];
            uint32_t id;
            size_t length = utf8_write(name, byte_alphabet_character((uint8_t)byte));
            builder_clear(&text);
            tokenizer_add_affixed(t, &text, (struct str){name, length}, place);
            bool is_there = map_find_text(&t->ids, (struct str){text.data, text.length}, &id);
            ids[place][byte] = is_there ? (int32_t)id : -1;
        }
    t->affixed_bytes = ids;
    builder_release(&text);
}

static void find_base_symbols(struct tokenizer *t)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        char name[8];
        size_t length = t->kind == TOKENIZER_BYTE_LEVEL
                            ? utf8_write(name, byte_alphabet_character((uint8_t)byte))
                            : (size_t)snprintf(name, sizeof name, "<0x%02X>", byte);
        uint32_t id;
        bool is_used = t->kind == TOKENIZER_BYTE_LEVEL || t->falls_back_to_bytes;
        bool is_there = is_used && map_find_text(&t->ids, (struct str){name, length}, &id);
        t->byte_ids[byte] = is_there ? (int32_t)id : -1;
    }
    for (uint32_t i = 0; i < t->ids.count; i++) {
        struct str text = t->ids.entries[i].text;
        uint32_t character;
        if (text.length && utf8_read(text, &character) == text.length)
            map_add_number(&t->characters, &t->arena, character, t->ids.entries[i].value);
    }
}

/* The base symbols that a piece can end in (or begin with): the one of its last (first) character, and
 * itself, when it is what a byte or an unknown character becomes. Returns how many. */
static size_t edge_symbols(const struct tokenizer *t, int32_t out[2], struct str text, uint32_t id,
                           bool is_end)
{
    size_t count = 0, start = is_end ? utf8_step_back(text.data, text.length) : 0;
    uint32_t character, symbol;
    utf8_read((struct str){text.data + start, text.length - start}, &character);
    if (map_find_number(&t->characters, character, &symbol))
        out[count++] = (int32_t)symbol;
    int byte = byte_piece_value(text);
    if ((byte >= 0 && t->byte_ids[byte] == (int32_t)id) || t->unknown == (int32_t)id)
        out[count++] = (int32_t)id;
    return count;
}

static enum status add_merge(struct tokenizer *t, const json_t *merge, size_t index, struct trace *trace)
{
    struct str left, right;
    uint32_t left_id, right_id, result;
    TRY(tokenizer_merge_parts(&left, &right, merge, index, trace));
    bool has_left = map_find_text(&t->ids, left, &left_id);
    if (!has_left || !map_find_text(&t->ids, right, &right_id))
        return status_fail(trace, INVALID, "model.merges[%zu]: \"%.*s\" is not in model.vocab", index,
                           (int)(has_left ? right : left).length, (has_left ? right : left).data);
    struct builder both = {0};
    TRY(tokenizer_join_merge(&both, left, right, t->prefix, index, trace));
    bool has_result = map_find_text(&t->ids, (struct str){both.data, both.length}, &result);
    enum status status = OK;
    if (!has_result)
        status = status_fail(trace, INVALID, "model.merges[%zu]: its result \"%s\" is not in model.vocab",
                             index, builder_text(&both));
    builder_release(&both);
    if (status != OK)
        return status;
    bpe_add_rule(&t->bpe, (int32_t)left_id, (int32_t)right_id, (uint32_t)index, (int32_t)result);
    if (t->kind != TOKENIZER_CHARACTERS || tokenizer_has_affixes(t)) /* words with affixes have no seams */
        return OK;
    int32_t lasts[2], firsts[2];
    size_t last_count = edge_symbols(t, lasts, left, left_id, true);
    size_t first_count = edge_symbols(t, firsts, right, right_id, false);
    for (size_t i = 0; i < last_count; i++)
        for (size_t k = 0; k < first_count; k++)
            bpe_add_joint(&t->bpe, lasts[i], firsts[k]);
    return OK;
}

/* --- the model and the whole file --- */

static enum status check_model_fields(struct fields model, struct trace *trace)
{
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    struct str type = STR("BPE");
    TRY(fields_get_text(&type, model, "type", FIELD_OPTIONAL, trace));
    if (!str_is(type, "BPE"))
        return status_fail(trace, UNSUPPORTED, "model.type: expected BPE, found \"%.*s\"", (int)type.length,
                           type.data);
    TRY(fields_check_known(model, known, trace));
    const json_t *dropout = json_object_get(model.object, "dropout");
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0)
        return status_fail(trace, UNSUPPORTED, "model.dropout: expected null or 0");
    return OK;
}

static enum status read_affix(struct tokenizer *t, struct str *out, struct fields model, const char *key,
                              struct trace *trace)
{
    TRY(fields_get_text(out, model, key, FIELD_OPTIONAL, trace));
    *out = (struct str){arena_copy_string(&t->arena, out->length ? out->data : "", out->length), out->length};
    return OK;
}

static enum status read_unknown(struct tokenizer *t, struct fields model, struct trace *trace)
{
    struct str unknown = {0};
    uint32_t id;
    t->unknown = -1;
    TRY(fields_get_text(&unknown, model, "unk_token", FIELD_OPTIONAL, trace));
    if (!unknown.data)
        return OK;
    if (!map_find_text(&t->ids, unknown, &id))
        return status_fail(trace, INVALID, "model.unk_token: \"%.*s\" is not in model.vocab",
                           (int)unknown.length, unknown.data);
    t->unknown = (int32_t)id;
    return OK;
}

static enum status read_model(struct tokenizer *t, struct fields model, const json_t *added,
                              struct trace *trace)
{
    const json_t *vocab, *merges;
    TRY(check_model_fields(model, trace));
    TRY(fields_get(&vocab, model, "vocab", JSON_OBJECT, FIELD_REQUIRED, trace));
    TRY(fields_get(&merges, model, "merges", JSON_ARRAY, FIELD_REQUIRED, trace));
    TRY(fields_get_flag(&t->fuses_unknown, model, "fuse_unk", false, trace));
    TRY(fields_get_flag(&t->falls_back_to_bytes, model, "byte_fallback", false, trace));
    TRY(fields_get_flag(&t->prefers_whole_words, model, "ignore_merges", false, trace));
    TRY(read_affix(t, &t->prefix, model, "continuing_subword_prefix", trace));
    TRY(read_affix(t, &t->suffix, model, "end_of_word_suffix", trace));
    TRY(grow_vocabulary(t, vocab, added, trace));
    TRY(read_vocabulary(t, vocab, trace));
    TRY(read_unknown(t, model, trace));
    TRY(read_added_tokens(t, added, trace));
    find_base_symbols(t);
    find_affixed_bytes(t);
    t->marker = find_marker(t);
    t->adds_space = adds_space(t);
    find_piece_bytes(t);
    bpe_init(&t->bpe, json_array_size(merges));
    for (size_t i = 0; i < json_array_size(merges); i++)
        TRY(add_merge(t, json_array_get(merges, i), i, trace));
    return OK;
}

static int32_t find_named(const struct tokenizer *t, const char *const *names)
{
    for (; *names; names++)
        for (uint32_t id = 0; id < t->vocabulary; id++)
            if (t->pieces[id].is_special && str_is(t->pieces[id].text, *names))
                return (int32_t)id;
    return -1;
}

static int32_t find_special(const struct tokenizer *t, const char *name)
{
    return name ? find_named(t, (const char *const[]){name, NULL}) : -1;
}

/* A template such as [<s>, A, </s>] tells which special token stands before a text and which behind. */
static void read_template(struct tokenizer *t, const json_t *processor, int depth)
{
    const json_t *inner = json_object_get(processor, "processors");
    for (size_t i = 0; depth < 4 && i < json_array_size(inner); i++)
        read_template(t, json_array_get(inner, i), depth + 1);
    const json_t *single = json_object_get(processor, "single");
    bool is_behind = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        is_behind |= json_object_get(item, "Sequence") != NULL;
        const json_t *special = json_object_get(item, "SpecialToken");
        int32_t id = find_special(t, json_string_value(json_object_get(special, "id")));
        if (id < 0)
            continue;
        *(is_behind ? &t->eos : &t->bos) = id;
        *(is_behind ? &t->puts_eos : &t->puts_bos) = true;
    }
}

static void find_text_bounds(struct tokenizer *t, const json_t *root)
{
    static const char *const bos_names[] = {"<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", NULL};
    static const char *const eos_names[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", NULL};
    t->bos = t->eos = -1;
    read_template(t, json_object_get(root, "post_processor"), 0);
    if (t->bos < 0)
        t->bos = find_named(t, bos_names);
    if (t->eos < 0)
        t->eos = find_named(t, eos_names);
}

static enum status read_root(struct tokenizer *t, const json_t *root, struct trace *trace)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    struct fields fields = {root, ""};
    const json_t *model, *added;
    TRY(fields_check_known(fields, known, trace));
    TRY(fields_get(&model, fields, "model", JSON_OBJECT, FIELD_REQUIRED, trace));
    TRY(fields_get(&added, fields, "added_tokens", JSON_ARRAY, FIELD_OPTIONAL, trace));
    TRY(normalizer_read(&t->normalizer, &t->arena, json_object_get(root, "normalizer"), trace));
    TRY(pretokenizer_read(&t->pretokenizer, &t->arena, json_object_get(root, "pre_tokenizer"), trace));
    t->kind = t->pretokenizer.is_byte_level ? TOKENIZER_BYTE_LEVEL : TOKENIZER_CHARACTERS;
    TRY(read_model(t, (struct fields){model, "model"}, added, trace));
    find_text_bounds(t, root);
    return OK;
}

enum status tokenizer_read_json(struct tokenizer *out, struct trace *trace)
{
    json_t *root;
    out->hash = hash128_of(out->json.data, out->json.length);
    TRY(tokenizer_parse_json(&root, out->json, trace));
    enum status status = read_root(out, root, trace);
    json_decref(root);
    return status;
}

void tokenizer_release(struct tokenizer *tokenizer)
{
    normalizer_release(&tokenizer->normalizer);
    pretokenizer_release(&tokenizer->pretokenizer);
    added_set_release(&tokenizer->added_raw);
    added_set_release(&tokenizer->added_normal);
    bpe_release(&tokenizer->bpe);
    word_cache_release(&tokenizer->cache);
    token_list_release(&tokenizer->symbols);
    arena_release(&tokenizer->arena);
    *tokenizer = (struct tokenizer){0};
}
