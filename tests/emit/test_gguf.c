/* GGUF files, read back by a reader of the format's rules here that shares nothing with the writer. */
#include "emit/emit.h"
#include "tests/emit/model.h"
#include <sys/stat.h>

static const struct model_shape grouped = {2, 24, 4, 2, 6, 43, 50, .tied = false};
static const struct emit_gguf_options plain = {.bos = -1, .eos = -1};

/* ---- a reader ---- */

struct read_key {
    char name[80];
    uint32_t type, element;
    uint64_t count;       /* of an array; else 1 */
    const uint8_t *value; /* of an array: its first element */
};

struct read_tensor {
    char name[64];
    uint32_t rank, type;
    uint64_t dims[4], offset;
    const uint8_t *content;
};

struct file {
    uint8_t *bytes, *at;
    size_t size;
    uint64_t key_count, tensor_count;
    struct read_key keys[64];
    struct read_tensor tensors[64];
};

static uint64_t take(struct file *f, size_t size)
{
    uint64_t value = 0;
    assert_true(f->at + size <= f->bytes + f->size);
    memcpy(&value, f->at, size);
    f->at += size;
    return value;
}

static void take_text(struct file *f, char *out, size_t room)
{
    uint64_t length = take(f, 8);
    assert_true(length < room && f->at + length <= f->bytes + f->size);
    memcpy(out, f->at, length);
    out[length] = '\0';
    f->at += length;
}

static void skip_value(struct file *f, uint32_t type)
{
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    assert_true(type < 13 && type != 9);
    f->at += type == 8 ? take(f, 8) : sizes[type];
}

static void take_key(struct file *f, struct read_key *key)
{
    take_text(f, key->name, sizeof key->name);
    key->type = (uint32_t)take(f, 4);
    key->count = 1;
    key->element = key->type;
    if (key->type == 9) {
        key->element = (uint32_t)take(f, 4);
        key->count = take(f, 8);
    }
    key->value = f->at;
    for (uint64_t i = 0; i < key->count; i++)
        skip_value(f, key->element);
}

static uint64_t content_size(const struct read_tensor *t)
{
    uint64_t count = 1;
    for (uint32_t a = 0; a < t->rank; a++)
        count *= t->dims[a];
    return t->type == 0 ? 4 * count : t->type == 8 ? count / 32 * 34 : 2 * count;
}

static struct file read_gguf(const char *directory, const char *name)
{
    struct file f = {0};
    f.bytes = f.at = model_read_file(directory, name, &f.size);
    assert_memory_equal(f.at, "GGUF", 4);
    f.at += 4;
    assert_int_equal(take(&f, 4), 3);
    f.tensor_count = take(&f, 8);
    f.key_count = take(&f, 8);
    assert_true(f.key_count <= 64 && f.tensor_count <= 64);
    for (uint64_t i = 0; i < f.key_count; i++)
        take_key(&f, &f.keys[i]);
    for (uint64_t i = 0; i < f.tensor_count; i++) {
        struct read_tensor *t = &f.tensors[i];
        take_text(&f, t->name, sizeof t->name);
        t->rank = (uint32_t)take(&f, 4);
        for (uint32_t a = 0; a < t->rank; a++)
            t->dims[a] = take(&f, 8);
        t->type = (uint32_t)take(&f, 4);
        t->offset = take(&f, 8);
    }
    size_t start = ((size_t)(f.at - f.bytes) + 31) / 32 * 32;
    uint64_t end = 0;
    for (uint64_t i = 0; i < f.tensor_count; i++) {
        struct read_tensor *t = &f.tensors[i];
        assert_int_equal(t->offset, (end + 31) / 32 * 32); /* in order, aligned, without other gaps */
        end = t->offset + content_size(t);
        assert_true(start + end <= f.size);
        t->content = f.bytes + start + t->offset;
    }
    assert_int_equal(f.size, start + (end + 31) / 32 * 32);
    return f;
}

static const struct read_key *find_key(const struct file *f, const char *name)
{
    for (uint64_t i = 0; i < f->key_count; i++)
        if (strcmp(f->keys[i].name, name) == 0)
            return &f->keys[i];
    return NULL;
}

