/* GGUF: every rule of the format is held, damaged files are refused with a reason, and blocks are decoded by
 * their formulas. Files are put together here, byte by byte. */
#include "frontend/gguf.h"
#include "fuzz/gguf.h"
#include "tests/frontend/import.h"
#include <jansson.h>
#include <math.h>

enum { MUTANTS = 4000 };

static struct trace trace;

/* ---- writing ---- */

static void add_number(struct builder *b, uint64_t value, uint32_t bytes)
{
    builder_add(b, (const char *)&value, bytes); /* little endian */
}

static void add_text(struct builder *b, const char *text)
{
    add_number(b, strlen(text), 8);
    builder_add_text(b, text);
}

static void add_size_key(struct builder *b, const char *key, uint32_t value)
{
    add_text(b, key);
    add_number(b, GGUF_U32, 4);
    add_number(b, value, 4);
}

static void add_real_key(struct builder *b, const char *key, float value)
{
    add_text(b, key);
    add_number(b, GGUF_F32, 4);
    builder_add(b, (const char *)&value, 4);
}

static void add_text_key(struct builder *b, const char *key, const char *value)
{
    add_text(b, key);
    add_number(b, GGUF_TEXT, 4);
    add_text(b, value);
}

struct tensor_row {
    const char *name;
    uint32_t rank, type;
    uint64_t dims[4]; /* innermost first */
    uint64_t offset;
};

static void add_tensor(struct builder *b, const struct tensor_row *row)
{
    add_text(b, row->name);
    add_number(b, row->rank, 4);
    for (uint32_t i = 0; i < row->rank && i < 4; i++)
        add_number(b, row->dims[i], 8);
    add_number(b, row->type, 4);
    add_number(b, row->offset, 8);
}

static void begin(struct builder *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
    builder_add_text(b, "GGUF");
    add_number(b, version, 4);
    add_number(b, tensors, 8);
    add_number(b, keys, 8);
}

static void pad(struct builder *b, size_t content)
{
    while (b->length % 32 != 0)
        add_number(b, 0, 1);
    for (size_t i = 0; i < content; i++)
        add_number(b, i * 37 % 251, 1);
}

/* ---- reading ---- */

struct reading {
    struct arena arena;
    struct gguf_file file;
    struct mapping mapping;
};

static enum status read_bytes(struct reading *r, const struct builder *bytes)
{
    *r = (struct reading){
        .mapping = {.data = (const uint8_t *)builder_text(bytes), .size = bytes->length, .fd = -1}};
    r->file.arena = &r->arena;
    trace = (struct trace){0};
    return gguf_read(&r->file, &r->mapping, &trace);
}

static void refuse_bytes(struct builder *bytes, enum status status, const char *words)
{
    struct reading r;
    assert_fails(read_bytes(&r, bytes), status, &trace, words);
    arena_release(&r.arena);
    builder_release(bytes);
}

static void refuse_tensors(const struct tensor_row *rows, uint32_t count, size_t content, enum status status,
                           const char *words)
{
    struct builder b = {0};
    begin(&b, 3, count, 0);
    for (uint32_t i = 0; i < count; i++)
        add_tensor(&b, &rows[i]);
    pad(&b, content);
    refuse_bytes(&b, status, words);
}

static void reads_keys_and_tensors(void **state)
{
    (void)state;
    struct builder b = {0};
    struct reading r;
    int64_t size;
    double real;
    struct str text;
    begin(&b, 3, 2, 4);
    add_size_key(&b, "size", 7);
    add_real_key(&b, "real", 0.25f);
    add_text_key(&b, "text", "abc");
    add_text(&b, "list");
    add_number(&b, GGUF_ARRAY, 4);
    add_number(&b, GGUF_TEXT, 4);
    add_number(&b, 2, 8);
    add_text(&b, "x");
    add_text(&b, "yz");
    add_tensor(&b, &(struct tensor_row){"a", 2, 0, {3, 2}, 0});
    add_tensor(&b, &(struct tensor_row){"b", 1, 3, {32}, 32});
    pad(&b, 52);
    assert_ok(read_bytes(&r, &b), &trace);
    assert_true(gguf_integer(gguf_find(&r.file, "size"), &size) && size == 7);
    assert_true(gguf_real(gguf_find(&r.file, "real"), &real) && real == 0.25);
    assert_true(gguf_text(gguf_find(&r.file, "text"), &text) && str_is(text, "abc"));
    assert_false(gguf_integer(gguf_find(&r.file, "text"), &size));
    assert_false(gguf_text(gguf_find(&r.file, "list"), &text));
    size_t at = 0;
    assert_true(gguf_next_text(gguf_find(&r.file, "list"), &at, &text) && str_is(text, "x"));
    assert_true(gguf_next_text(gguf_find(&r.file, "list"), &at, &text) && str_is(text, "yz"));
    assert_false(gguf_next_text(gguf_find(&r.file, "list"), &at, &text));
    assert_int_equal(r.file.tensors.items[0].dims[0], 2); /* outermost first */
    assert_int_equal(r.file.tensors.items[0].size, 24);
    assert_ptr_equal(r.file.tensors.items[1].quantised, &quantised_q4_1);
    assert_ptr_equal(r.file.tensors.items[1].data, builder_text(&b) + b.length - 20);
    arena_release(&r.arena);
    builder_release(&b);
}

