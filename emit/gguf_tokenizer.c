/* See emit/gguf_tokenizer.h. */
#include "emit/gguf_tokenizer.h"
#include "base/log.h"
#include "base/map.h"
#include "ir/gguf_pretokenizer.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
};

struct merge {
    struct str left, right;
};

struct writer {
    struct gguf *gguf;
    struct arena arena;
    const json_t *root, *model;
    struct str *texts; /* [count] by id */
    int32_t *types;    /* [count] */
    uint32_t count;
    struct map ids; /* text -> id, of the model's vocabulary */
    struct merge *merges;
    size_t merge_count;
    struct trace *trace;
};

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- the tokens ---- */

static enum status place_token(struct writer *w, struct str text, const json_t *id, enum token_type type)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= w->count)
        return status_fail(w->trace, INVALID,
                           "tokenizer.json: the token \"" STR_FORMAT "\" has no id below %" PRIu32
                           ", the model's vocabulary",
                           STR_ARGUMENT(text), w->count);
    w->texts[value] = text;
    w->types[value] = (int32_t)type;
    return OK;
}

static bool is_byte_token(const struct writer *w, struct str text)
{
    return json_is_true(json_object_get(w->model, "byte_fallback")) && text.length == 6 &&
           str_starts_with(text, "<0x") && text.data[5] == '>';
}

static enum status read_vocabulary(struct writer *w)
{
    const char *name, *unknown = text_at(w->model, "unk_token");
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(w->model, "vocab"), name, id)
    {
        struct str text = str_from(name);
        enum token_type type = is_byte_token(w, text)                   ? TOKEN_BYTE
                               : *unknown && strcmp(name, unknown) == 0 ? TOKEN_UNKNOWN
                                                                        : TOKEN_NORMAL;
        TRY(place_token(w, text, id, type));
        map_add_text(&w->ids, &w->arena, text, (uint32_t)json_integer_value(id));
    }
    return OK;
}

static bool strips(const json_t *token)
{
    return json_is_true(json_object_get(token, "lstrip")) || json_is_true(json_object_get(token, "rstrip")) ||
           json_is_true(json_object_get(token, "single_word"));
}

static enum status read_added_tokens(struct writer *w)
{
    const char *unknown = text_at(w->model, "unk_token");
    bool any_strips = false;
    size_t i;
    json_t *token;
    json_array_foreach(json_object_get(w->root, "added_tokens"), i, token)
    {
        const char *content = text_at(token, "content");
        bool is_special = json_is_true(json_object_get(token, "special"));
        enum token_type type = strcmp(content, unknown) == 0 ? TOKEN_UNKNOWN
                               : is_special                  ? TOKEN_CONTROL
                                                             : TOKEN_USER;
        TRY(place_token(w, str_from(content), json_object_get(token, "id"), type));
        any_strips |= strips(token);
    }
    if (any_strips)
        log_note("note: readers of GGUF files look for added tokens everywhere, and leave the blanks beside "
                 "them (lstrip, rstrip and single_word cannot be said)");
    return OK;
}

static void fill_holes(struct writer *w)
{
    for (uint32_t id = 0; id < w->count; id++)
        if (!w->texts[id].data) {
            w->texts[id] = str_from(arena_printf(&w->arena, "[UNUSED%" PRIu32 "]", id));
            w->types[id] = TOKEN_UNUSED;
        }
}

/* A merge is "left right" or ["left", "right"]. */
static enum status read_merge(struct writer *w, const json_t *item, size_t i)
{
    const char *text = json_string_value(item);
    const char *left = json_string_value(json_array_get(item, 0));
    const char *right = json_string_value(json_array_get(item, 1));
    const char *gap = text ? strchr(text, ' ') : NULL;
    if (gap)
        w->merges[i] = (struct merge){{text, (size_t)(gap - text)}, str_from(gap + 1)};
    else if (left && right)
        w->merges[i] = (struct merge){str_from(left), str_from(right)};
    else
        return status_fail(w->trace, INVALID, "tokenizer.json: model.merges[%zu]: expected two pieces", i);
    return OK;
}

static enum status read_merges(struct writer *w)
{
    const json_t *list = json_object_get(w->model, "merges");
    w->merge_count = json_array_size(list);
    w->merges = ARENA_ARRAY(&w->arena, struct merge, w->merge_count);
    for (size_t i = 0; i < w->merge_count; i++)
        TRY(read_merge(w, json_array_get(list, i), i));
    return OK;
}

