/* Schedules: what is swept, what is put off or brought forward, what is chained, and that a plan made for
 * sweeps and chains keeps every value until it was read when they run sequence by sequence and element by
 * element. */
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

/* "[embed (silu mul)] matmul_tn": ops in their order, sweeps in brackets and chains in parentheses. */
static const char *describe(struct scheduled *s)
{
    struct builder text = {0};
    const struct schedule *schedule = &s->schedule;
    uint32_t units = 0;
    for (uint32_t n = 0, sweep = 0, chain = 0; n < schedule->graph.nodes.count; n++) {
        const struct sweep *at = sweep < schedule->sweeps.count ? &schedule->sweeps.items[sweep] : NULL;
        const struct chain *in = chain < schedule->chains.count ? &schedule->chains.items[chain] : NULL;
        bool is_swept = at && n > at->first, is_chained = in && n > in->first;
        units += n > 0 && !is_swept && !is_chained;
        assert_int_equal(schedule->units[n], units);
        builder_printf(&text, "%s%s%s%s", n ? " " : "", at && n == at->first ? "[" : "",
                       in && n == in->first ? "(" : "", op_table[schedule->graph.nodes.items[n].op].name);
        if (in && n + 1 == in->end)
            builder_add_text(&text, ")"), chain++;
        if (at && n + 1 == at->end)
            builder_add_text(&text, "]"), sweep++;
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

/* ---- chains ---- */

static const struct chain_limits limits = {.nodes = 6, .inputs = 4, .results = 3, .repeated = 16};

/* A gated MLP with a bias and its way back. */
static const char gated[] = "espalier-ir 1\n"
                            "input %0: i32[b, s] tokens\n"
                            "tensor %1: f32[d0:7, d1:6] xxh3:00000000000000000000000000000001\n"
                            "tensor %2: f32[d2:8, d1] xxh3:00000000000000000000000000000002\n"
                            "tensor %3: f32[d2] xxh3:00000000000000000000000000000003\n"
                            "%4: f32[b, s, d1] = embed %1 %0\n"
                            "%5: f32[b, s, d2] = matmul_nt %4 %2\n"
                            "%6: f32[b, s, d2] = add %5 %3\n"
                            "%7: f32[b, s, d2] = silu %6\n"
                            "%8: f32[b, s, d2] = matmul_nt %4 %2\n"
                            "%9: f32[b, s, d2] = mul %7 %8\n"
                            "%10: f32[b, s, d1] = matmul_nn %9 %2\n"
                            "%11: f32[b, s, d1] = add %4 %10\n"
                            "%12: f32[b, s, d2] = matmul_nt %11 %2\n"
                            "%13: f32[b, s, d2] = mul %12 %8\n"
                            "%14: f32[b, s, d2] = silu_grad %6 %13\n"
                            "%15: f32[b, s, d1] = matmul_nn %14 %2\n"
                            "%16: f32[b, s, d2] = mul %12 %7\n"
                            "%17: f32[b, s, d1] = matmul_nn %16 %2\n"
                            "%18: f32[b, s, d1] = add %15 %17\n"
                            "output %18 y\n";

/* silu waits for the other half of the gate; the second factor's gradient reads what the first's does, and
 * goes along with it. */
static void element_wise_nodes_are_chained(void **state)
{
    (void)state;
    struct scheduled s;
    schedule(&s, parse(gated), (struct schedule_options){.chains = limits});
    assert_string_equal(describe(&s), "embed matmul_nt matmul_nt (add silu mul) matmul_nn add matmul_nt "
                                      "(mul silu_grad mul) matmul_nn matmul_nn add");
    release(&s);
}

static void chains_keep_to_their_limits(void **state)
{
    (void)state;
    struct scheduled s;
    struct chain_limits few = limits, narrow = limits, short_rows = limits, single = limits;
    few.nodes = 2;
    schedule(&s, parse(gated), (struct schedule_options){.chains = few});
    assert_non_null(strstr(describe(&s), "matmul_nt matmul_nt (add silu) mul matmul_nn"));
    release(&s);
    narrow.inputs = 2; /* the gate reads three values, so its last factor stays alone */
    schedule(&s, parse(gated), (struct schedule_options){.chains = narrow});
    assert_non_null(strstr(describe(&s), "(add silu) mul"));
    release(&s);
    short_rows.repeated = 4;
    schedule(&s, parse(gated), (struct schedule_options){.chains = short_rows});
    assert_non_null(strstr(describe(&s), "embed matmul_nt add matmul_nt (silu mul)"));
    release(&s);
    single.results = 1; /* silu and the sum before it are read later */
    schedule(&s, parse(gated), (struct schedule_options){.chains = single});
    assert_null(strstr(describe(&s), "(add silu"));
    release(&s);
}

/* %5 is stored over the tensor of %1: whoever reads the old content goes before. */
static void what_is_overwritten_is_read_before(void **state)
{
    (void)state;
    static const char text[] = "espalier-ir 1\n"
                               "input %0: f32[d0:7, d1:6] x\n"
                               "input %1: f32[d0, d1] sum\n"
                               "%2: f32[d0, d1] = silu %1\n"
                               "%3: f32[d0, d1] = tanh %0\n"
                               "%4: f32[d0, d1] = mul %2 %3\n"
                               "%5: f32[d0, d1] = add %1 %4\n"
                               "output %4 y\n"
                               "output %5 sum\n";
    struct scheduled s = {.original = parse(text)};
    struct binding bindings[] = {{0, 0}, {1, 1}, {4, 2}, {5, 1}};
    struct program_spec spec = {s.original, sizes, 2, bindings, 4};
    struct memory_plan plan;
    struct trace trace = {0};
    schedule_make(&s.schedule, &s.arena, &spec, (struct schedule_options){.chains = limits});
    assert_string_equal(describe(&s), "(tanh silu mul) add");
    spec.graph = &s.schedule.graph;
    assert_ok(
        memory_plan_make(&plan, &s.arena, &spec, (struct memory_limits){.schedule = &s.schedule}, &trace),
        &trace);
    assert_int_equal(plan.places[3].kind, PLACE_PASSED);
    release(&s);
}

/* %6 is stored over the tensor of %1, of which the chain reads a part. */
static void what_is_overwritten_is_read_before_by_its_views_too(void **state)
{
    (void)state;
    static const char text[] = "espalier-ir 1\n"
                               "input %0: f32[d0:7, d1:6] x\n"
                               "input %1: f32[d0, d1] sum\n"
                               "input %2: f32[d1, d2:6] w\n"
                               "%3: f32[d3:2, d1] = rows %1 start=1 rows=2\n"
                               "%4: f32[d3, d1] = silu %3\n"
                               "%5: f32[d3, d1] = mul %4 %3\n"
                               "%6: f32[d0, d2] = matmul_nn %0 %2\n"
                               "%7: f32[d3, d1] = tanh %5\n"
                               "output %7 y\n"
                               "output %6 sum\n";
    struct scheduled s = {.original = parse(text)};
    struct binding bindings[] = {{0, 0}, {1, 1}, {2, 2}, {6, 1}, {7, 3}};
    struct program_spec spec = {s.original, sizes, 2, bindings, 5};
    struct memory_plan plan;
    struct trace trace = {0};
    schedule_make(&s.schedule, &s.arena, &spec, (struct schedule_options){.chains = limits});
    assert_string_equal(describe(&s), "rows (silu mul) matmul_nn tanh");
    spec.graph = &s.schedule.graph;
    assert_ok(
        memory_plan_make(&plan, &s.arena, &spec, (struct memory_limits){.schedule = &s.schedule}, &trace),
        &trace);
    release(&s);
}

/* ---- tails ---- */

static enum tail tail_of(enum op op)
{
    if (op == OP_rmsnorm)
        return TAIL_ADDEND;
    return op == OP_matmul_nt || op == OP_matmul_nn ? TAIL_BIAS | TAIL_ADDEND : TAIL_NONE;
}

static const struct chain_limits with_tails = {
    .nodes = 6, .inputs = 4, .results = 3, .repeated = 16, .tail = tail_of};

/* A bias, a residual, and the sum of two gradients, of which the later product adds the earlier. */
static void additions_go_to_the_node_before_them(void **state)
{
    (void)state;
    struct scheduled s;
    schedule(&s, parse(gated), (struct schedule_options){.chains = with_tails});
    assert_string_equal(describe(&s), "embed (matmul_nt add) matmul_nt (silu mul) (matmul_nn add) matmul_nt "
                                      "(mul silu_grad mul) matmul_nn (matmul_nn add)");
    release(&s);
}

/* A graph of these nodes; inputs are x and z [4, 4], w [4, 4] and b [4]. */
static const char *tail_text(struct arena *arena, const char *nodes)
{
    return arena_printf(arena,
                        "espalier-ir 1\n"
                        "input %%0: f32[d0:4, d1:4] x\n"
                        "input %%1: f32[d0, d1] z\n"
                        "input %%2: f32[d1, d1] w\n"
                        "input %%3: f32[d1] b\n"
                        "%s",
                        nodes);
}

static void tails_are_found_wherever_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *nodes, *expected;
    } cases[] = {
        /* A bias comes first, and once. */
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1] = add %4 %3\n"
         "%6: f32[d0, d1] = add %1 %5\n"
         "output %6 y\n",
         "(matmul_nt add add)"},
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1] = add %4 %1\n"
         "%6: f32[d0, d1] = add %5 %3\n"
         "output %6 y\n",
         "(matmul_nt add) add"},
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1] = add %4 %1\n"
         "%6: f32[d0, d1] = add %5 %0\n"
         "output %6 y\n",
         "(matmul_nt add) add"},
        /* What others read, or want, is stored. */
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1] = add %4 %1\n"
         "%6: f32[d0, d1] = mul %5 %4\n"
         "output %6 y\n",
         "matmul_nt (add mul)"},
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1] = add %4 %1\n"
         "output %4 p\n"
         "output %5 y\n",
         "matmul_nt add"},
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1] = add %4 %4\n"
         "output %5 y\n",
         "matmul_nt add"},
        /* The addition moves up; the node moves down where the other operand comes later. */
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d1, d1] = matmul_tn %1 %1\n"
         "%6: f32[d0, d1] = add %4 %0\n"
         "output %6 y\n"
         "output %5 z\n",
         "(matmul_nt add) matmul_tn"},
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d0, d1], %6: f32[d0] = rmsnorm %1 %3 epsilon=1\n"
         "%7: f32[d0, d1] = mul %5 %5\n"
         "%8: f32[d0, d1] = add %4 %7\n"
         "output %8 y\n",
         "rmsnorm mul (matmul_nt add)"},
        /* A norm adds no bias; what it tells others stays where it is. */
        {"%4: f32[d0, d1], %5: f32[d0] = rmsnorm %0 %3 epsilon=1\n"
         "%6: f32[d0, d1] = add %4 %3\n"
         "output %6 y\n",
         "rmsnorm add"},
        {"%4: f32[d0, d1], %5: f32[d0] = rmsnorm %0 %3 epsilon=1\n"
         "%6: f32[d0, d1] = rmsnorm_grad %0 %3 %5 %1\n"
         "%7: f32[d0, d1] = mul %6 %6\n"
         "%8: f32[d0, d1] = add %4 %7\n"
         "output %8 y\n",
         "rmsnorm rmsnorm_grad (mul add)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scheduled s;
        struct arena arena = {0};
        schedule(&s, parse(tail_text(&arena, cases[i].nodes)),
                 (struct schedule_options){.chains = with_tails});
        assert_string_equal(describe(&s), cases[i].expected);
        release(&s);
        arena_release(&arena);
    }
}

