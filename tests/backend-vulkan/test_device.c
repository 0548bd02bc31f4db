/* Choosing devices, memory, programs that update in place, and what goes wrong. */
#include "backend-vulkan/commands.h"
#include "backend-vulkan/engine.h"
#include "backend-vulkan/selftest.h"
#include "ir/build.h"
#include "shaders/include/push/chain.h"
#include "shaders/include/push/elements.h"
#include "tests/backend-vulkan/fixture.h"
#include <math.h>

static void lists_devices_with_their_verdict(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    struct vulkan_device_info *devices;
    uint32_t count;
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    assert_ok(vulkan_devices_list(&devices, &count, NULL, &arena, &trace), &trace);
    assert_int_equal(count, 1);
    assert_true(devices[0].passed);
    assert_non_null(strstr(devices[0].why, "agree"));
    assert_true(devices[0].name[0] && devices[0].driver[0]);
    enum arithmetic arithmetic; /* how it multiplies under device numerics, by matrices where it has some */
    assert_true(arithmetic_find(&arithmetic, devices[0].products));
    assert_int_equal(arithmetic_has_matrices(arithmetic), strcmp(devices[0].matrices, "none") != 0);
    assert_int_equal(strncmp(devices[0].api, "1.", 2), 0);
    arena_release(&arena);
}

/* One driver offers other matrices in another environment: llvmpipe by the width of its vectors. */
static void an_identity_names_the_matrices_that_are_offered(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    struct instance instance;
    struct matrices found;
    const char *identity;
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    assert_ok(vulkan_device_identity(&identity, "0", &arena, &trace), &trace);
    assert_ok(instance_open(&instance, VULKAN_NOT_VALIDATED, &trace), &trace);
    matrices_find(&found, instance.handle, instance.devices[0]);
    instance_release(&instance);
    assert_true(found.subgroup > 0);
    assert_non_null(strstr(identity, matrices_identity(&found, &arena)));
    struct matrices others[] = {found, found, found, found, found};
    others[0].f16.depth += 8;
    others[1].bf16.rows += 8;
    others[2].subgroup *= 2;
    others[3].can_fix_subgroup = !found.can_fix_subgroup;
    others[4].has_half = !found.has_half;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_null(strstr(identity, matrices_identity(&others[i], &arena)));
    arena_release(&arena);
}

/* Drivers that compute otherwise have other identities; one has the same every time. */
static void an_identity_names_device_driver_and_kernels(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    const char *one, *again, *other;
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    assert_ok(vulkan_device_identity(&one, "", &arena, &trace), &trace);
    assert_ok(vulkan_device_identity(&again, "0", &arena, &trace), &trace);
    assert_string_equal(one, again);
    assert_int_equal(strncmp(one, "device/1 vendor ", 16), 0);
    assert_non_null(strstr(one, " driver "));
    assert_fails(vulkan_device_identity(&again, "99", &arena, &trace), DEVICE, &trace, "no Vulkan device");
    fixture_choose_driver(FIXTURE_SWIFTSHADER);
    assert_ok(vulkan_device_identity(&other, "", &arena, &trace), &trace);
    assert_string_not_equal(one, other);
    assert_string_equal(strstr(one, " kernels "), strstr(other, " kernels "));
    arena_release(&arena);
}

static void a_machine_without_a_driver_has_no_devices(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    struct vulkan_device_info *devices;
    struct executor *executor;
    char selector[16];
    uint32_t count;
    setenv("VK_ICD_FILENAMES", "/nonexistent.json", 1);
    setenv("VK_DRIVER_FILES", "/nonexistent.json", 1);
    assert_ok(vulkan_devices_list(&devices, &count, NULL, &arena, &trace), &trace);
    assert_int_equal(count, 0);
    assert_ok(vulkan_device_choose(selector, &trace), &trace);
    assert_string_equal(selector, "");
    assert_fails(vulkan_executor_create(&executor, &(struct vulkan_options){0}, &trace), DEVICE, &trace,
                 "no Vulkan device to use; 0 here");
    arena_release(&arena);
}

static void auto_never_takes_a_software_driver(void **state)
{
    (void)state;
    struct trace trace = {0};
    char selector[16] = "x";
    if (getenv("ESPALIER_TEST_ICD"))
        skip();
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    assert_ok(vulkan_device_choose(selector, &trace), &trace);
    assert_string_equal(selector, "");
}

