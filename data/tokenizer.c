/* Opening, decoding and what callers ask about; encoding is in data/tokenizer_encode.c. */
#include "data/tokenizer.h"

#include "base/file.h"
#include "data/byte_alphabet.h"
#include "data/tokenizer_json.h"
#include "data/utf8.h"
#include <stdlib.h>
#include <string.h>

/* The "bytes" tokenizer as a tokenizer.json: 256 byte-level tokens in order, no merges. */
static struct str bytes_json(struct arena *arena)
{
    struct builder b = {0};
    builder_add_text(
        &b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],"
            "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
            "\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":null,\"decoder\":{"
            "\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
            "\"use_regex\":false},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
            "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
            "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    for (int byte = 0; byte < 256; byte++) {
        char character[4];
        size_t length = utf8_write(character, byte_alphabet_character((uint8_t)byte));
        builder_printf(&b, "%s\"%s%.*s\":%d", byte ? "," : "", byte == '"' || byte == '\\' ? "\\" : "",
                       (int)length, character, byte);
    }
    builder_add_text(&b, "},\"merges\":[]}}\n");
    struct str json = {arena_copy_string(arena, b.data, b.length), b.length};
    builder_release(&b);
    return json;
}

static void init_bytes(struct tokenizer *t)
{
    t->kind = TOKENIZER_BYTES;
    t->json = bytes_json(&t->arena);
    t->hash = hash128_of(t->json.data, t->json.length);
    t->bos = t->eos = t->unknown = -1;
    t->vocabulary = 256;
    t->pieces = ARENA_ARRAY(&t->arena, struct tokenizer_piece, 256);
    char *all = arena_alloc(&t->arena, 256);
    for (int byte = 0; byte < 256; byte++) {
        all[byte] = (char)byte;
        t->pieces[byte].text = t->pieces[byte].bytes = (struct str){all + byte, 1};
        t->byte_ids[byte] = byte;
    }
}

static struct tokenizer *create(void)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        BUG("out of memory for a tokenizer");
    return t;
}

enum status tokenizer_open_text(struct tokenizer **out, struct str json, struct trace *trace)
{
    struct tokenizer *t = create();
    *out = NULL;
    t->json =
        (struct str){arena_copy_string(&t->arena, json.data ? json.data : "", json.length), json.length};
    enum status status = tokenizer_read_json(t, trace);
    if (status == OK)
        *out = t;
    else
        tokenizer_close(t);
    return status;
}

enum status tokenizer_open(struct tokenizer **out, const char *source, struct trace *trace)
{
    *out = NULL;
    if (strcmp(source, "bytes") == 0) {
        *out = create();
        init_bytes(*out);
        return OK;
    }
    struct builder text = {0};
    enum status status = file_read(&text, source, TOKENIZER_FILE_LIMIT, trace);
    if (status == OK)
        status = tokenizer_open_text(out, (struct str){builder_text(&text), text.length}, trace);
    if (status != OK)
        trace_add(trace, "while reading the tokenizer %s", source);
    builder_release(&text);
    return status;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    tokenizer_release(tokenizer);
    free(tokenizer);
}

static const struct tokenizer_piece *find_piece(const struct tokenizer *t, int32_t id)
{
    if (id < 0 || (uint32_t)id >= t->vocabulary || !t->pieces[id].text.data)
        return NULL;
    return &t->pieces[id];
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                             struct builder *out, struct trace *trace)
{
    for (size_t i = 0; i < count; i++) {
        const struct tokenizer_piece *piece = find_piece(tokenizer, ids[i]);
        if (!piece)
            return status_fail(trace, INVALID,
                               "token %zu has the id %d, for which the tokenizer (%u ids) has no token", i,
                               ids[i], tokenizer->vocabulary);
        struct str bytes = piece->bytes;
        if (i == 0 && tokenizer->adds_space && bytes.length && bytes.data[0] == ' ') {
            bytes.data++;
            bytes.length--;
        }
        builder_add(out, bytes.data, bytes.length);
    }
    return OK;
}

uint32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

struct hash128 tokenizer_hash(const struct tokenizer *tokenizer)
{
    return tokenizer->hash;
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool tokenizer_puts_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->puts_bos;
}

bool tokenizer_puts_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->puts_eos;
}

struct str tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id)
{
    const struct tokenizer_piece *piece = find_piece(tokenizer, id);
    return piece ? piece->bytes : (struct str){"", 0};
}

uint32_t tokenizer_text_length(const struct tokenizer *tokenizer, int32_t id)
{
    const struct tokenizer_piece *piece = find_piece(tokenizer, id);
    return piece && !piece->is_special ? (uint32_t)piece->bytes.length : 0;
}

struct str tokenizer_json(const struct tokenizer *tokenizer)
{
    return tokenizer->json;
}

enum status tokenizer_check_model(const struct tokenizer *tokenizer, uint64_t model_vocabulary,
                                  const char *name, struct trace *trace)
{
    uint64_t size = tokenizer->vocabulary, padding = size / 16 > 64 ? size / 16 : 64;
    if (size > model_vocabulary)
        return status_fail(trace, INVALID,
                           "the tokenizer does not match the model: it has %llu ids, %s knows only %llu",
                           (unsigned long long)size, name, (unsigned long long)model_vocabulary);
    if (model_vocabulary - size > padding)
        return status_fail(
            trace, INVALID,
            "the tokenizer does not match the model: it has %llu ids, %s has %llu, more than padding explains",
            (unsigned long long)size, name, (unsigned long long)model_vocabulary);
    return OK;
}
