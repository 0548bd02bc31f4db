/* The tokenizer of a GGUF file as a tokenizer.json: tokens over bytes with their merges ("gpt2"), or pieces
 * over characters with scores ("llama"), which become merges (frontend/gguf_pieces.h); anything else is left
 * out with a note. What a file does not say is as llama.cpp takes it. */
#include "frontend/gguf.h"
#include "frontend/gguf_pieces.h"
#include "ir/gguf_pretokenizer.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_USER = 4 }; /* of tokenizer.ggml.token_type */

struct parts {
    struct gguf_file *file;
    const struct gguf_pretokenizer *pre;
    bool is_pieces; /* over characters: `scores`, else `pre` and `merges` */
    const struct gguf_entry *tokens, *types, *merges, *scores;
};

#define MARKER "\xe2\x96\x81" /* U+2581, which blanks are written as in pieces */

static bool has_text(struct gguf_file *file, const char *key, struct str *out)
{
    const struct gguf_entry *entry = gguf_find(file, key);
    return entry && gguf_text(entry, out);
}

static bool has_flag(struct gguf_file *file, const char *key, bool fallback)
{
    const struct gguf_entry *entry = gguf_find(file, key);
    return !entry || entry->is_array || entry->type != GGUF_BOOL ? fallback : entry->data[0] != 0;
}

static const char *find_byte_level(struct parts *p)
{
    struct str pre = STR("default");
    has_text(p->file, "tokenizer.ggml.pre", &pre);
    for (size_t i = 0; i < gguf_pretokenizer_count; i++)
        if (str_is(pre, gguf_pretokenizers[i].name))
            p->pre = &gguf_pretokenizers[i];
    p->merges = gguf_find(p->file, "tokenizer.ggml.merges");
    if (!p->pre)
        return "its pre-tokenizer (tokenizer.ggml.pre) is not known";
    return p->merges && p->merges->type == GGUF_TEXT ? NULL : "it has no list of merges";
}

static const char *find_pieces(struct parts *p)
{
    p->is_pieces = true;
    p->scores = gguf_find(p->file, "tokenizer.ggml.scores");
    if (!p->scores || p->scores->type != GGUF_F32 || p->scores->count != p->tokens->count)
        return "it has no score for each token";
    return NULL;
}

/* Why there is no tokenizer.json; NULL when there is. */
static const char *find_parts(struct parts *p)
{
    struct str model = {0};
    has_text(p->file, "tokenizer.ggml.model", &model);
    if (!str_is(model, "gpt2") && !str_is(model, "llama"))
        return "tokenizer.ggml.model is neither gpt2 nor llama";
    p->tokens = gguf_find(p->file, "tokenizer.ggml.tokens");
    p->types = gguf_find(p->file, "tokenizer.ggml.token_type");
    if (!p->tokens || p->tokens->type != GGUF_TEXT)
        return "it has no list of tokens";
    if (p->types && (p->types->type != GGUF_I32 || p->types->count != p->tokens->count))
        return "its token types do not fit its tokens";
    return str_is(model, "llama") ? find_pieces(p) : find_byte_level(p);
}

/* Text that JSON can hold as a key; NULL when it is none. */
static char *copy_text(struct str text)
{
    char *copy = memchr(text.data, 0, text.length) ? NULL : malloc(text.length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    return copy;
}

static bool add_token(json_t *vocabulary, json_t *added, struct str text, json_int_t id, int64_t type)
{
    char *key = copy_text(text);
    bool is_new = key && !json_object_get(vocabulary, key) &&
                  json_object_set_new(vocabulary, key, json_integer(id)) == 0;
    free(key);
    if (is_new && (type == TOKEN_UNKNOWN || type == TOKEN_CONTROL || type == TOKEN_USER))
        json_array_append_new(added, json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                                               text.data, text.length, "single_word", 0, "lstrip", 0,
                                               "rstrip", 0, "normalized", 0, "special", type != TOKEN_USER));
    return is_new;
}

static bool add_tokens(const struct parts *p, json_t *vocabulary, json_t *added)
{
    struct str text;
    size_t at = 0;
    for (uint64_t i = 0; gguf_next_text(p->tokens, &at, &text); i++)
        if (!add_token(vocabulary, added, text, (json_int_t)i, p->types ? gguf_item(p->types, i) : 1))
            return false;
    return true;
}

static json_t *make_merges(const struct parts *p, const char **reason)
{
    struct str text;
    size_t at = 0;
    if (p->is_pieces)
        return gguf_merges_of_scores(p->tokens, p->scores, p->types, reason);
    json_t *merges = json_array();
    while (gguf_next_text(p->merges, &at, &text))
        json_array_append_new(merges, json_stringn(text.data, text.length));
    return merges;
}

