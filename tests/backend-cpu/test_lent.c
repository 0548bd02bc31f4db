/* Lent weights: the same bytes as uploaded ones, whatever the view, in little memory; and what is refused. */
#include "backend-cpu/cpu.h"
#include "ir/build.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"
#include <fcntl.h>

enum loan { UPLOADED, LENT };
enum { BATCH = 3, LENGTH = 21, VOCABULARY = 50, LOGITS = BATCH * LENGTH * VOCABULARY };

static struct executor *make_executor(uint32_t threads, enum cpu_isa isa)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    assert_ok(cpu_executor_create(&executor, (struct cpu_options){.threads = threads, .isa = isa}, &trace),
              &trace);
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

static uint32_t make_weight(struct executor *executor, const struct tensor_view *view, enum loan loan)
{
    struct trace trace = {0};
    uint32_t tensor = 0;
    assert_ok(loan == LENT ? executor_lend(executor, view, &tensor, &trace)
                           : executor_upload(executor, view, &tensor, &trace),
              &trace);
    return tensor;
}

static float next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return ((float)(*seed >> 8) * 0x1p-23f - 1) * 0.4f;
}

/* ---- a whole model ---- */

/* Bytes for a weight, by turns: dense, transposed, with some of the columns and rows of a larger matrix, and
 * bf16; with values that are flushed. */
