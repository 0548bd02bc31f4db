/* The connection to the Vulkan loader, its physical devices, and the validation layer where asked for. */
#ifndef BACKEND_VULKAN_INSTANCE_H
#define BACKEND_VULKAN_INSTANCE_H

#include "backend-vulkan/vulkan.h"
#include "base/str.h"
#include <vulkan/vulkan.h>

enum { INSTANCE_MAX_DEVICES = 64 };

struct instance {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDevice devices[INSTANCE_MAX_DEVICES];
    uint32_t device_count;
    struct builder messages; /* what the validation layer said */
};

/* No driver at all gives an instance without devices. `out` must not move afterwards: the layer's callback
 * keeps it. */
enum status instance_open(struct instance *out, enum vulkan_validation validation,
                          struct trace *trace) MUST_CHECK;
void instance_release(struct instance *instance); /* accepts zeroed memory */
/* BROKEN with the messages when there were any; forgets them. */
enum status instance_check_messages(struct instance *instance, struct trace *trace) MUST_CHECK;

/* Name, driver and type of a device; texts on the arena; the verdict is left open. */
struct vulkan_device_info instance_describe(VkPhysicalDevice device, struct arena *arena);

/* The device that `selector` means; DEVICE with the list when that is none or several. */
enum status instance_select(const struct instance *instance, const char *selector, uint32_t *index,
                            struct trace *trace) MUST_CHECK;

/* The one place where a VkResult becomes a status: OK, or DEVICE saying what failed and how. */
enum status vulkan_status(VkResult result, const char *what, struct trace *trace) MUST_CHECK;

#endif
