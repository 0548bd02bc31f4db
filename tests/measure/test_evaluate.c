/* The loss of measure_evaluate against cross-entropy in double over the logits of the plain model. */
#include "measure/evaluate.h"
#include "measure/loss_graph.h"
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

/* Logits [length, vocabulary] of one window by the plain model. */
static double *logits_of(struct fixture *f, const struct graph *model, int64_t vocabulary, uint32_t length,
                         const int32_t *tokens)
{
    struct trace trace = {0};
    struct session session;
    struct dim_binding dims[2];
    size_t count = (size_t)length * (size_t)vocabulary;
    uint32_t dim_count = session_dims(dims, model, 1, length);
    float *logits = malloc(sizeof *logits * count);
    double *out = malloc(sizeof *out * count);
    assert_ok(session_create(&session, f->executor, model, dims, dim_count, SESSION_UPLOAD, &trace), &trace);
    assert_ok(session_write(&session, "tokens", tokens, &trace), &trace);
    assert_ok(session_run(&session, &trace), &trace);
    assert_ok(session_read(&session, "logits", logits, &trace), &trace);
    for (size_t i = 0; i < count; i++)
        out[i] = (double)logits[i];
    free(logits);
    session_release(&session);
    return out;
}

static double log_sum(const double *x, int count)
{
    double sum = 0;
    for (int c = 0; c < count; c++)
        sum += exp(x[c]);
    return log(sum);
}

static int likeliest(const double *x, int count)
{
    int best = 0;
    for (int c = 1; c < count; c++)
        best = x[c] > x[best] ? c : best;
    return best;
}

/* KL(teacher || model) over the first `shared` tokens, its sums by window, and how often both choose alike.
 */
static double reference_divergence(struct fixture *f, const struct graph *teacher, int teacher_vocab,
                                   int shared, uint32_t length, double *agreement, double *windows)
{
    double sum = 0;
    uint64_t agreed = 0, tokens = 0;
    uint32_t window = 0;
    for (uint64_t at = 0; at + length <= f->corpus.count; at += length) {
        double *x = logits_of(f, f->model, VOCAB, length, f->corpus.tokens + at);
        double *y = logits_of(f, teacher, teacher_vocab, length, f->corpus.tokens + at);
        double before = sum;
        for (uint32_t i = 0; i + 1 < length; i++, tokens++) {
            const double *p = x + (size_t)i * VOCAB, *q = y + (size_t)i * (size_t)teacher_vocab;
            double of_p = log_sum(p, shared), of_q = log_sum(q, shared);
            for (int c = 0; c < shared; c++)
                sum += exp(q[c] - of_q) * ((q[c] - of_q) - (p[c] - of_p));
            agreed += likeliest(p, shared) == likeliest(q, shared);
        }
        assert_true(window < MOST_WINDOWS);
        windows[window++] = sum - before;
        free(x);
        free(y);
    }
    *agreement = (double)agreed / (double)tokens;
    return sum / (double)tokens;
}