static void give_bytes(struct tensor_view *view, struct arena *arena, uint32_t turn, uint32_t *seed)
{
    struct trace trace = {0};
    int64_t rows = view->dims[0], columns = view->rank > 1 ? view->dims[1] : 1, big[2] = {rows, columns};
    bool is_matrix = view->rank == 2, is_taken = is_matrix && turn % 4 == 2;
    if (is_matrix && turn % 4 == 1)
        big[0] = columns, big[1] = rows;
    if (is_taken)
        big[0] = rows + 3, big[1] = columns + 5;
    int64_t count = big[0] * big[1];
    float *data = ARENA_ARRAY(arena, float, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        data[i] = i % 17 == 3 ? 0x1p-60f : next_random(seed);
    enum dtype dtype = is_matrix && turn % 4 == 3 ? DTYPE_BF16 : DTYPE_F32;
    if (dtype == DTYPE_BF16)
        for (int64_t i = 0; i < count; i++)
            memcpy((uint16_t *)(void *)data + i, (uint16_t *)(void *)(data + i) + 1, 2);
    assert_ok(
        tensor_view_dense(view, NULL, (uint8_t *)data, (size_t)count * 4, dtype, view->rank, big, &trace),
        &trace);
    if (is_matrix && turn % 4 == 1)
        *view = tensor_view_transpose(view);
    uint32_t *keep = ARENA_ARRAY(arena, uint32_t, (size_t)(rows + columns));
    for (uint32_t i = 0; i < rows + columns; i++)
        keep[i] = i < 2 ? 1 - i : i + 1; /* out of order, with a gap */
    if (is_taken) {
        *view = tensor_view_take(view, arena, 0, keep, (uint32_t)rows);
        *view = tensor_view_take(view, arena, 1, keep, (uint32_t)columns);
    }
    assert_true(view->dims[0] == rows && (!is_matrix || view->dims[1] == columns));
}

/* logits [BATCH * LENGTH * VOCABULARY]; which weight gets which form depends on `turn`. */
static void run_llama(struct executor *executor, enum loan loan, uint32_t turn, float *logits)
{
    struct trace trace = {0};
    struct arena arena = {0};
    struct graph *g = llama_create(&(struct llama_shape){2, 24, 4, 2, 6, 40, VOCABULARY});
    struct binding bindings[64];
    uint32_t count = 0, seed = 1, out = make_tensor(executor, DTYPE_F32, LOGITS, NULL);
    static const struct dim_binding sizes[] = {{{"b", 1}, BATCH}, {{"s", 1}, LENGTH}};
    int32_t tokens[BATCH * LENGTH];
    for (int i = 0; i < BATCH * LENGTH; i++)
        tokens[i] = i * i % VOCABULARY;
    bindings[count++] = (struct binding){graph_find_input(g, "tokens"),
                                         make_tensor(executor, DTYPE_I32, BATCH * LENGTH, tokens)};
    for (uint32_t t = 0; t < g->tensors.count; t++) {
        give_bytes(&g->tensors.items[t].view, &arena, t + turn, &seed);
        bindings[count++] = (struct binding){g->tensors.items[t].value,
                                             make_weight(executor, &g->tensors.items[t].view, loan)};
    }
    bindings[count++] = (struct binding){graph_find_output(g, "logits"), out};
    struct program *program = NULL;
    struct program_spec spec = {g, sizes, 2, bindings, count};
    assert_ok(executor_compile(&program, executor, &spec, &trace), &trace);
    for (int run = 0; run < 2; run++) {
        assert_ok(executor_run(executor, program, &trace), &trace);
        assert_ok(executor_tensor_read(executor, out, 0, LOGITS, logits, &trace), &trace);
    }
    executor_program_destroy(executor, program);
    graph_destroy(g);
    arena_release(&arena);
}

static void a_model_gives_the_bytes_of_uploaded_weights(void **state)
{
    (void)state;
    static float expected[LOGITS], logits[LOGITS];
    for (uint32_t turn = 0; turn < 4; turn++) {
        struct executor *executor = make_executor(1, CPU_ISA_default);
        run_llama(executor, UPLOADED, turn, expected);
        executor_destroy(executor);
        for (enum cpu_isa isa = CPU_ISA_BEST; isa < CPU_ISA_COUNT; isa++)
            for (uint32_t threads = 1; threads <= 3 && cpu_isa_is_available(isa, NUMERICS_GOLDEN);
                 threads++) {
                executor = make_executor(threads, isa);
                run_llama(executor, LENT, turn, logits);
                assert_memory_equal(logits, expected, sizeof logits);
                executor_destroy(executor);
            }
    }
}

static void the_double_executor_gives_them_too(void **state)
{
    (void)state;
    static float expected[LOGITS], logits[LOGITS];
    struct trace trace = {0};
    for (enum loan loan = UPLOADED; loan <= LENT; loan++) {
        struct executor *executor = NULL;
        assert_ok(cpu_double_executor_create(&executor, (struct cpu_options){.threads = 2}, &trace), &trace);
        run_llama(executor, loan, 2, loan == LENT ? logits : expected);
        executor_destroy(executor);
    }
    assert_memory_equal(logits, expected, sizeof logits);
}

/* ---- one weight ---- */

/* y = x w^T with x [ROWS, depth], w [width, depth] a weight. */
enum { ROWS = 3 };

struct linear {
    struct graph *graph;
    struct executor *executor;
    struct program *program;
    struct tensor_view view;
    uint32_t y;
};

static enum status linear_run(struct linear *l, const struct tensor_view *view, enum loan loan,
                              struct trace *trace)
{
    int64_t width = view->dims[0], depth = view->dims[1];
    *l = (struct linear){.graph = graph_create(), .executor = make_executor(2, CPU_ISA_BEST), .view = *view};
    uint32_t k = dims_leaf(&l->graph->dims, depth);
    uint32_t x_axes[2] = {dims_leaf(&l->graph->dims, ROWS), k},
             w_axes[2] = {dims_leaf(&l->graph->dims, width), k};
    uint32_t x = build_input(l->graph, "x", DTYPE_F32, 2, x_axes);
    uint32_t w = build_tensor(l->graph, STR("w"), view, w_axes);
    uint32_t y = build_binary(l->graph, OP_matmul_nt, x, w);
    build_output(l->graph, "y", y);
    float *data = malloc((size_t)(ROWS * depth) * sizeof *data);
    uint32_t seed = 7;
    for (int64_t i = 0; i < ROWS * depth; i++)
        data[i] = next_random(&seed);
    l->y = make_tensor(l->executor, DTYPE_F32, ROWS * width, NULL);
    struct binding bindings[3] = {{x, make_tensor(l->executor, DTYPE_F32, ROWS * depth, data)},
                                  {w, make_weight(l->executor, &l->view, loan)},
                                  {y, l->y}};
    free(data);
    struct program_spec spec = {l->graph, NULL, 0, bindings, 3};
    TRY(executor_compile(&l->program, l->executor, &spec, trace));
    return executor_run(l->executor, l->program, trace);
}

static void linear_release(struct linear *l)
{
    executor_program_destroy(l->executor, l->program);
    executor_destroy(l->executor);
    graph_destroy(l->graph);
}

static void a_weight_of_several_panels_gives_the_bytes_of_one(void **state)
{
    (void)state;
    enum { WIDTH = 2500, DEPTH = 4099 }; /* 41 MB */
    float *data = malloc(sizeof *data * WIDTH * DEPTH);
    uint32_t seed = 3;
    for (int64_t i = 0; i < (int64_t)WIDTH * DEPTH; i++)
        data[i] = next_random(&seed);
    int64_t dims[2] = {WIDTH, DEPTH};
    struct tensor_view view;
    struct trace trace = {0};
    assert_ok(tensor_view_dense(&view, NULL, (uint8_t *)data, sizeof *data * WIDTH * DEPTH, DTYPE_F32, 2,
                                dims, &trace),
              &trace);
    static float y[2][ROWS * WIDTH];
    for (enum loan loan = UPLOADED; loan <= LENT; loan++) {
        struct linear l;
        assert_ok(linear_run(&l, &view, loan, &trace), &trace);
        assert_ok(executor_tensor_read(l.executor, l.y, 0, ROWS * WIDTH, y[loan], &trace), &trace);
        linear_release(&l);
    }
    assert_memory_equal(y[LENT], y[UPLOADED], sizeof y[0]);
    assert_true(y[LENT][ROWS * WIDTH - 1] != 0);
    free(data);
}

/* Peak resident memory since reset_peak(), in kB. */
static long peak_memory(void)
{
    char line[256];
    long found = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            found = atol(line + 6);
    if (file)
        fclose(file);
    return found;
}

static bool reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file)
        return false;
    bool is_done = fputs("5", file) >= 0;
    return fclose(file) == 0 && is_done;
}