static void refuses_other_versions_and_byte_orders(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        const char *words;
    } cases[] = {{1, "version 1"}, {4, "version 4"}, {3u << 24, "big endian"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder b = {0};
        begin(&b, cases[i].version, 0, 0);
        refuse_bytes(&b, UNSUPPORTED, cases[i].words);
    }
    struct builder b = {0};
    builder_add_text(&b, "GGML....");
    refuse_bytes(&b, INVALID, "does not begin with \"GGUF\"");
}

static void holds_counts_against_the_size(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 100001, UINT64_C(1) << 32, UINT64_MAX, UINT64_MAX / 32 + 1};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int is_key = 0; is_key < 2; is_key++) {
            struct builder b = {0};
            begin(&b, 3, is_key ? 0 : counts[i], is_key ? counts[i] : 0);
            refuse_bytes(&b, INVALID, is_key ? "keys in a file" : "tensors in a file");
        }
}

static void add_raw_key(struct builder *b, uint32_t type, uint32_t item, uint64_t count)
{
    begin(b, 3, 0, 1);
    add_text(b, "k");
    add_number(b, type, 4);
    if (type == GGUF_ARRAY)
        add_number(b, item, 4);
    add_number(b, count, 8);
    add_number(b, 0, 8);
}

static void refuses_keys_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        uint32_t type, item;
        uint64_t count;
        enum status status;
        const char *words;
    } cases[] = {
        {GGUF_TEXT, 0, UINT64_MAX, INVALID, "in the key \"k\""},
        {GGUF_TEXT, 0, 100, INVALID, "in the middle"},
        {GGUF_ARRAY, GGUF_U32, UINT64_MAX, INVALID, "items"},
        {GGUF_ARRAY, GGUF_U64, UINT64_C(1) << 61, INVALID, "items"},
        {GGUF_ARRAY, GGUF_U8, 100, INVALID, "in the middle"},
        {GGUF_ARRAY, GGUF_TEXT, 100, INVALID, "in the middle"},
        {GGUF_ARRAY, GGUF_ARRAY, 1, UNSUPPORTED, "arrays of arrays"},
        {GGUF_TYPE_COUNT, 0, 0, INVALID, "of type 13"},
        {GGUF_ARRAY, 77, 1, INVALID, "of type 77"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder b = {0};
        add_raw_key(&b, cases[i].type, cases[i].item, cases[i].count);
        refuse_bytes(&b, cases[i].status, cases[i].words);
    }
    struct builder b = {0};
    begin(&b, 3, 0, 2);
    add_size_key(&b, "twice", 1);
    add_size_key(&b, "twice", 2);
    refuse_bytes(&b, INVALID, "\"twice\" is there twice");
}

static void refuses_alignments_that_are_none(void **state)
{
    (void)state;
    static const uint32_t alignments[] = {0, 3, 48, 1u << 21, UINT32_MAX};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        struct builder b = {0};
        begin(&b, 3, 1, 1);
        add_size_key(&b, "general.alignment", alignments[i]);
        add_tensor(&b, &(struct tensor_row){"a", 1, 0, {1}, 0});
        pad(&b, 64);
        refuse_bytes(&b, INVALID, "general.alignment");
    }
}

