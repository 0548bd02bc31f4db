/* Measuring variants: what is kept, and when it is not believed. */
#include "backend-vulkan/selftest.h"
#include "backend-vulkan/tuning_measure.h"
#include "base/file.h"
#include "tests/backend-vulkan/fixture.h"
#include <math.h>

static const char head[] = "a device";

static struct tuning made_up(void)
{
    struct tuning tuning;
    tuning_assume(&tuning, true);
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
    tuning_assume(&read, true);
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
    struct tuning tuning;
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

static void open_engine(struct opened *out)
{
    struct trace trace = {0};
    struct vulkan_options options = {0};
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
    open_engine(&o);
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
    open_engine(&o);
    uint32_t constants[KERNEL_CONSTANTS];
    memcpy(constants, variant_table[VARIANT_wide_8x64x4].constants, sizeof constants);
    constants[3] = 1; /* of the form nn */
    VkPipeline right, wrong;
    assert_ok(pipelines_get(&o.engine.pipelines, KERNEL_matmul_wide, constants, &right, &trace), &trace);
    constants[3] = 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_come_back_as_they_were),
        cmocka_unit_test(a_damaged_text_is_not_believed),
        cmocka_unit_test(the_choice_counts_whole_tiles),
        cmocka_unit_test(measures_once_and_again_when_the_file_is_damaged),
        cmocka_unit_test(a_variant_with_other_bytes_is_never_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
