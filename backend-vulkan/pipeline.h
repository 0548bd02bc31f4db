/* The kernels of kernels.def as pipelines, made when first needed, for each set of constants that specialise
 * one. All share one layout: DEVICE_BINDINGS storage buffers and 128 bytes of push constants. */
#ifndef BACKEND_VULKAN_PIPELINE_H
#define BACKEND_VULKAN_PIPELINE_H

#include "backend-vulkan/device.h"
#include "base/vec.h"
#include "shaders/include/constants.h"

enum kernel {
#define KERNEL(name, push, access, windows) KERNEL_##name,
#include "backend-vulkan/kernels.def"
    KERNEL_COUNT
};

/* Most specialization constants of a kernel: their ids are 0, 1, ... */
enum { KERNEL_CONSTANTS = 9 };

struct kernel_info {
    const char *name;
    const char *access, *windows; /* a letter per binding, see kernels.def */
    uint32_t push_size;           /* bytes */
    const unsigned char *code;
    const uint64_t *code_size; /* bytes */
    bool is_by_subgroups;      /* multiplies matrices: its subgroups are as large as the device said */
};
extern const struct kernel_info kernel_table[KERNEL_COUNT];

struct made_pipeline {
    enum kernel kernel;
    uint32_t constants[KERNEL_CONSTANTS];
    VkPipeline handle;
};

struct pipelines {
    struct device *device; /* borrowed */
    struct arena arena;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VEC(struct made_pipeline) made;
};

enum status pipelines_open(struct pipelines *out, struct device *device, struct trace *trace) MUST_CHECK;
void pipelines_release(struct pipelines *pipelines); /* accepts zeroed memory */
/* `constants`: KERNEL_CONSTANTS of them, or NULL for a kernel without. */
enum status pipelines_get(struct pipelines *pipelines, enum kernel kernel, const uint32_t *constants,
                          VkPipeline *out, struct trace *trace) MUST_CHECK;

#endif
