/* Reads arbitrary bytes as a safetensors file. Whatever they are, the reader returns, says why when it fails,
 * and every weight that it found lies inside the bytes. Built with clang -fsanitize=fuzzer,address,undefined,
 * or linked to a test. */
#include "fuzz/safetensors.h"
#include "frontend/safetensors.h"

static void check(const struct weight_set *set, const uint8_t *data, size_t size)
{
    for (uint32_t i = 0; i < set->items.count; i++) {
        const struct stored_weight *weight = &set->items.items[i];
        const struct tensor_view *view = &weight->view;
        if (!weight->is_float)
            continue;
        size_t offset = (size_t)(view->base - data), bytes = tensor_view_bytes(view);
        if (view->base < data || offset > size || bytes > size - offset || bytes == 0)
            BUG("a weight lies outside the file");
        float last;
        tensor_view_read_f32(view, tensor_view_count(view) - 1, 1, &last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mapping file = {.data = data, .size = size, .fd = -1};
    struct arena arena = {0};
    struct weight_set set = {.arena = &arena};
    struct trace trace = {0};
    enum status status = safetensors_read(&set, &file, &trace);
    if (status == OK)
        check(&set, data, size);
    else if (trace.length == 0 || status == BROKEN)
        BUG("a file was refused without a reason");
    arena_release(&arena);
    return 0;
}
