/* Schedules: what is swept, what is put off or brought forward, and that a plan made for sweeps keeps every
 * value until it was read when they run sequence by sequence. */
#include "ir/memory_plan.h"
#include "ir/schedule.h"
#include "ir/text.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

enum { BATCH = 4, LENGTH = 5 };
static const struct dim_binding sizes[] = {{{"b", 1}, BATCH}, {{"s", 1}, LENGTH}};

struct scheduled {
    struct arena arena;
    struct graph *original;
    struct binding bindings[256];
    struct program_spec spec;
    struct schedule schedule;
};

static void schedule(struct scheduled *out, struct graph *g, struct schedule_options options)
{
    uint32_t count = 0;
    *out = (struct scheduled){.original = g};
    for (uint32_t v = 0; v < g->values.count; v++)
        if (g->values.items[v].origin != VALUE_NODE)
            out->bindings[count] = (struct binding){v, count}, count++;
    for (uint32_t o = 0; o < g->outputs.count; o++)
        out->bindings[count] = (struct binding){g->outputs.items[o].value, count}, count++;
    out->spec = (struct program_spec){g, sizes, 2, out->bindings, count};
    schedule_make(&out->schedule, &out->arena, &out->spec, options);
}

static void release(struct scheduled *s)
{
    graph_destroy(s->original);
    arena_release(&s->arena);
}

static struct graph *parse(const char *text)
{
    struct graph *g = NULL;
    struct trace trace = {0};
    assert_ok(graph_parse(&g, str_from(text), "t", &trace), &trace);
    return g;
}

/* "[embed silu] matmul_tn": ops in their order, sweeps in brackets. */
static const char *describe(struct scheduled *s)
{
    struct builder text = {0};
    const struct schedule *schedule = &s->schedule;
    for (uint32_t n = 0, sweep = 0; n < schedule->graph.nodes.count; n++) {
        const struct sweep *at = sweep < schedule->sweeps.count ? &schedule->sweeps.items[sweep] : NULL;
        builder_printf(&text, "%s%s%s", n ? " " : "", at && n == at->first ? "[" : "",
                       op_table[schedule->graph.nodes.items[n].op].name);
        if (at && n + 1 == at->end)
            builder_add_text(&text, "]"), sweep++;
        assert_int_equal(schedule->units[n],
                         n == 0 ? 0 : schedule->units[n - 1] + !(at && n > at->first && n < at->end));
    }
    const char *copy = arena_printf(&s->arena, "%s", builder_text(&text));
    builder_release(&text);
    return copy;
}

/* A model, the gradient of a weight in its middle, and a node that needs it. */
static const char model[] = "espalier-ir 1\n"
                            "input %0: i32[b, s] tokens\n"
                            "tensor %1: f32[d0:7, d1:6] xxh3:00000000000000000000000000000001\n"
                            "tensor %2: f32[d2:8, d1] xxh3:00000000000000000000000000000002\n"
                            "tensor %3: f32[d3:3] xxh3:00000000000000000000000000000003\n"
                            "%4: f32[b, s, d1] = embed %1 %0\n"
                            "%5: f32[b, s, d2] = matmul_nt %4 %2\n"
                            "%6: f32[d1, d2] = matmul_tn %4 %5\n"
                            "%7: f32[b, s, d2] = silu %5\n"
                            "%8: f32[d3] = scale %3 scale=2\n"
                            "%9: f32[b, s, d1] = matmul_nn %7 %2\n"
                            "%10: f32[b, s, d2] = matmul_nn %9 %6\n"
                            "%11: f32[b, s, d2] = add %10 %7\n"
                            "output %8 bias\n"
                            "output %11 y\n";

static void sums_over_sequences_are_put_off_and_what_is_free_goes_before(void **state)
{
    (void)state;
    struct scheduled s;
    schedule(&s, parse(model), (struct schedule_options){.workers = 2});
    assert_string_equal(describe(&s), "scale [embed matmul_nt silu matmul_nn] matmul_tn [matmul_nn add]");
    assert_int_equal(s.schedule.sweeps.items[0].count, BATCH);
    for (uint32_t v = 0; v < s.original->values.count; v++)
        if (s.original->values.items[v].origin == VALUE_NODE) {
            const struct value *now = graph_value(&s.schedule.graph, v);
            assert_int_equal(s.schedule.graph.nodes.items[now->source].results[now->slot], v);
        }
    release(&s);
}

static void nothing_is_swept_where_workers_would_wait(void **state)
{
    (void)state;
    static const int64_t workers[] = {0, 3, 8};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        struct scheduled s;
        schedule(&s, parse(model), (struct schedule_options){.workers = workers[i]});
        assert_string_equal(describe(&s), "embed matmul_nt matmul_tn silu scale matmul_nn matmul_nn add");
        release(&s);
    }
}

static void nodes_that_read_what_is_kept_are_not_swept(void **state)
{
    (void)state;
    struct scheduled s;
    bool kept[16] = {[2] = true};
    schedule(&s, parse(model), (struct schedule_options){.workers = 1, .kept = kept});
    assert_string_equal(describe(&s), "embed matmul_nt matmul_tn scale silu matmul_nn [matmul_nn add]");
    release(&s);
}

