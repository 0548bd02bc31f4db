/* Graphs through the executor interface: a whole model, updates in place, views, and everything that is
 * refused. */
#include "backend-cpu/cpu.h"
#include "base/log.h"
#include "ir/build.h"
#include "ir/profile.h"
#include "shaders/scalar/scalar.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"
#include <math.h>

static const struct cpu_options plain = {
    .threads = 1, .isa = CPU_ISA_default, .check_finite = CPU_CHECK_FINITE};

static struct executor *make_executor(struct cpu_options options)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    assert_ok(cpu_executor_create(&executor, options, &trace), &trace);
    return executor;
}

static struct executor *make_double_executor(void)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    assert_ok(cpu_double_executor_create(&executor, plain, &trace), &trace);
    return executor;
}

static uint32_t make_tensor(struct executor *executor, enum dtype dtype, int64_t count, const void *data)
{
    struct trace trace = {0};
    uint32_t tensor = 0;
    assert_ok(executor_tensor_create(executor, dtype, count, &tensor, &trace), &trace);
    if (data)
        assert_ok(executor_tensor_write(executor, tensor, 0, count, data, &trace), &trace);
    return tensor;
}

static uint32_t make_random_tensor(struct executor *executor, int64_t count, float scale, uint32_t *seed)
{
    float *data = malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        data[i] = ((float)(*seed >> 8) * 0x1p-23f - 1) * scale;
    }
    uint32_t tensor = make_tensor(executor, DTYPE_F32, count, data);
    free(data);
    return tensor;
}

enum { BATCH = 3, LENGTH = 21, VOCABULARY = 50 };
static const struct dim_binding sizes[] = {{{"b", 1}, BATCH}, {{"s", 1}, LENGTH}};

/* A token, and a weight, of a model that is otherwise sound. */
struct flaw {
    int token_at; /* from 1 on; 0: none */
    bool weight;
};

/* Runs a two-layer model twice; logits [BATCH * LENGTH * VOCABULARY]. */
static enum status try_llama(struct executor *executor, struct flaw flaw, float *logits, struct trace *trace)
{
    struct graph *g = llama_create(&(struct llama_shape){2, 24, 4, 2, 6, 40, VOCABULARY});
    struct binding bindings[64];
    uint32_t count = 0, seed = 1, out = make_tensor(executor, DTYPE_F32, BATCH * LENGTH * VOCABULARY, NULL);
    static const float infinite = INFINITY;
    int32_t tokens[BATCH * LENGTH];
    for (int i = 0; i < BATCH * LENGTH; i++)
        tokens[i] = flaw.token_at == i + 1 ? VOCABULARY : i * i % VOCABULARY;
    bindings[count++] = (struct binding){graph_find_input(g, "tokens"),
                                         make_tensor(executor, DTYPE_I32, BATCH * LENGTH, tokens)};
    for (uint32_t t = 0; t < g->tensors.count; t++)
        bindings[count++] = (struct binding){
            g->tensors.items[t].value,
            make_random_tensor(executor, tensor_view_count(&g->tensors.items[t].view), 0.4f, &seed)};
    if (flaw.weight) /* of the embedding of token 1 */
        assert_ok(executor_tensor_write(executor, bindings[1].tensor, 24 + 3, 1, &infinite, trace), trace);
    bindings[count++] = (struct binding){graph_find_output(g, "logits"), out};
    struct program *program = NULL;
    struct program_spec spec = {g, sizes, 2, bindings, count};
    assert_ok(executor_compile(&program, executor, &spec, trace), trace);
    enum status status = executor_run(executor, program, trace);
    if (status == OK) {
        assert_ok(executor_run(executor, program, trace), trace);
        assert_ok(executor_tensor_read(executor, out, 0, BATCH * LENGTH * VOCABULARY, logits, trace), trace);
        struct executor_counters counters = executor_counters(executor);
        assert_int_equal(counters.device_nodes, 2 * g->nodes.count);
        assert_int_equal(counters.host_nodes, 0);
    }
    executor_program_destroy(executor, program);
    graph_destroy(g);
    return status;
}

static void run_llama(struct executor *executor, float *logits)
{
    struct trace trace = {0};
    assert_ok(try_llama(executor, (struct flaw){0}, logits, &trace), &trace);
}

