/* The kernels of kernels.def as pipelines, made when first needed. All share one layout: DEVICE_BINDINGS
 * storage buffers and 128 bytes of push constants. */
#ifndef BACKEND_VULKAN_PIPELINE_H
#define BACKEND_VULKAN_PIPELINE_H

#include "backend-vulkan/device.h"

enum kernel {
#define KERNEL(name, push, access, windows) KERNEL_##name,
#include "backend-vulkan/kernels.def"
    KERNEL_COUNT
};

struct kernel_info {
    const char *name;
    const char *access, *windows; /* a letter per binding, see kernels.def */
    uint32_t push_size;           /* bytes */
    const unsigned char *code;
    const uint64_t *code_size; /* bytes */
};
extern const struct kernel_info kernel_table[KERNEL_COUNT];

struct pipelines {
    struct device *device; /* borrowed */
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipelines[KERNEL_COUNT];
};

enum status pipelines_open(struct pipelines *out, struct device *device, struct trace *trace) MUST_CHECK;
void pipelines_release(struct pipelines *pipelines); /* accepts zeroed memory */
enum status pipelines_get(struct pipelines *pipelines, enum kernel kernel, VkPipeline *out,
                          struct trace *trace) MUST_CHECK;

#endif