static const struct read_tensor *find_tensor(const struct file *f, const char *name)
{
    for (uint64_t i = 0; i < f->tensor_count; i++)
        if (strcmp(f->tensors[i].name, name) == 0)
            return &f->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void assert_u32(const struct file *f, const char *name, uint32_t expected)
{
    const struct read_key *key = find_key(f, name);
    uint32_t value;
    if (!key || key->type != 4)
        fail_msg("no u32 %s", name);
    memcpy(&value, key->value, 4);
    assert_int_equal(value, expected);
}

static void assert_text(const struct file *f, const char *name, const char *expected)
{
    const struct read_key *key = find_key(f, name);
    if (!key || key->type != 8)
        fail_msg("no text %s", name);
    assert_memory_equal(key->value + 8, expected, strlen(expected));
}

/* ---- tests ---- */

struct fixture {
    char *directory;
    char path[4000];
    struct trace trace;
    struct emitted emitted;
    struct graph *graph;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->directory = test_directory_create();
    snprintf(f->path, sizeof f->path, "%s/model.gguf", f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    emitted_release(&f->emitted);
    graph_destroy(f->graph);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

static struct file write_model(struct fixture *f, const struct model_shape *shape,
                               const struct emit_gguf_options *options)
{
    f->graph = model_create(shape);
    assert_ok(emit_gguf_check(f->graph, EMIT_REFUSES_MISSING, &f->trace), &f->trace);
    assert_ok(emit_gguf(&f->emitted, f->path, f->graph, options, &f->trace), &f->trace);
    return read_gguf(f->directory, "model.gguf");
}

static const float *weight_of(const struct fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->graph->tensors.count; i++)
        if (str_is(f->graph->tensors.items[i].name, name))
            return (const float *)(const void *)f->graph->tensors.items[i].view.base;
    fail_msg("no weight %s", name);
    return NULL;
}

static float element(const struct read_tensor *t, uint64_t i)
{
    float value;
    memcpy(&value, t->content + 4 * i, 4);
    return value;
}

static void keys_have_the_sizes(void **state)
{
    struct file file = write_model(*state, &grouped, &plain);
    assert_text(&file, "general.architecture", "llama");
    assert_text(&file, "tokenizer.ggml.model", "none");
    assert_u32(&file, "general.file_type", 0);
    assert_u32(&file, "llama.block_count", 2);
    assert_u32(&file, "llama.context_length", 2048);
    assert_u32(&file, "llama.embedding_length", 24);
    assert_u32(&file, "llama.feed_forward_length", 43);
    assert_u32(&file, "llama.attention.head_count", 4);
    assert_u32(&file, "llama.attention.head_count_kv", 2);
    assert_u32(&file, "llama.attention.key_length", 6);
    assert_u32(&file, "llama.rope.dimension_count", 6);
    assert_u32(&file, "llama.vocab_size", 50);
    assert_int_equal(file.tensor_count, 2 * 9 + 3);
    free(file.bytes);
}

static void shapes_are_innermost_first_and_content_is_in_rows(void **state)
{
    struct fixture *f = *state;
    struct file file = write_model(f, &grouped, &plain);
    const struct read_tensor *down = find_tensor(&file, "blk.1.ffn_down.weight");
    assert_int_equal(down->rank, 2);
    assert_int_equal(down->dims[0], 43);
    assert_int_equal(down->dims[1], 24);
    const float *expected = weight_of(f, "layers.1.down");
    for (uint64_t i = 0; i < 43 * 24; i++)
        assert_true(element(down, i) == expected[i]);
    const struct read_tensor *norm = find_tensor(&file, "output_norm.weight");
    assert_int_equal(norm->rank, 1);
    assert_true(element(norm, 5) == weight_of(f, "norm")[5]);
    free(file.bytes);
}

/* The reader rotates rows 2i and 2i + 1 of a head together, the model rows i and i + head_size / 2. */
static void rows_of_queries_and_keys_are_paired(void **state)
{
    struct fixture *f = *state;
    struct file file = write_model(f, &grouped, &plain);
    const struct read_tensor *q = find_tensor(&file, "blk.0.attn_q.weight");
    const float *weight = weight_of(f, "layers.0.q");
    assert_text(&file, "general.architecture", "llama");
    static const int order[6] = {0, 3, 1, 4, 2, 5};
    for (uint64_t row = 0; row < 24; row++)
        for (uint64_t k = 0; k < 24; k++)
            assert_true(element(q, row * 24 + k) ==
                        weight[(row / 6 * 6 + (uint64_t)order[row % 6]) * 24 + k]);
    free(file.bytes);
}

/* Biases of queries and keys make it another architecture, whose readers rotate halves. */
static void biased_queries_stay_in_order(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.biased = true;
    struct file file = write_model(f, &shape, &plain);
    const struct read_tensor *q = find_tensor(&file, "blk.0.attn_q.weight");
    const struct read_tensor *k = find_tensor(&file, "blk.0.attn_k.bias"),
                             *v = find_tensor(&file, "blk.0.attn_v.bias");
    const float *weight = weight_of(f, "layers.0.q"), *vector = weight_of(f, "layers.0.k_bias");
    assert_text(&file, "general.architecture", "qwen2");
    assert_u32(&file, "qwen2.attention.head_count_kv", 2);
    for (uint64_t i = 0; i < 24 * 24; i++)
        assert_true(element(q, i) == weight[i]);
    for (uint64_t row = 0; row < 12; row++)
        assert_true(element(k, row) == vector[row] && element(v, row) == 0);
    free(file.bytes);
}

static void tied_head_is_left_out(void **state)
{
    struct model_shape shape = grouped;
    shape.tied = true;
    struct file file = write_model(*state, &shape, &plain);
    for (uint64_t i = 0; i < file.tensor_count; i++)
        assert_string_not_equal(file.tensors[i].name, "output.weight");
    free(file.bytes);
}

static void unusual_attention_scale_moves_into_the_queries(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.scale = 0.5f;
    struct file file = write_model(f, &shape, &plain);
    double factor = 0.5 * sqrt(6);
    assert_true(fabs((double)element(find_tensor(&file, "blk.0.attn_q.weight"), 0) -
                     factor * (double)weight_of(f, "layers.0.q")[0]) < 1e-7);
    assert_true(element(find_tensor(&file, "blk.0.attn_k.weight"), 0) == weight_of(f, "layers.0.k")[0]);
    free(file.bytes);
}

static void rows_without_whole_blocks_become_halves(void **state)
{
    struct model_shape shape = grouped;
    shape.hidden = 64; /* rows of 64 have blocks of 32, rows of 43 have not */
    struct emit_gguf_options options = plain;
    options.type = "q8_0";
    struct file file = write_model(*state, &shape, &options);
    assert_u32(&file, "general.file_type", 7);
    assert_int_equal(find_tensor(&file, "blk.0.ffn_up.weight")->type, 8);
    assert_int_equal(find_tensor(&file, "blk.0.ffn_down.weight")->type, 1);
    assert_int_equal(find_tensor(&file, "blk.0.ffn_norm.weight")->type, 0);
    free(file.bytes);
}

static void an_unknown_type_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct emit_gguf_options options = plain;
    options.type = "q5_k";
    f->graph = model_create(&grouped);
    assert_fails(emit_gguf(&f->emitted, f->path, f->graph, &options, &f->trace), INVALID, &f->trace,
                 "found \"q5_k\"");
    assert_int_equal(rmdir(f->directory), 0); /* empty */
}

static void a_value_that_a_half_cannot_hold_is_refused_naming_the_weight(void **state)
{
    struct fixture *f = *state;
    struct emit_gguf_options options = plain;
    options.type = "f16";
    f->graph = model_create(&grouped);
    ((float *)(uintptr_t)weight_of(f, "layers.1.up"))[7] = 1e6f;
    assert_fails(emit_gguf(&f->emitted, f->path, f->graph, &options, &f->trace), INVALID, &f->trace,
                 "blk.1.ffn_up.weight");
    assert_int_equal(rmdir(f->directory), 0);
}

static void layers_of_different_sizes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.last_ffn = 17;
    f->graph = model_create(&shape);
    assert_fails(emit_gguf_check(f->graph, EMIT_REFUSES_MISSING, &f->trace), UNSUPPORTED, &f->trace,
                 "as a GGUF file");
}

