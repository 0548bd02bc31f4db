/* Opening the loader. apiVersion is pinned to 1.2: drivers may compile the same SPIR-V differently for
 * others. */
#include "backend-vulkan/instance.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const char *result_name(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "out of device memory";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "initialisation failed";
    case VK_ERROR_DEVICE_LOST:
        return "the device was lost (a hang, a driver reset or a removed device); results since the last checkpoint are gone";
    case VK_ERROR_MEMORY_MAP_FAILED:
        return "memory could not be mapped";
    case VK_ERROR_LAYER_NOT_PRESENT:
        return "the validation layer is not installed";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        return "an extension is missing";
    case VK_ERROR_FEATURE_NOT_PRESENT:
        return "a feature is missing";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return "no compatible driver";
    case VK_ERROR_TOO_MANY_OBJECTS:
        return "too many objects";
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
        return "out of pool memory";
    case VK_TIMEOUT:
        return "timed out";
    default:
        return "error";
    }
}

enum status vulkan_status(VkResult result, const char *what, struct trace *trace)
{
    if (result == VK_SUCCESS)
        return OK;
    return status_fail(trace, DEVICE, "Vulkan: %s: %s (VkResult %d)", what, result_name(result), (int)result);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL hear_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                   VkDebugUtilsMessageTypeFlagsEXT types,
                                                   const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                   void *payload)
{
    struct instance *instance = payload;
    (void)severity;
    if (types &
        (VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT))
        builder_printf(&instance->messages, "%s\n", data->pMessage);
    return VK_FALSE;
}

static VkDebugUtilsMessengerCreateInfoEXT messenger_info(struct instance *instance)
{
    return (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = hear_message,
        .pUserData = instance,
    };
}

static VkResult create_validated(struct instance *instance, VkInstanceCreateInfo info,
                                 enum vulkan_validation validation)
{
    static const char *const layer = "VK_LAYER_KHRONOS_validation";
    static const char *const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    static const VkValidationFeatureEnableEXT enables[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT,
        VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT,
        VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_RESERVE_BINDING_SLOT_EXT,
    };
    VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(instance);
    VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = &messenger,
        .enabledValidationFeatureCount = validation == VULKAN_VALIDATED_ON_DEVICE ? 3 : 1,
        .pEnabledValidationFeatures = enables,
    };
    info.pNext = &features;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &layer;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
    VkResult result = vkCreateInstance(&info, NULL, &instance->handle);
    if (result != VK_SUCCESS)
        return result;
    PFN_vkCreateDebugUtilsMessengerEXT create = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
        instance->handle, "vkCreateDebugUtilsMessengerEXT");
    messenger = messenger_info(instance);
    return create(instance->handle, &messenger, NULL, &instance->messenger);
}

enum status instance_open(struct instance *out, enum vulkan_validation validation, struct trace *trace)
{
    *out = (struct instance){0};
    VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "espalier",
        .apiVersion = VK_API_VERSION_1_2,
    };
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &application,
    };
    VkResult result = validation != VULKAN_NOT_VALIDATED ? create_validated(out, info, validation)
                                                         : vkCreateInstance(&info, NULL, &out->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        out->handle = VK_NULL_HANDLE;
        return OK;
    }
    if (result != VK_SUCCESS) {
        instance_release(out);
        return vulkan_status(result, "opening the loader", trace);
    }
    out->device_count = INSTANCE_MAX_DEVICES;
    result = vkEnumeratePhysicalDevices(out->handle, &out->device_count, out->devices);
    if (result == VK_SUCCESS || result == VK_INCOMPLETE)
        return OK;
    /* Without a driver some loaders fail here only. */
    out->device_count = 0;
    if (result == VK_ERROR_INITIALIZATION_FAILED)
        return OK;
    instance_release(out);
    return vulkan_status(result, "listing devices", trace);
}

void instance_release(struct instance *instance)
{
    if (instance->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(instance->handle,
                                                                       "vkDestroyDebugUtilsMessengerEXT");
        destroy(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle)
        vkDestroyInstance(instance->handle, NULL);
    builder_release(&instance->messages);
    *instance = (struct instance){0};
}

enum status instance_check_messages(struct instance *instance, struct trace *trace)
{
    if (instance->messages.length == 0)
        return OK;
    enum status status =
        status_fail(trace, BROKEN, "Vulkan validation: %s", builder_text(&instance->messages));
    builder_clear(&instance->messages);
    return status;
}

static enum vulkan_type type_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return VULKAN_SOFTWARE;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return VULKAN_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return VULKAN_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return VULKAN_VIRTUAL;
    default:
        return VULKAN_OTHER;
    }
}

const char *vulkan_type_name(enum vulkan_type type)
{
    static const char *const names[] = {"other", "integrated", "discrete", "virtual", "software"};
    assert((size_t)type < sizeof names / sizeof *names);
    return names[type];
}

struct vulkan_device_info instance_describe(VkPhysicalDevice device, struct arena *arena)
{
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    vkGetPhysicalDeviceProperties(device, &properties.properties);
    uint32_t version = properties.properties.apiVersion;
    if (version >= VK_API_VERSION_1_2) {
        properties.pNext = &driver;
        vkGetPhysicalDeviceProperties2(device, &properties);
    }
    struct vulkan_device_info info = {
        .name = arena_printf(arena, "%s", properties.properties.deviceName),
        .api = arena_printf(arena, "%" PRIu32 ".%" PRIu32 ".%" PRIu32, VK_API_VERSION_MAJOR(version),
                            VK_API_VERSION_MINOR(version), VK_API_VERSION_PATCH(version)),
        .type = type_of(properties.properties.deviceType),
        .why = "",
        .kernels = "",
        .matrices = "none",
        .products = "",
    };
    if (driver.driverInfo[0])
        info.driver = arena_printf(arena, "%s %s", driver.driverName, driver.driverInfo);
    else
        info.driver =
            arena_printf(arena, "%s %" PRIu32, driver.driverName, properties.properties.driverVersion);
    return info;
}

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, length) == 0)
            return true;
    return false;
}

static enum status fail_with_list(const struct instance *instance, const char *what, const char *selector,
                                  struct trace *trace)
{
    struct arena arena = {0};
    enum status status = status_fail(trace, DEVICE, "%s Vulkan device %s%s%s; %" PRIu32 " here%s", what,
                                     *selector ? "matches \"" : "to use", selector, *selector ? "\"" : "",
                                     instance->device_count, instance->device_count ? ":" : "");
    for (uint32_t i = 0; i < instance->device_count; i++) {
        struct vulkan_device_info info = instance_describe(instance->devices[i], &arena);
        trace_add(trace, "%" PRIu32 ": %s (%s, %s)", i, info.name, info.driver, vulkan_type_name(info.type));
    }
    arena_release(&arena);
    return status;
}

enum status instance_select(const struct instance *instance, const char *selector, uint32_t *index,
                            struct trace *trace)
{
    uint64_t number = 0;
    uint32_t found = 0;
    if (!selector)
        selector = "";
    if (str_to_u64(str_from(selector), &number)) {
        if (number >= instance->device_count)
            return fail_with_list(instance, "no", selector, trace);
        *index = (uint32_t)number;
        return OK;
    }
    for (uint32_t i = 0; i < instance->device_count; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(instance->devices[i], &properties);
        if (!contains(properties.deviceName, selector))
            continue;
        *index = i;
        found++;
    }
    if (found == 1)
        return OK;
    return fail_with_list(instance, found ? "more than one" : "no", selector, trace);
}