static struct str joined(struct writer *w, struct str a, struct str b)
{
    char *text = arena_alloc(&w->arena, a.length + b.length + 1);
    memcpy(text, a.data, a.length);
    memcpy(text + a.length, b.data, b.length);
    return (struct str){text, a.length + b.length};
}

/* ---- over bytes ---- */

struct pretokenizer_parts {
    struct gguf_step steps[GGUF_MOST_STEPS + 1];
    uint32_t count;
    bool byte_level, other;
};

static bool is_text(const json_t *object, const char *key, const char *text)
{
    return strcmp(text_at(object, key), text) == 0;
}

/* STEP_END for any other. */
static struct gguf_step step_of(const json_t *step)
{
    const char *pattern = text_at(json_object_get(step, "pattern"), "Regex");
    if (is_text(step, "type", "ByteLevel") && !json_is_true(json_object_get(step, "add_prefix_space")))
        return (struct gguf_step){json_is_false(json_object_get(step, "use_regex")) ? STEP_BYTES : STEP_WORDS,
                                  NULL};
    if (is_text(step, "type", "Digits"))
        return (struct gguf_step){
            json_is_true(json_object_get(step, "individual_digits")) ? STEP_DIGIT : STEP_DIGITS, NULL};
    if (is_text(step, "type", "Punctuation") && is_text(step, "behavior", "Contiguous"))
        return (struct gguf_step){STEP_PUNCTUATION, NULL};
    if (is_text(step, "type", "Split") && *pattern && is_text(step, "behavior", "Isolated"))
        return (struct gguf_step){STEP_SPLIT, pattern}; /* inverted it would be cut at the same places */
    return (struct gguf_step){STEP_END, NULL};
}

static void read_step(struct pretokenizer_parts *parts, const json_t *step)
{
    struct gguf_step found = step_of(step);
    parts->byte_level |= is_text(step, "type", "ByteLevel");
    if (found.kind == STEP_END || parts->count == GGUF_MOST_STEPS)
        parts->other = true;
    else
        parts->steps[parts->count++] = found;
}

static struct pretokenizer_parts read_pretokenizer(const struct writer *w)
{
    struct pretokenizer_parts parts = {0};
    const json_t *step = json_object_get(w->root, "pre_tokenizer");
    const json_t *steps = json_object_get(step, "pretokenizers");
    for (size_t i = 0; i < json_array_size(steps); i++)
        read_step(&parts, json_array_get(steps, i));
    if (json_is_object(step) && !steps)
        read_step(&parts, step);
    return parts;
}

static const struct gguf_pretokenizer *find_pretokenizer(const struct writer *w,
                                                         const struct pretokenizer_parts *parts)
{
    if (w->merge_count == 0)
        return &gguf_pretokenizers[0];
    for (size_t i = 0; i < gguf_pretokenizer_count && !parts->other; i++)
        if (gguf_steps_equal(gguf_pretokenizers[i].steps, parts->steps))
            return &gguf_pretokenizers[i];
    return NULL;
}

/* Each name once for each sequence of steps. */
static enum status refuse_pretokenizer(struct writer *w)
{
    struct builder names = {0};
    for (size_t i = 0; i < gguf_pretokenizer_count; i++)
        if (i == 0 || !gguf_steps_equal(gguf_pretokenizers[i].steps, gguf_pretokenizers[i - 1].steps))
            builder_printf(&names, "%s%s", i > 0 ? ", " : "", gguf_pretokenizers[i].name);
    enum status status = status_fail(
        w->trace, UNSUPPORTED,
        "GGUF export: readers of GGUF files have no name for the pre-tokenizer of tokenizer.json; known are %s",
        builder_text(&names));
    builder_release(&names);
    return status;
}

/* Readers do nothing to the text. Composed characters are what people write, so a file without that step is
 * of use. */
static enum status check_normalizer(const struct writer *w)
{
    const json_t *normalizer = json_object_get(w->root, "normalizer");
    const json_t *steps = json_object_get(normalizer, "normalizers");
    if (!normalizer || json_is_null(normalizer) || (json_is_array(steps) && json_array_size(steps) == 0))
        return OK;
    if (strcmp(text_at(normalizer, "type"), "NFC") != 0)
        return status_fail(w->trace, UNSUPPORTED,
                           "GGUF export: a tokenizer over bytes with a normaliser other than NFC");
    log_note("note: readers of GGUF files do not compose characters (NFC) before they look for tokens");
    return OK;
}

