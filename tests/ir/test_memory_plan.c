/* The memory plan: values that live at the same time never overlap, whatever the graph; in-place bindings are
 * checked. */
#include "ir/memory_plan.h"
#include "ir/text.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

static const struct dim_binding sizes[] = {{{"b", 1}, 3}, {{"s", 1}, 5}};

static struct memory_plan plan_of(struct graph *g, struct arena *arena, int64_t limit)
{
    struct binding bindings[256];
    uint32_t count = 0;
    for (uint32_t v = 0; v < g->values.count; v++)
        if (g->values.items[v].origin != VALUE_NODE)
            bindings[count] = (struct binding){v, count}, count++;
    bindings[count] = (struct binding){g->outputs.items[0].value, count}, count++;
    struct program_spec spec = {g, sizes, 2, bindings, count};
    struct memory_plan plan;
    struct trace trace = {0};
    assert_ok(memory_plan_make(&plan, arena, &spec, (struct memory_limits){.buffer_elements = limit}, &trace),
              &trace);
    return plan;
}

/* The last node that reads a value or a view of it, or makes it; UINT32_MAX for outputs. */
static uint32_t last_reader(const struct graph *g, uint32_t value)
{
    uint32_t last = g->values.items[value].source;
    for (uint32_t o = 0; o < g->outputs.count; o++)
        if (g->outputs.items[o].value == value)
            return UINT32_MAX;
    for (uint32_t n = 0; n < g->nodes.count; n++)
        for (uint32_t i = 0; i < g->nodes.items[n].input_count; i++) {
            const struct node *node = &g->nodes.items[n];
            if (node->inputs[i] != value)
                continue;
            bool is_view = op_table[node->op].flags & OP_VIEW;
            uint32_t through = is_view ? last_reader(g, node->results[0]) : n;
            last = through > last ? through : last;
        }
    return last;
}

/* The most scratch that holds something at one time, counted anew for every node; a result over an operand is
 * there once. */
static int64_t most_live(const struct graph *g, const struct memory_plan *plan)
{
    int64_t most = 0;
    for (uint32_t n = 0; n < g->nodes.count; n++) {
        int64_t live = 0;
        for (uint32_t v = 0; v < g->values.count; v++) {
            const struct place *p = &plan->places[v];
            bool is_made = g->values.items[v].origin == VALUE_NODE && g->values.items[v].source <= n &&
                           !(op_table[g->nodes.items[g->values.items[v].source].op].flags & OP_VIEW);
            if (p->kind != PLACE_SCRATCH || !is_made || last_reader(g, v) < n)
                continue;
            const struct node *node = &g->nodes.items[n];
            const struct place *over = &plan->places[node->results[0]];
            bool is_overwritten = last_reader(g, v) == n && v != node->results[0] &&
                                  over->kind == PLACE_SCRATCH && over->tensor == p->tensor &&
                                  over->offset == p->offset;
            live += is_overwritten ? 0 : (p->count + 63) / 64 * 64;
        }
        most = live > most ? live : most;
    }
    return most;
}

/* Simulates execution: each scratch element remembers which value wrote it last; readers must find their own.
 */
static void simulate(const struct graph *g, const struct memory_plan *plan)
{
    uint32_t **owner = calloc(plan->scratch_count, sizeof *owner);
    for (uint32_t i = 0; i < plan->scratch_count; i++)
        owner[i] = calloc((size_t)plan->scratch_sizes[i], sizeof **owner);
    for (uint32_t n = 0; n < g->nodes.count; n++) {
        const struct node *node = &g->nodes.items[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            const struct place *p = &plan->places[node->inputs[i]];
            for (int64_t e = 0; p->kind == PLACE_SCRATCH && e < p->count; e++)
                assert_int_equal(owner[p->tensor][p->offset + e], node->inputs[i] + 1);
        }
        for (uint32_t r = 0; r < node->result_count; r++) {
            const struct place *p = &plan->places[node->results[r]];
            for (int64_t e = 0; p->kind == PLACE_SCRATCH && e < p->count; e++) {
                assert_true(p->offset + e < plan->scratch_sizes[p->tensor]);
                owner[p->tensor][p->offset + e] = node->results[r] + 1;
            }
        }
    }
    for (uint32_t i = 0; i < plan->scratch_count; i++)
        free(owner[i]);
    free(owner);
}

