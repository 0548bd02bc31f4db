/* What a device offers for products of 16-bit operands: cooperative matrices, by which a subgroup multiplies
 * small matrices at once, and what kernels that use them need beside. Nothing of it is in the baseline. */
#ifndef BACKEND_VULKAN_MATRICES_H
#define BACKEND_VULKAN_MATRICES_H

#include "backend-vulkan/extensions.h"
#include "base/arena.h"
#include <stdbool.h>

/* sums [rows, columns] += a [rows, depth] * b [depth, columns], sums in f32; rows 0: not offered. */
struct matrix_shape {
    uint32_t rows, columns, depth;
};

struct matrices {
    struct matrix_shape f16, bf16; /* the largest of those that a subgroup multiplies in compute kernels */
    uint32_t subgroup;             /* lanes */
    bool has_half;                 /* arithmetic with half precision */
    bool can_fix_subgroup;         /* a kernel can be held to subgroups of that size, all of them full */
    bool has_second;               /* NV_cooperative_matrix2 is offered; no kernel here uses it */
};

/* Asks a device of Vulkan 1.2 or newer. */
void matrices_find(struct matrices *out, VkInstance instance, VkPhysicalDevice device);

/* "f16 16x16x16, bf16 16x16x16, subgroups of 32"; "none" */
const char *matrices_describe(const struct matrices *matrices, struct arena *arena);

/* All of it that results may depend on, for keys: drivers offer one or the other by settings of the
 * environment and by the processor that they run on. */
const char *matrices_identity(const struct matrices *matrices, struct arena *arena);

/* The extensions and features that kernels with these matrices need, to open a device with. The chain refers
 * to itself: it must not move. */
struct matrix_features {
    void *chain; /* NULL: none */
    const char *extensions[3];
    uint32_t extension_count;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR cooperative;
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16;
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes;
};
void matrix_features_make(struct matrix_features *out, const struct matrices *matrices);

#endif
