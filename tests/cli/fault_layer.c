/* A Vulkan layer in which things go wrong as they do on real machines, from the moment on at which the file
 * that ESPALIER_FAULT names says so: `submit` loses the device at the next submission, `wait` at the next
 * wait, `memory` refuses every allocation. A device that is lost stays lost. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

/* One instance and one device at a time is all that the program has. */
static struct {
    VkBool32 is_lost;
    PFN_vkGetInstanceProcAddr instance_next;
    PFN_vkGetDeviceProcAddr device_next;
    PFN_vkQueueSubmit submit;
    PFN_vkWaitSemaphores wait;
    PFN_vkDeviceWaitIdle wait_idle;
    PFN_vkAllocateMemory allocate;
} layer;

static VkBool32 is_due(const char *fault)
{
    const char *path = getenv("ESPALIER_FAULT");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[16] = {0};
    if (file < 0)
        return VK_FALSE;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 && strcmp(text, fault) == 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo *submits,
                                             VkFence fence)
{
    layer.is_lost = layer.is_lost || is_due("submit");
    return layer.is_lost ? VK_ERROR_DEVICE_LOST : layer.submit(queue, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout)
{
    if (!layer.is_lost && is_due("wait")) {
        layer.wait(device, info, timeout); /* what runs may still write to memory that is freed after this */
        layer.is_lost = VK_TRUE;
    }
    return layer.is_lost ? VK_ERROR_DEVICE_LOST : layer.wait(device, info, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_idle(VkDevice device)
{
    VkResult result = layer.wait_idle(device);
    return layer.is_lost ? VK_ERROR_DEVICE_LOST : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                               const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
    if (is_due("memory"))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    return layer.allocate(device, info, allocator, memory);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_function(VkDevice device, const char *name)
{
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } ours[] = {
        {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)device_function},
        {"vkQueueSubmit", (PFN_vkVoidFunction)submit},
        {"vkWaitSemaphores", (PFN_vkVoidFunction)wait},
        {"vkDeviceWaitIdle", (PFN_vkVoidFunction)wait_idle},
        {"vkAllocateMemory", (PFN_vkVoidFunction)allocate},
    };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(name, ours[i].name) == 0)
            return ours[i].function;
    return layer.device_next(device, name);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *device)
{
    VkLayerDeviceCreateInfo *chain = (VkLayerDeviceCreateInfo *)(uintptr_t)info->pNext;
    while (chain && (chain->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO ||
                     chain->function != VK_LAYER_LINK_INFO))
        chain = (VkLayerDeviceCreateInfo *)(uintptr_t)chain->pNext;
    if (!chain)
        return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr next = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    layer.device_next = chain->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
    PFN_vkCreateDevice create = (PFN_vkCreateDevice)next(NULL, "vkCreateDevice");
    VkResult result = create(physical, info, allocator, device);
    if (result != VK_SUCCESS)
        return result;
    layer.submit = (PFN_vkQueueSubmit)layer.device_next(*device, "vkQueueSubmit");
    layer.wait = (PFN_vkWaitSemaphores)layer.device_next(*device, "vkWaitSemaphores");
    layer.wait_idle = (PFN_vkDeviceWaitIdle)layer.device_next(*device, "vkDeviceWaitIdle");
    layer.allocate = (PFN_vkAllocateMemory)layer.device_next(*device, "vkAllocateMemory");
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *allocator,
                                                      VkInstance *instance)
{
    VkLayerInstanceCreateInfo *chain = (VkLayerInstanceCreateInfo *)(uintptr_t)info->pNext;
    while (chain && (chain->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
                     chain->function != VK_LAYER_LINK_INFO))
        chain = (VkLayerInstanceCreateInfo *)(uintptr_t)chain->pNext;
    if (!chain)
        return VK_ERROR_INITIALIZATION_FAILED;
    layer.instance_next = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
    return ((PFN_vkCreateInstance)layer.instance_next(NULL, "vkCreateInstance"))(info, allocator, instance);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_function(VkInstance instance, const char *name)
{
    if (strcmp(name, "vkGetInstanceProcAddr") == 0)
        return (PFN_vkVoidFunction)instance_function;
    if (strcmp(name, "vkCreateInstance") == 0)
        return (PFN_vkVoidFunction)create_instance;
    if (strcmp(name, "vkCreateDevice") == 0)
        return (PFN_vkVoidFunction)create_device;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (PFN_vkVoidFunction)device_function;
    return layer.instance_next(instance, name);
}

VK_LAYER_EXPORT VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface);

VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
    interface->loaderLayerInterfaceVersion = 2;
    interface->pfnGetInstanceProcAddr = instance_function;
    interface->pfnGetDeviceProcAddr = device_function;
    interface->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
