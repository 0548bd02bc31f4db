/* A logical device with one queue, on whose timeline everything happens in order of submission. */
#ifndef BACKEND_VULKAN_DEVICE_H
#define BACKEND_VULKAN_DEVICE_H

#include "backend-vulkan/instance.h"
#include "backend-vulkan/matrices.h"
#include "ir/numerics.h"
#include <signal.h>

/* What the baseline needs of a device. */
enum { DEVICE_BINDINGS = 10, DEVICE_SHARED_BYTES = 32768, DEVICE_INVOCATIONS = 256, DEVICE_PUSH_BYTES = 128 };

struct device {
    struct instance *instance; /* borrowed */
    VkPhysicalDevice physical;
    VkDevice handle;
    VkQueue queue;
    uint32_t family;
    VkSemaphore timeline;
    uint64_t submitted;                /* the timeline's value when all submitted work is done */
    const volatile sig_atomic_t *stop; /* of the executor */
    VkCommandPool pool;
    VkCommandBuffer transfer; /* for copies, recorded anew each time */
    VkPhysicalDeviceMemoryProperties memory;
    uint64_t max_binding, max_allocation; /* bytes */
    uint64_t offset_alignment;            /* of bindings, bytes */
    uint32_t stamp_bits;                  /* of a time stamp; 0: there are none */
    double stamp_seconds;                 /* between two values of a stamp */
    bool is_software;
    struct matrices matrices; /* none unless it was opened for the device numerics */
};

/* DEVICE naming the first thing that the baseline needs and this device lacks. Extensions are enabled for the
 * device numerics only. */
enum status device_open(struct device *out, struct instance *instance, uint32_t index, enum numerics numerics,
                        struct trace *trace) MUST_CHECK;
void device_release(struct device *device); /* waits for its work; accepts zeroed memory */

enum status device_submit(struct device *device, VkCommandBuffer commands, struct trace *trace) MUST_CHECK;
enum status device_wait(struct device *device,
                        struct trace *trace) MUST_CHECK; /* for all that was submitted */
enum status device_wait_behind(struct device *device, uint64_t count,
                               struct trace *trace) MUST_CHECK; /* for all but the last `count` */

/* Begins recording the transfer buffer; after device_transfer_run() its work is done. */
enum status device_transfer_begin(struct device *device, struct trace *trace) MUST_CHECK;
enum status device_transfer_run(struct device *device, struct trace *trace) MUST_CHECK;

/* Everything written before is seen by everything after it, by kernels and copies. */
void device_barrier(VkCommandBuffer commands);

#endif
