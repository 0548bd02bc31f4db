/* Measuring variants: what is kept, and when it is not believed. */
#include "backend-vulkan/compile.h"
#include "backend-vulkan/selftest.h"
#include "backend-vulkan/tuning_measure.h"
#include "base/file.h"
#include "ir/build.h"
#include "tests/backend-vulkan/fixture.h"
#include <dirent.h>
#include <math.h>

static const char head[] = "a device";

static const struct device processor = {.is_software = true};

static struct tuning made_up(void)
{
    struct tuning tuning;
    tuning_assume(&tuning, &processor, ARITHMETIC_f32);
    for (uint32_t v = 0; v < VARIANT_COUNT; v++)
        for (uint32_t f = 0; f < PRODUCT_FORMS; f++)
            tuning.cost[v][f] = v == VARIANT_tile_32x32 ? INFINITY : (float)(v + 1) / (float)(f + 3);
    return tuning;
}

static void costs_come_back_as_they_were(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct tuning written = made_up(), read;
    tuning_assume(&read, &processor, ARITHMETIC_f32);
    assert_true(tuning_parse(&read, tuning_print(&written, head, &arena), head));
    assert_memory_equal(read.cost, written.cost, sizeof read.cost);
    assert_true(read.is_measured);
    arena_release(&arena);
}

static void a_damaged_text_is_not_believed(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct tuning written = made_up(), read = written;
    char *text = tuning_print(&written, head, &arena);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        char *other = arena_printf(&arena, "%s", text);
        other[i] ^= 1;
        if (tuning_parse(&read, other, head))
            fail_msg("believed with another character %zu of %zu", i, length);
        other[i] = '\0';
        if (tuning_parse(&read, other, head))
            fail_msg("believed with %zu of %zu characters", i, length);
    }
    assert_false(tuning_parse(&read, text, "another device"));
    assert_false(tuning_parse(&read, text, "a dev"));
    assert_false(tuning_parse(&read, "", head));
    arena_release(&arena);
}

/* Small results go to small tiles, where large ones would be mostly empty. */
static void the_choice_counts_whole_tiles(void **state)
{
    (void)state;
    struct tuning tuning = {0};
    struct trace trace = {0};
    assert_ok(tuning_force(&tuning, "wide_16x128", &trace), &trace);
    for (uint32_t f = 0; f < PRODUCT_FORMS; f++) {
        tuning.cost[VARIANT_wide_16x128][f] = 16 * 128;
        tuning.cost[VARIANT_wide_16x32x4][f] = 16 * 32 * 1.2f;
    }
    assert_int_equal(tuning_choose(&tuning, PRODUCT_NN, 256, 256), VARIANT_wide_16x128);
    assert_int_equal(tuning_choose(&tuning, PRODUCT_NN, 256, 96), VARIANT_wide_16x32x4);
    assert_int_equal(tuning_choose(&tuning, PRODUCT_NN, 256, 32), VARIANT_wide_16x32x4);
    assert_true(tuning.prefers_lanes);
    assert_fails(tuning_force(&tuning, "wide", &trace), INVALID, &trace,
                 "no kernel variant \"wide\"; there are simple, tile");
}

struct opened {
    struct instance instance;
    struct engine engine;
};

static void open_engine(struct opened *out, struct vulkan_options options)
{
    struct trace trace = {0};
    uint32_t index = 0;
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    assert_ok(instance_open(&out->instance,
                            fixture_has_validation() ? VULKAN_VALIDATED : VULKAN_NOT_VALIDATED, &trace),
              &trace);
    assert_ok(instance_select(&out->instance, "", &index, &trace), &trace);
    assert_ok(engine_open(&out->engine, &out->instance, index, &options, &trace), &trace);
}

static void close_engine(struct opened *opened)
{
    engine_release(&opened->engine);
    instance_release(&opened->instance);
}