/* Of a teacher with more layers, and with as many or more tokens than the model has. */
static void compare_with_teacher(int teacher_vocab, int64_t vocabulary, int shared)
{
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct graph *teacher = fixture_model(&f.arena, LAYERS + 1, (uint32_t)teacher_vocab, 17);
    fixture_add_bias(f.model);
    struct evaluate_options options = {
        .length = 96, .rows = 7, .arena = &f.arena, .teacher = teacher, .vocabulary = vocabulary};
    struct evaluation result;
    double windows[MOST_WINDOWS], agreement, squares = 0;
    double expected = reference_divergence(&f, teacher, teacher_vocab, shared, 96, &agreement, windows);
    assert_ok(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
              &trace);
    assert_true(expected > 0.01 && agreement > 0 && agreement < 1);
    if (!(fabs(result.divergence - expected) < 1e-5 * expected))
        fail_msg("divergence %.9g, expected %.9g", result.divergence, expected);
    assert_true(fabs(result.agreement - agreement) < 1e-12);
    for (uint64_t i = 0; i < result.window_count; i++) {
        assert_true(fabs(result.windows[i].divergence - windows[i]) < 1e-5 * windows[i]);
        squares += pow(windows[i] / 95 - expected, 2);
    }
    double n = (double)result.window_count, error = sqrt(squares / (n - 1) / n);
    assert_true(fabs(result.divergence_error - error) < 1e-3 * error);
    assert_true(result.agreement_error > 0);
    /* the loss is that of the model alone */
    struct evaluation alone;
    options.teacher = NULL;
    options.vocabulary = 0;
    assert_ok(measure_evaluate(&alone, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
              &trace);
    assert_true(alone.loss == result.loss && alone.error == result.error);
    graph_destroy(teacher);
    fixture_release(&f);
}

static void divergence_from_a_teacher_agrees_with_double(void **state)
{
    (void)state;
    compare_with_teacher(VOCAB, 0, VOCAB);
}

static void padding_of_a_teacher_takes_no_part(void **state)
{
    (void)state;
    compare_with_teacher(VOCAB + 24, VOCAB, VOCAB);
}

static void padding_of_both_takes_no_part(void **state)
{
    (void)state;
    compare_with_teacher(VOCAB + 24, VOCAB - 40, VOCAB - 40);
}

/* Of 1344 tokens, logits of model and teacher are there for 512 at a time. */
static void no_logits_of_all_tokens_exist(void **state)
{
    (void)state;
    enum { LENGTH = 96, ROWS = 14, CHUNK = 512 };
    struct fixture f;
    struct trace trace = {0};
    struct graph *graph;
    uint32_t found = 0;
    fixture_create(&f);
    struct graph *teacher = fixture_model(&f.arena, LAYERS + 1, VOCAB + 24, 17);
    struct loss_teacher with = {teacher, VOCAB};
    assert_ok(loss_graph_build(&graph, f.model, LENGTH * ROWS, LOSS_SUM_AND_EACH, &with, &trace), &trace);
    for (uint32_t i = 0; i < graph->values.count; i++) {
        const struct value *v = graph_value(graph, i);
        int64_t last = v->rank > 0 ? dims_size(&graph->dims, v->axes[v->rank - 1]) : 0;
        if (v->origin != VALUE_NODE || (last != VOCAB && last != VOCAB + 24))
            continue;
        found++;
        assert_int_equal(v->rank, 2);
        assert_in_range(dims_size(&graph->dims, v->axes[0]), 1, CHUNK);
    }
    assert_true(found >= 6); /* of three chunks, both sides */
    graph_destroy(graph);
    graph_destroy(teacher);
    fixture_release(&f);
}

static void a_model_is_no_way_from_itself(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct evaluate_options options = {.length = 64, .rows = 4, .teacher = f.model};
    struct evaluation result;
    assert_ok(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
              &trace);
    assert_true(result.divergence == 0 && result.agreement == 1);
    assert_true(result.divergence_error == 0 && result.agreement_error == 0);
    fixture_release(&f);
}

static void refuses_a_teacher_of_another_vocabulary(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct graph *teacher = fixture_model(&f.arena, 1, VOCAB + 1, 17);
    struct evaluate_options options = {.length = 64, .rows = 4, .teacher = teacher};
    struct evaluation result;
    assert_fails(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
                 INVALID, &trace, "are of 256 tokens, the teacher's of 257");
    options.vocabulary = VOCAB + 1;
    trace = (struct trace){0};
    assert_fails(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
                 INVALID, &trace, "257 tokens are to be compared");
    graph_destroy(teacher);
    fixture_release(&f);
}

/* No number may come out. */
static void refuses_losses_that_overflow(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    fixture_add_bias(f.model);
    const struct tensor *bias = &VEC_LAST(&f.model->tensors);
    ((float *)(uintptr_t)bias->view.base)[3] = INFINITY;
    struct evaluate_options options = {.length = 64, .rows = 4};
    struct evaluation result;
    assert_fails(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
                 INVALID, &trace, "the loss of some tokens is not finite");
    fixture_release(&f);
}

static void refuses_divergences_that_overflow(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct graph *teacher = fixture_model(&f.arena, LAYERS, VOCAB, 17);
    fixture_add_bias(teacher);
    const struct tensor *bias = &VEC_LAST(&teacher->tensors);
    ((float *)(uintptr_t)bias->view.base)[3] = INFINITY;
    struct evaluate_options options = {.length = 64, .rows = 4, .teacher = teacher};
    struct evaluation result;
    assert_fails(measure_evaluate(&result, f.executor, f.model, &f.corpus, f.tokenizer, &options, &trace),
                 INVALID, &trace, "the divergence from the teacher of some tokens is not finite");
    graph_destroy(teacher);
    fixture_release(&f);
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
        cmocka_unit_test(divergence_from_a_teacher_agrees_with_double),
        cmocka_unit_test(padding_of_a_teacher_takes_no_part),
        cmocka_unit_test(padding_of_both_takes_no_part),
        cmocka_unit_test(no_logits_of_all_tokens_exist),
        cmocka_unit_test(a_model_is_no_way_from_itself),
        cmocka_unit_test(refuses_a_teacher_of_another_vocabulary),
        cmocka_unit_test(refuses_losses_that_overflow),
        cmocka_unit_test(refuses_divergences_that_overflow),
        cmocka_unit_test(errors_are_those_of_a_ratio),
        cmocka_unit_test(refuses_text_that_is_too_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