static void rows_of_other_sequences_are_not_swept(void **state)
{
    (void)state;
    struct scheduled s;
    schedule(&s,
             parse("espalier-ir 1\n"
                   "input %0: i32[b, s] tokens\n"
                   "input %1: f32[d8:2, d1:6] part\n"
                   "tensor %2: f32[d0:7, d1] xxh3:00000000000000000000000000000001\n"
                   "%3: f32[b, s, d1] = embed %2 %0\n"
                   "%4: f32[b, s, d1] = place_rows %3 %1 start=3\n"
                   "%5: f32[d9:2, d1] = rows %4 start=9 rows=2\n"
                   "%6: f32[b, s, d1] = silu %4\n"
                   "output %5 rows\n"
                   "output %6 y\n"),
             (struct schedule_options){.workers = 1});
    assert_int_equal(s.schedule.sweeps.count, 0);
    release(&s);
}

/* ---- places ---- */

/* Who wrote each element of the scratch buffers and of a worker's memory: value + 1. */
struct memory {
    uint32_t **scratch, *local;
};

struct range {
    uint32_t *owner;
    int64_t count;
};

/* What an operand covers: all of it, or the part of one item of a sweep. */
static struct range range_of(const struct scheduled *s, const struct memory_plan *plan,
                             const struct memory *memory, uint32_t value, const struct sweep *sweep,
                             int64_t item)
{
    const struct place *place = &plan->places[value];
    const struct value *v = graph_value(&s->schedule.graph, value);
    uint32_t batch = s->original->values.items[graph_find_input(s->original, "tokens")].axes[0];
    bool along = sweep && v->rank && v->axes[0] == batch;
    int64_t count = along ? place->count / sweep->count : place->count;
    if (place->kind == PLACE_LOCAL) {
        assert_true(along && place->offset + count <= plan->local_size);
        return (struct range){memory->local + place->offset, count};
    }
    if (place->kind != PLACE_SCRATCH)
        return (struct range){NULL, 0};
    assert_true(place->offset + place->count <= plan->scratch_sizes[place->tensor]);
    return (struct range){memory->scratch[place->tensor] + place->offset + (along ? item * count : 0), count};
}

static void simulate_node(const struct scheduled *s, const struct memory_plan *plan,
                          const struct memory *memory, uint32_t n, const struct sweep *sweep, int64_t item)
{
    const struct node *node = &s->schedule.graph.nodes.items[n];
    for (uint32_t i = 0; i < node->input_count; i++) {
        struct range range = range_of(s, plan, memory, node->inputs[i], sweep, item);
        for (int64_t e = 0; e < range.count; e++)
            assert_int_equal(range.owner[e], node->inputs[i] + 1);
    }
    for (uint32_t r = 0; r < node->result_count; r++) {
        struct range range = range_of(s, plan, memory, node->results[r], sweep, item);
        for (int64_t e = 0; e < range.count; e++)
            range.owner[e] = node->results[r] + 1;
    }
}

static void simulate(const struct scheduled *s, const struct memory_plan *plan)
{
    struct memory memory = {calloc(plan->scratch_count + 1, sizeof(uint32_t *)),
                            calloc((size_t)plan->local_size + 1, sizeof(uint32_t))};
    for (uint32_t i = 0; i < plan->scratch_count; i++)
        memory.scratch[i] = calloc((size_t)plan->scratch_sizes[i], sizeof(uint32_t));
    for (uint32_t n = 0, next = 0; n < s->schedule.graph.nodes.count;) {
        const struct sweep *sweep = next < s->schedule.sweeps.count ? &s->schedule.sweeps.items[next] : NULL;
        if (!sweep || n < sweep->first) {
            simulate_node(s, plan, &memory, n++, NULL, 0);
            continue;
        }
        for (int64_t item = 0; item < sweep->count; item++) {
            memset(memory.local, 0, (size_t)plan->local_size * sizeof(uint32_t)); /* another worker's */
            for (n = sweep->first; n < sweep->end; n++)
                simulate_node(s, plan, &memory, n, sweep, item);
        }
        next++;
    }
    for (uint32_t i = 0; i < plan->scratch_count; i++)
        free(memory.scratch[i]);
    free(memory.scratch);
    free(memory.local);
}

static void a_plan_keeps_values_for_sequences_one_by_one(void **state)
{
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct scheduled s;
        struct trace trace = {0};
        struct memory_plan plan, plain;
        struct graph *g = turn ? llama_create(&(struct llama_shape){3, 24, 8, 4, 6, 40, 50}) : parse(model);
        schedule(&s, g, (struct schedule_options){.workers = 2});
        assert_true(s.schedule.sweeps.count > 0);
        struct program_spec spec = s.spec;
        assert_ok(memory_plan_make(&plain, &s.arena, &spec, (struct memory_limits){0}, &trace), &trace);
        spec.graph = &s.schedule.graph;
        struct memory_limits limits = {.schedule = &s.schedule};
        assert_ok(memory_plan_make(&plan, &s.arena, &spec, limits, &trace), &trace);
        assert_true(plan.local_size > 0);
        simulate(&s, &plan);
        if (turn) /* a forward pass keeps next to nothing of all sequences at once */
            assert_true(plan.scratch_sizes == NULL || plan.scratch_sizes[0] < plain.scratch_sizes[0] / 4);
        release(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_sequences_are_put_off_and_what_is_free_goes_before),
        cmocka_unit_test(nothing_is_swept_where_workers_would_wait),
        cmocka_unit_test(nodes_that_read_what_is_kept_are_not_swept),
        cmocka_unit_test(rows_of_other_sequences_are_not_swept),
        cmocka_unit_test(a_plan_keeps_values_for_sequences_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
