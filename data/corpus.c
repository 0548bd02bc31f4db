/* Tokenising, and keeping the result in a store. */
#include "data/corpus.h"

#include "base/arena.h"
#include "base/file.h"
#include "data/documents.h"
#include "store/input.h"
#include "store/key.h"
#include <stdio.h>
#include <string.h>

/* Raise it whenever the same text and options may give other tokens. */
enum { CORPUS_VERSION = 1 };

bool corpus_join_from_name(struct str name, enum corpus_join *out)
{
    static const char *const names[] = {
        [JOIN_BY_TOKENIZER] = "auto", [JOIN_NOTHING] = "none", [JOIN_EOS] = "eos",
        [JOIN_BOS] = "bos",           [JOIN_BOTH] = "both",    [JOIN_NEWLINE] = "newline"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_is(name, names[i]))
            return *out = (enum corpus_join)i, true;
    return false;
}

/* What JOIN_BY_TOKENIZER stands for. */
static enum corpus_join join_of(const struct tokenizer *tokenizer)
{
    bool puts_bos = tokenizer_puts_bos(tokenizer), puts_eos = tokenizer_puts_eos(tokenizer);
    if (puts_bos || puts_eos)
        return !puts_bos ? JOIN_EOS : !puts_eos ? JOIN_BOS : JOIN_BOTH;
    return tokenizer_eos(tokenizer) >= 0 ? JOIN_EOS : tokenizer_bos(tokenizer) >= 0 ? JOIN_BOS : JOIN_NEWLINE;
}

/* The options with every default written out. */
static enum status settle_options(struct corpus_options *o, const char *path,
                                  const struct tokenizer *tokenizer, struct trace *trace)
{
    if (o->form == CORPUS_BY_NAME)
        o->form = str_ends_with(str_from(path), ".jsonl") || str_ends_with(str_from(path), ".ndjson")
                      ? CORPUS_JSON_LINES
                      : CORPUS_TEXT;
    if (!o->field)
        o->field = "text";
    if (!o->delimiter)
        o->delimiter = CORPUS_DELIMITER;
    bool has_eos = tokenizer_eos(tokenizer) >= 0, has_bos = tokenizer_bos(tokenizer) >= 0;
    if (o->join == JOIN_BY_TOKENIZER) {
        o->join = join_of(tokenizer);
        o->lone = o->form == CORPUS_JSON_LINES ? CORPUS_LONE_JOINED : CORPUS_LONE_BARE;
    }
    if (!has_eos && (o->join == JOIN_EOS || o->join == JOIN_BOTH))
        return status_fail(trace, INVALID,
                           "documents are to end with the end token, but the tokenizer has none");
    if (!has_bos && (o->join == JOIN_BOS || o->join == JOIN_BOTH))
        return status_fail(trace, INVALID,
                           "documents are to begin with the begin token, but the tokenizer has none");
    return OK;
}

static enum status add_document(struct corpus *c, struct tokenizer *tokenizer, struct str text,
                                enum corpus_join join, struct trace *trace)
{
    if (join == JOIN_BOS || join == JOIN_BOTH)
        token_list_add(&c->owned, tokenizer_bos(tokenizer));
    TRY(tokenizer_encode(tokenizer, text, &c->owned, trace));
    if (join == JOIN_NEWLINE)
        TRY(tokenizer_encode(tokenizer, STR("\n"), &c->owned, trace));
    if (join == JOIN_EOS || join == JOIN_BOTH)
        token_list_add(&c->owned, tokenizer_eos(tokenizer));
    c->documents++;
    c->text_bytes += text.length;
    return OK;
}