static enum status add_byte_level(struct writer *w, const struct pretokenizer_parts *parts)
{
    const struct gguf_pretokenizer *pre = find_pretokenizer(w, parts);
    if (!pre)
        return refuse_pretokenizer(w);
    if (pre->otherwise)
        log_note("note: readers of GGUF files %s, otherwise than this tokenizer", pre->otherwise);
    TRY(check_normalizer(w));
    gguf_add_text(w->gguf, "tokenizer.ggml.model", STR("gpt2"));
    gguf_add_text(w->gguf, "tokenizer.ggml.pre", str_from(pre->name));
    struct str *lines = ARENA_ARRAY(&w->arena, struct str, w->merge_count);
    for (size_t i = 0; i < w->merge_count; i++)
        lines[i] = joined(w, joined(w, w->merges[i].left, STR(" ")), w->merges[i].right);
    gguf_add_texts(w->gguf, "tokenizer.ggml.merges", lines, w->merge_count);
    return OK;
}

/* ---- over characters ---- */

#define MARKER "\xe2\x96\x81" /* U+2581 */

/* How blanks become markers; false when something else is done to the text. */
static bool read_marking(const struct writer *w, bool *adds_space)
{
    const json_t *normalizer = json_object_get(w->root, "normalizer"), *step = normalizer;
    const json_t *pre = json_object_get(w->root, "pre_tokenizer");
    const json_t *steps = json_object_get(normalizer, "normalizers");
    bool is_known = true, replaces = false;
    *adds_space = false;
    for (size_t i = 0; i < (steps ? json_array_size(steps) : json_is_object(normalizer)); i++) {
        step = steps ? json_array_get(steps, i) : normalizer;
        const char *type = text_at(step, "type");
        if (strcmp(type, "Prepend") == 0 && strcmp(text_at(step, "prepend"), MARKER) == 0)
            *adds_space = true;
        else if (strcmp(type, "Replace") == 0 && strcmp(text_at(step, "content"), MARKER) == 0)
            replaces = strcmp(text_at(json_object_get(step, "pattern"), "String"), " ") == 0;
        else
            is_known = false;
    }
    if (strcmp(text_at(pre, "type"), "Metaspace") == 0) {
        const char *scheme = text_at(pre, "prepend_scheme");
        if (strcmp(scheme, "never") != 0)
            log_note("note: readers of GGUF files put a blank in front of every text and behind every added "
                     "token, also where one is there or the tokenizer puts none");
        *adds_space |= strcmp(scheme, "never") != 0;
        return is_known && !json_is_true(json_object_get(pre, "split"));
    }
    bool cuts_blanks = strcmp(text_at(pre, "type"), "Split") == 0 && /* of which none are left */
                       strcmp(text_at(json_object_get(pre, "pattern"), "String"), " ") == 0;
    return is_known && replaces && (!pre || json_is_null(pre) || cuts_blanks);
}

/* Every cut of a piece into two others is one of its merges, which follow one another. */
static enum status check_cuts(struct writer *w, struct str piece, size_t made)
{
    size_t cuts = 0;
    for (size_t i = 1; i < piece.length; i++)
        cuts += map_find_text(&w->ids, (struct str){piece.data, i}, NULL) &&
                map_find_text(&w->ids, (struct str){piece.data + i, piece.length - i}, NULL);
    if (cuts == made)
        return OK;
    return status_fail(w->trace, UNSUPPORTED,
                       "GGUF export: the piece \"" STR_FORMAT
                       "\" can be cut in %zu ways, but %zu merges in a "
                       "row make it; by scores, as GGUF has it, the text would be tokenised otherwise",
                       STR_ARGUMENT(piece), cuts, made);
}

