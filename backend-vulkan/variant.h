/* The variants of matrix products: which kernel with which constants, and what each computes. */
#ifndef BACKEND_VULKAN_VARIANT_H
#define BACKEND_VULKAN_VARIANT_H

#include "backend-vulkan/matrices.h"
#include "backend-vulkan/pipeline.h"
#include "ir/executor.h"
#include "shaders/include/push/matmul.h"

/* Variants of one arithmetic have the same bytes on a device. */
enum arithmetic {
#define ARITHMETIC(name, operands, error, least) ARITHMETIC_##name,
#include "backend-vulkan/arithmetics.def"
    ARITHMETIC_COUNT
};

struct arithmetic_info {
    const char *name;
    enum operands operands;
    double error, least;
};
extern const struct arithmetic_info arithmetic_table[ARITHMETIC_COUNT];

/* Whether it multiplies cooperative matrices. */
bool arithmetic_has_matrices(enum arithmetic arithmetic);
bool arithmetic_find(enum arithmetic *out, const char *name);
/* Whether the device has what its kernels need. */
bool arithmetic_is_possible(enum arithmetic arithmetic, const struct matrices *matrices);
/* What products are computed by under the device numerics, after `worse` (ARITHMETIC_COUNT: none) was found
 * wanting: the best that the device has, f32 in the end. By what the device is, never by what is measured:
 * bytes depend on it. */
enum arithmetic arithmetic_choose(const struct device *device, enum arithmetic worse);

enum variant {
#define VARIANT(name, arithmetic, kernel, rows, columns, constants, software, hardware) VARIANT_##name,
#include "backend-vulkan/variants.def"
    VARIANT_COUNT
};

struct variant_info {
    const char *name;
    enum arithmetic arithmetic;
    enum kernel kernel;
    uint32_t rows, columns; /* of a group: outputs, or matrices; of `simple`, columns neighbours in all */
    uint32_t constants[KERNEL_CONSTANTS];
    float assumed[2]; /* cost of a term of an output: on a processor, on a graphics processor */
};
extern const struct variant_info variant_table[VARIANT_COUNT];

/* The constants that all kernels with matrices share, for groups of so many subgroups. */
void matrix_specialise(uint32_t constants[KERNEL_CONSTANTS], enum arithmetic arithmetic,
                       const struct matrices *matrices, uint32_t subgroups);

/* What the others of its arithmetic are compared with. */
enum variant variant_reference(enum arithmetic arithmetic);
/* Whether a group fits a device with these matrices. */
bool variant_is_possible(enum variant variant, const struct matrices *matrices);
/* Outputs of a group. */
struct variant_tile {
    uint32_t rows, columns;
};
struct variant_tile variant_tile(enum variant variant, const struct matrices *matrices);
/* Groups of a launch. */
uint64_t variant_groups(enum variant variant, const struct matrices *matrices, uint64_t rows,
                        uint64_t columns);
/* All constants of the kernel for a product of this shape on such a device: the one place that knows them. */
void variant_specialise(uint32_t constants[KERNEL_CONSTANTS], enum variant variant,
                        const struct matrices *matrices, const struct push_matmul *shape);

#endif