static void selects_by_index_and_part_of_name(void **state)
{
    (void)state;
    struct trace trace = {0};
    if (getenv("ESPALIER_TEST_ICD"))
        skip();
    executor_destroy(fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.selector = "0"}));
    executor_destroy(fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.selector = "LLVMpipe"}));
    struct executor *executor;
    assert_fails(vulkan_executor_create(&executor, &(struct vulkan_options){.selector = "geforce"}, &trace),
                 DEVICE, &trace, "no Vulkan device matches \"geforce\"; 1 here:\n  0: llvmpipe");
    assert_fails(vulkan_executor_create(&executor, &(struct vulkan_options){.selector = "1"}, &trace), DEVICE,
                 &trace, "no Vulkan device matches \"1\"");
}

static void refuses_several_matches_with_the_list(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor;
    char both[256];
    fixture_choose_driver(FIXTURE_SWIFTSHADER);
    snprintf(both, sizeof both, "%s:", getenv("VK_ICD_FILENAMES"));
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    strcat(both, getenv("VK_ICD_FILENAMES"));
    setenv("VK_ICD_FILENAMES", both, 1);
    setenv("VK_DRIVER_FILES", both, 1);
    assert_fails(vulkan_executor_create(&executor, &(struct vulkan_options){0}, &trace), DEVICE, &trace,
                 "more than one Vulkan device to use; 2 here:");
    assert_non_null(strstr(trace.text, "SwiftShader"));
    assert_ok(vulkan_executor_create(&executor, &(struct vulkan_options){.selector = "swift"}, &trace),
              &trace);
    assert_non_null(strstr(executor->name, "SwiftShader"));
    executor_destroy(executor);
}

static void writes_canonical_numbers_and_reads_parts_back(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *e = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
    const float in[] = {1, -0.0f, 0x1p-121f, -0x1p-120f, NAN, 3};
    float out[6];
    const int32_t integers[] = {-1, 1, INT32_MIN};
    int32_t back[3];
    uint32_t f, i;
    assert_ok(executor_tensor_create(e, DTYPE_F32, 8, &f, &trace), &trace);
    assert_ok(executor_tensor_create(e, DTYPE_I32, 3, &i, &trace), &trace);
    assert_ok(executor_tensor_write(e, f, 1, 6, in, &trace), &trace);
    assert_ok(executor_tensor_write(e, i, 0, 3, integers, &trace), &trace);
    assert_ok(executor_tensor_read(e, f, 1, 6, out, &trace), &trace);
    assert_ok(executor_tensor_read(e, i, 0, 3, back, &trace), &trace);
    const float expected[] = {1, 0, 0, -0x1p-120f};
    const uint32_t nan = 0x7fc00000;
    assert_memory_equal(out, expected, sizeof expected);
    assert_memory_equal(&out[4], &nan, 4);
    assert_memory_equal(back, integers, sizeof back);
    assert_ok(executor_tensor_read(e, f, 0, 1, out, &trace), &trace);
    assert_memory_equal(out, &expected[1], 4); /* fresh tensors are zero */
    assert_fails(executor_tensor_read(e, f, 3, 6, out, &trace), INVALID, &trace, "of a tensor of 8");
    executor_tensor_destroy(e, f);
    assert_ok(executor_tensor_create(e, DTYPE_F32, 8, &f, &trace),
              &trace); /* in the place of the first, zero again */
    assert_ok(executor_tensor_read(e, f, 1, 1, out, &trace), &trace);
    assert_memory_equal(out, &expected[1], 4);
    fixture_close(e);
}

static void large_transfers_go_in_parts(void **state)
{
    (void)state;
    enum { COUNT = 3 << 20 };
    struct trace trace = {0};
    struct executor *e = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
    int32_t *in = malloc(COUNT * sizeof *in), *out = malloc(COUNT * sizeof *out);
    uint32_t tensor;
    for (int32_t i = 0; i < COUNT; i++)
        in[i] = i * 7;
    assert_ok(executor_tensor_create(e, DTYPE_I32, COUNT, &tensor, &trace), &trace);
    assert_ok(executor_tensor_write(e, tensor, 0, COUNT, in, &trace), &trace);
    assert_ok(executor_tensor_read(e, tensor, 0, COUNT, out, &trace), &trace);
    assert_memory_equal(in, out, COUNT * sizeof *in);
    free(in);
    free(out);
    fixture_close(e);
}

