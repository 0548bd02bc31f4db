/* Generated tokens against the arg max of the plain model's logits, text by text; and the shares of drawn
 * tokens. */
#include "measure/generate.h"
#include "measure/session.h"
#include "tests/measure/fixture.h"
#include <math.h>

enum { NEW = 80 };

static int32_t first_choice(struct fixture *f, const struct token_list *text)
{
    struct trace trace = {0};
    struct session session;
    struct dim_binding dims[2];
    float *logits = malloc(sizeof *logits * text->count * VOCAB);
    uint32_t dim_count = session_dims(dims, f->model, 1, (int64_t)text->count);
    assert_ok(session_create(&session, f->executor, f->model, dims, dim_count, SESSION_UPLOAD, &trace),
              &trace);
    assert_ok(session_write(&session, "tokens", text->items, &trace), &trace);
    assert_ok(session_run(&session, &trace), &trace);
    assert_ok(session_read(&session, "logits", logits, &trace), &trace);
    const float *row = logits + (text->count - 1) * VOCAB;
    int32_t best = 0;
    for (int32_t v = 1; v < VOCAB; v++)
        if (row[v] > row[best])
            best = v;
    session_release(&session);
    free(logits);
    return best;
}

static enum status run(struct fixture *f, struct token_list *text, const struct generate_options *options,
                       struct trace *trace)
{
    struct generator *generator = generator_create(f->executor, f->model);
    enum status status = generator_continue(generator, text, options, trace);
    generator_destroy(generator);
    return status;
}

/* 80 tokens: a second, longer session takes over on the way. */
static void greedy_text_is_what_the_model_likes_best(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct token_list text = {0}, expected = {0};
    struct generate_options options = {.tokens = NEW, .end = -1};
    fixture_create(&f);
    token_list_add(&text, 'l');
    token_list_add(&expected, 'l');
    assert_ok(run(&f, &text, &options, &trace), &trace);
    assert_int_equal(text.count, NEW + 1);
    for (int i = 0; i < NEW; i++)
        token_list_add(&expected, first_choice(&f, &expected));
    assert_memory_equal(text.items, expected.items, expected.count * sizeof *expected.items);
    /* It ends before the token that ends a text. */
    options.end = expected.items[5];
    size_t at = 1;
    while (expected.items[at] != options.end)
        at++;
    text.count = 1;
    assert_ok(run(&f, &text, &options, &trace), &trace);
    assert_int_equal(text.count, at);
    token_list_release(&text);
    token_list_release(&expected);
    fixture_release(&f);
}

static void a_seed_gives_one_text(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct token_list texts[3] = {0};
    fixture_create(&f);
    for (int i = 0; i < 3; i++) {
        struct generate_options options = {
            .tokens = 20, .end = -1, .temperature = 1.5f, .seed = i == 2 ? 8 : 7};
        token_list_add(&texts[i], 'l');
        assert_ok(run(&f, &texts[i], &options, &trace), &trace);
    }
    assert_memory_equal(texts[0].items, texts[1].items, 21 * sizeof *texts[0].items);
    assert_memory_not_equal(texts[0].items, texts[2].items, 21 * sizeof *texts[0].items);
    for (int i = 0; i < 3; i++)
        token_list_release(&texts[i]);
    fixture_release(&f);
}

/* A generator is used again, for a longer and a shorter text: what it gives is what a new one gives. Streams
 * of one seed differ. */
static void one_generator_serves_many_texts(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct token_list before = {0};
    fixture_create(&f);
    struct generator *generator = generator_create(f.executor, f.model);
    static const uint32_t lengths[] = {20, 90, 20};
    for (uint32_t i = 0; i < 3; i++) {
        struct token_list again = {0}, alone = {0};
        struct generate_options options = {.tokens = lengths[i], .end = -1, .temperature = 1, .stream = i};
        token_list_add(&again, 'l');
        token_list_add(&alone, 'l');
        assert_ok(generator_continue(generator, &again, &options, &trace), &trace);
        assert_ok(run(&f, &alone, &options, &trace), &trace);
        assert_int_equal(again.count, alone.count);
        assert_memory_equal(again.items, alone.items, alone.count * sizeof *alone.items);
        if (i > 0)
            assert_memory_not_equal(again.items, before.items, 20 * sizeof *again.items);
        token_list_release(&before);
        token_list_release(&alone);
        before = again;
    }
    token_list_release(&before);
    generator_destroy(generator);
    fixture_release(&f);
}

/* Rows of logits beyond the tokenizer's vocabulary are never chosen. */
static void only_tokens_that_there_are_are_chosen(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct token_list text = {0};
    struct generate_options options = {
        .tokens = 60, .end = -1, .temperature = 100, .vocabulary = 7, .seed = 1};
    uint32_t seen[7] = {0};
    fixture_create(&f);
    token_list_add(&text, 'l');
    assert_ok(run(&f, &text, &options, &trace), &trace);
    for (size_t i = 1; i < text.count; i++) {
        assert_in_range(text.items[i], 0, 6);
        seen[text.items[i]]++;
    }
    for (int i = 0; i < 7; i++)
        assert_true(seen[i] > 0);
    token_list_release(&text);
    fixture_release(&f);
}

/* Over all random numbers, a token comes as often as its probability says. */
static void tokens_are_drawn_by_their_probabilities(void **state)
{
    (void)state;
    enum { COUNT = 5, DRAWS = 100000 };
    static const float logits[COUNT] = {0.3f, -1, 2, 2, 0.9f};
    int32_t order[COUNT];
    for (uint32_t top = 0; top < COUNT; top++) {
        struct generate_options options = {.temperature = 0.7f, .top = top};
        double shares[COUNT], sum = 0;
        uint32_t found[COUNT] = {0};
        for (int i = 0; i < COUNT; i++) {
            uint32_t larger = 0;
            for (int j = 0; j < COUNT; j++)
                larger += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
            shares[i] = top && larger >= top ? 0 : exp(logits[i] / 0.7);
            sum += shares[i];
        }
        for (int d = 0; d < DRAWS; d++)
            found[generate_choose(logits, COUNT, &options, ((float)d + 0.5f) / DRAWS, order)]++;
        for (int i = 0; i < COUNT; i++)
            assert_true(fabs(found[i] / (double)DRAWS - shares[i] / sum) < 5e-5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_what_the_model_likes_best),
        cmocka_unit_test(a_seed_gives_one_text),
        cmocka_unit_test(one_generator_serves_many_texts),
        cmocka_unit_test(only_tokens_that_there_are_are_chosen),
        cmocka_unit_test(tokens_are_drawn_by_their_probabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
