#include "backend-vulkan/variant.h"
#include "shaders/include/constants.h"
#include <assert.h>
#include <string.h>

const struct arithmetic_info arithmetic_table[ARITHMETIC_COUNT] = {
#define ARITHMETIC(name, operands, error, least) {#name, OPERANDS_##operands, error, least},
#include "backend-vulkan/arithmetics.def"
};

#define UNPACK(...) \
    {               \
        __VA_ARGS__ \
    }
const struct variant_info variant_table[VARIANT_COUNT] = {
#define VARIANT(name, arithmetic, kernel, rows, columns, constants, software, hardware) \
    {#name, ARITHMETIC_##arithmetic, KERNEL_##kernel, rows, columns, UNPACK constants, {software, hardware}},
#include "backend-vulkan/variants.def"
};

bool arithmetic_has_matrices(enum arithmetic arithmetic)
{
    return arithmetic == ARITHMETIC_matrix_f16 || arithmetic == ARITHMETIC_matrix_bf16;
}

bool arithmetic_find(enum arithmetic *out, const char *name)
{
    for (uint32_t i = 0; i < ARITHMETIC_COUNT; i++)
        if (strcmp(name, arithmetic_table[i].name) == 0) {
            *out = (enum arithmetic)i;
            return true;
        }
    return false;
}

static const struct matrix_shape *shape_of(enum arithmetic arithmetic, const struct matrices *m)
{
    if (arithmetic == ARITHMETIC_matrix_bf16)
        return &m->bf16;
    return arithmetic == ARITHMETIC_matrix_f16 ? &m->f16 : NULL;
}

bool arithmetic_is_possible(enum arithmetic arithmetic, const struct matrices *matrices)
{
    const struct matrix_shape *shape = shape_of(arithmetic, matrices);
    return !shape || (shape->rows > 0 && variant_is_possible(variant_reference(arithmetic), matrices));
}

enum arithmetic arithmetic_choose(const struct device *device, enum arithmetic worse)
{
    const struct matrices *m = &device->matrices;
    for (uint32_t i = worse; i-- > 0;) {
        /* Processors do f32 best, and half precision pays where the hardware has it. */
        bool pays = i != ARITHMETIC_packed_f16 || (m->has_half && !device->is_software);
        if (pays && arithmetic_is_possible(i, m))
            return i;
    }
    return ARITHMETIC_f32;
}

enum variant variant_reference(enum arithmetic arithmetic)
{
    uint32_t v = 0;
    while (variant_table[v].arithmetic != arithmetic)
        v++;
    return v;
}

static uint32_t subgroups_of(enum variant variant)
{
    const uint32_t *constants = variant_table[variant].constants;
    return constants[MATRIX_SUBGROUPS_DOWN] * constants[MATRIX_SUBGROUPS_ACROSS];
}

/* Of a group of shaders/device/matmul_matrix.comp: staged lines of both sides, and a matrix a subgroup. */
static uint32_t shared_bytes(enum variant variant, const struct matrix_shape *shape)
{
    enum { PAD = 4 }; /* words of a line, beside a word for each two of twice the depth's terms */
    const struct variant_info *v = &variant_table[variant];
    uint32_t lines = v->rows * shape->rows + v->columns * shape->columns;
    return 4 * (lines * (shape->depth + PAD) + subgroups_of(variant) * shape->rows * shape->columns);
}

bool variant_is_possible(enum variant variant, const struct matrices *matrices)
{
    const struct matrix_shape *shape = shape_of(variant_table[variant].arithmetic, matrices);
    return !shape || (shape->rows > 0 && subgroups_of(variant) * matrices->subgroup <= DEVICE_INVOCATIONS &&
                      shared_bytes(variant, shape) <= DEVICE_SHARED_BYTES);
}

struct variant_tile variant_tile(enum variant variant, const struct matrices *matrices)
{
    const struct variant_info *v = &variant_table[variant];
    const struct matrix_shape *shape = shape_of(v->arithmetic, matrices);
    return (struct variant_tile){v->rows * (shape ? shape->rows : 1),
                                 v->columns * (shape ? shape->columns : 1)};
}

uint64_t variant_groups(enum variant variant, const struct matrices *matrices, uint64_t rows,
                        uint64_t columns)
{
    struct variant_tile tile = variant_tile(variant, matrices);
    if (tile.rows == 1) /* outputs in a row, whatever the shape */
        return (rows * columns + tile.columns - 1) / tile.columns;
    return (rows + tile.rows - 1) / tile.rows * ((columns + tile.columns - 1) / tile.columns);
}

void matrix_specialise(uint32_t constants[KERNEL_CONSTANTS], enum arithmetic arithmetic,
                       const struct matrices *matrices, uint32_t subgroups)
{
    const struct matrix_shape *shape = shape_of(arithmetic, matrices);
    constants[MATRIX_ROWS] = shape->rows;
    constants[MATRIX_COLUMNS] = shape->columns;
    constants[MATRIX_DEPTH] = shape->depth;
    constants[MATRIX_LANES] = matrices->subgroup * subgroups;
}

void variant_specialise(uint32_t constants[KERNEL_CONSTANTS], enum variant variant,
                        const struct matrices *matrices, const struct push_matmul *shape)
{
    const struct variant_info *v = &variant_table[variant];
    memcpy(constants, v->constants, sizeof v->constants);
    if (v->kernel == KERNEL_matmul_wide) {
        constants[WIDE_X_ALONG_K] = shape->x_step == 1 && shape->x_row != 1;
        constants[WIDE_W_ALONG_K] = shape->w_step == 1 && shape->w_column != 1;
    }
    if (arithmetic_has_matrices(v->arithmetic))
        matrix_specialise(constants, v->arithmetic, matrices, subgroups_of(variant));
}
