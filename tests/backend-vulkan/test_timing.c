/* Time stamps around nodes: what profiles say of a device. */
#include "backend-vulkan/compile.h"
#include "backend-vulkan/engine.h"
#include "base/log.h"
#include "ir/build.h"
#include "shaders/include/push/elements.h"
#include "tests/backend-vulkan/fixture.h"
#include <math.h>

static struct timing timing_of(struct device *device, uint32_t bits)
{
    struct timing timing;
    device->stamp_bits = bits;
    device->stamp_seconds = 1e-9;
    timing_init(&timing, device);
    return timing;
}

static void stamps_that_wrap_give_the_time_between(void **state)
{
    (void)state;
    struct device device = {0};
    struct timing whole = timing_of(&device, 64), some = timing_of(&device, 36), few = timing_of(&device, 8);
    assert_true(fabs(timing_between(&whole, 5, 1000000005) - 1) < 1e-12);
    assert_true(fabs(timing_between(&whole, UINT64_MAX - 99, 900) - 1e-6) < 1e-15);
    assert_true(fabs(timing_between(&some, (UINT64_C(1) << 36) - 100, 900) - 1e-6) < 1e-15);
    /* bits that are not valid may hold anything */
    assert_true(fabs(timing_between(&some, UINT64_C(7) << 40, 250) - 2.5e-7) < 1e-15);
    assert_true(fabs(timing_between(&few, 250, 6) - 1.2e-8) < 1e-15);
}

static void a_clock_that_goes_back_gives_no_time(void **state)
{
    (void)state;
    struct device device = {0};
    struct timing whole = timing_of(&device, 64), some = timing_of(&device, 36);
    assert_true(timing_between(&whole, 1000, 999) == 0);
    assert_true(timing_between(&some, 3, (UINT64_C(1) << 36) - 2) == 0);
    assert_true(timing_between(&whole, 1000, 1000) == 0);
}

/* An engine with a graph on it: y = silu(a b^T), s = sum of squares of y. */
struct bench {
    struct instance instance;
    struct engine engine;
    struct graph *graph;
    struct binding bindings[4];
    struct vulkan_program *program;
};

enum { ROWS = 70, INNER = 50, COLUMNS = 90, UNITS = 2 };