static void a_model_gives_the_same_bytes_on_every_executor(void **state)
{
    (void)state;
    static float expected[BATCH * LENGTH * VOCABULARY], logits[BATCH * LENGTH * VOCABULARY];
    struct executor *executor = make_executor(plain);
    run_llama(executor, expected);
    executor_destroy(executor);
    for (enum cpu_isa isa = CPU_ISA_BEST; isa < CPU_ISA_COUNT; isa++)
        for (uint32_t threads = 0; threads <= 3 && cpu_isa_is_available(isa, NUMERICS_GOLDEN); threads++) {
            executor = make_executor((struct cpu_options){.threads = threads, .isa = isa});
            run_llama(executor, logits);
            assert_memory_equal(logits, expected, sizeof logits);
            executor_destroy(executor);
        }
}

/* One and three threads divide the batch of three evenly and sweep over its sequences, two run node by node.
 */
static void faults_are_told_alike_with_and_without_sweeps(void **state)
{
    (void)state;
    static const struct flaw flaws[] = {{.token_at = 2 * LENGTH + 3},
                                        {.token_at = 1},
                                        {.weight = true},
                                        {.token_at = 2 * LENGTH + 3, .weight = true}};
    static const char *const found[] = {"element 44 is 50", "element 0 is 50",
                                        "non-finite value in result of %", "element 44 is 50"};
    static float logits[BATCH * LENGTH * VOCABULARY];
    for (size_t f = 0; f < sizeof flaws / sizeof *flaws; f++) {
        struct trace expected = {0};
        for (uint32_t threads = 1; threads <= 3; threads++) {
            struct trace trace = {0};
            struct executor *executor =
                make_executor((struct cpu_options){.threads = threads, .check_finite = CPU_CHECK_FINITE});
            enum status status = try_llama(executor, flaws[f], logits, &trace);
            assert_int_equal(status, f == 2 ? NOT_FINITE : INVALID);
            assert_non_null(strstr(trace.text, found[f]));
            if (threads == 1)
                expected = trace;
            assert_string_equal(trace.text, expected.text);
            executor_destroy(executor);
        }
    }
}

static void fast_numerics_are_close(void **state)
{
    (void)state;
    static float golden[BATCH * LENGTH * VOCABULARY], fast[BATCH * LENGTH * VOCABULARY];
    struct executor *executor = make_executor(plain);
    run_llama(executor, golden);
    executor_destroy(executor);
    bool differs = false;
    for (enum cpu_isa isa = CPU_ISA_BEST; isa < CPU_ISA_COUNT; isa++) {
        if (!cpu_isa_is_available(isa, NUMERICS_FAST))
            continue;
        executor = make_executor((struct cpu_options){.threads = 1, .isa = isa, .numerics = NUMERICS_FAST});
        run_llama(executor, fast);
        executor_destroy(executor);
        for (int i = 0; i < BATCH * LENGTH * VOCABULARY; i++)
            assert_true(fabsf(fast[i] - golden[i]) <= 1e-5f * (1 + fabsf(golden[i])));
        differs = differs || memcmp(fast, golden, sizeof fast) != 0;
    }
    bool fuses = cpu_isa_is_available(CPU_ISA_avx2_fused, NUMERICS_FAST);
    assert_int_equal(differs, fuses);
}

/* ---- profiles ---- */

struct spans {
    struct profile base;
    uint32_t count;
    double operations, seconds;
};

static void count_span(struct profile *profile, const struct profile_span *span)
{
    struct spans *spans = (struct spans *)profile;
    assert_int_equal(span->lane, PROFILE_DEVICE);
    assert_non_null(strstr(span->detail, span->name));
    assert_true(span->end >= span->start && span->work.bytes > 0);
    spans->count++;
    spans->operations += span->work.operations * (strncmp(span->name, "matmul", 6) == 0);
    spans->seconds += span->end - span->start;
}