/* Pieces that are merged earlier have higher scores: minus the rank of the first merge. */
static enum status score_pieces(struct writer *w, float *scores)
{
    for (size_t i = 0; i < w->merge_count;) {
        struct str piece = joined(w, w->merges[i].left, w->merges[i].right);
        uint32_t id;
        size_t first = i;
        if (!map_find_text(&w->ids, piece, &id))
            return status_fail(w->trace, INVALID,
                               "tokenizer.json: model.merges[%zu] makes \"" STR_FORMAT
                               "\", which is not in model.vocab",
                               i, STR_ARGUMENT(piece));
        while (i < w->merge_count && str_equal(piece, joined(w, w->merges[i].left, w->merges[i].right)))
            i++;
        TRY(check_cuts(w, piece, i - first));
        scores[id] = -1 - (float)first;
    }
    return OK;
}

static enum status add_characters(struct writer *w)
{
    bool adds_space;
    if (!read_marking(w, &adds_space))
        return status_fail(
            w->trace, UNSUPPORTED,
            "GGUF export: a tokenizer over characters whose normaliser or pre-tokenizer does more "
            "than to write blanks as U+2581");
    if (!json_is_true(json_object_get(w->model, "byte_fallback")))
        return status_fail(w->trace, UNSUPPORTED,
                           "GGUF export: a tokenizer over characters without byte_fallback; readers of GGUF "
                           "files write characters that have no token as bytes");
    float *scores = ARENA_ARRAY(&w->arena, float, w->count);
    TRY(score_pieces(w, scores));
    gguf_add_text(w->gguf, "tokenizer.ggml.model", STR("llama"));
    gguf_add_text(w->gguf, "tokenizer.ggml.pre", STR("default"));
    gguf_add_bool(w->gguf, "tokenizer.ggml.add_space_prefix", adds_space);
    gguf_add_f32s(w->gguf, "tokenizer.ggml.scores", scores, w->count);
    return OK;
}

/* ---- all of it ---- */

static void add_bound(struct writer *w, const char *key, int32_t id, const char *flag, bool is_put)
{
    if (id >= 0)
        gguf_add_u32(w->gguf, key, (uint32_t)id);
    gguf_add_bool(w->gguf, flag, is_put);
}

static enum status write_tokenizer(struct writer *w, const struct emit_gguf_options *options)
{
    w->model = json_object_get(w->root, "model");
    if (strcmp(text_at(w->model, "type"), "BPE") != 0)
        return status_fail(w->trace, INVALID, "tokenizer.json: model.type: expected \"BPE\", found \"%s\"",
                           text_at(w->model, "type"));
    if (*text_at(w->model, "continuing_subword_prefix") || *text_at(w->model, "end_of_word_suffix"))
        return status_fail(w->trace, UNSUPPORTED,
                           "GGUF export: a tokenizer with continuing_subword_prefix or end_of_word_suffix");
    w->texts = ARENA_ARRAY(&w->arena, struct str, w->count);
    w->types = ARENA_ARRAY(&w->arena, int32_t, w->count);
    TRY(read_vocabulary(w));
    TRY(read_added_tokens(w));
    TRY(read_merges(w));
    fill_holes(w);
    struct pretokenizer_parts parts = read_pretokenizer(w);
    TRY(parts.byte_level ? add_byte_level(w, &parts) : add_characters(w));
    gguf_add_texts(w->gguf, "tokenizer.ggml.tokens", w->texts, w->count);
    gguf_add_i32s(w->gguf, "tokenizer.ggml.token_type", w->types, w->count);
    add_bound(w, "tokenizer.ggml.bos_token_id", options->bos, "tokenizer.ggml.add_bos_token",
              options->puts_bos);
    add_bound(w, "tokenizer.ggml.eos_token_id", options->eos, "tokenizer.ggml.add_eos_token",
              options->puts_eos);
    return OK;
}

enum status gguf_add_tokenizer(struct gguf *gguf, const struct emit_gguf_options *options, int64_t vocabulary,
                               struct trace *trace)
{
    json_error_t error;
    struct str text = options->tokenizer_json;
    struct writer w = {.gguf = gguf, .count = (uint32_t)vocabulary, .trace = trace};
    json_t *root = json_loadb(text.data, text.length, JSON_ALLOW_NUL, &error);
    w.root = root;
    enum status status = json_is_object(root)
                             ? write_tokenizer(&w, options)
                             : status_fail(trace, INVALID, "tokenizer.json, line %d: %s", error.line,
                                           root ? "expected an object" : error.text);
    json_decref(root);
    arena_release(&w.arena);
    return status;
}
