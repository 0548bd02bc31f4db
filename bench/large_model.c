/* large_model MODEL.onnx stored|named|sparse|deep [layers]: LLaMA-style ONNX models for bench/prune_large.sh
 * and bench/inspect_large.sh, with weights.bin beside MODEL.onnx where there is external data.
 *
 * stored: about 4 GB, linear layers as [in, out], as exporters that fold transposes do; a whole model is held
 * in memory.
 *
 * named: the same as [out, in] under a Transpose node.
 *
 * sparse: 15 billion parameters, 60 GB of which the disk holds a number every 16 MiB, so that no two weights
 * are equal.
 *
 * deep: layers of 8 channels, for the number of nodes. */
#include "base/file.h"
#include "tests/support/onnx_llama.h"
#include <fcntl.h>
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

/* A file of `length` bytes with a number here and there. */
static bool scatter(const char *path, uint64_t length)
{
    enum { STEP = 16 << 20 };
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && ftruncate(fd, (off_t)length) == 0;
    for (uint64_t at = 0; is_written && at + sizeof at <= length; at += STEP)
        is_written = pwrite(fd, &at, sizeof at, (off_t)at) == sizeof at;
    return fd >= 0 && close(fd) == 0 && is_written;
}

static enum status write_files(const char *path, const struct onnx_writer *w, const struct builder *model,
                               struct trace *trace)
{
    enum status status = file_write(path, model->data, model->length, trace);
    char *data = w->external ? path_beside(path, w->external) : NULL;
    if (status == OK && data)
        status = file_write(data, w->data.data, w->data.length, trace);
    if (status == OK && w->is_sparse && !scatter(data, w->sparse_length))
        status = status_fail(trace, IO, "cannot write %s", data);
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