/* What a file says is used when it is whole; a damaged one is measured anew, and what is measured is kept. */
static void measures_once_and_again_when_the_file_is_damaged(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    struct opened o;
    open_engine(&o, (struct vulkan_options){0});
    char *folder = test_directory_create(), *cache = path_join(folder, "deep/er");
    const char *path = engine_tuning_path(&o.engine, cache, &arena);
    assert_ok(engine_tune(&o.engine, cache, &trace), &trace);
    assert_true(o.engine.tuning.is_measured && o.engine.tuning.prefers_lanes);
    assert_true(isfinite(o.engine.tuning.cost[VARIANT_simple][PRODUCT_NN]));
    assert_true(isinf(o.engine.tuning.cost[VARIANT_tile_32x32][PRODUCT_NN])); /* hopeless on a processor */
    struct builder text = {0};
    assert_ok(file_read(&text, path, 1 << 16, &trace), &trace);
    char *line = arena_copy_string(&arena, builder_text(&text), strcspn(builder_text(&text), "\n"));
    struct tuning other = made_up();
    const char *made = tuning_print(&other, line, &arena);
    assert_ok(file_write(path, made, strlen(made), &trace), &trace);
    assert_ok(engine_tune(&o.engine, cache, &trace), &trace);
    assert_memory_equal(o.engine.tuning.cost, other.cost, sizeof other.cost);
    assert_ok(file_write(path, made, strlen(made) - 3, &trace), &trace);
    assert_ok(engine_tune(&o.engine, cache, &trace), &trace);
    assert_memory_not_equal(o.engine.tuning.cost, other.cost, sizeof other.cost);
    builder_clear(&text);
    assert_ok(file_read(&text, path, 1 << 16, &trace), &trace);
    assert_true(tuning_parse(&other, builder_text(&text), line));
    assert_memory_equal(o.engine.tuning.cost, other.cost, sizeof other.cost);
    assert_non_null(strstr(tuning_describe(&o.engine.tuning, &arena), "products nn "));
    builder_release(&text);
    close_engine(&o);
    arena_release(&arena);
    free(cache);
    test_directory_remove(folder);
}

/* A variant whose bytes differ, here since its pipeline takes x for transposed, is never chosen. */
static void a_variant_with_other_bytes_is_never_used(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct opened o;
    open_engine(&o, (struct vulkan_options){0});
    uint32_t constants[KERNEL_CONSTANTS];
    memcpy(constants, variant_table[VARIANT_wide_8x64x4].constants, sizeof constants);
    constants[WIDE_X_ALONG_K] = 1; /* of the form nn */
    VkPipeline right, wrong;
    assert_ok(pipelines_get(&o.engine.pipelines, KERNEL_matmul_wide, constants, &right, &trace), &trace);
    constants[WIDE_X_ALONG_K] = 0;
    assert_ok(pipelines_get(&o.engine.pipelines, KERNEL_matmul_wide, constants, &wrong, &trace), &trace);
    struct made_pipeline *made = o.engine.pipelines.made.items;
    assert_true(made->handle == right);
    made->handle = wrong;
    char *folder = test_directory_create();
    assert_ok(engine_tune(&o.engine, folder, &trace), &trace);
    test_directory_remove(folder);
    o.engine.pipelines.made.items[0].handle = right;
    assert_true(isfinite(o.engine.tuning.cost[VARIANT_wide_16x64x4][PRODUCT_NN]));
    assert_true(isinf(o.engine.tuning.cost[VARIANT_wide_8x64x4][PRODUCT_NN]));
    assert_true(isfinite(o.engine.tuning.cost[VARIANT_wide_8x64x4][PRODUCT_TN]));
    close_engine(&o);
}