static enum status tokenise(struct corpus *c, struct str file, struct tokenizer *tokenizer,
                            const struct corpus_options *o, struct trace *trace)
{
    struct documents documents = {.file = file, .delimiter = str_from(o->delimiter)};
    bool is_lone = file.length == 0 || !*o->delimiter ||
                   !memmem(file.data, file.length, o->delimiter, strlen(o->delimiter));
    enum corpus_join join = is_lone && o->lone == CORPUS_LONE_BARE ? JOIN_NOTHING : o->join;
    if (o->form == CORPUS_JSON_LINES)
        documents.field = o->field;
    struct str text = {0};
    enum status status = OK;
    while ((!o->limit || c->documents < o->limit) &&
           (status = documents_read(&text, &documents, trace)) == OK && text.length > 0) {
        status = add_document(c, tokenizer, text, join, trace);
        if (status != OK) {
            documents_trace(&documents, trace);
            break;
        }
    }
    documents_release(&documents);
    if (status == OK && c->owned.count == 0)
        status = status_fail(trace, INVALID, "it holds no text (%zu bytes)", file.length);
    c->tokens = c->owned.items;
    c->count = c->owned.count;
    return status;
}

/* --- in a store --- */

static struct hash128 make_key(const struct corpus *c, const struct corpus_options *o)
{
    char text[HASH128_HEX], tokenizer[HASH128_HEX];
    struct builder b = {0};
    hash128_to_hex(c->text_hash, text);
    hash128_to_hex(c->tokenizer_hash, tokenizer);
    builder_printf(&b, "corpus %d\ntext %s\ntokenizer %s\nform %d\njoin %d\nfield %zu ", CORPUS_VERSION, text,
                   tokenizer, o->form, o->join, strlen(o->field));
    builder_add_text(&b, o->field);
    builder_printf(&b, "\ndelimiter %zu ", strlen(o->delimiter));
    builder_add_text(&b, o->delimiter);
    if (o->limit)
        builder_printf(&b, "\nlimit %llu", (unsigned long long)o->limit);
    struct hash128 key = hash128_of(b.data, b.length);
    builder_release(&b);
    return key;
}

static enum status map_tokens(struct corpus *c, const struct store *store, struct hash128 id,
                              struct trace *trace)
{
    TRY(store_open_object(&c->object, store, id, "tokens", OBJECT_TRUST, trace));
    c->tokens = (const int32_t *)(const void *)c->object.data;
    c->count = c->object.size / sizeof *c->tokens;
    uint32_t largest = 0; /* a negative id counts as a large one */
    for (uint64_t i = 0; i < c->count; i++)
        if ((uint32_t)c->tokens[i] > largest)
            largest = (uint32_t)c->tokens[i];
    if (c->count == 0 || c->object.size % sizeof *c->tokens || largest >= c->vocabulary) {
        char name[STORE_ID_TEXT];
        store_id_to_text(id, name);
        return status_fail(trace, CORRUPT, "the tokens %s are not ids of the tokenizer that made them", name);
    }
    return OK;
}

/* "documents N" and "bytes N", a line each. */
static enum status read_counts(struct corpus *c, const struct store *store, struct hash128 id,
                               struct trace *trace)
{
    struct store_object object = {0};
    unsigned long long documents, bytes;
    TRY(store_open_object(&object, store, id, "corpus", OBJECT_VERIFY, trace));
    struct builder text = {0};
    builder_add(&text, (const char *)object.data, object.size);
    bool is_read = sscanf(builder_text(&text), "documents %llu\nbytes %llu\n", &documents, &bytes) == 2;
    builder_release(&text);
    store_object_release(&object);
    if (!is_read)
        return status_fail(trace, CORRUPT, "the counts of a corpus in the store are not in their form");
    c->documents = documents;
    c->text_bytes = bytes;
    return OK;
}

static enum status find_kept(struct corpus *c, const struct store *store, struct hash128 key,
                             struct trace *trace)
{
    struct arena arena = {0};
    struct store_result result = {0};
    enum status status = store_key_find(&result, &arena, store, key, trace);
    if (status == OK) {
        const struct store_output *tokens = store_result_find(&result, "tokens");
        const struct store_output *counts = store_result_find(&result, "counts");
        if (!tokens || !counts)
            status = status_fail(trace, CORRUPT, "the result of a corpus has no tokens or no counts");
        if (status == OK)
            status = read_counts(c, store, counts->id, trace);
        if (status == OK)
            status = map_tokens(c, store, tokens->id, trace);
    }
    arena_release(&arena);
    return status;
}

