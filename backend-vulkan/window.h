/* Windows: which elements of its operands a launch touches, group by group. A binding holds no more than
 * maxStorageBufferRange bytes; a launch with a larger operand is cut into chunks of groups, each bound to the
 * windows that its groups touch. Every group does what it would have done uncut, so no byte changes. */
#ifndef BACKEND_VULKAN_WINDOW_H
#define BACKEND_VULKAN_WINDOW_H

#include "backend-vulkan/memory.h"
#include "backend-vulkan/pipeline.h"

/* Elements of a piece of memory. */
struct span {
    uint32_t piece;
    uint64_t first, count;
};

struct launch {
    enum kernel kernel;
    uint32_t constants[KERNEL_CONSTANTS]; /* that specialise it; zeros where it has none */
    struct span spans[DEVICE_BINDINGS];   /* as many as the kernel has bindings; count 0: constants keep the
                                             kernel from it, and one of the same access comes before it */
    uint32_t push[DEVICE_PUSH_BYTES / 4];
    uint64_t groups;
    double cost; /* operations, roughly: what cuts submissions */
};

/* Groups [first, end) of a launch. */
struct chunk {
    uint64_t first, end;
};

/* Most elements of an operand that can be bound at once, wherever they begin. */
uint64_t window_limit(const struct memory *memory);

/* Does the launch touch what is at the binding at all? */
bool window_is_there(const struct launch *launch, uint32_t binding);

/* What these groups touch of the operand at a binding: a part of its span. */
struct span window_of(const struct launch *launch, uint32_t binding, struct chunk chunk);

/* Is the window spread over several segments of its tensor, so that no binding holds it? */
bool window_is_split(const struct memory *memory, const struct span *window);

/* The longest chunk from `first` on whose windows can be bound, where operands that walk along with the
 * groups are not split; a single group where there is none such. DEVICE when what one group touches exceeds a
 * binding. */
enum status window_next_chunk(struct chunk *out, const struct memory *memory, const struct launch *launch,
                              uint64_t first, struct trace *trace) MUST_CHECK;

#endif
