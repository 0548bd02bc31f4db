/* The loss of measure_evaluate against cross-entropy in double over the logits of the plain model. */
#include "measure/evaluate.h"
#include "measure/session.h"
#include "tests/measure/fixture.h"
#include <math.h>

enum { MOST_WINDOWS = 400 };

static double loss_of_row(const float *logits, int32_t label)
{
    double top = logits[0], sum = 0;
    for (int c = 0; c < VOCAB; c++)
        top = fmax(top, logits[c]);
    for (int c = 0; c < VOCAB; c++)
        sum += exp(logits[c] - top);
    return log(sum) + top - logits[label];
}

/* One window at a time, straight from the token stream. */
static double reference_loss(struct fixture *f, uint32_t length, uint64_t *scored, double *windows)
{
    struct trace trace = {0};
    struct session session;
    struct dim_binding dims[2];
    uint32_t dim_count = session_dims(dims, f->model, 1, length);
    assert_ok(session_create(&session, f->executor, f->model, dims, dim_count, SESSION_UPLOAD, &trace),
              &trace);
    float *logits = malloc(sizeof *logits * length * VOCAB);
    double sum = 0;
    uint32_t window = 0;
    *scored = 0;
    for (uint64_t at = 0; at + length <= f->corpus.count; at += length) {
        assert_ok(session_write(&session, "tokens", f->corpus.tokens + at, &trace), &trace);
        assert_ok(session_run(&session, &trace), &trace);
        assert_ok(session_read(&session, "logits", logits, &trace), &trace);
        double before = sum;
        for (uint32_t i = 0; i + 1 < length; i++, (*scored)++)
            sum += loss_of_row(logits + (size_t)i * VOCAB, f->corpus.tokens[at + i + 1]);
        assert_true(window < MOST_WINDOWS);
        windows[window++] = sum - before;
    }
    free(logits);
    session_release(&session);
    return sum / (double)*scored;
}

/* Windows of as many tokens are a sample of their means: its deviation over the root of its size. */
static void check_windows(const struct evaluation *e, const double *windows, uint32_t tokens)
{
    double squares = 0, n = (double)e->window_count, error;
    assert_int_equal(e->window_count * tokens, e->tokens);
    for (uint64_t i = 0; i < e->window_count; i++) {
        assert_int_equal(e->windows[i].tokens, tokens);
        assert_true(fabs(e->windows[i].nats - windows[i]) < 2e-6 * windows[i]);
        squares += pow(windows[i] / tokens - e->loss, 2);
    }
    error = sqrt(squares / (n - 1) / n);
    if (!(fabs(e->error - error) < 1e-4 * error))
        fail_msg("error %.9g, expected %.9g", e->error, error);
}

/* Of windows of different sizes, as the last one with a stride is: against the jackknife, which is the same
 * to the first order, and by hand. */
static void errors_are_those_of_a_ratio(void **state)
{
    (void)state;
    static const double nats[] = {10, 23, 18, 31, 9, 22, 17}, tokens[] = {5, 10, 9, 16, 4, 10, 8};
    enum { COUNT = 7 };
    struct evaluate_sums sums = {.count = COUNT};
    double all_nats = 0, all_tokens = 0, squares = 0, jackknife = 0;
    for (int i = 0; i < COUNT; i++) {
        sums.nats_nats += nats[i] * nats[i];
        sums.nats_tokens += nats[i] * tokens[i];
        sums.tokens_tokens += tokens[i] * tokens[i];
        all_nats += nats[i];
        all_tokens += tokens[i];
    }
    sums.tokens = (uint64_t)all_tokens;
    double loss = all_nats / all_tokens, error = evaluate_error(&sums, loss);
    for (int i = 0; i < COUNT; i++) {
        squares += pow(nats[i] - loss * tokens[i], 2);
        jackknife += pow((all_nats - nats[i]) / (all_tokens - tokens[i]) - loss, 2);
    }
    assert_true(fabs(error - sqrt(7.0 / 6 * squares) / all_tokens) < 1e-12);
    assert_true(fabs(error - sqrt(6.0 / 7 * jackknife)) < 0.1 * error);
    struct evaluate_sums one = {.count = 1, .tokens = 5, .nats_nats = 100, .nats_tokens = 50};
    assert_true(evaluate_error(&one, 2) == 0);
}

static void compare_with_double(bool is_biased)
{
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    if (is_biased)
        fixture_add_bias(f.model);
    /* 96 * 7 tokens a batch: a head of two chunks, the second not full; the last batch is not full either */
    struct evaluate_options options = {.length = 96, .rows = 7, .arena = &f.arena};
    struct evaluation result;
    uint64_t scored;
    double windows[MOST_WINDOWS], expected = reference_loss(&f, 96, &scored, windows);
    assert_ok(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
              &trace);
    assert_int_equal(result.tokens, scored);
    check_windows(&result, windows, 95);
    assert_int_equal(result.bytes, scored); /* a byte a token */
    assert_true(fabs(result.loss - expected) < 2e-6 * expected);
    assert_true(fabs(result.perplexity - exp(expected)) < 1e-5 * exp(expected));
    assert_true(fabs(result.bits_per_byte - expected / log(2)) < 2e-6 * expected / log(2));
    fixture_release(&f);
}

static void agrees_with_cross_entropy_in_double(void **state)
{
    (void)state;
    compare_with_double(false);
}

static void agrees_where_the_head_has_a_bias(void **state)
{
    (void)state;
    compare_with_double(true);
}

static void refuses_text_that_is_too_short(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct evaluate_options options = {.length = 1000000, .rows = 1};
    struct evaluation result;
    assert_fails(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
                 INVALID, &trace, "1000000");
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_cross_entropy_in_double),
        cmocka_unit_test(agrees_where_the_head_has_a_bias),
        cmocka_unit_test(errors_are_those_of_a_ratio),
        cmocka_unit_test(refuses_text_that_is_too_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