static void a_profile_is_told_of_every_node(void **state)
{
    (void)state;
    static float logits[BATCH * LENGTH * VOCABULARY];
    for (uint32_t threads = 1; threads <= 2; threads++) { /* swept, and not */
        struct spans spans = {.base = {count_span}};
        struct executor *executor = make_executor((struct cpu_options){.threads = threads});
        executor->profile = &spans.base;
        double start = clock_seconds();
        run_llama(executor, logits);
        double elapsed = clock_seconds() - start;
        assert_int_equal(spans.count, executor_counters(executor).device_nodes);
        assert_true(spans.seconds > 0 && spans.seconds <= elapsed);
        /* q, o [24, 24], k, v [12, 24], gate, up, down [40, 24] of two layers, the head [50, 24]; two runs */
        double weights = 2 * (2 * 24 * 24 + 2 * 12 * 24 + 3 * 40 * 24) + VOCABULARY * 24;
        assert_true(spans.operations == 2 * 2.0 * BATCH * LENGTH * weights);
        executor_destroy(executor);
    }
}

static void a_model_in_double_is_close(void **state)
{
    (void)state;
    static float golden[BATCH * LENGTH * VOCABULARY], exact[BATCH * LENGTH * VOCABULARY];
    struct executor *executor = make_executor(plain);
    run_llama(executor, golden);
    executor_destroy(executor);
    executor = make_double_executor();
    run_llama(executor, exact);
    executor_destroy(executor);
    float largest = 0;
    for (int i = 0; i < BATCH * LENGTH * VOCABULARY; i++) {
        assert_true(fabsf(golden[i] - exact[i]) < 2e-5f);
        largest = fmaxf(largest, fabsf(exact[i]));
    }
    assert_true(largest > 0.1f);
}

/* An executor with a graph over x [4, 3] and what is bound to it. */
struct small {
    struct executor *executor;
    struct graph *graph;
    uint32_t x; /* value */
    struct binding bindings[8];
    uint32_t count;
    struct program *program;
};

