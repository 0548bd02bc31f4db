/* A device made ready: opened, with memory and pipelines. What the executor, its programs and the self-test
 * stand on. */
#ifndef BACKEND_VULKAN_ENGINE_H
#define BACKEND_VULKAN_ENGINE_H

#include "backend-vulkan/memory.h"
#include "backend-vulkan/pipeline.h"
#include "backend-vulkan/tuning.h"
#include "backend-vulkan/vulkan.h"

struct engine {
    struct device device;
    struct memory memory;
    struct pipelines pipelines;
    struct tuning tuning;
};

/* Must not move afterwards, like the instance. */
enum status engine_open(struct engine *out, struct instance *instance, uint32_t index,
                        const struct vulkan_options *options, struct trace *trace) MUST_CHECK;
void engine_release(struct engine *engine); /* accepts zeroed memory */

#endif