static enum status keep(struct corpus *c, const struct store *store, struct hash128 key, struct trace *trace)
{
    struct arena arena = {0};
    struct store_result result = {0};
    struct hash128 tokens, counts;
    const char *text = arena_printf(&arena, "documents %llu\nbytes %llu\n", (unsigned long long)c->documents,
                                    (unsigned long long)c->text_bytes);
    enum status status =
        store_put(&tokens, NULL, store, "tokens", c->tokens, c->count * sizeof *c->tokens, trace);
    if (status == OK)
        status = store_put(&counts, NULL, store, "corpus", text, strlen(text), trace);
    if (status == OK) {
        store_result_add(&result, &arena, "tokens", tokens, NULL);
        store_result_add(&result, &arena, "counts", counts, NULL);
        status = store_key_put(store, key, &result, trace);
    }
    arena_release(&arena);
    if (status != OK)
        return status;
    token_list_release(&c->owned);
    return map_tokens(c, store, tokens, trace);
}

static enum status tokenise_file(struct corpus *c, const struct mapping *file, const char *path,
                                 struct tokenizer *tokenizer, const struct corpus_options *o,
                                 struct trace *trace)
{
    TRY(tokenise(c, (struct str){(const char *)file->data, file->size}, tokenizer, o, trace));
    return mapping_check(file, path, trace);
}

static enum status open_in_store(struct corpus *c, const char *path, struct tokenizer *tokenizer,
                                 const struct corpus_options *o, const struct store *store,
                                 struct trace *trace)
{
    struct store_input input;
    TRY(store_input_hash(&input, store, path, INPUT_REMEMBERED, trace));
    c->text_hash = input.xxh3;
    struct hash128 key = make_key(c, o);
    enum status status = find_kept(c, store, key, trace);
    if (status != NOT_FOUND)
        return status;
    struct mapping file = {0};
    TRY(mapping_open(&file, path, trace));
    status = tokenise_file(c, &file, path, tokenizer, o, trace);
    mapping_release(&file);
    return status == OK ? keep(c, store, key, trace) : status;
}

static enum status open_on_heap(struct corpus *c, const char *path, struct tokenizer *tokenizer,
                                const struct corpus_options *o, struct trace *trace)
{
    struct mapping file = {0};
    TRY(mapping_open(&file, path, trace));
    c->text_hash = hash128_of(file.data ? (const char *)file.data : "", file.size);
    enum status status = tokenise_file(c, &file, path, tokenizer, o, trace);
    mapping_release(&file);
    return status;
}

enum status corpus_open(struct corpus *out, const char *path, struct tokenizer *tokenizer,
                        const struct corpus_options *options, const struct store *store, struct trace *trace)
{
    struct corpus_options settled = *options;
    *out = (struct corpus){.vocabulary = tokenizer_vocabulary(tokenizer),
                           .tokenizer_hash = tokenizer_hash(tokenizer)};
    enum status status = settle_options(&settled, path, tokenizer, trace);
    if (status == OK)
        status = store ? open_in_store(out, path, tokenizer, &settled, store, trace)
                       : open_on_heap(out, path, tokenizer, &settled, trace);
    if (status != OK)
        trace_add(trace, "while tokenising %s", path);
    return status;
}

void corpus_release(struct corpus *corpus)
{
    token_list_release(&corpus->owned);
    store_object_release(&corpus->object);
    *corpus = (struct corpus){0};
}

uint64_t corpus_text_length(const struct corpus *corpus, const struct tokenizer *tokenizer, uint64_t first,
                            uint64_t count)
{
    uint64_t bytes = 0;
    for (uint64_t i = first; i < first + count; i++)
        bytes += tokenizer_text_length(tokenizer, corpus->tokens[i]);
    return bytes;
}
