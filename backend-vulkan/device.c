/* Opening a device with the baseline, and for the device numerics with what its matrices need. */
#include "backend-vulkan/device.h"
#include <inttypes.h>

static enum status check_limits(const VkPhysicalDeviceProperties *p, struct trace *trace)
{
    const VkPhysicalDeviceLimits *limits = &p->limits;
    const struct {
        const char *name;
        uint64_t have, need;
    } table[] = {
        {"storage buffers of a kernel", limits->maxPerStageDescriptorStorageBuffers, DEVICE_BINDINGS},
        {"storage buffers of a set", limits->maxDescriptorSetStorageBuffers, DEVICE_BINDINGS},
        {"bytes of shared memory", limits->maxComputeSharedMemorySize, DEVICE_SHARED_BYTES},
        {"invocations of a group", limits->maxComputeWorkGroupInvocations, DEVICE_INVOCATIONS},
        {"lanes along x", limits->maxComputeWorkGroupSize[0], DEVICE_INVOCATIONS},
        {"bytes of push constants", limits->maxPushConstantsSize, DEVICE_PUSH_BYTES},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].have < table[i].need)
            return status_fail(trace, DEVICE, "%s has %" PRIu64 " %s, %" PRIu64 " are needed", p->deviceName,
                               table[i].have, table[i].name, table[i].need);
    return OK;
}

static enum status find_family(struct device *d, struct trace *trace)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    vkGetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    for (d->family = 0; d->family < count; d->family++)
        if (families[d->family].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            d->stamp_bits = families[d->family].timestampValidBits;
            return OK;
        }
    return status_fail(trace, DEVICE, "the device has no queue for compute kernels");
}

static enum status examine(struct device *d, struct trace *trace)
{
    VkPhysicalDeviceProperties plain;
    vkGetPhysicalDeviceProperties(d->physical, &plain);
    if (plain.apiVersion < VK_API_VERSION_1_2)
        return status_fail(trace, DEVICE, "%s has Vulkan %" PRIu32 ".%" PRIu32 ", 1.2 is needed",
                           plain.deviceName, VK_API_VERSION_MAJOR(plain.apiVersion),
                           VK_API_VERSION_MINOR(plain.apiVersion));
    TRY(check_limits(&plain, trace));
    VkPhysicalDeviceVulkan11Properties eleven = {.sType =
                                                     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &eleven};
    vkGetPhysicalDeviceProperties2(d->physical, &properties);
    VkPhysicalDeviceVulkan12Features twelve = {.sType =
                                                   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &twelve};
    vkGetPhysicalDeviceFeatures2(d->physical, &features);
    if (!twelve.timelineSemaphore)
        return status_fail(trace, DEVICE, "%s lacks timeline semaphores", plain.deviceName);
    d->max_binding = plain.limits.maxStorageBufferRange;
    d->max_allocation = eleven.maxMemoryAllocationSize;
    d->offset_alignment = plain.limits.minStorageBufferOffsetAlignment;
    d->stamp_seconds = 1e-9 * (double)plain.limits.timestampPeriod;
    d->is_software = plain.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    vkGetPhysicalDeviceMemoryProperties(d->physical, &d->memory);
    return find_family(d, trace);
}

static enum status create_device(struct device *d, struct trace *trace)
{
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = d->family,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    struct matrix_features matrix;
    matrix_features_make(&matrix, &d->matrices);
    VkPhysicalDeviceVulkan12Features twelve = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                               .pNext = matrix.chain,
                                               .shaderFloat16 = d->matrices.f16.rows > 0,
                                               .vulkanMemoryModel = matrix.chain != NULL,
                                               .timelineSemaphore = VK_TRUE};
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &twelve,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = matrix.extension_count,
        .ppEnabledExtensionNames = matrix.extensions,
    };
    return vulkan_status(vkCreateDevice(d->physical, &info, NULL, &d->handle), "opening the device", trace);
}

static enum status create_objects(struct device *d, struct trace *trace)
{
    vkGetDeviceQueue(d->handle, d->family, 0, &d->queue);
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    TRY(vulkan_status(vkCreateSemaphore(d->handle, &semaphore, NULL, &d->timeline), "creating a semaphore",
                      trace));
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = d->family};
    TRY(vulkan_status(vkCreateCommandPool(d->handle, &pool, NULL, &d->pool), "creating a command pool",
                      trace));
    VkCommandBufferAllocateInfo buffer = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = d->pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    return vulkan_status(vkAllocateCommandBuffers(d->handle, &buffer, &d->transfer),
                         "creating a command buffer", trace);
}

enum status device_open(struct device *out, struct instance *instance, uint32_t index, enum numerics numerics,
                        struct trace *trace)
{
    *out = (struct device){.instance = instance, .physical = instance->devices[index]};
    enum status status = examine(out, trace);
    if (status == OK && numerics == NUMERICS_DEVICE)
        matrices_find(&out->matrices, instance->handle, out->physical);
    if (status == OK)
        status = create_device(out, trace);
    if (status == OK)
        status = create_objects(out, trace);
    if (status != OK)
        device_release(out);
    return status;
}

void device_release(struct device *device)
{
    if (device->handle) {
        (void)vkDeviceWaitIdle(device->handle); /* a lost device is released like any other */
        vkDestroyCommandPool(device->handle, device->pool, NULL);
        vkDestroySemaphore(device->handle, device->timeline, NULL);
        vkDestroyDevice(device->handle, NULL);
    }
    *device = (struct device){0};
}

enum status device_submit(struct device *device, VkCommandBuffer commands, struct trace *trace)
{
    uint64_t value = device->submitted + 1;
    VkTimelineSemaphoreSubmitInfo timeline = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &value,
    };
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &timeline,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands,
        .signalSemaphoreCount = 1,
        .pSignalSemaphores = &device->timeline,
    };
    TRY(vulkan_status(vkQueueSubmit(device->queue, 1, &info, VK_NULL_HANDLE), "submitting work", trace));
    device->submitted = value;
    return OK;
}

enum status device_wait(struct device *device, struct trace *trace)
{
    return device_wait_behind(device, 0, trace);
}

enum status device_wait_behind(struct device *device, uint64_t count, struct trace *trace)
{
    uint64_t value = device->submitted > count ? device->submitted - count : 0;
    VkSemaphoreWaitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &device->timeline,
        .pValues = &value,
    };
    TRY(vulkan_status(vkWaitSemaphores(device->handle, &info, UINT64_MAX), "waiting for the device", trace));
    return instance_check_messages(device->instance, trace);
}

enum status device_transfer_begin(struct device *device, struct trace *trace)
{
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    TRY(vulkan_status(vkBeginCommandBuffer(device->transfer, &begin), "recording a copy", trace));
    device_barrier(device->transfer);
    return OK;
}

enum status device_transfer_run(struct device *device, struct trace *trace)
{
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                               .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(device->transfer, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &barrier, 0, NULL, 0, NULL);
    TRY(vulkan_status(vkEndCommandBuffer(device->transfer), "recording a copy", trace));
    TRY(device_submit(device, device->transfer, trace));
    return device_wait(device, trace);
}

void device_barrier(VkCommandBuffer commands)
{
    enum { STAGES = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT };
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                         VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
    };
    vkCmdPipelineBarrier(commands, STAGES, STAGES, 0, 1, &barrier, 0, NULL, 0, NULL);
}
