/* A graph made into recorded commands: values placed by the memory plan, nodes lowered to launches. */
#ifndef BACKEND_VULKAN_COMPILE_H
#define BACKEND_VULKAN_COMPILE_H

#include "backend-vulkan/check.h"
#include "backend-vulkan/commands.h"
#include "backend-vulkan/engine.h"
#include "ir/executor.h"

struct vulkan_program {
    struct engine *engine; /* borrowed */
    struct arena arena;
    struct commands commands;
    uint32_t *pieces; /* scratch, temporaries and flags, owned */
    uint32_t piece_count;
    struct checks checks;
    uint32_t device_nodes;   /* nodes that launch kernels */
    struct profile *profile; /* NULL, or told of every node of a run */
};

enum status vulkan_program_create(struct vulkan_program **out, struct engine *engine,
                                  const struct program_spec *spec, enum vulkan_finite finite,
                                  struct profile *profile, struct trace *trace) MUST_CHECK;
enum status vulkan_program_run(struct vulkan_program *program, struct trace *trace) MUST_CHECK;
void vulkan_program_destroy(struct vulkan_program *program); /* accepts NULL */

#endif