/* A sum that is stored over its old content: not while that is still read, and not over what the product
 * itself reads. */
static void what_a_tail_overwrites_is_read_before(void **state)
{
    (void)state;
    static const struct {
        const char *nodes, *expected;
        uint32_t sum, tensor; /* the value stored over the tensor */
    } cases[] = {
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d1, d1] = matmul_tn %0 %0\n"
         "%6: f32[d0, d1] = add %1 %4\n"
         "output %5 q\n"
         "output %6 z\n",
         "(matmul_nt add) matmul_tn", 6, 1},
        {"%4: f32[d0, d1] = matmul_nt %0 %2\n"
         "%5: f32[d1, d1] = matmul_tn %1 %0\n"
         "%6: f32[d0, d1] = add %1 %4\n"
         "output %5 q\n"
         "output %6 z\n",
         "matmul_tn (matmul_nt add)", 6, 1},
        {"%4: f32[d0, d1] = matmul_nt %1 %2\n"
         "%5: f32[d0, d1] = add %1 %4\n"
         "output %5 z\n",
         "matmul_nt add", 5, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct trace trace = {0};
        struct memory_plan plan;
        struct scheduled s = {.original = parse(tail_text(&arena, cases[i].nodes))};
        struct binding bindings[8] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}};
        uint32_t count = 4;
        for (uint32_t o = 0; o < s.original->outputs.count; o++) {
            uint32_t value = s.original->outputs.items[o].value;
            bindings[count] = (struct binding){value, value == cases[i].sum ? cases[i].tensor : count};
            count++;
        }
        struct program_spec spec = {s.original, sizes, 2, bindings, count};
        schedule_make(&s.schedule, &s.arena, &spec, (struct schedule_options){.chains = with_tails});
        assert_string_equal(describe(&s), cases[i].expected);
        spec.graph = &s.schedule.graph;
        struct memory_limits limits_of = {.schedule = &s.schedule};
        assert_ok(memory_plan_make(&plan, &s.arena, &spec, limits_of, &trace), &trace);
        release(&s);
        arena_release(&arena);
    }
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