static struct small small_create(void)
{
    struct small s = {.executor = make_executor(plain), .graph = graph_create()};
    uint32_t axes[2] = {dims_leaf(&s.graph->dims, 4), dims_leaf(&s.graph->dims, 3)};
    static const float data[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    s.x = build_input(s.graph, "x", DTYPE_F32, 2, axes);
    s.bindings[s.count++] = (struct binding){s.x, make_tensor(s.executor, DTYPE_F32, 12, data)};
    return s;
}

static void small_bind(struct small *s, uint32_t value, uint32_t tensor)
{
    s->bindings[s->count++] = (struct binding){value, tensor};
}

static enum status small_run(struct small *s, struct trace *trace)
{
    struct program_spec spec = {s->graph, NULL, 0, s->bindings, s->count};
    TRY(executor_compile(&s->program, s->executor, &spec, trace));
    return executor_run(s->executor, s->program, trace);
}

static void small_release(struct small *s)
{
    executor_program_destroy(s->executor, s->program);
    executor_destroy(s->executor);
    graph_destroy(s->graph);
}

static void updates_a_bound_tensor_in_place(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct small s = small_create();
    uint32_t twice = build_op(s.graph, OP_scale, &s.x, &(struct build_attributes){.scale = 2});
    uint32_t sum = build_binary(s.graph, OP_add, s.x, twice);
    build_output(s.graph, "x", sum);
    small_bind(&s, sum, s.bindings[0].tensor);
    assert_ok(small_run(&s, &trace), &trace);
    assert_ok(executor_run(s.executor, s.program, &trace), &trace);
    float x[12];
    assert_ok(executor_tensor_read(s.executor, s.bindings[0].tensor, 0, 12, x, &trace), &trace);
    for (int i = 0; i < 12; i++)
        assert_true(x[i] == (float)(9 * (i + 1)));
    small_release(&s);
}

static void views_and_placed_rows_share_memory(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct small s = small_create();
    uint32_t part = build_op(s.graph, OP_rows, &s.x, &(struct build_attributes){.start = 2, .rows = 2});
    uint32_t ten = build_op(s.graph, OP_scale, &part, &(struct build_attributes){.scale = 10});
    uint32_t base = build_op(s.graph, OP_scale, &s.x, &(struct build_attributes){.scale = 1});
    uint32_t inputs[2] = {base, ten};
    uint32_t placed = build_op(s.graph, OP_place_rows, inputs, &(struct build_attributes){.start = 1});
    uint32_t y = build_op(s.graph, OP_scale, &placed, &(struct build_attributes){.scale = 1});
    build_output(s.graph, "y", y);
    small_bind(&s, y, make_tensor(s.executor, DTYPE_F32, 12, NULL));
    assert_ok(small_run(&s, &trace), &trace);
    static const float expected[12] = {1, 2, 3, 70, 80, 90, 100, 110, 120, 10, 11, 12};
    float out[12];
    assert_ok(executor_tensor_read(s.executor, s.bindings[1].tensor, 0, 12, out, &trace), &trace);
    assert_memory_equal(out, expected, sizeof out);
    small_release(&s);
}

static void names_the_op_of_a_non_finite_value(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct small s = small_create();
    uint32_t large = build_op(s.graph, OP_scale, &s.x, &(struct build_attributes){.scale = 1e38f});
    VEC_LAST(&s.graph->nodes).origin = STR("layers.3.up");
    build_output(s.graph, "y", large);
    small_bind(&s, large, make_tensor(s.executor, DTYPE_F32, 12, NULL));
    assert_fails(small_run(&s, &trace), NOT_FINITE, &trace, "= scale (layers.3.up)");
    assert_non_null(strstr(trace.text, "non-finite value in result of %"));
    assert_non_null(strstr(trace.text, "9 of 12"));
    small_release(&s);
}

static void names_the_op_of_an_id_out_of_range(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct small s = small_create();
    uint32_t axis = dims_leaf(&s.graph->dims, 5), ids = build_input(s.graph, "ids", DTYPE_I32, 1, &axis);
    static const int32_t data[5] = {0, 3, 4, 1, 1};
    uint32_t y = build_binary(s.graph, OP_embed, s.x, ids);
    build_output(s.graph, "y", y);
    small_bind(&s, ids, make_tensor(s.executor, DTYPE_I32, 5, data));
    small_bind(&s, y, make_tensor(s.executor, DTYPE_F32, 15, NULL));
    assert_fails(small_run(&s, &trace), INVALID, &trace, "= embed: element 2 is 4, expected one of 0 .. 3");
    small_release(&s);
}

static void refuses_bindings_that_do_not_fit(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct small s = small_create();
    uint32_t y = build_unary(s.graph, OP_silu, s.x);
    build_output(s.graph, "y", y);
    small_bind(&s, y, make_tensor(s.executor, DTYPE_F32, 11, NULL));
    assert_fails(small_run(&s, &trace), BROKEN, &trace, "expected a tensor of 12 f32 elements, found 11 f32");
    s.bindings[1].tensor = make_tensor(s.executor, DTYPE_I32, 12, NULL);
    assert_fails(small_run(&s, &trace), BROKEN, &trace, "found 12 i32");
    s.bindings[1].tensor = 99;
    assert_fails(small_run(&s, &trace), BROKEN, &trace, "does not exist");
    s.count = 1;
    s.bindings[0].tensor = 99;
    assert_fails(small_run(&s, &trace), BROKEN, &trace, "does not exist");
    small_release(&s);
}

static void refuses_a_tensor_destroyed_under_a_program(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct small s = small_create();
    uint32_t y = build_unary(s.graph, OP_silu, s.x);
    build_output(s.graph, "y", y);
    small_bind(&s, y, make_tensor(s.executor, DTYPE_F32, 12, NULL));
    assert_ok(small_run(&s, &trace), &trace);
    executor_tensor_destroy(s.executor, s.bindings[1].tensor);
    assert_fails(executor_run(s.executor, s.program, &trace), BROKEN, &trace, "was destroyed");
    small_release(&s);
}

static void tensors_are_zeroed_flushed_and_bounded(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = make_executor(plain);
    static const float data[4] = {0x1p-121f, -0.0f, -0x1p-120f, 1e-40f};
    static const uint32_t expected[5] = {0, 0, 0x83800000u, 0, 0};
    uint32_t tensor = make_tensor(executor, DTYPE_F32, 5, NULL), back[5];
    assert_ok(executor_tensor_write(executor, tensor, 0, 4, data, &trace), &trace);
    assert_ok(executor_tensor_read(executor, tensor, 0, 5, back, &trace), &trace);
    assert_memory_equal(back, expected, sizeof back);
    assert_fails(executor_tensor_write(executor, tensor, 2, 4, data, &trace), BROKEN, &trace,
                 "outside of tensor");
    assert_fails(executor_tensor_read(executor, tensor, -1, 2, back, &trace), BROKEN, &trace,
                 "outside of tensor");
    assert_fails(executor_tensor_read(executor, tensor + 1, 0, 1, back, &trace), BROKEN, &trace, "no tensor");
    uint32_t none;
    assert_fails(executor_tensor_create(executor, DTYPE_F16, 4, &none, &trace), INVALID, &trace, "f16");
    assert_fails(executor_tensor_create(executor, DTYPE_F32, 0, &none, &trace), INVALID, &trace,
                 "0 elements");
    executor_destroy(executor);
}

static void uploaded_weights_are_canonical(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = make_executor(plain);
    static const float data[3] = {0x1p-52f, -0x1p-51f, -0.0f};
    static const uint32_t expected[3] = {0, 0xa6000000u, 0};
    static const int64_t dims[1] = {3};
    struct tensor_view view;
    uint32_t tensor = 0, back[3];
    assert_ok(tensor_view_dense(&view, NULL, (const uint8_t *)data, sizeof data, DTYPE_F32, 1, dims, &trace),
              &trace);
    assert_ok(executor_upload(executor, &view, &tensor, &trace), &trace);
    assert_ok(executor_tensor_read(executor, tensor, 0, 3, back, &trace), &trace);
    assert_memory_equal(back, expected, sizeof back);
    executor_destroy(executor);
}

static void the_double_executor_keeps_doubles(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = make_double_executor();
    const double data[2] = {1.0 / 3, 1e-30};
    double back[2];
    uint32_t tensor = make_tensor(executor, DTYPE_F32, 2, NULL);
    assert_ok(cpu_double_tensor_write(executor, tensor, 0, 2, data, &trace), &trace);
    assert_ok(cpu_double_tensor_read(executor, tensor, 0, 2, back, &trace), &trace);
    assert_memory_equal(back, data, sizeof data);
    uint32_t ids = make_tensor(executor, DTYPE_I32, 2, NULL);
    assert_fails(cpu_double_tensor_read(executor, ids, 0, 2, back, &trace), BROKEN, &trace,
                 "does not hold floats");
    executor_destroy(executor);
}

/* Begins with what the system calls the processor: what was measured on one says nothing of another. */
static void check_processor(const char *hardware)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *name = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !name)
            continue;
        name += 1 + strspn(name + 1, " ");
        name[strcspn(name, "\n")] = '\0';
        assert_int_equal(strncmp(hardware, name, strlen(name)), 0);
        break;
    }
    if (file)
        fclose(file);
}

