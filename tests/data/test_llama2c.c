/* data/llama2c.c: a made-up tokenizer.bin, converted, encodes as llama2.c would: join the neighbours whose
 * text has the highest score, leftmost first, until none has a token. */
#include "data/llama2c.h"
#include "data/tokenizer.h"
#include "tests/support/test.h"

enum { PIECES = 60, FIRST = 259 };

struct made {
    char pieces[FIRST + PIECES + 1][32]; /* and one that a test adds */
    float scores[FIRST + PIECES + 1];
    int count;
    struct builder file;
};

static uint32_t draw(uint32_t *seed, uint32_t limit)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % limit;
}

static int find(const struct made *m, const char *text, int from)
{
    for (int id = from; id < m->count; id++)
        if (strcmp(m->pieces[id], text) == 0)
            return id;
    return -1;
}

static void add(struct made *m, const char *text, float score)
{
    uint32_t length = (uint32_t)strlen(text);
    snprintf(m->pieces[m->count], sizeof m->pieces[0], "%s", text);
    m->scores[m->count++] = score;
    builder_add(&m->file, (const char *)&score, 4);
    builder_add(&m->file, (const char *)&length, 4);
    builder_add(&m->file, text, length);
}

static struct made make(uint32_t *seed)
{
    struct made m = {.count = 0};
    builder_add(&m.file, "\x08\0\0\0", 4);
    add(&m, "<unk>", 0);
    add(&m, "\n<s>\n", 0);
    add(&m, "\n</s>\n", 0);
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        add(&m, name, 0);
    }
    const char *letters[] = {" ", "a", "b", "c", "\xc3\xa9"};
    for (int i = 0; i < 5; i++)
        add(&m, letters[i], (float)(-1000 - i));
    float score = 0;
    while (m.count < FIRST + PIECES) {
        char text[64];
        snprintf(text, sizeof text, "%s%s", m.pieces[FIRST + draw(seed, (uint32_t)m.count - FIRST)],
                 m.pieces[FIRST + draw(seed, (uint32_t)m.count - FIRST)]);
        if (strlen(text) < 8 && find(&m, text, 0) < 0)
            add(&m, text, score -= 1);
    }
    return m;
}

/* llama2.c's encode(). */
static size_t encode_greedily(const struct made *m, const char *text, int32_t *ids)
{
    size_t count = 0;
    if (*text)
        ids[count++] = find(m, " ", FIRST);
    for (size_t i = 0; text[i];) {
        size_t length = text[i] == '\xc3' ? 2 : 1;
        char one[3] = {text[i], length == 2 ? text[i + 1] : 0, 0};
        int id = find(m, one, FIRST);
        if (id >= 0)
            ids[count++] = id;
        for (size_t k = 0; id < 0 && k < length; k++)
            ids[count++] = (unsigned char)one[k] + 3;
        i += length;
    }
    for (;;) {
        float best_score = -1e10f;
        int best_id = -1;
        size_t best = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            char both[64];
            snprintf(both, sizeof both, "%s%s", m->pieces[ids[i]], m->pieces[ids[i + 1]]);
            int id = find(m, both, FIRST);
            if (id >= 0 && m->scores[id] > best_score) {
                best_score = m->scores[id];
                best_id = id;
                best = i;
            }
        }
        if (best_id < 0)
            return count;
        ids[best] = best_id;
        memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof *ids);
        count--;
    }
}