static void refuses_tensors_that_do_not_fit(void **state)
{
    (void)state;
    static const char long_name[] = "a name of sixty-five bytes, which is one more than a name may have, x";
    static const struct {
        struct tensor_row row;
        enum status status;
        const char *words;
    } cases[] = {
        {{"a", 1, 0, {17}, 0}, INVALID, "which end at 64 (is the file cut off?)"},
        {{"a", 1, 0, {4}, 64}, INVALID, "which end at 64"},
        {{"a", 1, 0, {4}, UINT64_MAX - 31}, INVALID, "'a'"},
        {{"a", 1, 0, {4}, 16}, INVALID, "no multiple of 32"},
        {{"a", 0, 0, {4}, 0}, INVALID, "0 axes"},
        {{"a", 5, 0, {1, 1, 1, 1}, 0}, INVALID, "5 axes"},
        {{"a", 2, 0, {4, 0}, 0}, INVALID, "0 elements"},
        {{"a", 1, 0, {UINT64_MAX}, 0}, INVALID, "elements"},
        {{"a", 1, 0, {INT64_MAX}, 0}, INVALID, "too many"},
        {{"a", 2, 0, {UINT64_C(1) << 32, UINT64_C(1) << 32}, 0}, INVALID, "too many"},
        {{"a", 4, 8, {1 << 16, 1 << 16, 1 << 16, 1 << 16}, 0}, INVALID, "too many"},
        {{"a", 1, 2, {33}, 0}, INVALID, "whole blocks of 32"},
        {{"a", 1, 9, {256}, 0}, UNSUPPORTED, "Q8_1"},
        {{"a", 1, 4, {32}, 0}, UNSUPPORTED, "type 4"},
        {{"a", 1, 4000000000u, {32}, 0}, UNSUPPORTED, "type 4000000000"},
        {{long_name, 1, 0, {4}, 0}, INVALID, "expected at most 64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse_tensors(&cases[i].row, 1, 64, cases[i].status, cases[i].words);
}

static void refuses_tensors_that_share(void **state)
{
    (void)state;
    static const struct tensor_row same[] = {{"a", 1, 0, {4}, 0}, {"a", 1, 0, {4}, 32}};
    static const struct tensor_row over[] = {{"a", 1, 0, {4}, 32}, {"b", 1, 0, {9}, 0}};
    refuse_tensors(same, 2, 64, INVALID, "'a' is there twice");
    refuse_tensors(over, 2, 64, INVALID, "overlaps");
}

/* ---- blocks ---- */

/* d = 0.5 and m = -1.25 as halves; the formulas of ggml-quants.c, one element at a time. */
static void decodes_blocks_by_their_formulas(void **state)
{
    (void)state;
    uint8_t block[34] = {0x00, 0x38}, with_least[20] = {0x00, 0x38, 0x00, 0xbd};
    float out[32];
    for (int i = 0; i < 32; i++)
        block[2 + i] = (uint8_t)(i * 37 + 11);
    for (int i = 0; i < 16; i++)
        with_least[4 + i] = (uint8_t)(i * 37 + 11);
    quantised_q8_0.decode(out, block);
    for (int i = 0; i < 32; i++)
        assert_true(out[i] == 0.5f * (float)((i * 37 + 11) % 256 - ((i * 37 + 11) % 256 > 127 ? 256 : 0)));
    quantised_q4_0.decode(out, block);
    for (int i = 0; i < 32; i++) {
        int byte = (i % 16 * 37 + 11) % 256, q = i < 16 ? byte % 16 : byte / 16;
        assert_true(out[i] == 0.5f * (float)(q - 8));
    }
    quantised_q4_1.decode(out, with_least);
    for (int i = 0; i < 32; i++) {
        int byte = (i % 16 * 37 + 11) % 256, q = i < 16 ? byte % 16 : byte / 16;
        assert_true(out[i] == 0.5f * (float)q - 1.25f);
    }
}

/* Blocks of a fixed sequence of bytes, against what the Python package gguf 0.19's quants.dequantize() gives.
 */
static void decodes_blocks_as_the_package_gguf_does(void **state)
{
    (void)state;
    static const struct {
        const struct quantised *quantised;
        int halves[2]; /* where the scales are, -1: none */
        uint32_t hash; /* of all bits of all elements */
        float some[4]; /* elements 0, 1, half + 5 and the last */
    } cases[] = {
        {&quantised_q5_0, {0, -1}, 0xdc36a400u, {0.947631836f, 0.812255859f, 0.744567871f, -0.40612793f}},
        {&quantised_q5_1, {0, 2}, 0x5ba85e00u, {0.62487793f, 0.62487793f, 1.23406982f, 1.64019775f}},
        {&quantised_q2_k, {80, 82}, 0x8c709a00u, {0.338439941f, 0.338439941f, 0.332641602f, -0.245178223f}},
        {&quantised_q3_k, {108, -1}, 0x345c4600u, {0.812255859f, -0.812255859f, -1.89526367f, -1.62451172f}},
        {&quantised_q4_k, {0, 2}, 0xf0f4dc70u, {11.5366211f, 11.5366211f, 37.0326538f, 11.7751465f}},
        {&quantised_q5_k, {0, 2}, 0xaf1aa890u, {54.8569336f, 65.6870117f, -3.9185791f, 44.3330688f}},
        {&quantised_q6_k, {208, -1}, 0xb1eed648u, {115.137268f, 109.654541f, 119.740051f, 53.0673828f}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct quantised *q = cases[c].quantised;
        uint8_t block[256];
        float out[QUANTISED_MAX_BLOCK];
        uint32_t u = 12345, hash = 0, bits;
        for (uint32_t i = 0; i < q->bytes; i++) {
            u = u * 1664525u + 1013904223u;
            block[i] = (uint8_t)(u >> 24);
        }
        for (int i = 0; i < 2 && cases[c].halves[i] >= 0; i++) {
            block[cases[c].halves[i]] = (uint8_t)(0x55 + i);
            block[cases[c].halves[i] + 1] = (uint8_t)(0x2c + i);
        }
        q->decode(out, block);
        const uint32_t places[4] = {0, 1, q->elements / 2 + 5, q->elements - 1};
        for (int i = 0; i < 4; i++)
            assert_float_equal(out[places[i]], cases[c].some[i], 0);
        for (uint32_t i = 0; i < q->elements; i++) {
            memcpy(&bits, &out[i], sizeof bits);
            hash = hash * 31 + bits;
        }
        if (hash != cases[c].hash)
            fail_msg("%s: the hash is %08x, expected %08x", q->name, hash, cases[c].hash);
    }
}

/* ---- models ---- */

struct small {
    const char *architecture, *more_key;
    uint32_t heads, type;
    bool lacks_norm;
    const struct pieces *pieces; /* its tokenizer; NULL: none */
};

/* A tokenizer of pieces with scores, five as there are words. */
struct pieces {
    const char *texts[5];
    float scores[5];
};

static void add_list(struct builder *b, const char *key, enum gguf_type type)
{
    add_text(b, key);
    add_number(b, GGUF_ARRAY, 4);
    add_number(b, type, 4);
    add_number(b, 5, 8);
}

static void add_pieces(struct builder *b, const struct pieces *pieces)
{
    add_text_key(b, "tokenizer.ggml.model", "llama");
    add_list(b, "tokenizer.ggml.tokens", GGUF_TEXT);
    for (int i = 0; i < 5; i++)
        add_text(b, pieces->texts[i]);
    add_list(b, "tokenizer.ggml.scores", GGUF_F32);
    builder_add(b, (const char *)pieces->scores, sizeof pieces->scores);
    add_list(b, "tokenizer.ggml.token_type", GGUF_I32);
    for (uint32_t i = 0; i < 5; i++)
        add_number(b, i == 0 ? 2 : 1, 4); /* the first is the unknown one */
    add_size_key(b, "tokenizer.ggml.bos_token_id", 0);
}

/* One layer, two heads of two channels, five words. */
static void write_small(struct builder *b, const struct small *s)
{
    const struct tensor_row rows[] = {
        {"token_embd.weight", 2, 0, {32, 5}, 0},         {"blk.0.attn_norm.weight", 1, 0, {32}, 0},
        {"blk.0.attn_q.weight", 2, s->type, {32, 4}, 0}, {"blk.0.attn_k.weight", 2, s->type, {32, 4}, 0},
        {"blk.0.attn_v.weight", 2, s->type, {32, 4}, 0}, {"blk.0.attn_output.weight", 2, 0, {4, 32}, 0},
        {"blk.0.ffn_norm.weight", 1, 0, {32}, 0},        {"blk.0.ffn_gate.weight", 2, s->type, {32, 3}, 0},
        {"blk.0.ffn_up.weight", 2, s->type, {32, 3}, 0}, {"blk.0.ffn_down.weight", 2, 0, {3, 32}, 0},
        {"output_norm.weight", 1, 0, {32}, 0},
    };
    uint32_t count = sizeof rows / sizeof *rows - s->lacks_norm;
    begin(b, 3, count, 9 + (s->more_key ? 1 : 0) + (s->pieces ? 5 : 0));
    add_text_key(b, "general.architecture", s->architecture);
    add_text_key(b, "general.name", "small");
    add_size_key(b, "llama.block_count", 1);
    add_size_key(b, "llama.embedding_length", 32);
    add_size_key(b, "llama.feed_forward_length", 3);
    add_size_key(b, "llama.attention.head_count", s->heads);
    add_size_key(b, "llama.attention.key_length", 2);
    add_size_key(b, "llama.attention.value_length", 2);
    add_real_key(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (s->more_key)
        add_size_key(b, s->more_key, 1);
    if (s->pieces)
        add_pieces(b, s->pieces);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct tensor_row row = rows[i];
        row.offset = offset;
        add_tensor(b, &row);
        offset += (row.dims[0] * (row.rank > 1 ? row.dims[1] : 1) * 4 + 31) / 32 * 32;
    }
    pad(b, 0);
    for (uint64_t i = 0; i < offset / 4; i++)
        builder_add(b, (const char *)&(float){0.5f}, 4);
}

static const struct small usual = {"llama", NULL, 2, 0, false, NULL};

static enum status import_small(const struct small *s, struct imported_model *model, struct import_fixture *f)
{
    struct builder b = {0};
    write_small(&b, s);
    import_write_bytes(f, "model.gguf", b.data, b.length);
    builder_release(&b);
    char *path = path_join(f->directory, "model.gguf");
    trace = (struct trace){0};
    enum status status = frontend_import(model, path, NULL, &trace);
    free(path);
    return status;
}

static void expect_small(const struct small *s, enum status status, const char *words)
{
    struct import_fixture f;
    struct imported_model model;
    import_fixture_create(&f);
    enum status found = import_small(s, &model, &f);
    if (status == OK) {
        assert_ok(found, &trace);
        if (words && !import_has_note(&model, words))
            fail_msg("no note says \"%s\"", words);
        imported_model_release(&model);
    } else {
        assert_fails(found, status, &trace, words);
    }
    import_fixture_release(&f);
}

static void becomes_a_model_or_says_why_not(void **state)
{
    (void)state;
    struct small s = usual;
    expect_small(&s, OK, "the tokenizer is left out");
    s.type = 8;
    expect_small(&s, OK, "weights stored as q8_0 were decoded to f32");
    s.type = 2;
    expect_small(&s, OK, "q4_0");
    s = usual;
    s.architecture = "mamba";
    expect_small(&s, UNSUPPORTED, "\"mamba\" is not supported; these are: llama");
    s = usual;
    const char *const unread[] = {"llama.expert_count", "llama.final_logit_softcapping", "split.count"};
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++) {
        s.more_key = unread[i];
        expect_small(&s, UNSUPPORTED, unread[i]);
    }
    s.more_key = "llama.rope.dimension_count";
    expect_small(&s, UNSUPPORTED, "expected all");
    s = usual;
    s.heads = 3;
    expect_small(&s, INVALID, "blk.0.attn_q.weight");
    s.heads = 0;
    expect_small(&s, INVALID, "llama.attention.head_count");
    s = usual;
    s.lacks_norm = true;
    expect_small(&s, INVALID, "output_norm.weight");
}

/* The merges as one text, "a+b" each. */
static void expect_merges(const struct pieces *pieces, const char *expected)
{
    struct import_fixture f;
    struct imported_model model;
    struct small s = usual;
    struct builder merges = {0};
    s.pieces = pieces;
    import_fixture_create(&f);
    assert_ok(import_small(&s, &model, &f), &trace);
    json_t *root = json_loadb(model.tokenizer.data, model.tokenizer.length, 0, NULL), *merge;
    const json_t *parts = json_object_get(root, "model");
    size_t i;
    assert_non_null(parts);
    json_array_foreach(json_object_get(parts, "merges"), i, merge)
        builder_printf(&merges, "%s%s+%s", i ? " " : "", json_string_value(json_array_get(merge, 0)),
                       json_string_value(json_array_get(merge, 1)));
    assert_string_equal(builder_text(&merges), expected);
    assert_string_equal(json_string_value(json_object_get(parts, "unk_token")), "<unk>");
    assert_true(json_is_true(json_object_get(parts, "byte_fallback")));
    assert_non_null(json_object_get(json_object_get(root, "post_processor"), "single"));
    json_decref(root);
    builder_release(&merges);
    imported_model_release(&model);
    import_fixture_release(&f);
}

/* By falling score; of one piece, the cut that is further left in an overlap goes first. */
static void scores_become_merges(void **state)
{
    (void)state;
    const struct pieces words = {{"<unk>", "a", "b", "ab", "aba"}, {0, -3, -4, -2, -1}};
    expect_merges(&words, "ab+a a+b"); /* "aba" is never a + "ba", which is no piece */
    const struct pieces overlap = {{"<unk>", "a", "aa", "aaa", "b"}, {0, -9, -1, -2, -9}};
    expect_merges(&overlap, "a+a a+aa aa+a");
    const struct pieces runs = {{"<unk>", "\xe2\x96\x81", "\xe2\x96\x81\xe2\x96\x81",
                                 "\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81", "b"},
                                {0, -1e9f, -1e9f, -1e9f, -2}};
    expect_merges(&runs, "\xe2\x96\x81+\xe2\x96\x81 "
                         "\xe2\x96\x81\xe2\x96\x81+\xe2\x96\x81\xe2\x96\x81");
}

static void says_which_scores_are_no_ranks(void **state)
{
    (void)state;
    struct pieces pieces = {{"<unk>", "a", "b", "ab", "ba"}, {0, -3, -4, -2, -2}};
    struct small s = usual;
    s.pieces = &pieces;
    expect_small(&s, OK, "two of its pieces have the same score"); /* "aba" is ab a, "bab" is ba b */
    pieces.scores[4] = NAN;
    expect_small(&s, OK, "a score is no number");
    pieces.texts[4] = "\xff\xfe";
    pieces.scores[4] = -5;
    expect_small(&s, OK, "is no text");
}

static void refuses_a_model_cut_off_anywhere(void **state)
{
    (void)state;
    struct builder whole = {0};
    write_small(&whole, &usual);
    for (size_t length = 0; length < whole.length; length += length < 900 ? 1 : 97) {
        struct builder part = {0};
        struct reading r;
        builder_add(&part, whole.data, length);
        assert_true(read_bytes(&r, &part) != OK && trace.length > 0);
        arena_release(&r.arena);
        builder_release(&part);
    }
    builder_release(&whole);
}

static void survives_damaged_bytes(void **state)
{
    (void)state;
    struct builder whole = {0};
    struct small s = usual;
    s.type = 3;
    write_small(&whole, &s);
    uint8_t *copy = malloc(whole.length);
    uint64_t seed = 1;
    for (int n = 0; n < MUTANTS; n++) {
        memcpy(copy, whole.data, whole.length);
        for (int k = 0; k < 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            copy[(seed >> 33) % 1200] = (uint8_t)(seed >> 20);
        }
        LLVMFuzzerTestOneInput(copy, whole.length);
    }
    free(copy);
    builder_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_keys_and_tensors),
        cmocka_unit_test(refuses_other_versions_and_byte_orders),
        cmocka_unit_test(holds_counts_against_the_size),
        cmocka_unit_test(refuses_keys_that_do_not_fit),
        cmocka_unit_test(refuses_alignments_that_are_none),
        cmocka_unit_test(refuses_tensors_that_do_not_fit),
        cmocka_unit_test(refuses_tensors_that_share),
        cmocka_unit_test(decodes_blocks_by_their_formulas),
        cmocka_unit_test(decodes_blocks_as_the_package_gguf_does),
        cmocka_unit_test(becomes_a_model_or_says_why_not),
        cmocka_unit_test(scores_become_merges),
        cmocka_unit_test(says_which_scores_are_no_ranks),
        cmocka_unit_test(refuses_a_model_cut_off_anywhere),
        cmocka_unit_test(survives_damaged_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