static void live_values_never_overlap(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct graph *g = llama_create(&(struct llama_shape){3, 24, 8, 4, 6, 40, 50});
    struct memory_plan plan = plan_of(g, &arena, 0);
    simulate(g, &plan);
    assert_int_equal(plan.scratch_count, 1);
    assert_int_equal(plan.scratch_live, most_live(g, &plan));
    assert_true(plan.scratch_sizes[0] >= plan.scratch_live);
    int64_t sum = 0;
    for (uint32_t v = 0; v < g->values.count; v++)
        sum += plan.places[v].kind == PLACE_SCRATCH ? plan.places[v].count : 0;
    assert_true(plan.scratch_sizes[0] < sum / 3); /* memory is reused */
    arena_release(&arena);
    graph_destroy(g);
}

static void respects_the_size_of_a_buffer(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct graph *g = llama_create(&(struct llama_shape){2, 24, 8, 4, 6, 40, 50});
    struct memory_plan plan = plan_of(g, &arena, 16 * 48);
    simulate(g, &plan);
    assert_true(plan.scratch_count > 1);
    for (uint32_t i = 0; i < plan.scratch_count; i++)
        assert_true(plan.scratch_sizes[i] <= 16 * 48);
    arena_release(&arena);
    graph_destroy(g);
}

static void a_value_larger_than_a_buffer_has_one_of_its_own(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct graph *g = llama_create(&(struct llama_shape){2, 24, 8, 4, 6, 40, 50});
    struct memory_plan plan = plan_of(g, &arena, 64);
    simulate(g, &plan);
    int64_t largest_value = 0, largest_buffer = 0;
    for (uint32_t v = 0; v < g->values.count; v++)
        if (plan.places[v].kind == PLACE_SCRATCH && plan.places[v].count > largest_value)
            largest_value = plan.places[v].count;
    for (uint32_t i = 0; i < plan.scratch_count; i++)
        if (plan.scratch_sizes[i] > largest_buffer)
            largest_buffer = plan.scratch_sizes[i];
    assert_true(largest_value > 64);
    assert_int_equal(largest_buffer, (largest_value + 63) / 64 * 64);
    arena_release(&arena);
    graph_destroy(g);
}

static struct graph *two_steps(const char *middle, const char *output)
{
    struct graph *g = NULL;
    struct trace trace = {0};
    char text[512];
    snprintf(text, sizeof text,
             "espalier-ir 1\ninput %%0: f32[d0:9] sum\ninput %%1: f32[d0] part\n%s\noutput %s new\n", middle,
             output);

    assert_ok(graph_parse(&g, str_from(text), "t", &trace), &trace);
    return g;
}

static enum status plan_in_place(struct graph *g, struct trace *trace)
{
    struct arena arena = {0};
    struct binding bindings[] = {{0, 0}, {1, 1}, {g->outputs.items[0].value, 0}};
    struct program_spec spec = {g, NULL, 0, bindings, 3};
    struct memory_plan plan;
    enum status status = memory_plan_make(&plan, &arena, &spec, (struct memory_limits){0}, trace);
    arena_release(&arena);
    return status;
}

static void updates_in_place_unless_the_old_content_is_read_later(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct graph *good = two_steps("%2: f32[d0] = add %0 %1", "%2");
    assert_ok(plan_in_place(good, &trace), &trace);
    struct graph *late = two_steps("%2: f32[d0] = add %0 %1\n%3: f32[d0] = mul %2 %0", "%2");
    assert_fails(plan_in_place(late, &trace), INVALID, &trace, "input \"sum\" is read after %2 = add");
    struct graph *crossed = two_steps("%2: f32[d0] = add %1 %0", "%2");
    assert_fails(plan_in_place(crossed, &trace), INVALID, &trace, "has overwritten it");
    graph_destroy(good), graph_destroy(late), graph_destroy(crossed);
}

static void names_what_has_no_tensor(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct trace trace = {0};
    struct graph *g = two_steps("%2: f32[d0] = add %0 %1", "%2");
    struct binding bindings[] = {{0, 0}};
    struct program_spec spec = {g, NULL, 0, bindings, 1};
    struct memory_plan plan;
    assert_fails(memory_plan_make(&plan, &arena, &spec, (struct memory_limits){0}, &trace), BROKEN, &trace,
                 "input \"part\" has no tensor");
    graph_destroy(g);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_values_never_overlap),
        cmocka_unit_test(respects_the_size_of_a_buffer),
        cmocka_unit_test(a_value_larger_than_a_buffer_has_one_of_its_own),
        cmocka_unit_test(updates_in_place_unless_the_old_content_is_read_later),
        cmocka_unit_test(names_what_has_no_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