/* A tensor in several buffers is written and read like any other, and its guards lie around each part. */
static void a_tensor_larger_than_a_buffer_lies_in_several(void **state)
{
    (void)state;
    enum { COUNT = 100001, FIRST = 777, SOME = 90000 };
    struct trace trace = {0};
    struct executor *e = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = 1 << 16});
    int32_t *in = calloc(COUNT, sizeof *in), *out = calloc(COUNT, sizeof *out);
    uint32_t tensor;
    for (int round = 0; round < 2; round++) { /* the second in what the first has given back */
        assert_ok(executor_tensor_create(e, DTYPE_I32, COUNT, &tensor, &trace), &trace);
        assert_ok(executor_tensor_read(e, tensor, 0, COUNT, out, &trace), &trace);
        for (int32_t i = 0; i < COUNT; i++)
            assert_int_equal(out[i], 0);
        for (int32_t i = 0; i < SOME; i++)
            in[FIRST + i] = i * 7 + 1;
        assert_ok(executor_tensor_write(e, tensor, FIRST, SOME, &in[FIRST], &trace), &trace);
        assert_ok(executor_tensor_read(e, tensor, 0, COUNT, out, &trace), &trace);
        assert_memory_equal(in, out, COUNT * sizeof *in);
        assert_ok(executor_tensor_read(e, tensor, 20000, 30000, out, &trace), &trace);
        assert_memory_equal(&in[20000], out, 30000 * sizeof *in);
        assert_ok(vulkan_check_guards(e, &trace), &trace);
        executor_tensor_destroy(e, tensor);
    }
    free(in);
    free(out);
    fixture_close(e);
}

/* w' = w + g and h = w' * w', run twice with w' stored over w. */
static void programs_update_in_place_and_run_again(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct trace trace = {0};
    struct executor *e = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
    struct graph *graph = graph_create();
    uint32_t axis = dims_leaf(&graph->dims, COUNT), tensors[3];
    uint32_t w = build_input(graph, "w", DTYPE_F32, 1, &axis),
             g = build_input(graph, "g", DTYPE_F32, 1, &axis);
    uint32_t sum = build_binary(graph, OP_add, w, g), square = build_binary(graph, OP_mul, sum, sum);
    build_output(graph, "w", sum);
    build_output(graph, "square", square);
    float data[COUNT], back[COUNT];
    for (int i = 0; i < 3; i++) {
        assert_ok(executor_tensor_create(e, DTYPE_F32, COUNT, &tensors[i], &trace), &trace);
        for (int j = 0; j < COUNT; j++)
            data[j] = (float)(j * (i + 1));
        assert_ok(executor_tensor_write(e, tensors[i], 0, COUNT, data, &trace), &trace);
    }
    const struct binding bindings[] = {
        {w, tensors[0]}, {g, tensors[1]}, {sum, tensors[0]}, {square, tensors[2]}};
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 4};
    struct program *program;
    assert_ok(executor_compile(&program, e, &spec, &trace), &trace);
    assert_ok(executor_run(e, program, &trace), &trace);
    assert_ok(executor_run(e, program, &trace), &trace);
    assert_ok(executor_tensor_read(e, tensors[2], 0, COUNT, back, &trace), &trace);
    for (int j = 0; j < COUNT; j++)
        assert_true(back[j] == (float)(25 * j) * (float)j);
    assert_int_equal(executor_counters(e).device_nodes, 4);
    executor_program_destroy(e, program);
    graph_destroy(graph);
    fixture_close(e);
}

