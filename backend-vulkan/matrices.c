/* Extensions by name, features by structure, shapes by enumeration. */
#include "backend-vulkan/matrices.h"
#include "base/status.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct extensions {
    VkExtensionProperties *items; /* owned */
    uint32_t count;
};

static bool has(const struct extensions *extensions, const char *name)
{
    for (uint32_t i = 0; i < extensions->count; i++)
        if (strcmp(extensions->items[i].extensionName, name) == 0)
            return true;
    return false;
}

static void list_extensions(struct extensions *out, VkPhysicalDevice device)
{
    *out = (struct extensions){0};
    if (vkEnumerateDeviceExtensionProperties(device, NULL, &out->count, NULL) != VK_SUCCESS)
        out->count = 0;
    out->items = calloc(out->count + 1, sizeof *out->items);
    if (!out->items)
        BUG("out of memory");
    if (out->count > 0 &&
        vkEnumerateDeviceExtensionProperties(device, NULL, &out->count, out->items) != VK_SUCCESS)
        out->count = 0;
}

static uint64_t work_of(uint32_t rows, uint32_t columns, uint32_t depth)
{
    return (uint64_t)rows * columns * depth;
}

static bool is_one_of(uint32_t side, uint32_t a, uint32_t b, uint32_t c)
{
    return side == a || side == b || side == c;
}

/* Products of two matrices of `type` added to f32, by a subgroup, of sides that divide the tiles of the
 * kernels (shaders/device/). */
static bool fits(const VkCooperativeMatrixPropertiesKHR *p, int type)
{
    return (int)p->AType == type && (int)p->BType == type && p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && p->scope == VK_SCOPE_SUBGROUP_KHR &&
           !p->saturatingAccumulation && is_one_of(p->MSize, 8, 16, 16) && is_one_of(p->NSize, 8, 16, 16) &&
           is_one_of(p->KSize, 8, 16, 32);
}

static struct matrix_shape choose(const VkCooperativeMatrixPropertiesKHR *all, uint32_t count, int type)
{
    struct matrix_shape best = {0};
    for (uint32_t i = 0; i < count; i++)
        if (fits(&all[i], type) &&
            work_of(all[i].MSize, all[i].NSize, all[i].KSize) > work_of(best.rows, best.columns, best.depth))
            best = (struct matrix_shape){all[i].MSize, all[i].NSize, all[i].KSize};
    return best;
}

static void find_shapes(struct matrices *out, VkInstance instance, VkPhysicalDevice device, bool has_bfloat16)
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR list =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    uint32_t count = 0;
    if (!list || list(device, &count, NULL) != VK_SUCCESS || count == 0)
        return;
    VkCooperativeMatrixPropertiesKHR *all = calloc(count, sizeof *all);
    if (!all)
        BUG("out of memory");
    for (uint32_t i = 0; i < count; i++)
        all[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (list(device, &count, all) == VK_SUCCESS) {
        if (out->has_half)
            out->f16 = choose(all, count, VK_COMPONENT_TYPE_FLOAT16_KHR);
        if (has_bfloat16)
            out->bf16 = choose(all, count, VK_COMPONENT_TYPE_BFLOAT16_KHR);
    }
    free(all);
}