/* What the self-test has found wrong is not used again because a measurement, or a file of one, likes it. */
static void a_variant_that_the_selftest_dropped_stays_so(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct opened o;
    struct vulkan_options options = {.numerics = NUMERICS_DEVICE, .arithmetic = "packed_f16"};
    open_engine(&o, options);
    const uint32_t small[KERNEL_CONSTANTS] = {1, 1},
                   *constants = variant_table[VARIANT_packed_32x32].constants;
    VkPipeline right, wrong;
    assert_ok(pipelines_get(&o.engine.pipelines, KERNEL_matmul_packed, constants, &right, &trace), &trace);
    assert_ok(pipelines_get(&o.engine.pipelines, KERNEL_matmul_packed, small, &wrong, &trace), &trace);
    assert_true(o.engine.pipelines.made.items[0].handle == right);
    o.engine.pipelines.made.items[0].handle = wrong;
    assert_ok(selftest_settle(&o.engine, &options, &trace), &trace);
    options.variant = "packed_32x32"; /* asked for, it is no other that runs in its place */
    assert_fails(selftest_settle(&o.engine, &options, &trace), DEVICE, &trace,
                 "packed_32x32 has other bytes than packed_64x64");
    o.engine.pipelines.made.items[0].handle = right;
    char *folder = test_directory_create();
    for (uint32_t times = 0; times < 3; times++) { /* assumed, measured, from the file */
        for (uint32_t f = 0; f < PRODUCT_FORMS; f++)
            assert_int_not_equal(tuning_choose(&o.engine.tuning, f, 32, 32), VARIANT_packed_32x32);
        assert_ok(engine_tune(&o.engine, folder, &trace), &trace);
    }
    test_directory_remove(folder);
    close_engine(&o);
}

/* Launches of one product of a form, as a program has them. */
static struct vulkan_program *compile_product(struct engine *engine, enum op op, struct arena *arena,
                                              struct trace *trace)
{
    enum { SIDE = 200 };
    struct graph *graph = graph_create();
    uint32_t axes[2] = {dims_leaf(&graph->dims, SIDE), dims_leaf(&graph->dims, SIDE)};
    uint32_t inputs[2] = {build_input(graph, "x", DTYPE_F32, 2, axes),
                          build_input(graph, "w", DTYPE_F32, 2, axes)};
    uint32_t y = build_op(graph, op, inputs, &(struct build_attributes){0});
    build_output(graph, "y", y);
    struct binding *bindings = ARENA_ARRAY(arena, struct binding, 3);
    const uint32_t values[] = {inputs[0], inputs[1], y};
    for (uint32_t i = 0; i < 3; i++) {
        bindings[i].value = values[i];
        assert_ok(memory_create(&engine->memory, DTYPE_F32, SIDE * SIDE, &bindings[i].tensor, trace), trace);
    }
    struct vulkan_program *program;
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 3};
    assert_ok(vulkan_program_create(&program, engine, &spec, VULKAN_FINITE_UNCHECKED, NULL, trace), trace);
    assert_ok(vulkan_program_run(program, trace), trace);
    for (uint32_t i = 0; i < 3; i++)
        memory_destroy(&engine->memory, bindings[i].tensor);
    graph_destroy(graph);
    return program;
}

/* The kernel of the variant runs, with its constants, and no other does a product. */
static void check_launches(const struct vulkan_program *program, const struct variant_info *variant)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < program->commands.launches.count; i++) {
        const struct launch *launch = &program->commands.launches.items[i];
        if (launch->kernel == KERNEL_repack || strncmp(kernel_table[launch->kernel].name, "matmul", 6) != 0)
            continue;
        found++;
        assert_int_equal(launch->kernel, variant->kernel);
        for (uint32_t c = 0; c < 2; c++)
            assert_int_equal(launch->constants[c], variant->constants[c]);
    }
    assert_true(found > 0); /* several where operands are copied in panels */
}

