/* Names and sizes of element types. */
#include "ir/type.h"

static const struct {
    const char *name;
    size_t size;
} types[DTYPE_COUNT] = {
    [DTYPE_F32] = {"f32", 4},
    [DTYPE_I32] = {"i32", 4},
    [DTYPE_F16] = {"f16", 2},
    [DTYPE_BF16] = {"bf16", 2},
};

const char *dtype_name(enum dtype dtype)
{
    return types[dtype].name;
}

bool dtype_from_name(struct str name, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (str_is(name, types[i].name))
            return *out = (enum dtype)i, true;
    return false;
}

size_t dtype_size(enum dtype dtype)
{
    return types[dtype].size;
}
