/* Log-likelihoods of choices against softmax in double over the logits of the plain model, text by text and
 * without padding. */
#include "measure/answer.h"
#include "measure/session.h"
#include "tests/measure/fixture.h"
#include <math.h>

static const char items[] =
    "{\"goal\": \"count\", \"sol1\": \"one two\", \"sol2\": \"three\", \"label\": 0}\n"
    "{\"goal\": \"a much longer goal, so that this item is of another length than the first one is\", "
    "\"sol1\": \"yes\", \"sol2\": \"a solution that goes on for a while, then stops\", \"label\": 1}\n"
    "{\"goal\": \"x\", \"sol1\": \"y\", \"sol2\": \"zz\", \"label\": 0}\n";

struct reference {
    double log_likelihood;
    bool is_greedy;
};

/* Bytes are tokens: those from `context` on are scored, of the last `seen` + 1. */
static struct reference refer(struct fixture *f, const struct task_choice *c, size_t seen)
{
    struct trace trace = {0};
    struct session session;
    int32_t ids[512];
    float *logits = malloc(sizeof *logits * 512 * VOCAB);
    size_t count = c->context.length + c->continuation.length,
           first = count > seen + 1 ? count - seen - 1 : 0;
    for (size_t i = 0; i < count; i++)
        ids[i] = (unsigned char)(i < c->context.length ? c->context.data[i]
                                                       : c->continuation.data[i - c->context.length]);
    struct dim_binding dims[2];
    uint32_t dim_count = session_dims(dims, f->model, 1, (int64_t)(count - 1 - first));
    assert_ok(session_create(&session, f->executor, f->model, dims, dim_count, SESSION_UPLOAD, &trace),
              &trace);
    assert_ok(session_write(&session, "tokens", ids + first, &trace), &trace);
    assert_ok(session_run(&session, &trace), &trace);
    assert_ok(session_read(&session, "logits", logits, &trace), &trace);
    struct reference r = {0, true};
    for (size_t i = c->context.length > first ? c->context.length : first + 1; i < count; i++) {
        const float *row = logits + (i - 1 - first) * VOCAB;
        double top = row[0], sum = 0;
        for (int v = 0; v < VOCAB; v++)
            top = fmax(top, row[v]);
        for (int v = 0; v < VOCAB; v++)
            sum += exp(row[v] - top);
        r.log_likelihood += row[ids[i]] - top - log(sum);
        r.is_greedy = r.is_greedy && row[ids[i]] >= top;
    }
    session_release(&session);
    free(logits);
    return r;
}

static void compare(const char *text, enum task_kind kind, uint32_t length)
{
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct task task = fixture_open_task(&f, kind, text);
    struct answer_score scores[16];
    struct answer_options options = {.length = length};
    assert_in_range(task.choices.count, 1, 16);
    assert_ok(measure_answers(scores, f.executor, f.model, &task, f.tokenizer, &options, &trace), &trace);
    for (uint32_t i = 0; i < task.choices.count; i++) {
        struct reference r = refer(&f, &task.choices.items[i], length ? length : 511);
        assert_true(fabs(scores[i].log_likelihood - r.log_likelihood) < 1e-5 * fabs(r.log_likelihood));
        if (task.metrics == TASK_COMPLETION)
            assert_int_equal(scores[i].is_greedy, r.is_greedy);
    }
    task_release(&task);
    fixture_release(&f);
}

static void choices_agree_with_softmax_in_double(void **state)
{
    (void)state;
    compare(items, TASK_piqa, 0);
}

static void long_texts_lose_their_beginning(void **state)
{
    (void)state;
    compare(items, TASK_piqa, 24);
}

/* The model's own first choice, byte by byte, must be found greedy. */
static void completions_know_what_is_greedy(void **state)
{
    (void)state;
    struct fixture f;
    fixture_create(&f);
    char text[4096] = "";
    for (int byte = '!'; byte < 127; byte += 8)
        if (byte != '"' && byte != '\\')
            snprintf(text + strlen(text), sizeof text - strlen(text), "{\"text\": \"line of %c\"}\n", byte);
    fixture_release(&f);
    compare(text, TASK_lambada, 0);
}

/* What follows from scores, by hand. */
static void summaries_count_what_is_right(void **state)
{
    (void)state;
    struct fixture f;
    fixture_create(&f);
    struct task task = fixture_open_task(&f, TASK_piqa, items);
    /* Characters are 7 5, 3 47, 1 2; gold is 0 1 0. */
    struct answer_score scores[] = {{.log_likelihood = -7}, {.log_likelihood = -6}, {.log_likelihood = -3},
                                    {.log_likelihood = -4}, {.log_likelihood = -2}, {.log_likelihood = -2}};
    assert_int_equal(answer_choice(&task, scores, 0, false), 1);
    assert_int_equal(answer_choice(&task, scores, 0, true), 0);
    assert_int_equal(answer_choice(&task, scores, 2, false), 0); /* the first of equals */
    struct answer_result r = answer_summary(&task, scores);
    assert_int_equal(r.items, 3);
    assert_true(fabs(r.accuracy.value - 1.0 / 3) < 1e-15);
    assert_true(fabs(r.accuracy.error - 1.0 / 3) < 1e-15); /* sample deviation 1 / root 3 over root 3 */
    assert_true(fabs(r.normalised.value - 2.0 / 3) < 1e-15);
    task_release(&task);
    fixture_release(&f);
}

static void texts_without_context_need_a_token_before_them(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    fixture_create(&f);
    struct task task =
        fixture_open_task(&f, TASK_blimp, "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}\n");
    struct answer_score scores[2];
    struct answer_options options = {0};
    assert_fails(measure_answers(scores, f.executor, f.model, &task, f.tokenizer, &options, &trace), INVALID,
                 &trace, "none that begins or ends a text");
    task_release(&task);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_agree_with_softmax_in_double),
        cmocka_unit_test(long_texts_lose_their_beginning),
        cmocka_unit_test(completions_know_what_is_greedy),
        cmocka_unit_test(summaries_count_what_is_right),
        cmocka_unit_test(texts_without_context_need_a_token_before_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