/* Kernels run in compute stages, and synchronise by the memory model of Vulkan. */
static void find_matrices(struct matrices *out, VkInstance instance, VkPhysicalDevice device,
                          const struct extensions *extensions)
{
    VkPhysicalDeviceCooperativeMatrixPropertiesKHR stages = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &stages};
    vkGetPhysicalDeviceProperties2(device, &properties);
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceVulkan12Features twelve = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                               .pNext = &matrix};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &twelve};
    if (has(extensions, VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME))
        matrix.pNext = &bfloat16;
    vkGetPhysicalDeviceFeatures2(device, &features);
    if (matrix.cooperativeMatrix && twelve.vulkanMemoryModel &&
        (stages.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        find_shapes(out, instance, device,
                    bfloat16.shaderBFloat16Type && bfloat16.shaderBFloat16CooperativeMatrix);
}

static void find_subgroups(struct matrices *out, VkPhysicalDevice device, const struct extensions *extensions)
{
    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType =
                                                       VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &subgroup};
    VkPhysicalDeviceSubgroupSizeControlFeatures control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    VkPhysicalDeviceVulkan12Features twelve = {.sType =
                                                   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &twelve};
    if (has(extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
        subgroup.pNext = &sizes;
        twelve.pNext = &control;
    }
    vkGetPhysicalDeviceProperties2(device, &properties);
    vkGetPhysicalDeviceFeatures2(device, &features);
    out->has_half = twelve.shaderFloat16;
    out->subgroup = subgroup.subgroupSize;
    out->can_fix_subgroup = control.subgroupSizeControl && control.computeFullSubgroups &&
                            sizes.minSubgroupSize <= out->subgroup &&
                            out->subgroup <= sizes.maxSubgroupSize &&
                            (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
}

void matrices_find(struct matrices *out, VkInstance instance, VkPhysicalDevice device)
{
    struct extensions extensions;
    *out = (struct matrices){0};
    list_extensions(&extensions, device);
    find_subgroups(out, device, &extensions);
    if (has(&extensions, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME))
        find_matrices(out, instance, device, &extensions);
    out->has_second = has(&extensions, "VK_NV_cooperative_matrix2");
    free(extensions.items);
}

static const char *add_shape(const char *text, const char *name, struct matrix_shape shape,
                             struct arena *arena)
{
    if (!shape.rows)
        return text;
    return arena_printf(arena, "%s%s %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", ", text, name, shape.rows,
                        shape.columns, shape.depth);
}

const char *matrices_describe(const struct matrices *m, struct arena *arena)
{
    const char *text = add_shape("", "f16", m->f16, arena);
    text = add_shape(text, "bf16", m->bf16, arena);
    return *text ? arena_printf(arena, "%ssubgroups of %" PRIu32 "%s", text, m->subgroup,
                                m->has_second ? " (NV_cooperative_matrix2 is there and not used)" : "")
                 : "none";
}

const char *matrices_identity(const struct matrices *m, struct arena *arena)
{
    return arena_printf(arena,
                        "f16 %" PRIu32 "x%" PRIu32 "x%" PRIu32 " bf16 %" PRIu32 "x%" PRIu32 "x%" PRIu32
                        " subgroups %" PRIu32 " %s half %s",
                        m->f16.rows, m->f16.columns, m->f16.depth, m->bf16.rows, m->bf16.columns,
                        m->bf16.depth, m->subgroup, m->can_fix_subgroup ? "fixed" : "free",
                        m->has_half ? "yes" : "no");
}

/* ---- opening ---- */

void matrix_features_make(struct matrix_features *out, const struct matrices *m)
{
    *out = (struct matrix_features){0};
    if (!m->f16.rows && !m->bf16.rows)
        return;
    out->cooperative = (VkPhysicalDeviceCooperativeMatrixFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .cooperativeMatrix = VK_TRUE};
    out->chain = &out->cooperative;
    out->extensions[out->extension_count++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (m->bf16.rows) {
        out->bfloat16 = (VkPhysicalDeviceShaderBfloat16FeaturesKHR){
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR,
            .pNext = out->chain,
            .shaderBFloat16Type = VK_TRUE,
            .shaderBFloat16CooperativeMatrix = VK_TRUE};
        out->chain = &out->bfloat16;
        out->extensions[out->extension_count++] = VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME;
    }
    if (m->can_fix_subgroup) {
        out->sizes = (VkPhysicalDeviceSubgroupSizeControlFeatures){
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
            .pNext = out->chain,
            .subgroupSizeControl = VK_TRUE,
            .computeFullSubgroups = VK_TRUE};
        out->chain = &out->sizes;
        out->extensions[out->extension_count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
}