/* silu shows what mul made, so only its own result is looked at; the two run as one. */
static void a_result_that_is_not_finite_is_told(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *e =
        fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.finite = VULKAN_FINITE_CHECKED});
    struct graph *graph = graph_create();
    uint32_t axis = dims_leaf(&graph->dims, 3), tensors[2];
    uint32_t x = build_input(graph, "x", DTYPE_F32, 1, &axis);
    uint32_t y = build_unary(graph, OP_silu, build_binary(graph, OP_mul, x, x));
    build_output(graph, "y", y);
    for (int i = 0; i < 2; i++)
        assert_ok(executor_tensor_create(e, DTYPE_F32, 3, &tensors[i], &trace), &trace);
    const struct binding bindings[] = {{x, tensors[0]}, {y, tensors[1]}};
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 2};
    struct program *program;
    assert_ok(executor_compile(&program, e, &spec, &trace), &trace);
    const float large[] = {1, 0x1p100f, 2}, small[] = {1, 2, 3};
    assert_ok(executor_tensor_write(e, tensors[0], 0, 3, large, &trace), &trace);
    assert_fails(executor_run(e, program, &trace), NOT_FINITE, &trace,
                 "non-finite value in result of %2 = silu, or in what that is made from");
    assert_ok(executor_tensor_write(e, tensors[0], 0, 3, small, &trace), &trace);
    assert_ok(executor_run(e, program, &trace), &trace);
    executor_program_destroy(e, program);
    graph_destroy(graph);
    fixture_close(e);
}

/* What each kind of id does when it is too large or negative; the ops' own kernels must not leave their
 * tensors. */
static void ids_out_of_range_are_refused(void **state)
{
    (void)state;
    enum { V = 5, D = 3, T = 70 };
    struct trace trace = {0};
    struct executor *e = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
    struct graph *graph = graph_create();
    uint32_t table_axes[] = {dims_leaf(&graph->dims, V), dims_leaf(&graph->dims, D)},
             t = dims_leaf(&graph->dims, T);
    uint32_t inputs[] = {build_input(graph, "table", DTYPE_F32, 2, table_axes),
                         build_input(graph, "ids", DTYPE_I32, 1, &t)};
    uint32_t y = build_op(graph, OP_embed, inputs, &(struct build_attributes){0});
    uint32_t gradient_inputs[] = {inputs[1], y};
    uint32_t back = build_op(graph, OP_embed_grad, gradient_inputs, &(struct build_attributes){.rows = V});
    build_output(graph, "y", y);
    build_output(graph, "gradient", back);
    struct binding bindings[] = {{.value = inputs[0]}, {.value = inputs[1]}, {.value = y}, {.value = back}};
    const int64_t counts[] = {V * D, T, T * D, V * D};
    for (int i = 0; i < 4; i++)
        assert_ok(
            executor_tensor_create(e, i == 1 ? DTYPE_I32 : DTYPE_F32, counts[i], &bindings[i].tensor, &trace),
            &trace);
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 4};
    struct program *program;
    assert_ok(executor_compile(&program, e, &spec, &trace), &trace);
    assert_ok(executor_run(e, program, &trace), &trace);
    const int32_t bad[] = {V, -1, INT32_MAX}, good = V - 1;
    const char *const words[] = {"= embed: element 69 is 5, expected one of 0 .. 4", "element 69 is -1",
                                 "element 69 is 2147483647"};
    for (int i = 0; i < 3; i++) {
        assert_ok(executor_tensor_write(e, bindings[1].tensor, T - 1, 1, &bad[i], &trace), &trace);
        assert_fails(executor_run(e, program, &trace), INVALID, &trace, words[i]);
    }
    assert_ok(executor_tensor_write(e, bindings[1].tensor, T - 1, 1, &good, &trace), &trace);
    assert_ok(executor_run(e, program, &trace), &trace);
    executor_program_destroy(e, program);
    graph_destroy(graph);
    fixture_close(e);
}

/* An engine without the executor around it, for what only its parts can do. */
struct bare {
    struct instance instance;
    struct engine engine;
};

static void open_bare(struct bare *b, struct vulkan_options options)
{
    struct trace trace = {0};
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    assert_ok(instance_open(&b->instance, options.validation, &trace), &trace);
    assert_ok(engine_open(&b->engine, &b->instance, 0, &options, &trace), &trace);
}

static void close_bare(struct bare *b)
{
    engine_release(&b->engine);
    instance_release(&b->instance);
}

