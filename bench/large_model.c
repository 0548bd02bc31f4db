/* Writes LLaMA-style ONNX models for bench/prune_large.sh and bench/inspect_large.sh: MODEL.onnx, and where
 * it has external data, weights.bin beside it.
 *
 *   stored  about 4 GB, linear layers as [in, out], as exporters that fold transposes do; held in memory as a
 * whole named   the same as [out, in] under a Transpose node sparse  15 billion parameters, 60 GB of which
 * the disk holds nothing deep    layers of 8 channels, for the number of nodes
 *
 *   bench/large_model MODEL.onnx stored|named|sparse|deep [layers] */
#include "base/file.h"
#include "tests/support/onnx_llama.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct form {
    const char *name;
    int64_t layers, hidden, heads, kv_heads, head, ffn, vocabulary;
    enum linear_form linear;
    bool is_external, is_sparse;
} forms[] = {
    {"stored", 22, 2048, 32, 4, 64, 5632, 32000, LINEAR_STORED_IN_OUT, true, false},
    {"named", 22, 2048, 32, 4, 64, 5632, 32000, LINEAR_TRANSPOSED, true, false},
    {"sparse", 22, 6144, 48, 8, 128, 24576, 256000, LINEAR_TRANSPOSED, true, true},
    {"deep", 1000, 8, 2, 1, 4, 8, 16, LINEAR_STORED_IN_OUT, false, false},
};

static enum status write_files(const char *path, const struct onnx_writer *w, const struct builder *model,
                               struct trace *trace)
{
    enum status status = file_write(path, model->data, model->length, trace);
    char *data = w->external ? path_beside(path, w->external) : NULL;
    if (status == OK && data)
        status = file_write(data, w->data.data, w->data.length, trace);
    if (status == OK && w->is_sparse && truncate(data, (off_t)w->sparse_length) != 0)
        status = status_fail(trace, IO, "cannot lengthen %s", data);
    free(data);
    return status;
}

static const struct form *find_form(const char *name)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct form *form = argc > 2 ? find_form(argv[2]) : NULL;
    if (!form) {
        fprintf(stderr, "usage: large_model MODEL.onnx stored|named|sparse|deep [layers]\n");
        return 2;
    }
    struct onnx_llama shape = onnx_llama_default();
    shape.layers = argc > 3 ? atoi(argv[3]) : form->layers;
    shape.hidden = form->hidden, shape.heads = form->heads, shape.kv_heads = form->kv_heads;
    shape.head = form->head, shape.ffn = form->ffn, shape.vocabulary = form->vocabulary;
    shape.linear = form->linear;
    shape.external = form->is_external ? "weights.bin" : NULL;
    struct onnx_writer w = {.is_sparse = form->is_sparse};
    struct builder model = {0};
    struct trace trace = {0};
    onnx_llama_write(&w, &shape);
    onnx_finish(&w, &model);
    enum status status = write_files(argv[1], &w, &model, &trace);
    if (status != OK)
        fprintf(stderr, "%s\n", trace.text);
    printf("%u nodes\n", w.nodes.count);
    builder_release(&model);
    onnx_writer_release(&w);
    return status_exit_code(status);
}
