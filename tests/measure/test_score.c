/* Scores against their formulas in double, from activations read out of the model by the kind of op alone;
 * and the probe. */
#include "data/batch.h"
#include "ir/build.h"
#include "measure/probe.h"
#include "measure/score.h"
#include "measure/session.h"
#include "tests/measure/fixture.h"
#include <math.h>

enum { SAMPLES = 6, ROWS = 3, LENGTH = 40, MAX_SITES = 16 };

/* Activations of one kind: a value per layer (or norm), all samples. */
struct site {
    char name[24];
    uint32_t width;
    float *data; /* [SAMPLES, LENGTH, width] */
};

struct observed {
    struct graph *graph;
    struct site sites[MAX_SITES];
    uint32_t count;
};

static void watch(struct observed *o, const char *kind, int number, uint32_t value, uint32_t width)
{
    struct site *site = &o->sites[o->count++];
    snprintf(site->name, sizeof site->name, "%s%d", kind, number);
    site->width = width;
    site->data = calloc((size_t)SAMPLES * LENGTH * width, sizeof *site->data);
    build_output(o->graph, site->name, value);
}

/* arch_build's order: norm, attention, add, norm, gate/up, mul, add; the last norm is the final one. */
static void watch_all(struct observed *o, const struct graph *model)
{
    o->graph = graph_clone(model);
    int norms = 0, attentions = 0, products = 0, sums = 0;
    for (uint32_t n = 0; n < o->graph->nodes.count; n++) {
        struct node node = o->graph->nodes.items[n];
        if (node.op == OP_embed)
            watch(o, "stream", sums++, node.results[0], HIDDEN);
        if (node.op == OP_rmsnorm && norms < 2 * LAYERS)
            watch(o, "norm", norms++, node.results[0], HIDDEN);
        if (node.op == OP_attention)
            watch(o, "attention", attentions++, node.results[0], HEADS * HEAD_DIM);
        if (node.op == OP_mul)
            watch(o, "neurons", products++, node.results[0], FFN);
        if (node.op == OP_add)
            watch(o, "stream", sums++, node.results[0], HIDDEN);
    }
}

static void observe(struct observed *o, struct fixture *f)
{
    struct trace trace = {0};
    struct session session;
    struct batcher batcher;
    struct batch batch;
    struct batch_options options = {.length = LENGTH, .rows = ROWS, .micros = 1, .seed = 9};
    struct dim_binding dims[2];
    uint32_t dim_count = session_dims(dims, o->graph, ROWS, LENGTH);
    assert_ok(batcher_open(&batcher, &f->corpus, &options, &trace), &trace);
    batch_init(&batch, ROWS, LENGTH);
    assert_ok(session_create(&session, f->executor, o->graph, dims, dim_count, SESSION_UPLOAD, &trace),
              &trace);
    for (int step = 0; step < SAMPLES / ROWS; step++) {
        batcher_fill(&batcher, (uint64_t)step, 0, &batch);
        assert_ok(session_write(&session, "tokens", batch.ids, &trace), &trace);
        assert_ok(session_run(&session, &trace), &trace);
        for (uint32_t i = 0; i < o->count; i++)
            assert_ok(session_read(&session, o->sites[i].name,
                                   o->sites[i].data + (size_t)step * ROWS * LENGTH * o->sites[i].width,
                                   &trace),
                      &trace);
    }
    session_release(&session);
    batch_release(&batch);
    batcher_release(&batcher);
}

static const struct site *site(const struct observed *o, const char *kind, int number)
{
    char name[24];
    snprintf(name, sizeof name, "%s%d", kind, number);
    for (uint32_t i = 0; i < o->count; i++)
        if (strcmp(o->sites[i].name, name) == 0)
            return &o->sites[i];
    fail_msg("no site %s", name);
    return NULL;
}

/* sqrt(sum over samples of (mean over positions of the norm of `size` neighbours)^2): Minitron's head (size =
 * head size) and neuron (size = 1) scores. */
