/* See ir/gguf_pretokenizer.h. */
#include "ir/gguf_pretokenizer.h"
#include <string.h>

const struct gguf_pretokenizer gguf_pretokenizers[] = {
#define GGUF_PRETOKENIZER(name, whole, bos, otherwise, ...) {name, whole, bos, otherwise, {__VA_ARGS__}},
#include "ir/gguf_pretokenizers.def"
};
const size_t gguf_pretokenizer_count = sizeof gguf_pretokenizers / sizeof *gguf_pretokenizers;

bool gguf_steps_equal(const struct gguf_step *a, const struct gguf_step *b)
{
    for (size_t i = 0; i <= GGUF_MOST_STEPS; i++) {
        if (a[i].kind != b[i].kind || (a[i].kind == STEP_SPLIT && strcmp(a[i].pattern, b[i].pattern) != 0))
            return false;
        if (a[i].kind == STEP_END)
            return true;
    }
    return true;
}