/* A launch that writes one element more than its tensor has must be noticed. */
static void guards_notice_a_write_behind_a_tensor(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct bare b;
    uint32_t pieces[2];
    open_bare(&b, (struct vulkan_options){.guard_words = 8});
    for (int i = 0; i < 2; i++)
        assert_ok(memory_create(&b.engine.memory, DTYPE_F32, 100, &pieces[i], &trace), &trace);
    assert_ok(memory_check_guards(&b.engine.memory, &trace), &trace);
    struct memory_piece *piece = &b.engine.memory.pieces.items[pieces[0]];
    piece->count = piece->segments.items[0].count = 101; /* pretend, so that the launch is allowed */
    struct commands commands;
    commands_init(&commands, &b.engine.memory, &b.engine.pipelines);
    struct span span = {pieces[0], 0, 101};
    struct push_elements push = {.count = 101};
    commands_add(&commands, KERNEL_zero, &span, &push, 2, 1);
    assert_ok(commands_record(&commands, &trace), &trace);
    assert_ok(commands_run(&commands, &trace), &trace);
    piece->count = piece->segments.items[0].count = 100;
    assert_fails(memory_check_guards(&b.engine.memory, &trace), BROKEN, &trace,
                 "of 100 elements: word 0 of the guard after it was overwritten with 00000000");
    commands_release(&commands);
    close_bare(&b);
}

/* A kernel that does not compute what C computes: the pipeline of another one in its place. */
static void a_device_that_computes_otherwise_fails_the_selftest(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct bare b;
    struct selftest_verdict verdict;
    open_bare(&b, (struct vulkan_options){0});
    assert_ok(selftest_run(&verdict, &b.engine, &trace), &trace);
    assert_true(verdict.passed);
    VkPipeline other;
    assert_ok(pipelines_get(&b.engine.pipelines, KERNEL_repack, NULL, &other, &trace), &trace);
    struct made_pipeline *product = b.engine.pipelines.made.items;
    while (product->kernel != KERNEL_matmul)
        product++;
    VkPipeline kept = product->handle;
    product->handle = other;
    assert_ok(selftest_run(&verdict, &b.engine, &trace), &trace);
    product->handle = kept;
    assert_false(verdict.passed);
    assert_non_null(strstr(verdict.why, "row of the product 0, case 0"));
    close_bare(&b);
}

/* sum = a + b, all of `count` elements. */
static void add_sum(struct commands *commands, struct span a, struct span b, struct span sum, double cost)
{
    struct span spans[DEVICE_BINDINGS] = {a, b, [CHAIN_INPUTS] = sum};
    struct push_chain push = {.count = (uint)sum.count};
    struct launch *launch = commands_add(commands, KERNEL_chain, spans, &push, (sum.count + 255) / 256, cost);
    launch->constants[0] = CHAIN_add | 0 << 8 | 1 << 12;
    launch->constants[CHAIN_STEPS] = CHAIN_LOAD_EACH | CHAIN_LOAD_EACH << 2;
    launch->constants[CHAIN_STEPS + 1] = CHAIN_INPUTS + 1; /* what the first step makes */
}

/* Launches in the order of their additions, whatever barriers and submissions lie between. */
static void dependent_launches_run_in_order(void **state)
{
    (void)state;
    enum { COUNT = 70000, TIMES = 40 };
    struct trace trace = {0};
    struct bare b;
    uint32_t piece;
    float *data = calloc(2 * COUNT, sizeof *data);
    open_bare(&b, (struct vulkan_options){.validation = fixture_has_validation() ? VULKAN_VALIDATED
                                                                                 : VULKAN_NOT_VALIDATED});
    assert_ok(memory_create(&b.engine.memory, DTYPE_F32, 2 * COUNT, &piece, &trace), &trace);
    for (int i = 0; i < COUNT; i++)
        data[i] = 1;
    assert_ok(memory_write(&b.engine.memory, piece, 0, 2 * COUNT, data, &trace), &trace);
    struct commands commands;
    commands_init(&commands, &b.engine.memory, &b.engine.pipelines);
    struct span one = {piece, 0, COUNT}, two = {piece, COUNT, COUNT};
    for (int i = 0; i < TIMES; i++) /* Fibonacci: each launch needs what both before it left */
        add_sum(&commands, one, two, i % 2 ? one : two, 1e9 * (1 + i % 30));
    assert_ok(commands_record(&commands, &trace), &trace);
    assert_true(commands.buffers.count > 10);
    assert_true(commands.dispatches > TIMES);
    assert_ok(commands_run(&commands, &trace), &trace);
    assert_ok(memory_read(&b.engine.memory, piece, 0, 2 * COUNT, data, &trace), &trace);
    float x = 1, y = 0;
    for (int i = 0; i < TIMES; i++)
        *(i % 2 ? &x : &y) = x + y;
    for (int i = 0; i < COUNT; i++)
        assert_true(data[i] == x && data[COUNT + i] == y);
    commands_release(&commands);
    free(data);
    close_bare(&b);
}

