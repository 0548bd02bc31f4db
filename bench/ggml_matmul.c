/* Speed of f32 matrix products by ggml, as a peer of bench/vulkan_matmul: ggml_matmul [SIZE]. Prints GFLOP/s
 * of x * transposed w at SIZE^3 by each of ggml's backends, the best and the median of seven runs. Needs
 * libggml (Debian's libggml-dev), and is built only when asked for. Of software drivers its Vulkan backend
 * takes one only when GGML_VK_VISIBLE_DEVICES names it, as 0 does the first. */
#include "base/log.h"
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 7 };

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(struct ggml_tensor *t)
{
    int64_t count = ggml_nelements(t);
    float *data = malloc((size_t)count * sizeof *data);
    if (!data)
        abort();
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)(i * 2654435761u % 1000) / 1000 - 0.5f;
    ggml_backend_tensor_set(t, data, 0, (size_t)count * sizeof *data);
    free(data);
}

static void measure(ggml_backend_dev_t device, int64_t size)
{
    double seconds[RUNS], work = 2e-9 * (double)size * (double)size * (double)size;
    ggml_backend_t backend = ggml_backend_dev_init(device, NULL);
    if (!backend)
        return;
    struct ggml_context *context = ggml_init((struct ggml_init_params){
        .mem_size = 16 * ggml_tensor_overhead() + ggml_graph_overhead(), .no_alloc = true});
    struct ggml_tensor *x = ggml_new_tensor_2d(context, GGML_TYPE_F32, size, size),
                       *w = ggml_new_tensor_2d(context, GGML_TYPE_F32, size, size),
                       *y = ggml_mul_mat(context, w, x);
    struct ggml_cgraph *graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, y);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    fill(x);
    fill(w);
    ggml_backend_graph_compute(backend, graph);
    for (int i = 0; i < RUNS; i++) {
        double start = clock_seconds();
        ggml_backend_graph_compute(backend, graph);
        seconds[i] = clock_seconds() - start;
    }
    qsort(seconds, RUNS, sizeof *seconds, compare_seconds);
    printf("ggml %-8s %5lld^3  best %8.1f  median %8.1f GFLOP/s  %s\n", ggml_backend_dev_name(device),
           (long long)size, work / seconds[0], work / seconds[RUNS / 2],
           ggml_backend_dev_description(device));
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
    ggml_backend_free(backend);
}

int main(int argc, char **argv)
{
    int64_t size = argc > 1 ? atoll(argv[1]) : 512;
    if (size < 1) {
        fprintf(stderr, "ggml_matmul: SIZE must be 1 or more\n");
        return 2;
    }
    ggml_backend_load_all();
    for (size_t i = 0; i < ggml_backend_dev_count(); i++)
        measure(ggml_backend_dev_get(i), size);
    return 0;
}