static void encodes_like_greedy_merging(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 10; round++) {
        struct trace trace = {0};
        struct made m = make(&seed);
        struct builder json = {0};
        struct tokenizer *t;
        assert_ok(llama2c_convert(&json, (struct str){m.file.data, m.file.length}, &trace), &trace);
        assert_ok(tokenizer_open_text(&t, (struct str){json.data, json.length}, &trace), &trace);
        assert_int_equal(tokenizer_bos(t), 1); /* llama2.c's tokenize() puts it in front, and no end */
        assert_true(tokenizer_puts_bos(t) && !tokenizer_puts_eos(t));
        for (int trial = 0; trial < 40; trial++) {
            char text[100] = "";
            const char *parts[] = {" ", "a", "b", "c", "\xc3\xa9", "x", "\n"};
            for (uint32_t i = draw(&seed, 40); i > 0; i--)
                strcat(text, parts[draw(&seed, 7)]);
            int32_t expected[200];
            size_t count = encode_greedily(&m, text, expected);
            struct token_list ids = {0};
            struct builder back = {0};
            assert_ok(tokenizer_encode(t, str_from(text), &ids, &trace), &trace);
            assert_int_equal(ids.count, count);
            if (count)
                assert_memory_equal(ids.items, expected, count * sizeof *expected);
            assert_ok(tokenizer_decode(t, ids.items, ids.count, &back, &trace), &trace);
            assert_string_equal(builder_text(&back), text);
            builder_release(&back);
            token_list_release(&ids);
        }
        tokenizer_close(t);
        builder_release(&json);
        builder_release(&m.file);
    }
}

static void every_truncation_is_an_error_or_a_shorter_vocabulary(void **state)
{
    (void)state;
    uint32_t seed = 8;
    struct made m = make(&seed);
    struct trace trace = {0};
    int errors = 0;
    for (size_t length = 0; length < m.file.length; length++) {
        struct builder json = {0};
        enum status status = llama2c_convert(&json, (struct str){m.file.data, length}, &trace);
        assert_true(status == OK || status == INVALID);
        errors += status != OK;
        builder_release(&json);
    }
    assert_true(errors > (int)m.file.length - PIECES);
    builder_release(&m.file);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    uint32_t seed = 4;
    struct trace trace = {0};
    struct builder json = {0};
    struct made m = make(&seed);
    assert_fails(llama2c_convert(&json, STR("ab"), &trace), INVALID, &trace, "a file of 2 bytes");
    size_t byte_piece = 4 + 8 + 5 + 8 + 5 + 8 + 6;
    m.file.data[byte_piece + 8 + 4] = 'Z'; /* <0x00> becomes <0x0Z> */
    assert_fails(llama2c_convert(&json, (struct str){m.file.data, m.file.length}, &trace), INVALID, &trace,
                 "expected the piece <0x00>");
    m.file.data[byte_piece + 8 + 4] = '0';
    memset(m.file.data + byte_piece + 4, 0xff, 4);
    assert_fails(llama2c_convert(&json, (struct str){m.file.data, m.file.length}, &trace), INVALID, &trace,
                 "token 3 at offset 44");
    builder_release(&m.file);
    m = make(&seed);
    add(&m, "b", -5000);
    assert_fails(llama2c_convert(&json, (struct str){m.file.data, m.file.length}, &trace), INVALID, &trace,
                 "there already");
    builder_release(&m.file);
    m = make(&seed);
    m.count--;
    add(&m, "cccbbbaaa", m.scores[m.count - 1]); /* cannot be merged: no matter */
    assert_ok(llama2c_convert(&json, (struct str){m.file.data, m.file.length}, &trace), &trace);
    builder_release(&m.file);
    builder_release(&json);
}

static void refuses_equal_scores(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct builder json = {0};
    struct made m = {.count = 0};
    builder_add(&m.file, "\x08\0\0\0", 4);
    add(&m, "<unk>", 0);
    add(&m, "<s>", 0);
    add(&m, "</s>", 0);
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        add(&m, name, 0);
    }
    add(&m, "a", -5);
    add(&m, "b", -5);
    add(&m, "ab", -1);
    add(&m, "ba", -1);
    assert_fails(llama2c_convert(&json, (struct str){m.file.data, m.file.length}, &trace), UNSUPPORTED,
                 &trace, "\"ab\" and \"ba\" have the same score");
    builder_release(&m.file);
    builder_release(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_like_greedy_merging),
        cmocka_unit_test(every_truncation_is_an_error_or_a_shorter_vocabulary),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(refuses_equal_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