static void describes_itself(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = make_executor((struct cpu_options){.threads = 2, .isa = CPU_ISA_default});
    assert_string_equal(executor->name, "cpu (2 threads, default)");
    assert_non_null(strstr(executor->hardware, ", 2 threads"));
    check_processor(executor->hardware);
    assert_string_equal(executor->interface->kind, "cpu");
    executor_destroy(executor);
    assert_fails(cpu_executor_create(&executor, (struct cpu_options){.threads = 100000}, &trace), INVALID,
                 &trace, "threads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_gives_the_same_bytes_on_every_executor),
        cmocka_unit_test(faults_are_told_alike_with_and_without_sweeps),
        cmocka_unit_test(fast_numerics_are_close),
        cmocka_unit_test(a_profile_is_told_of_every_node),
        cmocka_unit_test(a_model_in_double_is_close),
        cmocka_unit_test(updates_a_bound_tensor_in_place),
        cmocka_unit_test(views_and_placed_rows_share_memory),
        cmocka_unit_test(names_the_op_of_a_non_finite_value),
        cmocka_unit_test(names_the_op_of_an_id_out_of_range),
        cmocka_unit_test(refuses_bindings_that_do_not_fit),
        cmocka_unit_test(refuses_a_tensor_destroyed_under_a_program),
        cmocka_unit_test(tensors_are_zeroed_flushed_and_bounded),
        cmocka_unit_test(uploaded_weights_are_canonical),
        cmocka_unit_test(the_double_executor_keeps_doubles),
        cmocka_unit_test(describes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