/* One of `parts` equal parts of a range: an element of a chain; what is repeated has fewer, and is whole. */
static struct range part_of(struct range range, int64_t part, int64_t parts)
{
    if (parts == 1 || range.count != parts)
        return range;
    return (struct range){range.owner + part, 1};
}

/* A node for an item of a sweep, and that for one element where it is in a chain. A node with a tail reads
 * all of its operands for each element. */
struct turn {
    const struct sweep *sweep;
    int64_t item, element, elements;
};

static void simulate_node(const struct scheduled *s, const struct memory_plan *plan,
                          const struct memory *memory, uint32_t n, struct turn t)
{
    const struct node *node = &s->schedule.graph.nodes.items[n];
    bool is_pointwise = op_table[node->op].flags & OP_POINTWISE;
    for (uint32_t i = 0; i < node->input_count; i++) {
        struct range range = range_of(s, plan, memory, node->inputs[i], t.sweep, t.item);
        if (is_pointwise)
            range = part_of(range, t.element, t.elements);
        for (int64_t e = 0; e < range.count; e++)
            assert_int_equal(range.owner[e], node->inputs[i] + 1);
        assert_true(t.elements > 1 || plan->places[node->inputs[i]].kind != PLACE_PASSED);
    }
    for (uint32_t r = 0; r < node->result_count; r++) {
        struct range range =
            part_of(range_of(s, plan, memory, node->results[r], t.sweep, t.item), t.element, t.elements);
        for (int64_t e = 0; e < range.count; e++)
            range.owner[e] = node->results[r] + 1;
    }
}

