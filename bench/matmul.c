/* How fast the matrix products of the twin are: GFLOP/s of each form and shape, the ceiling in registers on
 * the same threads (golden: of a multiplication and an addition apiece), the ratio, and OpenBLAS's (fused)
 * sgemm where it is installed.
 *
 *   bench/matmul [threads [golden|fast]] */
#include "backend-cpu/isa.h"
#include "bench/ceiling.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* OpenBLAS, by its C interface. */
typedef void sgemm_function(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

struct shape {
    int64_t m, n, k;
};

struct product {
    struct kernel_call call;
    kernel_function *kernel;
    enum op op;
    struct shape shape;
    sgemm_function *sgemm;
};

static void run_kernel(void *payload)
{
    struct product *p = payload;
    p->kernel(&p->call);
}

static void run_sgemm(void *payload)
{
    enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
    struct product *p = payload;
    int m = (int)p->shape.m, n = (int)p->shape.n, k = (int)p->shape.k;
    bool a = p->op == OP_matmul_tn, b = p->op == OP_matmul_nt;
    p->sgemm(ROW_MAJOR, a ? TRANSPOSED : PLAIN, b ? TRANSPOSED : PLAIN, m, n, k, 1, p->call.inputs[0].data,
             a ? m : k, p->call.inputs[1].data, b ? k : n, 0, p->call.results[0].data, n);
}

static struct kernel_operand make_matrix(int64_t rows, int64_t columns)
{
    struct kernel_operand operand = {.count = rows * columns, .rank = 2, .dims = {rows, columns}};
    float *data = aligned_alloc(64, (size_t)(operand.count + 15) / 16 * 64);
    if (!data)
        abort();
    for (int64_t i = 0; i < operand.count; i++)
        data[i] = (float)(i * 7919 % 1024) * 0x1p-10f - 0.5f;
    operand.data = data;
    return operand;
}

static void measure(kernel_function *const *table, enum op op, struct shape s, struct cpu_threads *threads,
                    double ceiling, sgemm_function *sgemm)
{
    struct product p = {.kernel = table[op], .op = op, .shape = s, .sgemm = sgemm};
    p.call = (struct kernel_call){.input_count = 2, .result_count = 1, .threads = threads};
    p.call.inputs[0] = op == OP_matmul_tn ? make_matrix(s.k, s.m) : make_matrix(s.m, s.k);
    p.call.inputs[1] = op == OP_matmul_nt ? make_matrix(s.n, s.k) : make_matrix(s.k, s.n);
    p.call.results[0] = make_matrix(s.m, s.n);
    double operations = 2.0 * (double)s.m * (double)s.n * (double)s.k;
    double ours = bench_best_rate(run_kernel, &p) * operations * 1e-9;
    printf("%-9s m %5d n %5d k %5d %8.1f GFLOP/s  %.2f of the ceiling", op_table[op].name, (int)s.m, (int)s.n,
           (int)s.k, ours, ours / ceiling);
    if (sgemm) {
        double theirs = bench_best_rate(run_sgemm, &p) * operations * 1e-9;
        printf("  OpenBLAS %8.1f  ratio %.2f", theirs, ours / theirs);
    }
    printf("\n");
    fflush(stdout);
    free(p.call.inputs[0].data);
    free(p.call.inputs[1].data);
    free(p.call.results[0].data);
}

static sgemm_function *find_sgemm(uint32_t threads)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (!library)
        return NULL;
    sgemm_function *sgemm = (sgemm_function *)dlsym(library, "cblas_sgemm");
    void (*set_threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
    if (set_threads)
        set_threads((int)threads);
    /* It knows few processors by name; OPENBLAS_CORETYPE=SkylakeX, for one, tells it what it has to do with.
     */
    char *(*core)(void) = (char *(*)(void))dlsym(library, "openblas_get_corename");
    if (core)
        printf("OpenBLAS takes the processor for %s\n", core());
    return sgemm;
}

int main(int argc, char **argv)
{
    static const struct shape shapes[] = {{256, 64, 64},   {4096, 64, 64},     {4096, 176, 64},
                                          {4096, 64, 176}, {4096, 512, 96},    {4096, 96, 256},
                                          {512, 512, 512}, {1024, 1024, 1024}, {2048, 2048, 2048}};
    static const struct shape deep[] = {{64, 64, 4096},    {176, 64, 4096}, {64, 176, 4096},
                                        {512, 96, 4096},   {512, 512, 512}, {1024, 1024, 1024},
                                        {2048, 2048, 2048}};
    struct trace trace = {0};
    struct cpu_threads *threads = NULL;
    enum numerics numerics = NUMERICS_GOLDEN;
    struct isa_kernels kernels;
    if (argc > 2 && !numerics_find(&numerics, str_from(argv[2]))) {
        fprintf(stderr, "expected " NUMERICS_NAMES ", found \"%s\"\n", argv[2]);
        return 2;
    }
    if (isa_find_kernels(&kernels, CPU_ISA_BEST, numerics, &trace) != OK ||
        cpu_threads_create(&threads, argc > 1 ? (uint32_t)atoi(argv[1]) : 0, &trace) != OK) {
        fprintf(stderr, "%s\n", trace.text);
        return 2;
    }
    bool is_fused = numerics == NUMERICS_FAST;
    double ceiling = (is_fused ? ceiling_fused(threads) : ceiling_separate(threads)) * 1e-9;
    sgemm_function *sgemm = find_sgemm(cpu_threads_count(threads));
    printf("%s, %u threads, ceiling of %s: %.1f GFLOP/s\n", kernels.name, cpu_threads_count(threads),
           is_fused ? "fused multiply-add" : "multiply-then-add", ceiling);
    if (!sgemm)
        printf("OpenBLAS is not installed\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        measure(kernels.table, OP_matmul_nt, shapes[i], threads, ceiling, sgemm);
        measure(kernels.table, OP_matmul_nn, shapes[i], threads, ceiling, sgemm);
    }
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++)
        measure(kernels.table, OP_matmul_tn, deep[i], threads, ceiling, sgemm);
    cpu_threads_destroy(threads);
    return 0;
}
