/* Device memory: a few big buffers, each with an allocation of its own, cut into segments. A piece is a
 * tensor or scratch, named by a number that stays the same until it is freed: 4-byte elements in one segment,
 * or, where they are more than a buffer holds, in several, all but the last full. A segment is a run inside
 * one buffer, aligned to 256 bytes. Copies to and from the host go through one small mapped buffer. */
#ifndef BACKEND_VULKAN_MEMORY_H
#define BACKEND_VULKAN_MEMORY_H

#include "backend-vulkan/device.h"
#include "base/vec.h"
#include "ir/type.h"

enum { MEMORY_ALIGNMENT = 64 }; /* elements: what every device accepts for a binding */

struct memory_gap {
    uint64_t first, count; /* elements */
};

struct memory_block {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t count;              /* elements */
    VEC(struct memory_gap) gaps; /* free runs, ascending, never adjacent */
};

struct memory_segment {
    uint32_t block;
    uint64_t first, count; /* elements of the block; guards lie outside */
};

struct memory_piece {
    bool is_live;
    enum dtype dtype;
    uint64_t count; /* elements */
    VEC(struct memory_segment) segments;
};

struct memory {
    struct device *device; /* borrowed */
    struct arena arena;
    VEC(struct memory_block) blocks;
    VEC(struct memory_piece) pieces;
    uint64_t max_buffer; /* bytes */
    uint64_t segment;    /* most elements of a segment, a multiple of the alignment */
    uint64_t allocated;  /* bytes, over all blocks */
    uint32_t guard_words;
    VkBuffer staging;
    VkDeviceMemory staging_memory;
    void *staging_bytes;
    uint64_t staging_size; /* bytes */
};

struct memory_settings {
    uint64_t max_buffer_bytes; /* 0: the device's */
    uint32_t guard_words;
};

enum status memory_open(struct memory *out, struct device *device, struct memory_settings settings,
                        struct trace *trace) MUST_CHECK;
void memory_release(struct memory *memory); /* accepts zeroed memory */

/* A zeroed piece; DEVICE when the device is full. */
enum status memory_create(struct memory *memory, enum dtype dtype, uint64_t count, uint32_t *piece,
                          struct trace *trace) MUST_CHECK;
void memory_destroy(struct memory *memory, uint32_t piece);
const struct memory_piece *memory_piece(const struct memory *memory, uint32_t piece);
/* Where element `first` of a piece lies, and how many from it on lie in the same segment. */
struct memory_segment memory_locate(const struct memory *memory, uint32_t piece, uint64_t first);

/* Elements [first, first + count) of a piece. Writing flushes floats to 2^-120 (ir/executor.h). INVALID when
 * the range is outside. */
enum status memory_write(struct memory *memory, uint32_t piece, uint64_t first, uint64_t count,
                         const void *data, struct trace *trace) MUST_CHECK;
enum status memory_read(struct memory *memory, uint32_t piece, uint64_t first, uint64_t count, void *data,
                        struct trace *trace) MUST_CHECK;
enum status memory_zero(struct memory *memory, uint32_t piece, struct trace *trace) MUST_CHECK;

/* BROKEN naming the piece whose guard words changed. */
enum status memory_check_guards(struct memory *memory, struct trace *trace) MUST_CHECK;

#endif