/* ---- tokenizers ---- */

#define MARK "\xe2\x96\x81"
#define CHARACTERS(merges)                                                                                \
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true},"                               \
    "{\"id\":1,\"content\":\"<s>\",\"special\":true},{\"id\":49,\"content\":\"hey\",\"special\":false}]," \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" MARK    \
    "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}]},"               \
    "\"pre_tokenizer\":null,\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"byte_fallback\":true,"  \
    "\"vocab\":{\"<unk>\":0,\"<s>\":1,\"<0x0A>\":2,\"a\":3,\"b\":4,\"ab\":5,\"aba\":6,\"ba\":7},"         \
    "\"merges\":" merges "}}"

static struct file write_with_tokenizer(struct fixture *f, const char *json)
{
    struct emit_gguf_options options = {
        .tokenizer_json = str_from(json), .bos = 1, .eos = -1, .puts_bos = true};
    return write_model(f, &grouped, &options);
}

static void refuse_tokenizer(struct fixture *f, const char *json, enum status status, const char *words)
{
    struct emit_gguf_options options = {.tokenizer_json = str_from(json), .bos = -1, .eos = -1};
    f->graph = model_create(&grouped);
    assert_fails(emit_gguf(&f->emitted, f->path, f->graph, &options, &f->trace), status, &f->trace, words);
    assert_int_equal(rmdir(f->directory), 0);
}