/* A launch that is cut in the middle of a row of groups: no group may run twice, as this one works in place.
 */
static void a_launch_that_is_cut_runs_each_group_once(void **state)
{
    (void)state;
    enum { COUNT = 70000 * 256 };
    struct trace trace = {0};
    struct bare b;
    uint32_t piece;
    float *data = calloc(COUNT, sizeof *data);
    open_bare(&b, (struct vulkan_options){0});
    assert_ok(memory_create(&b.engine.memory, DTYPE_F32, COUNT, &piece, &trace), &trace);
    for (int i = 0; i < COUNT; i++)
        data[i] = 1;
    assert_ok(memory_write(&b.engine.memory, piece, 0, COUNT, data, &trace), &trace);
    struct commands commands;
    commands_init(&commands, &b.engine.memory, &b.engine.pipelines);
    struct span all = {piece, 0, COUNT};
    add_sum(&commands, all, all, all, 1.5e10);
    assert_ok(commands_record(&commands, &trace), &trace);
    assert_true(commands.dispatches > 1);
    assert_ok(commands_run(&commands, &trace), &trace);
    assert_ok(memory_read(&b.engine.memory, piece, 0, COUNT, data, &trace), &trace);
    for (int i = 0; i < COUNT; i++)
        if (data[i] != 2)
            fail_msg("element %d is %g", i, (double)data[i]);
    commands_release(&commands);
    free(data);
    close_bare(&b);
}

/* What one group needs can be too much for a device: that is told, with the sizes. */
static void a_row_larger_than_a_binding_is_refused_with_sizes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *e =
        fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_binding_bytes = 1 << 16});
    struct graph *graph = graph_create();
    uint32_t axes[] = {dims_leaf(&graph->dims, 2), dims_leaf(&graph->dims, 20000)};
    uint32_t inputs[] = {build_input(graph, "a", DTYPE_F32, 2, axes),
                         build_input(graph, "b", DTYPE_F32, 2, axes)};
    uint32_t y = build_op(graph, OP_cosine_rows, inputs, &(struct build_attributes){0});
    struct binding bindings[] = {{.value = inputs[0]}, {.value = inputs[1]}, {.value = y}};
    struct program *program;
    build_output(graph, "y", y);
    for (int i = 0; i < 3; i++)
        assert_ok(executor_tensor_create(e, DTYPE_F32, i < 2 ? 40000 : 2, &bindings[i].tensor, &trace),
                  &trace);
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 3};
    assert_fails(executor_compile(&program, e, &spec, &trace), DEVICE, &trace,
                 "kernel cosine_rows: a group needs 80000 bytes of operand 0 at once");
    graph_destroy(graph);
    fixture_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_devices_with_their_verdict),
        cmocka_unit_test(an_identity_names_device_driver_and_kernels),
        cmocka_unit_test(an_identity_names_the_matrices_that_are_offered),
        cmocka_unit_test(a_machine_without_a_driver_has_no_devices),
        cmocka_unit_test(auto_never_takes_a_software_driver),
        cmocka_unit_test(selects_by_index_and_part_of_name),
        cmocka_unit_test(refuses_several_matches_with_the_list),
        cmocka_unit_test(writes_canonical_numbers_and_reads_parts_back),
        cmocka_unit_test(large_transfers_go_in_parts),
        cmocka_unit_test(a_tensor_larger_than_a_buffer_lies_in_several),
        cmocka_unit_test(programs_update_in_place_and_run_again),
        cmocka_unit_test(a_result_that_is_not_finite_is_told),
        cmocka_unit_test(ids_out_of_range_are_refused),
        cmocka_unit_test(guards_notice_a_write_behind_a_tensor),
        cmocka_unit_test(a_device_that_computes_otherwise_fails_the_selftest),
        cmocka_unit_test(dependent_launches_run_in_order),
        cmocka_unit_test(a_launch_that_is_cut_runs_each_group_once),
        cmocka_unit_test(a_row_larger_than_a_binding_is_refused_with_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
