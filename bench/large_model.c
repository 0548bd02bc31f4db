/* Writes a LLaMA-style ONNX model of about 4 GB with external data, for bench/prune_large.sh: MODEL.onnx and
 * weights.bin beside it. `stored` keeps linear layers as [in, out], as exporters that fold transposes do;
 * `named` as [out, in] under a Transpose node. Holds the whole model in memory.
 *
 *   bench/large_model MODEL.onnx stored|named [layers] */
#include "base/file.h"
#include "tests/support/onnx_llama.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status write_files(const char *path, const struct onnx_writer *w, const struct builder *model,
                               struct trace *trace)
{
    char *data = path_beside(path, w->external);
    enum status status = file_write(data, w->data.data, w->data.length, trace);
    free(data);
    return status == OK ? file_write(path, model->data, model->length, trace) : status;
}

int main(int argc, char **argv)
{
    bool is_stored = argc > 2 && strcmp(argv[2], "stored") == 0;
    if (argc < 3 || (!is_stored && strcmp(argv[2], "named") != 0)) {
        fprintf(stderr, "usage: large_model MODEL.onnx stored|named [layers]\n");
        return 2;
    }
    struct onnx_llama shape = onnx_llama_default();
    shape.layers = argc > 3 ? atoi(argv[3]) : 22;
    shape.hidden = 2048, shape.heads = 32, shape.kv_heads = 4, shape.head = 64;
    shape.ffn = 5632, shape.vocabulary = 32000;
    shape.linear = is_stored ? LINEAR_STORED_IN_OUT : LINEAR_TRANSPOSED;
    shape.external = "weights.bin";
    struct onnx_writer w = {0};
    struct builder model = {0};
    struct trace trace = {0};
    onnx_llama_write(&w, &shape);
    onnx_finish(&w, &model);
    enum status status = write_files(argv[1], &w, &model, &trace);
    if (status != OK)
        fprintf(stderr, "%s\n", trace.text);
    builder_release(&model);
    onnx_writer_release(&w);
    return status_exit_code(status);
}