static struct mapping map_zeros(const char *directory, size_t size)
{
    char path[4200];
    struct mapping mapping = {0};
    struct trace trace = {0};
    snprintf(path, sizeof path, "%s/w", directory);
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    close(fd);
    assert_ok(mapping_open(&mapping, path, &trace), &trace);
    return mapping;
}

static void a_large_weight_takes_little_memory(void **state)
{
    (void)state;
    struct trace trace = {0};
    int64_t dims[2] = {65536, 1024}; /* 256 MiB */
    size_t size = (size_t)(dims[0] * dims[1]) * 4;
    char *directory = test_directory_create();
    struct mapping mapping = map_zeros(directory, size);
    struct tensor_view dense, across;
    assert_ok(tensor_view_dense(&dense, &mapping, mapping.data, size, DTYPE_F32, 2, dims, &trace), &trace);
    dims[0] = 1024, dims[1] = 65536;
    assert_ok(tensor_view_dense(&across, &mapping, mapping.data, size, DTYPE_F32, 2, dims, &trace), &trace);
    across = tensor_view_transpose(&across);
    const struct tensor_view *views[2] = {&dense, &across};
    for (int i = 0; i < 2; i++) {
        if (!reset_peak()) {
            print_message("the peak cannot be reset here\n");
            break;
        }
        long before = peak_memory();
        struct linear l;
        assert_ok(linear_run(&l, views[i], LENT, &trace), &trace);
        long grown = peak_memory() - before;
        if (grown > 180 * 1024)
            fail_msg("view %d: %ld kB more", i, grown);
        linear_release(&l);
    }
    mapping_release(&mapping);
    test_directory_remove(directory);
}