static void open_bench(struct bench *b, enum fixture_driver driver)
{
    struct trace trace = {0};
    struct vulkan_options options = {.validation =
                                         fixture_has_validation() ? VULKAN_VALIDATED : VULKAN_NOT_VALIDATED};
    *b = (struct bench){.graph = graph_create()};
    fixture_choose_driver(driver);
    assert_ok(instance_open(&b->instance, options.validation, &trace), &trace);
    assert_ok(engine_open(&b->engine, &b->instance, 0, &options, &trace), &trace);
    uint32_t rows = dims_leaf(&b->graph->dims, ROWS), inner = dims_leaf(&b->graph->dims, INNER),
             columns = dims_leaf(&b->graph->dims, COLUMNS), left[] = {rows, inner},
             right[] = {columns, inner};
    uint32_t operands[] = {build_input(b->graph, "a", DTYPE_F32, 2, left),
                           build_input(b->graph, "b", DTYPE_F32, 2, right)};
    uint32_t product = build_op(b->graph, OP_matmul_nt, operands, &(struct build_attributes){0});
    uint32_t gate = build_unary(b->graph, OP_silu, product),
             square = build_binary(b->graph, OP_mul, gate, gate);
    uint32_t sum = build_binary(b->graph, OP_add, square, gate);
    build_output(b->graph, "y", gate);
    build_output(b->graph, "s", sum);
    const uint32_t values[] = {operands[0], operands[1], gate, sum};
    const int counts[] = {ROWS * INNER, COLUMNS * INNER, ROWS * COLUMNS, ROWS * COLUMNS};
    float numbers[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        numbers[i] = (float)(i % 23) / 16 - 0.5f;
    for (int i = 0; i < 4; i++) {
        b->bindings[i].value = values[i];
        assert_ok(
            memory_create(&b->engine.memory, DTYPE_F32, (uint64_t)counts[i], &b->bindings[i].tensor, &trace),
            &trace);
        if (i < 2)
            assert_ok(memory_write(&b->engine.memory, b->bindings[i].tensor, 0, (uint64_t)counts[i], numbers,
                                   &trace),
                      &trace);
    }
}

static void compile_bench(struct bench *b, struct profile *profile)
{
    struct trace trace = {0};
    struct program_spec spec = {.graph = b->graph, .bindings = b->bindings, .binding_count = 4};
    vulkan_program_destroy(b->program);
    assert_ok(vulkan_program_create(&b->program, &b->engine, &spec, VULKAN_FINITE_UNCHECKED, profile, &trace),
              &trace);
}

static void run_bench(struct bench *b, float out[ROWS * COLUMNS])
{
    struct trace trace = {0};
    assert_ok(vulkan_program_run(b->program, &trace), &trace);
    assert_ok(memory_read(&b->engine.memory, b->bindings[3].tensor, 0, ROWS * COLUMNS, out, &trace), &trace);
}

static void close_bench(struct bench *b)
{
    struct trace trace = {0};
    vulkan_program_destroy(b->program);
    engine_release(&b->engine);
    assert_ok(instance_check_messages(&b->instance, &trace), &trace);
    instance_release(&b->instance);
    graph_destroy(b->graph);
}

struct spans {
    struct profile base;
    struct profile_span items[64];
    uint32_t count;
};

static void keep_span(struct profile *profile, const struct profile_span *span)
{
    struct spans *spans = (struct spans *)profile;
    assert_true(spans->count < sizeof spans->items / sizeof *spans->items);
    spans->items[spans->count++] = *span;
}

/* A node or a chain has one. What only a chain's nodes read is never stored, and counts no bytes. */
static void every_unit_has_a_span(enum fixture_driver driver)
{
    static const char *const names[UNITS] = {"matmul_nt", "silu mul add"};
    struct bench b;
    struct spans spans = {.base = {.span = keep_span}};
    float plain[ROWS * COLUMNS], timed[ROWS * COLUMNS];
    open_bench(&b, driver);
    compile_bench(&b, NULL);
    run_bench(&b, plain);
    compile_bench(&b, &spans.base);
    for (int run = 0; run < 3; run++) {
        double before = clock_seconds(), last = before;
        spans.count = 0;
        run_bench(&b, timed);
        double after = clock_seconds();
        assert_memory_equal(plain, timed, sizeof plain);
        assert_int_equal(spans.count, UNITS);
        for (int i = 0; i < UNITS; i++) {
            const struct profile_span *s = &spans.items[i];
            assert_int_equal(s->lane, PROFILE_DEVICE);
            assert_string_equal(s->name, names[i]);
            assert_non_null(strstr(s->detail, i == 0 ? "matmul_nt" : "add"));
            assert_true(s->start >= last - 1e-9 && s->end > s->start && s->end <= after);
            last = s->end;
        }
        assert_true(spans.items[0].work.operations == 2.0 * ROWS * INNER * COLUMNS);
        assert_true(spans.items[1].work.operations == 3.0 * ROWS * COLUMNS);
        assert_true(spans.items[1].work.bytes == 4.0 * 3 * ROWS * COLUMNS);
    }
    close_bench(&b);
}

static void every_unit_has_a_span_on_lavapipe(void **state)
{
    (void)state;
    every_unit_has_a_span(FIXTURE_LAVAPIPE);
}

static void every_unit_has_a_span_on_swiftshader(void **state)
{
    (void)state;
    every_unit_has_a_span(FIXTURE_SWIFTSHADER);
}

static void a_device_without_time_stamps_computes_the_same(void **state)
{
    (void)state;
    struct bench b;
    struct spans spans = {.base = {.span = keep_span}};
    float plain[ROWS * COLUMNS], untimed[ROWS * COLUMNS];
    open_bench(&b, FIXTURE_LAVAPIPE);
    compile_bench(&b, NULL);
    run_bench(&b, plain);
    assert_true(b.engine.memory.device->stamp_bits > 0);
    b.engine.memory.device->stamp_bits = 0;
    compile_bench(&b, &spans.base);
    run_bench(&b, untimed);
    assert_memory_equal(plain, untimed, sizeof plain);
    assert_int_equal(spans.count, 0);
    close_bench(&b);
}

/* Launches that cost so much that each has a submission of its own. */
static void stamps_lie_in_several_submissions(void **state)
{
    (void)state;
    enum { COUNT = 70000, TIMES = 12 };
    struct trace trace = {0};
    struct bench b;
    struct spans spans = {.base = {.span = keep_span}};
    struct commands commands;
    uint32_t piece;
    open_bench(&b, FIXTURE_LAVAPIPE);
    assert_ok(memory_create(&b.engine.memory, DTYPE_F32, COUNT, &piece, &trace), &trace);
    commands_init(&commands, &b.engine.memory, &b.engine.pipelines);
    timing_init(&commands.timing, b.engine.memory.device);
    struct span all = {piece, 0, COUNT}, operands[] = {all, all};
    struct push_elements push = {.count = COUNT};
    for (uint32_t i = 0; i < TIMES; i++) {
        commands_add(&commands, KERNEL_copy, operands, &push, (COUNT + 63) / 64, 9e9);
        if (i % 3 == 2) /* nodes of three launches */
            timing_note(&commands.timing,
                        (struct timed_node){.name = "node", .detail = "", .launches = i + 1});
    }
    assert_ok(commands_record(&commands, &trace), &trace);
    assert_int_equal(commands.buffers.count, TIMES);
    assert_ok(commands_run(&commands, &trace), &trace);
    assert_ok(timing_report(&commands.timing, &spans.base, clock_seconds(), &trace), &trace);
    assert_int_equal(spans.count, TIMES / 3);
    for (uint32_t i = 0; i < spans.count; i++)
        assert_true(spans.items[i].end > spans.items[i].start);
    commands_release(&commands);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_that_wrap_give_the_time_between),
        cmocka_unit_test(a_clock_that_goes_back_gives_no_time),
        cmocka_unit_test(every_unit_has_a_span_on_lavapipe),
        cmocka_unit_test(every_unit_has_a_span_on_swiftshader),
        cmocka_unit_test(a_device_without_time_stamps_computes_the_same),
        cmocka_unit_test(stamps_lie_in_several_submissions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