static bool find_token(const struct parts *p, int64_t id, struct str *out)
{
    size_t at = 0;
    if (id < 0 || (uint64_t)id >= p->tokens->count)
        return false;
    for (int64_t i = 0; i <= id; i++)
        if (!gguf_next_text(p->tokens, &at, out))
            return false;
    return true;
}

/* The token of characters that are none, of pieces only. */
static json_t *make_unknown(const struct parts *p)
{
    const struct gguf_entry *entry = gguf_find(p->file, "tokenizer.ggml.unknown_token_id");
    int64_t id = 0;
    struct str text;
    if (!p->is_pieces || (entry && !gguf_integer(entry, &id)) || !find_token(p, id, &text))
        return json_null();
    return json_stringn(text.data, text.length);
}

/* Steals `vocabulary` and `merges`. */
static json_t *make_model(const struct parts *p, json_t *vocabulary, json_t *merges)
{
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", make_unknown(p), "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", p->is_pieces, "byte_fallback", p->is_pieces, "ignore_merges",
                     !p->is_pieces && p->pre->is_whole, "vocab", vocabulary, "merges", merges);
}

/* ---- what is done to the text before and to the tokens behind ---- */

static json_t *make_normalizer(const struct parts *p)
{
    if (!p->is_pieces)
        return json_null();
    json_t *steps = json_array();
    if (has_flag(p->file, "tokenizer.ggml.add_space_prefix", true))
        json_array_append_new(steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", MARKER));
    json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ",
                                           "content", MARKER));
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
}

static json_t *make_decoder(const struct parts *p)
{
    if (!p->is_pieces)
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets",
                         1, "use_regex", 1);
    json_t *steps = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                              MARKER, "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (has_flag(p->file, "tokenizer.ggml.add_space_prefix", true))
        json_array_append_new(
            steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

static json_t *make_step(const struct gguf_step *step)
{
    switch (step->kind) {
    case STEP_BYTES:
    case STEP_WORDS:
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                         1, "use_regex", step->kind == STEP_WORDS);
    case STEP_DIGIT:
    case STEP_DIGITS:
        return json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", step->kind == STEP_DIGIT);
    case STEP_PUNCTUATION:
        return json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", "Contiguous");
    case STEP_SPLIT:
        return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", step->pattern,
                         "behavior", "Isolated", "invert", 0);
    case STEP_END:
        break;
    }
    return NULL;
}

static json_t *make_pretokenizer(const struct parts *p)
{
    if (p->is_pieces)
        return json_null();
    json_t *steps = json_array();
    for (const struct gguf_step *step = p->pre->steps; step->kind != STEP_END; step++)
        json_array_append_new(steps, make_step(step));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
}

/* The token that is put in front of a text; before pieces and some others also where the file does not say.
 */
static json_t *make_processor(const struct parts *p)
{
    const struct gguf_entry *entry = gguf_find(p->file, "tokenizer.ggml.bos_token_id");
    int64_t id;
    struct str text;
    if (!has_flag(p->file, "tokenizer.ggml.add_bos_token", p->is_pieces || p->pre->puts_bos) || !entry ||
        !gguf_integer(entry, &id) || !find_token(p, id, &text))
        return json_null();
    char *name = copy_text(text);
    json_t *processor =
        json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}], s:{s:{s:s, s:[I], s:[s]}}}",
                  "type", "TemplateProcessing", "single", "SpecialToken", "id", name, "type_id", 0,
                  "Sequence", "id", "A", "type_id", 0, "pair", "Sequence", "id", "A", "type_id", 0,
                  "special_tokens", name, "id", name, "ids", (json_int_t)id, "tokens", name);
    free(name);
    return processor;
}

static const char *print(struct imported_model *model, const struct parts *p)
{
    const char *reason = NULL;
    json_t *vocabulary = json_object(), *added = json_array();
    json_t *merges = make_merges(p, &reason);
    if (merges && !add_tokens(p, vocabulary, added))
        reason = "a token is there twice, or is no text";
    if (reason) {
        json_decref(vocabulary);
        json_decref(added);
        json_decref(merges);
        return reason;
    }
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation",
                             "padding", "added_tokens", added, "normalizer", make_normalizer(p),
                             "pre_tokenizer", make_pretokenizer(p), "post_processor", make_processor(p),
                             "decoder", make_decoder(p), "model", make_model(p, vocabulary, merges));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return "a merge is no text";
    size_t length = strlen(text);
    model->tokenizer = (struct str){arena_copy_string(&model->arena, text, length), length};
    free(text);
    return NULL;
}

void gguf_read_tokenizer(struct imported_model *model, struct gguf_file *file)
{
    struct parts p = {.file = file};
    const char *reason = find_parts(&p);
    if (!reason)
        reason = print(model, &p);
    if (reason)
        imported_model_note(model, "the tokenizer is left out: %s", reason);
}
