/* Imports arbitrary bytes as a GGUF file: keys, tensors, configuration, graph, tokenizer. Whatever they are,
 * the import returns, says why when it fails, and every weight of the graph can be read. Built with clang
 * -fsanitize=fuzzer,address,undefined, or linked to a test. */
#include "fuzz/gguf.h"
#include "frontend/gguf.h"

static void check(const struct graph *graph)
{
    for (uint32_t i = 0; i < graph->tensors.count; i++) {
        const struct tensor_view *view = &graph->tensors.items[i].view;
        float last;
        tensor_view_read_f32(view, tensor_view_count(view) - 1, 1, &last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mapping file = {.data = data, .size = size, .fd = -1};
    struct imported_model model = {0};
    struct trace trace = {0};
    enum status status = gguf_build(&model, &file, &trace);
    if (status == OK)
        check(model.graph);
    else if (trace.length == 0 || status == BROKEN)
        BUG("a file was refused without a reason");
    imported_model_release(&model);
    return 0;
}