static double expected_score(const struct site *s, uint32_t element, uint32_t size)
{
    double total = 0;
    for (int b = 0; b < SAMPLES; b++) {
        double mean = 0;
        for (int p = 0; p < LENGTH; p++) {
            double norm = 0;
            for (uint32_t e = 0; e < size; e++) {
                double x = s->data[((size_t)b * LENGTH + (size_t)p) * s->width + element * size + e];
                norm += x * x;
            }
            mean += sqrt(norm) / LENGTH;
        }
        total += mean * mean;
    }
    return sqrt(total);
}

static double expected_importance(const struct site *before, const struct site *after)
{
    double total = 0;
    for (int t = 0; t < SAMPLES * LENGTH; t++) {
        double dot = 0, a = 0, b = 0;
        for (int c = 0; c < HIDDEN; c++) {
            double x = before->data[t * HIDDEN + c], y = after->data[t * HIDDEN + c];
            dot += x * y, a += x * x, b += y * y;
        }
        total += dot / sqrt(a * b);
    }
    return 1 - total / (SAMPLES * LENGTH);
}

static void close_to(float is, double should)
{
    if (fabs((double)is - should) > 3e-6 * fabs(should) + 1e-6)
        fail_msg("score %.9g, expected %.9g", (double)is, should);
}

static void follow_their_formulas(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct observed o = {0};
    struct scores scores = {0};
    fixture_create(&f);
    watch_all(&o, f.model);
    observe(&o, &f);
    struct score_options options = {.samples = SAMPLES, .length = LENGTH, .rows = ROWS, .seed = 9};
    assert_ok(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    for (int l = 0; l < LAYERS; l++) {
        char name[32];
        snprintf(name, sizeof name, "layers.%d.heads", l);
        const struct score *heads = scores_get(&scores, name);
        assert_non_null(heads);
        assert_int_equal(heads->count, HEADS);
        for (uint32_t h = 0; h < HEADS; h++)
            close_to(heads->values[h], expected_score(site(&o, "attention", l), h, HEAD_DIM));
        snprintf(name, sizeof name, "layers.%d.ffn", l);
        const struct score *ffn = scores_get(&scores, name);
        assert_int_equal(ffn->count, FFN);
        for (uint32_t n = 0; n < FFN; n++)
            close_to(ffn->values[n], expected_score(site(&o, "neurons", l), n, 1));
        close_to(scores_get(&scores, "layers")->values[l],
                 expected_importance(site(&o, "stream", 2 * l), site(&o, "stream", 2 * l + 2)));
    }
    const struct score *hidden = scores_get(&scores, "hidden");
    for (uint32_t c = 0; c < HIDDEN; c++) {
        double sum = 0;
        for (int n = 0; n < 2 * LAYERS; n++)
            sum += expected_score(site(&o, "norm", n), c, 1);
        close_to(hidden->values[c], sum);
    }
    double tokens = 0;
    for (uint32_t v = 0; v < scores_get(&scores, "vocab")->count; v++)
        tokens += (double)scores_get(&scores, "vocab")->values[v];
    assert_true(tokens == SAMPLES * LENGTH);
    for (uint32_t i = 0; i < o.count; i++)
        free(o.sites[i].data);
    graph_destroy(o.graph);
    fixture_release(&f);
}

static void probe_of_a_model_with_itself_is_zero_and_sees_a_change(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct probe probe;
    fixture_create(&f);
    assert_ok(measure_probe(&probe, f.executor, f.model, f.model, NULL, 0, &trace), &trace);
    assert_true(probe.drift == 0 && probe.divergence == 0 && probe.largest > 0);
    struct graph *other = graph_clone(f.model);
    struct tensor *t = &other->tensors.items[1];
    float *changed = malloc((size_t)tensor_view_count(&t->view) * sizeof *changed);
    tensor_view_read_f32(&t->view, 0, tensor_view_count(&t->view), changed);
    changed[0] += 0.5f;
    t->view.base = (const uint8_t *)changed;
    t->view.mapping = NULL;
    assert_ok(measure_probe(&probe, f.executor, f.model, other, NULL, 0, &trace), &trace);
    assert_true(probe.drift > 0 && probe.divergence > 0);
    graph_destroy(other);
    free(changed);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follow_their_formulas),
        cmocka_unit_test(probe_of_a_model_with_itself_is_zero_and_sees_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
