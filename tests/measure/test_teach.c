/* What a teacher is asked, against softmax in double over the logits of the plain model. */
#include "measure/teach.h"
#include "tests/measure/fixture.h"
#include <math.h>

enum { LENGTH = 96, ROWS = 7, TOKENS = LENGTH * ROWS }; /* two chunks, the second not full */

static float *plain_logits(struct fixture *f)
{
    struct trace trace = {0};
    struct session session;
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, f->model, ROWS, LENGTH);
    float *logits = malloc(sizeof *logits * TOKENS * VOCAB);
    assert_ok(session_create(&session, f->executor, f->model, dims, count, SESSION_UPLOAD, &trace), &trace);
    assert_ok(session_write(&session, "tokens", f->corpus.tokens, &trace), &trace);
    assert_ok(session_run(&session, &trace), &trace);
    assert_ok(session_read(&session, "logits", logits, &trace), &trace);
    session_release(&session);
    return logits;
}

/* Row t of what was said: of the first v tokens, cooled. */
static void check_row(const struct targets *said, uint32_t t, const float *logits, int v, double temperature)
{
    const float *x = logits + (size_t)t * VOCAB, *logs = said->logs + (size_t)t * said->kept;
    const int32_t *ids = said->ids + (size_t)t * said->kept;
    double top = x[0], sum = 0, rest = 0, least = 0;
    bool kept[VOCAB] = {false};
    for (int c = 0; c < v; c++)
        top = fmax(top, (double)x[c]);
    for (int c = 0; c < v; c++)
        sum += exp(((double)x[c] - top) / temperature);
    for (uint32_t j = 0; j < said->kept; j++) {
        assert_in_range(ids[j], j == 0 ? 0 : ids[j - 1] + 1, v - 1);
        kept[ids[j]] = true;
        double expected = ((double)x[ids[j]] - top) / temperature - log(sum);
        assert_true(fabs((double)logs[j] - expected) < 1e-5);
        least = fmin(least, (double)x[ids[j]] - top);
    }
    for (int c = 0; c < v; c++)
        if (!kept[c]) {
            assert_true((double)x[c] - top <= least);
            rest += exp(((double)x[c] - top) / temperature) / sum;
        }
    assert_true(rest > 0 ? fabs((double)said->rest[t] - log(rest)) < 1e-4 : said->rest[t] == -128);
}

static void check(struct fixture *f, const struct teach_options *options)
{
    struct trace trace = {0};
    struct teaching teaching;
    struct targets said;
    float *logits = plain_logits(f);
    assert_ok(teaching_open(&teaching, f->executor, f->model, options, &trace), &trace);
    assert_int_equal(teaching.vocabulary, options->vocabulary > 0 ? options->vocabulary : VOCAB);
    targets_init(&said, TOKENS, options->top);
    assert_ok(teaching_ask(&teaching, f->corpus.tokens, &said, &trace), &trace);
    for (uint32_t t = 0; t < TOKENS; t++)
        check_row(&said, t, logits, (int)teaching.vocabulary,
                  options->temperature == 0 ? 1 : (double)options->temperature);
    for (uint32_t i = 0; i < teaching.graph->values.count; i++) {
        const struct value *value = graph_value(teaching.graph, i);
        bool is_of_tokens = value->rank > 0 && value->origin == VALUE_NODE &&
                            dims_size(&teaching.graph->dims, value->axes[value->rank - 1]) == VOCAB;
        assert_true(!is_of_tokens || value->rank == 2);
        assert_true(!is_of_tokens || dims_size(&teaching.graph->dims, value->axes[0]) <= 512);
    }
    targets_release(&said);
    teaching_release(&teaching);
    free(logits);
}

static void says_what_softmax_says(void **state)
{
    (void)state;
    static const struct teach_options options[] = {
        {.rows = ROWS, .length = LENGTH, .top = 5},
        {.rows = ROWS, .length = LENGTH, .top = VOCAB},
        {.rows = ROWS, .length = LENGTH, .top = 9, .temperature = 2.5f},
        {.rows = ROWS, .length = LENGTH, .top = 3, .vocabulary = VOCAB - 9},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct fixture f;
        fixture_create(&f);
        if (i % 2 == 1)
            fixture_add_bias(f.model);
        check(&f, &options[i]);
        fixture_release(&f);
    }
}

static void refuses_more_than_there_is(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct teaching teaching;
    fixture_create(&f);
    struct teach_options options = {.rows = 1, .length = 8, .top = VOCAB + 1};
    assert_fails(teaching_open(&teaching, f.executor, f.model, &options, &trace), INVALID, &trace,
                 "tokens are to be kept of");
    options = (struct teach_options){.rows = 1, .length = 8, .top = 1, .vocabulary = VOCAB + 1};
    assert_fails(teaching_open(&teaching, f.executor, f.model, &options, &trace), INVALID, &trace,
                 "are to take part");
    fixture_release(&f);
}

static void refuses_logits_that_overflow(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct teaching teaching;
    struct targets said;
    fixture_create(&f);
    fixture_add_bias(f.model);
    const struct tensor *bias = &VEC_LAST(&f.model->tensors);
    ((float *)(uintptr_t)bias->view.base)[7] = INFINITY;
    struct teach_options options = {.rows = 2, .length = 16, .top = 4};
    assert_ok(teaching_open(&teaching, f.executor, f.model, &options, &trace), &trace);
    targets_init(&said, 2 * 16, 4);
    assert_fails(teaching_ask(&teaching, f.corpus.tokens, &said, &trace), INVALID, &trace,
                 "the teacher's logits of token 0 are not finite");
    targets_release(&said);
    teaching_release(&teaching);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_softmax_says),
        cmocka_unit_test(refuses_logits_that_overflow),
        cmocka_unit_test(refuses_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