/* The node or chain at `n`; returns the next. */
static uint32_t simulate_unit(const struct scheduled *s, const struct memory_plan *plan,
                              const struct memory *memory, uint32_t n, struct turn t)
{
    for (uint32_t i = 0; i < s->schedule.chains.count; i++) {
        const struct chain *chain = &s->schedule.chains.items[i];
        if (chain->first != n)
            continue;
        int64_t count = plan->places[s->schedule.graph.nodes.items[n].results[0]].count;
        t.elements = t.sweep ? count / t.sweep->count : count;
        for (t.element = 0; t.element < t.elements; t.element++)
            for (n = chain->first; n < chain->end; n++)
                simulate_node(s, plan, memory, n, t);
        return n;
    }
    t.elements = 1;
    simulate_node(s, plan, memory, n, t);
    return n + 1;
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
            n = simulate_unit(s, plan, &memory, n, (struct turn){0});
            continue;
        }
        for (int64_t item = 0; item < sweep->count; item++) {
            memset(memory.local, 0, (size_t)plan->local_size * sizeof(uint32_t)); /* another worker's */
            for (n = sweep->first; n < sweep->end;)
                n = simulate_unit(s, plan, &memory, n, (struct turn){.sweep = sweep, .item = item});
        }
        next++;
    }
    for (uint32_t i = 0; i < plan->scratch_count; i++)
        free(memory.scratch[i]);
    free(memory.scratch);
    free(memory.local);
}