static void pieces_over_characters_have_scores(void **state)
{
    struct file file =
        write_with_tokenizer(*state, CHARACTERS("[\"a b\",\"b a\",[\"a\",\"ba\"],[\"ab\",\"a\"]]"));
    assert_text(&file, "tokenizer.ggml.model", "llama");
    assert_u32(&file, "tokenizer.ggml.bos_token_id", 1);
    assert_null(find_key(&file, "tokenizer.ggml.eos_token_id"));
    assert_int_equal(find_key(&file, "tokenizer.ggml.add_bos_token")->value[0], 1);
    assert_int_equal(find_key(&file, "tokenizer.ggml.add_eos_token")->value[0], 0);
    assert_int_equal(find_key(&file, "tokenizer.ggml.add_space_prefix")->value[0], 1);
    const struct read_key *scores = find_key(&file, "tokenizer.ggml.scores");
    const struct read_key *types = find_key(&file, "tokenizer.ggml.token_type");
    assert_int_equal(scores->count, 50); /* the model's vocabulary */
    float score[8];
    memcpy(score, scores->value, sizeof score);
    assert_true(score[5] > score[7] && score[7] > score[6]); /* "ab" before "ba" before "aba" */
    int32_t type[50];
    memcpy(type, types->value, sizeof type);
    const int32_t expected[9] = {2, 3, 6, 1, 1, 1, 1, 1, 5};
    for (int i = 0; i < 9; i++)
        assert_int_equal(type[i], expected[i]);
    assert_int_equal(type[49], 4);
    free(file.bytes);
}

static void merges_that_scores_cannot_say_are_refused(void **state)
{
    refuse_tokenizer(*state, CHARACTERS("[\"a b\",\"b a\",\"ab a\"]"), UNSUPPORTED,
                     "\"aba\" can be cut in 2 ways");
}

static void a_merge_without_token_is_refused(void **state)
{
    refuse_tokenizer(*state, CHARACTERS("[\"b b\"]"), INVALID, "merges[0] makes \"bb\"");
}

#define BYTES(pre, merges)                                                                         \
    "{\"pre_tokenizer\":" pre ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}," \
    "\"merges\":" merges "}}"
#define BYTE_LEVEL(own) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":" own "}"

static void merges_over_bytes_stand_with_a_blank(void **state)
{
    struct file file = write_with_tokenizer(*state, BYTES(BYTE_LEVEL("true"), "[[\"a\",\"b\"]]"));
    assert_text(&file, "tokenizer.ggml.model", "gpt2");
    assert_text(&file, "tokenizer.ggml.pre", "gpt-2");
    const struct read_key *merges = find_key(&file, "tokenizer.ggml.merges");
    assert_int_equal(merges->count, 1);
    assert_memory_equal(merges->value, "\3\0\0\0\0\0\0\0a b", 11);
    free(file.bytes);
}

static void digits_apart_are_known_by_name(void **state)
{
    struct file file = write_with_tokenizer(
        *state, BYTES("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":"
                      "true}," BYTE_LEVEL("true") "]}",
                      "[\"a b\"]"));
    assert_text(&file, "tokenizer.ggml.pre", "smollm");
    free(file.bytes);
}

#define FALCON(first, second)                                                                                 \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}," first \
    "," second                                                                                                \
    ",{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":\"Isolated\",\"invert\":false}]}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":false}"

