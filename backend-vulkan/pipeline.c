/* The kernel table, and pipelines from embedded SPIR-V. */
#include "backend-vulkan/pipeline.h"
#include "shaders/include/push/attention.h"
#include "shaders/include/push/chain.h"
#include "shaders/include/push/elements.h"
#include "shaders/include/push/matmul.h"
#include "shaders/include/push/rotary.h"
#include "shaders/include/push/rows.h"
#include <string.h>

static_assert((int)PUSH_BINDINGS == (int)DEVICE_BINDINGS, "one offset a binding");

#define KERNEL(name, push, access, windows)  \
    extern const unsigned char spv_##name[]; \
    extern const uint64_t spv_##name##_size;
#include "backend-vulkan/kernels.def"

const struct kernel_info kernel_table[KERNEL_COUNT] = {
#define ROW(name, push, access, windows, is_by_subgroups) \
    {#name, access, windows, sizeof(struct push_##push), spv_##name, &spv_##name##_size, is_by_subgroups},
#define KERNEL(name, push, access, windows) ROW(name, push, access, windows, false)
#define MATRIX_KERNEL(name, push, access, windows) ROW(name, push, access, windows, true)
#include "backend-vulkan/kernels.def"
};

enum status pipelines_open(struct pipelines *out, struct device *device, struct trace *trace)
{
    *out = (struct pipelines){.device = device};
    VkDescriptorSetLayoutBinding bindings[DEVICE_BINDINGS];
    for (uint32_t i = 0; i < DEVICE_BINDINGS; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
    VkDescriptorSetLayoutCreateInfo sets = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = DEVICE_BINDINGS,
        .pBindings = bindings,
    };
    VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, DEVICE_PUSH_BYTES};
    VkResult result = vkCreateDescriptorSetLayout(device->handle, &sets, NULL, &out->set_layout);
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &out->set_layout,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &push,
    };
    if (result == VK_SUCCESS)
        result = vkCreatePipelineLayout(device->handle, &layout, NULL, &out->layout);
    enum status status = vulkan_status(result, "creating the pipeline layout", trace);
    if (status != OK)
        pipelines_release(out);
    return status;
}

void pipelines_release(struct pipelines *pipelines)
{
    if (pipelines->device) {
        VkDevice device = pipelines->device->handle;
        for (uint32_t i = 0; i < pipelines->made.count; i++)
            vkDestroyPipeline(device, pipelines->made.items[i].handle, NULL);
        vkDestroyPipelineLayout(device, pipelines->layout, NULL);
        vkDestroyDescriptorSetLayout(device, pipelines->set_layout, NULL);
    }
    arena_release(&pipelines->arena);
    *pipelines = (struct pipelines){0};
}

static enum status make_pipeline(struct pipelines *pipelines, struct made_pipeline *out, struct trace *trace)
{
    const struct kernel_info *kernel = &kernel_table[out->kernel];
    VkDevice device = pipelines->device->handle;
    VkSpecializationMapEntry entries[KERNEL_CONSTANTS];
    for (uint32_t i = 0; i < KERNEL_CONSTANTS; i++)
        entries[i] = (VkSpecializationMapEntry){i, i * sizeof *out->constants, sizeof *out->constants};
    VkSpecializationInfo special = {KERNEL_CONSTANTS, entries, sizeof out->constants, out->constants};
    VkShaderModuleCreateInfo module = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = *kernel->code_size,
        .pCode = (const uint32_t *)(const void *)kernel->code,
    };
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = pipelines->device->matrices.subgroup};
    bool is_fixed = kernel->is_by_subgroups && pipelines->device->matrices.can_fix_subgroup;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = is_fixed ? &size : NULL,
                  .flags = is_fixed ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .pName = "main",
                  .pSpecializationInfo = &special},
        .layout = pipelines->layout,
    };
    VkResult result = vkCreateShaderModule(device, &module, NULL, &info.stage.module);
    if (result == VK_SUCCESS)
        result = vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &out->handle);
    vkDestroyShaderModule(device, info.stage.module, NULL);
    TRY_WITH(trace, vulkan_status(result, "creating a pipeline", trace), "for kernel %s", kernel->name);
    return OK;
}

enum status pipelines_get(struct pipelines *pipelines, enum kernel kernel, const uint32_t *constants,
                          VkPipeline *out, struct trace *trace)
{
    struct made_pipeline made = {.kernel = kernel};
    if (constants)
        memcpy(made.constants, constants, sizeof made.constants);
    for (uint32_t i = 0; i < pipelines->made.count; i++) {
        const struct made_pipeline *other = &pipelines->made.items[i];
        *out = other->handle;
        if (other->kernel == kernel && memcmp(other->constants, made.constants, sizeof made.constants) == 0)
            return OK;
    }
    TRY(make_pipeline(pipelines, &made, trace));
    *VEC_PUSH(&pipelines->arena, &pipelines->made) = made;
    *out = made.handle;
    return OK;
}