static struct graph *make_graph(int which)
{
    return which == 0   ? parse(model)
           : which == 1 ? parse(gated)
                        : llama_create(&(struct llama_shape){3, 24, 8, 4, 6, 40, 50});
}

static void a_plan_keeps_values_until_they_are_read(void **state)
{
    (void)state;
    for (int turn = 0; turn < 12; turn++) { /* neither, swept, chained, with tails */
        struct scheduled s;
        struct trace trace = {0};
        struct memory_plan plan, plain;
        bool is_swept = turn / 3 == 1, is_chained = turn / 3 >= 2;
        struct schedule_options options = {.workers = is_swept ? 2 : 0};
        if (is_chained)
            options.chains = turn / 3 == 2 ? limits : with_tails;
        schedule(&s, make_graph(turn % 3), options);
        assert_true((s.schedule.sweeps.count > 0) == is_swept);
        assert_true((s.schedule.chains.count > 0) == (is_chained && (turn % 3 > 0 || turn / 3 == 3)));
        struct program_spec spec = s.spec;
        assert_ok(memory_plan_make(&plain, &s.arena, &spec, (struct memory_limits){0}, &trace), &trace);
        spec.graph = &s.schedule.graph;
        struct memory_limits with = {.schedule = &s.schedule};
        assert_ok(memory_plan_make(&plan, &s.arena, &spec, with, &trace), &trace);
        assert_true((plan.local_size > 0) == is_swept);
        simulate(&s, &plan);
        if (turn % 3 == 2 && is_swept) /* a forward pass keeps next to nothing of all sequences at once */
            assert_true(plan.scratch_sizes == NULL || plan.scratch_sizes[0] < plain.scratch_sizes[0] / 4);
        if (!is_swept)
            assert_true(plan.scratch_sizes[0] <= plain.scratch_sizes[0]);
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
        cmocka_unit_test(element_wise_nodes_are_chained),
        cmocka_unit_test(chains_keep_to_their_limits),
        cmocka_unit_test(what_is_overwritten_is_read_before),
        cmocka_unit_test(what_is_overwritten_is_read_before_by_its_views_too),
        cmocka_unit_test(additions_go_to_the_node_before_them),
        cmocka_unit_test(tails_are_found_wherever_they_are),
        cmocka_unit_test(what_a_tail_overwrites_is_read_before),
        cmocka_unit_test(a_plan_keeps_values_until_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