/* The same steps in another order, or a cut that loses something, are something else. */
static void steps_are_known_in_their_order(void **state)
{
    struct fixture *f = *state;
    refuse_tokenizer(f, BYTES(FALCON(DIGITS, BYTE_LEVEL("true")), "[\"a b\"]"), UNSUPPORTED,
                     "known are gpt-2, smollm, llama-bpe, qwen2");
    graph_destroy(f->graph);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    refuse_tokenizer(
        f,
        BYTES("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
              "\"\\\\p{N}{1,3}\"},\"behavior\":\"Removed\"}," BYTE_LEVEL("false") "]}",
              "[\"a b\"]"),
        UNSUPPORTED, "no name for the pre-tokenizer");
    graph_destroy(f->graph);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    struct file file = write_with_tokenizer(f, BYTES(FALCON(BYTE_LEVEL("true"), DIGITS), "[\"a b\"]"));
    assert_text(&file, "tokenizer.ggml.pre", "falcon");
    free(file.bytes);
}

static void characters_without_bytes_to_fall_back_on_are_refused(void **state)
{
    refuse_tokenizer(
        *state,
        "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\",\"split\":false},"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}",
        UNSUPPORTED, "without byte_fallback");
}

static void an_unnamed_pretokenizer_is_refused_where_something_merges(void **state)
{
    struct fixture *f = *state;
    refuse_tokenizer(f, BYTES(BYTE_LEVEL("false"), "[\"a b\"]"), UNSUPPORTED,
                     "no name for the pre-tokenizer");
    graph_destroy(f->graph);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    struct file file = write_with_tokenizer(f, BYTES(BYTE_LEVEL("false"), "[]"));
    free(file.bytes);
}

#define NORMAL(normalizer, member, merges)                                          \
    "{\"normalizer\":" normalizer                                                   \
    ",\"pre_tokenizer\":" BYTE_LEVEL("true") ",\"model\":{\"type\":\"BPE\"," member \
                                             "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":" merges "}}"

/* Readers do not compose characters, a note says so; any other step would be missed. */
static void composing_is_left_out_and_other_steps_are_refused(void **state)
{
    struct fixture *f = *state;
    refuse_tokenizer(f, NORMAL("{\"type\":\"NFKC\"}", "", "[\"a b\"]"), UNSUPPORTED,
                     "a normaliser other than NFC");
    graph_destroy(f->graph);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    refuse_tokenizer(f, NORMAL("null", "\"end_of_word_suffix\":\"</w>\",", "[\"a b\"]"), UNSUPPORTED,
                     "end_of_word_suffix");
    graph_destroy(f->graph);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    struct file file = write_with_tokenizer(f, NORMAL("{\"type\":\"NFC\"}", "", "[\"a b\"]"));
    assert_text(&file, "tokenizer.ggml.pre", "gpt-2");
    free(file.bytes);
}

/* A cut at blanks, of which the normaliser has left none. */
static void a_cut_at_marked_blanks_does_nothing(void **state)
{
    struct file file = write_with_tokenizer(
        *state,
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"},"
        "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
        "\"MergedWithPrevious\",\"invert\":false},\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,"
        "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}");
    assert_text(&file, "tokenizer.ggml.model", "llama");
    assert_int_equal(find_key(&file, "tokenizer.ggml.add_space_prefix")->value[0], 0);
    free(file.bytes);
}

static void a_token_beyond_the_vocabulary_is_refused(void **state)
{
    refuse_tokenizer(*state, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"x\":50},\"merges\":[]}}", INVALID,
                     "no id below 50");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_have_the_sizes),
        TEST(shapes_are_innermost_first_and_content_is_in_rows),
        TEST(rows_of_queries_and_keys_are_paired),
        TEST(biased_queries_stay_in_order),
        TEST(tied_head_is_left_out),
        TEST(unusual_attention_scale_moves_into_the_queries),
        TEST(rows_without_whole_blocks_become_halves),
        TEST(an_unknown_type_is_refused_by_name),
        TEST(a_value_that_a_half_cannot_hold_is_refused_naming_the_weight),
        TEST(layers_of_different_sizes_are_refused),
        TEST(pieces_over_characters_have_scores),
        TEST(merges_that_scores_cannot_say_are_refused),
        TEST(a_merge_without_token_is_refused),
        TEST(merges_over_bytes_stand_with_a_blank),
        TEST(digits_apart_are_known_by_name),
        TEST(an_unnamed_pretokenizer_is_refused_where_something_merges),
        TEST(steps_are_known_in_their_order),
        TEST(characters_without_bytes_to_fall_back_on_are_refused),
        TEST(composing_is_left_out_and_other_steps_are_refused),
        TEST(a_cut_at_marked_blanks_does_nothing),
        TEST(a_token_beyond_the_vocabulary_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
