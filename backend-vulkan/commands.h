/* A list of kernel launches, recorded once into command buffers and submitted any number of times. Launches
 * run in order; a barrier stands between two only where one writes what the other touches. */
#ifndef BACKEND_VULKAN_COMMANDS_H
#define BACKEND_VULKAN_COMMANDS_H

#include "backend-vulkan/timing.h"
#include "backend-vulkan/window.h"
#include "shaders/include/push/push.h"

struct commands {
    struct device *device; /* borrowed, like the next two */
    struct memory *memory;
    struct pipelines *pipelines;
    struct arena arena;
    VEC(struct launch) launches;
    VEC(VkCommandBuffer) buffers;
    VkDescriptorPool sets;
    uint32_t stands[DEVICE_BINDINGS]; /* pieces that stand for split windows, see commands.c */
    bool has_stand[DEVICE_BINDINGS];
    uint64_t dispatches;  /* of one run */
    struct timing timing; /* zeroed: nothing is timed */
};

void commands_init(struct commands *out, struct memory *memory, struct pipelines *pipelines);
void commands_release(struct commands *commands); /* accepts zeroed memory */

/* Adds a launch: push is the kernel's block, whose head is filled in here. Returns it until the next is
 * added, for constants to be set. */
struct launch *commands_add(struct commands *commands, enum kernel kernel, const struct span *spans,
                            const void *push, uint64_t groups, double cost);
/* After the last launch. DEVICE when a group of a launch touches more than can be bound. */
enum status commands_record(struct commands *commands, struct trace *trace) MUST_CHECK;
/* Runs everything and waits. */
enum status commands_run(struct commands *commands, struct trace *trace) MUST_CHECK;

#endif
