/* The tokenizer of a GGUF file as a tokenizer.json: tokens over bytes with their merges. Tokenizers over
 * characters are kept there as scores, from which merges do not follow; a note says so. */
#include "frontend/gguf.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_CONTROL = 3, TOKEN_USER = 4 }; /* of tokenizer.ggml.token_type */

static const struct known {
    const char *name, *split;
    bool digits, own, whole;
} known_pretokenizers[] = {
#define GGUF_PRETOKENIZER(name, split, digits, own, whole) {name, split, digits, own, whole},
#include "ir/gguf_pretokenizers.def"
};

struct parts {
    struct gguf_file *file;
    const struct known *pre;
    const struct gguf_entry *tokens, *types, *merges;
};

static bool has_text(struct gguf_file *file, const char *key, struct str *out)
{
    const struct gguf_entry *entry = gguf_find(file, key);
    return entry && gguf_text(entry, out);
}

/* Why there is no tokenizer.json; NULL when there is. */
static const char *find_parts(struct parts *p)
{
    struct str model, pre = STR("gpt-2");
    if (!has_text(p->file, "tokenizer.ggml.model", &model) || !str_is(model, "gpt2"))
        return "it is none over bytes (tokenizer.ggml.model is not gpt2)";
    has_text(p->file, "tokenizer.ggml.pre", &pre);
    for (size_t i = 0; i < sizeof known_pretokenizers / sizeof *known_pretokenizers; i++)
        if (str_is(pre, known_pretokenizers[i].name))
            p->pre = &known_pretokenizers[i];
    if (!p->pre)
        return "its pre-tokenizer (tokenizer.ggml.pre) is not known";
    p->tokens = gguf_find(p->file, "tokenizer.ggml.tokens");
    p->types = gguf_find(p->file, "tokenizer.ggml.token_type");
    p->merges = gguf_find(p->file, "tokenizer.ggml.merges");
    if (!p->tokens || p->tokens->type != GGUF_TEXT || !p->merges || p->merges->type != GGUF_TEXT)
        return "it has no lists of tokens and merges";
    if (p->types && (p->types->type != GGUF_I32 || p->types->count != p->tokens->count))
        return "its token types do not fit its tokens";
    return NULL;
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
    if (is_new && (type == TOKEN_CONTROL || type == TOKEN_USER))
        json_array_append_new(added,
                              json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                                        text.data, text.length, "single_word", 0, "lstrip", 0, "rstrip", 0,
                                        "normalized", 0, "special", type == TOKEN_CONTROL));
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

static json_t *make_model(const struct parts *p, json_t *vocabulary)
{
    json_t *merges = json_array();
    struct str text;
    size_t at = 0;
    while (gguf_next_text(p->merges, &at, &text))
        json_array_append_new(merges, json_stringn(text.data, text.length));
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", p->pre->whole, "vocab", vocabulary, "merges",
                     merges);
}

static json_t *make_pretokenizer(const struct known *pre)
{
    json_t *steps = json_array();
    if (pre->digits)
        json_array_append_new(steps, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    if (pre->split)
        json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern",
                                               "Regex", pre->split, "behavior", "Isolated", "invert", 0));
    json_array_append_new(steps, json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                                           "trim_offsets", 1, "use_regex", pre->own));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
}

/* The token that is put in front of a text. */
static json_t *make_processor(const struct parts *p)
{
    const struct gguf_entry *flag = gguf_find(p->file, "tokenizer.ggml.add_bos_token");
    const struct gguf_entry *entry = gguf_find(p->file, "tokenizer.ggml.bos_token_id");
    int64_t id;
    struct str text;
    size_t at = 0;
    if (!flag || flag->is_array || flag->type != GGUF_BOOL || !flag->data[0] || !entry ||
        !gguf_integer(entry, &id))
        return json_null();
    for (int64_t i = 0; i <= id; i++)
        if (!gguf_next_text(p->tokens, &at, &text))
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
    json_t *vocabulary = json_object(), *added = json_array();
    if (!add_tokens(p, vocabulary, added)) {
        json_decref(vocabulary);
        json_decref(added);
        return "a token is there twice, or is no text";
    }
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:o, s:{s:s, s:b, s:b, s:b}, s:o}", "version",
                             "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                             "pre_tokenizer", make_pretokenizer(p->pre), "post_processor", make_processor(p),
                             "decoder", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1,
                             "use_regex", 1, "model", make_model(p, vocabulary));
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
        *VEC_PUSH(&model->arena, &model->notes) =
            str_from(arena_printf(&model->arena, "the tokenizer is left out: %s", reason));
}