/* Those of other arithmetics too, where the device has what they need. */
static void a_forced_variant_is_the_one_that_runs(void **state)
{
    (void)state;
    static const enum op ops[] = {OP_matmul_nn, OP_matmul_nt, OP_matmul_tn};
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        struct trace trace = {0};
        struct arena arena = {0};
        struct opened o;
        struct vulkan_options options = {.numerics = NUMERICS_DEVICE};
        open_engine(&o, options);
        if (variant_is_possible(v, &o.engine.device.matrices)) {
            assert_ok(tuning_force(&o.engine.tuning, variant_table[v].name, &trace), &trace);
            for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
                struct vulkan_program *program = compile_product(&o.engine, ops[i], &arena, &trace);
                check_launches(program, &variant_table[v]);
                vulkan_program_destroy(program);
            }
        } else
            assert_fails(tuning_force(&o.engine.tuning, variant_table[v].name, &trace), DEVICE, &trace,
                         "this device cannot run the kernel variant");
        close_engine(&o);
        arena_release(&arena);
    }
}

/* Constants that a kernel does not have are not set: they would only make the same pipeline again. */
static void all_forms_of_a_tile_share_a_pipeline(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    struct opened o;
    open_engine(&o, (struct vulkan_options){.variant = "tile_64x64"});
    static const enum op ops[] = {OP_matmul_nn, OP_matmul_nt, OP_matmul_tn};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        vulkan_program_destroy(compile_product(&o.engine, ops[i], &arena, &trace));
    uint32_t made = 0;
    for (uint32_t i = 0; i < o.engine.pipelines.made.count; i++)
        made += o.engine.pipelines.made.items[i].kernel == KERNEL_matmul_tile;
    assert_int_equal(made, 1);
    close_engine(&o);
    arena_release(&arena);
}

static uint32_t count_files(const char *folder, char *first, size_t size)
{
    uint32_t count = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        if (strncmp(entry->d_name, "kernels-", 8) == 0 && count++ == 0)
            snprintf(first, size, "%s/%s", folder, entry->d_name);
    if (listing)
        closedir(listing);
    return count;
}

/* An executor, and the list of devices, measure once and then believe the file. */
static void executors_and_the_list_keep_what_they_measure(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena = {0};
    struct builder text = {0};
    char path[4096] = "", *folder = test_directory_create();
    struct executor *executor = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.cache = folder});
    fixture_close(executor);
    assert_int_equal(count_files(folder, path, sizeof path), 1);
    assert_ok(file_read(&text, path, 1 << 16, &trace), &trace);
    char *line = arena_copy_string(&arena, builder_text(&text), strcspn(builder_text(&text), "\n"));
    struct tuning other = made_up();
    other.is_measured = true;
    const char *made = tuning_print(&other, line, &arena);
    assert_ok(file_write(path, made, strlen(made), &trace), &trace);
    struct vulkan_device_info *devices;
    uint32_t count;
    assert_ok(vulkan_devices_list(&devices, &count, folder, &arena, &trace), &trace);
    assert_int_equal(count, 1);
    assert_string_equal(devices[0].kernels, tuning_describe(&other, &arena)); /* as the file says */
    executor = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.cache = folder});
    fixture_close(executor);
    builder_clear(&text);
    assert_ok(file_read(&text, path, 1 << 16, &trace), &trace);
    assert_string_equal(builder_text(&text), made); /* not measured again */
    assert_int_equal(count_files(folder, path, sizeof path), 1);
    builder_release(&text);
    arena_release(&arena);
    test_directory_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_come_back_as_they_were),
        cmocka_unit_test(a_damaged_text_is_not_believed),
        cmocka_unit_test(the_choice_counts_whole_tiles),
        cmocka_unit_test(measures_once_and_again_when_the_file_is_damaged),
        cmocka_unit_test(a_variant_with_other_bytes_is_never_used),
        cmocka_unit_test(a_variant_that_the_selftest_dropped_stays_so),
        cmocka_unit_test(a_forced_variant_is_the_one_that_runs),
        cmocka_unit_test(all_forms_of_a_tile_share_a_pipeline),
        cmocka_unit_test(executors_and_the_list_keep_what_they_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