static void a_file_cut_short_is_an_error(void **state)
{
    (void)state;
    struct trace trace = {0};
    int64_t dims[2] = {512, 64};
    size_t size = (size_t)(dims[0] * dims[1]) * 4;
    char *directory = test_directory_create(), path[4200];
    struct mapping mapping = map_zeros(directory, size);
    struct tensor_view view;
    assert_ok(tensor_view_dense(&view, &mapping, mapping.data, size, DTYPE_F32, 2, dims, &trace), &trace);
    snprintf(path, sizeof path, "%s/w", directory);
    assert_int_equal(truncate(path, 4096), 0);
    struct linear l;
    assert_fails(linear_run(&l, &view, LENT, &trace), IO, &trace, "cut short");
    assert_non_null(strstr(trace.text, "= matmul_nt"));
    linear_release(&l);
    mapping_release(&mapping);
    test_directory_remove(directory);
}

static void an_id_out_of_range_is_named(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = make_executor(1, CPU_ISA_default);
    struct graph *g = graph_create();
    static const float data[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const int32_t ids_data[5] = {0, 3, 4, 1, 1};
    int64_t dims[2] = {4, 3};
    struct tensor_view view;
    assert_ok(tensor_view_dense(&view, NULL, (const uint8_t *)data, sizeof data, DTYPE_F32, 2, dims, &trace),
              &trace);
    uint32_t axes[2] = {dims_leaf(&g->dims, 4), dims_leaf(&g->dims, 3)}, axis = dims_leaf(&g->dims, 5);
    uint32_t table = build_tensor(g, STR("t"), &view, axes), ids = build_input(g, "ids", DTYPE_I32, 1, &axis);
    uint32_t y = build_binary(g, OP_embed, table, ids);
    build_output(g, "y", y);
    struct binding bindings[3] = {{table, make_weight(executor, &view, LENT)},
                                  {ids, make_tensor(executor, DTYPE_I32, 5, ids_data)},
                                  {y, make_tensor(executor, DTYPE_F32, 15, NULL)}};
    struct program_spec spec = {g, NULL, 0, bindings, 3};
    struct program *program = NULL;
    assert_ok(executor_compile(&program, executor, &spec, &trace), &trace);
    assert_fails(executor_run(executor, program, &trace), INVALID, &trace,
                 "= embed: element 2 is 4, expected one of 0 .. 3");
    executor_program_destroy(executor, program);
    executor_destroy(executor);
    graph_destroy(g);
}

static void a_lent_weight_can_be_read_and_not_written(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = make_executor(1, CPU_ISA_default);
    static const float data[3] = {0x1p-52f, 2, 3};
    float back[2];
    int64_t dims[1] = {3};
    struct tensor_view view;
    assert_ok(tensor_view_dense(&view, NULL, (const uint8_t *)data, sizeof data, DTYPE_F32, 1, dims, &trace),
              &trace);
    uint32_t lent = make_weight(executor, &view, LENT);
    assert_ok(executor_tensor_read(executor, lent, 0, 2, back, &trace), &trace);
    assert_true(back[0] == 0 && back[1] == 2);
    assert_fails(executor_tensor_write(executor, lent, 0, 2, back, &trace), BROKEN, &trace, "lent weight");
    struct graph *g = graph_create();
    uint32_t axis = dims_leaf(&g->dims, 3), x = build_input(g, "x", DTYPE_F32, 1, &axis);
    uint32_t y = build_unary(g, OP_silu, x);
    build_output(g, "y", y);
    struct binding bindings[2] = {{x, make_tensor(executor, DTYPE_F32, 3, NULL)}, {y, lent}};
    struct program_spec spec = {g, NULL, 0, bindings, 2};
    struct program *program = NULL;
    assert_fails(executor_compile(&program, executor, &spec, &trace), BROKEN, &trace, "a lent weight");
    executor_tensor_destroy(executor, lent);
    assert_fails(executor_tensor_read(executor, lent, 0, 2, back, &trace), BROKEN, &trace, "there is no");
    executor_destroy(executor);
    graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_gives_the_bytes_of_uploaded_weights),
        cmocka_unit_test(the_double_executor_gives_them_too),
        cmocka_unit_test(a_weight_of_several_panels_gives_the_bytes_of_one),
        cmocka_unit_test(a_large_weight_takes_little_memory),
        cmocka_unit_test(a_file_cut_short_is_an_error),
        cmocka_unit_test(an_id_out_of_range_is_named),
        cmocka_unit_test(a_lent_weight_can_be_read_and_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
