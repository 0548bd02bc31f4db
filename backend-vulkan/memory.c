/* First-fit pieces in blocks that grow with what is already there, so that small models take little. */
#include "backend-vulkan/memory.h"
#include "shaders/scalar/bits.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { GUARD_PATTERN = 0x7fc0dead };
static const uint64_t MEBIBYTE = 1 << 20;

static uint64_t aligned(uint64_t count)
{
    return (count + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

static bool find_memory_type(const struct memory *m, uint32_t allowed, VkMemoryPropertyFlags flags,
                             uint32_t *type)
{
    const VkPhysicalDeviceMemoryProperties *types = &m->device->memory;
    for (*type = 0; *type < types->memoryTypeCount; (*type)++)
        if ((allowed >> *type & 1) && (types->memoryTypes[*type].propertyFlags & flags) == flags)
            return true;
    return false;
}

/* A buffer with an allocation of its own; tries the preferred property flags first, then the needed ones. */
static enum status create_buffer(struct memory *m, VkBuffer *buffer, VkDeviceMemory *memory, uint64_t bytes,
                                 VkMemoryPropertyFlags preferred, VkMemoryPropertyFlags needed,
                                 struct trace *trace)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    VkDevice device = m->device->handle;
    TRY(vulkan_status(vkCreateBuffer(device, &info, NULL, buffer), "creating a buffer", trace));
    VkMemoryRequirements requirements;
    vkGetBufferMemoryRequirements(device, *buffer, &requirements);
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .allocationSize = requirements.size};
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (find_memory_type(m, requirements.memoryTypeBits, preferred, &allocate.memoryTypeIndex))
        result = vkAllocateMemory(device, &allocate, NULL, memory);
    if (result != VK_SUCCESS &&
        find_memory_type(m, requirements.memoryTypeBits, needed, &allocate.memoryTypeIndex))
        result = vkAllocateMemory(device, &allocate, NULL, memory);
    if (result == VK_SUCCESS)
        result = vkBindBufferMemory(device, *buffer, *memory, 0);
    enum status status = vulkan_status(result, "allocating memory", trace);
    if (status == OK)
        return OK;
    trace_add(trace, "for a buffer of %" PRIu64 " bytes, with %" PRIu64 " bytes in use", bytes, m->allocated);
    vkDestroyBuffer(device, *buffer, NULL);
    vkFreeMemory(device, *memory, NULL);
    *buffer = VK_NULL_HANDLE;
    *memory = VK_NULL_HANDLE;
    return status;
}

static enum status create_staging(struct memory *m, struct trace *trace)
{
    enum { NEEDED = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT };
    m->staging_size = 4 * MEBIBYTE < m->max_buffer ? 4 * MEBIBYTE : m->max_buffer;
    TRY(create_buffer(m, &m->staging, &m->staging_memory, m->staging_size,
                      NEEDED | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, NEEDED, trace));
    return vulkan_status(
        vkMapMemory(m->device->handle, m->staging_memory, 0, VK_WHOLE_SIZE, 0, &m->staging_bytes),
        "mapping memory", trace);
}

enum status memory_open(struct memory *out, struct device *device, struct memory_settings settings,
                        struct trace *trace)
{
    uint64_t limit = device->max_allocation < 1024 * MEBIBYTE ? device->max_allocation : 1024 * MEBIBYTE;
    if (settings.max_buffer_bytes && settings.max_buffer_bytes < limit)
        limit = settings.max_buffer_bytes;
    uint64_t around = 2 * aligned(settings.guard_words) * 4;
    *out = (struct memory){.device = device,
                           .max_buffer = limit / 256 * 256,
                           .segment = (limit - around) / 256 * MEMORY_ALIGNMENT,
                           .guard_words = settings.guard_words};
    assert(limit > around + 256);
    enum status status = create_staging(out, trace);
    if (status != OK)
        memory_release(out);
    return status;
}

void memory_release(struct memory *memory)
{
    if (memory->device) {
        VkDevice device = memory->device->handle;
        for (uint32_t i = 0; i < memory->blocks.count; i++) {
            vkDestroyBuffer(device, memory->blocks.items[i].buffer, NULL);
            vkFreeMemory(device, memory->blocks.items[i].memory, NULL);
        }
        vkDestroyBuffer(device, memory->staging, NULL);
        vkFreeMemory(device, memory->staging_memory, NULL);
    }
    arena_release(&memory->arena);
    *memory = (struct memory){0};
}

/* Elements that a segment takes with its guards; the guard before it is padded to keep the alignment. */
static uint64_t footprint(const struct memory *m, uint64_t count)
{
    return m->guard_words ? aligned(m->guard_words) + aligned(count + m->guard_words) : aligned(count);
}

static enum status add_block(struct memory *m, uint64_t need, struct trace *trace)
{
    uint64_t bytes = m->allocated / 4 > 32 * MEBIBYTE ? m->allocated / 4 / 256 * 256 : 32 * MEBIBYTE;
    bytes = bytes < m->max_buffer ? bytes : m->max_buffer;
    bytes = bytes > need * 4 ? bytes : need * 4;
    struct memory_block block = {.count = bytes / 4};
    TRY(create_buffer(m, &block.buffer, &block.memory, bytes, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0, trace));
    *VEC_PUSH(&m->arena, &block.gaps) = (struct memory_gap){0, block.count};
    *VEC_PUSH(&m->arena, &m->blocks) = block;
    m->allocated += bytes;
    return OK;
}

static bool take_gap(struct memory_block *block, uint64_t need, uint64_t *first)
{
    for (uint32_t i = 0; i < block->gaps.count; i++) {
        struct memory_gap *gap = &block->gaps.items[i];
        if (gap->count < need)
            continue;
        *first = gap->first;
        gap->first += need;
        gap->count -= need;
        if (gap->count == 0) {
            memmove(gap, gap + 1, (block->gaps.count - i - 1) * sizeof *gap);
            block->gaps.count--;
        }
        return true;
    }
    return false;
}

static void return_gap(struct memory *m, struct memory_block *block, uint64_t first, uint64_t count)
{
    uint32_t at = 0;
    while (at < block->gaps.count && block->gaps.items[at].first < first)
        at++;
    (void)VEC_PUSH(&m->arena, &block->gaps);
    struct memory_gap *gaps = block->gaps.items;
    memmove(&gaps[at + 1], &gaps[at], (block->gaps.count - 1 - at) * sizeof *gaps);
    gaps[at] = (struct memory_gap){first, count};
    if (at + 1 < block->gaps.count && first + count == gaps[at + 1].first) {
        gaps[at].count += gaps[at + 1].count;
        memmove(&gaps[at + 1], &gaps[at + 2], (block->gaps.count - at - 2) * sizeof *gaps);
        block->gaps.count--;
    }
    if (at > 0 && gaps[at - 1].first + gaps[at - 1].count == first) {
        gaps[at - 1].count += gaps[at].count;
        memmove(&gaps[at], &gaps[at + 1], (block->gaps.count - at - 1) * sizeof *gaps);
        block->gaps.count--;
    }
}

static enum status place_segment(struct memory *m, struct memory_segment *segment, struct trace *trace)
{
    uint64_t need = footprint(m, segment->count), first = 0;
    for (segment->block = 0; segment->block < m->blocks.count; segment->block++)
        if (take_gap(&m->blocks.items[segment->block], need, &first))
            break;
    if (segment->block == m->blocks.count) {
        TRY(add_block(m, need, trace));
        bool taken = take_gap(&VEC_LAST(&m->blocks), need, &first);
        assert(taken);
        (void)taken;
    }
    segment->first = first + aligned(m->guard_words);
    return OK;
}

enum status memory_create(struct memory *memory, enum dtype dtype, uint64_t count, uint32_t *out,
                          struct trace *trace)
{
    for (*out = 0; *out < memory->pieces.count; (*out)++)
        if (!memory->pieces.items[*out].is_live)
            break;
    if (*out == memory->pieces.count)
        (void)VEC_PUSH(&memory->arena, &memory->pieces);
    struct memory_piece *piece = &memory->pieces.items[*out];
    piece->is_live = true;
    piece->dtype = dtype;
    piece->count = count;
    piece->segments.count = 0;
    enum status status = OK;
    for (uint64_t first = 0; status == OK && first < count; first += memory->segment) {
        uint64_t left = count - first;
        struct memory_segment segment = {.count = left < memory->segment ? left : memory->segment};
        status = place_segment(memory, &segment, trace);
        if (status == OK)
            *VEC_PUSH(&memory->arena, &piece->segments) = segment;
    }
    if (status == OK)
        status = memory_zero(memory, *out, trace);
    if (status != OK)
        memory_destroy(memory, *out);
    return status;
}

void memory_destroy(struct memory *memory, uint32_t piece)
{
    assert(piece < memory->pieces.count && memory->pieces.items[piece].is_live);
    struct memory_piece *p = &memory->pieces.items[piece];
    for (uint32_t i = 0; i < p->segments.count; i++) {
        const struct memory_segment *s = &p->segments.items[i];
        return_gap(memory, &memory->blocks.items[s->block], s->first - aligned(memory->guard_words),
                   footprint(memory, s->count));
    }
    p->is_live = false;
}

const struct memory_piece *memory_piece(const struct memory *memory, uint32_t piece)
{
    assert(piece < memory->pieces.count && memory->pieces.items[piece].is_live);
    return &memory->pieces.items[piece];
}

struct memory_segment memory_locate(const struct memory *memory, uint32_t piece, uint64_t first)
{
    const struct memory_piece *p = memory_piece(memory, piece);
    uint64_t at = first / memory->segment, into = first % memory->segment;
    assert(at < p->segments.count && into < p->segments.items[at].count);
    struct memory_segment s = p->segments.items[at];
    return (struct memory_segment){s.block, s.first + into, s.count - into};
}

enum status memory_zero(struct memory *memory, uint32_t piece, struct trace *trace)
{
    const struct memory_piece *p = memory_piece(memory, piece);
    VkCommandBuffer transfer = memory->device->transfer;
    uint64_t guard = memory->guard_words;
    TRY(device_transfer_begin(memory->device, trace));
    for (uint32_t i = 0; i < p->segments.count; i++) {
        const struct memory_segment *s = &p->segments.items[i];
        VkBuffer buffer = memory->blocks.items[s->block].buffer;
        vkCmdFillBuffer(transfer, buffer, s->first * 4, s->count * 4, 0);
        if (guard) {
            vkCmdFillBuffer(transfer, buffer, (s->first - guard) * 4, guard * 4, GUARD_PATTERN);
            vkCmdFillBuffer(transfer, buffer, (s->first + s->count) * 4, guard * 4, GUARD_PATTERN);
        }
    }
    return device_transfer_run(memory->device, trace);
}

static enum status check_range(const struct memory_piece *p, uint64_t first, uint64_t count,
                               struct trace *trace)
{
    if (first > p->count || count > p->count - first)
        return status_fail(trace, INVALID, "elements %" PRIu64 " to %" PRIu64 " of a tensor of %" PRIu64,
                           first, first + count, p->count);
    return OK;
}

static uint64_t staged(const struct memory *m, uint64_t count)
{
    return count < m->staging_size / 4 ? count : m->staging_size / 4;
}

/* Canonical numbers in the mapped buffer: integers as they are. */
static void fill_staging(struct memory *m, enum dtype dtype, const void *data, uint64_t count)
{
    if (dtype == DTYPE_I32) {
        memcpy(m->staging_bytes, data, count * 4);
        return;
    }
    const float *from = data;
    float *to = m->staging_bytes;
    for (uint64_t i = 0; i < count; i++)
        to[i] = gm_flush_square(from[i]);
}

static enum status copy(struct memory *m, VkBuffer from, uint64_t from_at, VkBuffer to, uint64_t to_at,
                        uint64_t count, struct trace *trace)
{
    VkBufferCopy region = {from_at * 4, to_at * 4, count * 4};
    TRY(device_transfer_begin(m->device, trace));
    vkCmdCopyBuffer(m->device->transfer, from, to, 1, &region);
    return device_transfer_run(m->device, trace);
}

enum status memory_write(struct memory *memory, uint32_t piece, uint64_t first, uint64_t count,
                         const void *data, struct trace *trace)
{
    const struct memory_piece *p = memory_piece(memory, piece);
    TRY(check_range(p, first, count, trace));
    for (uint64_t done = 0, n; done < count; done += n) {
        struct memory_segment s = memory_locate(memory, piece, first + done);
        n = staged(memory, count - done < s.count ? count - done : s.count);
        fill_staging(memory, p->dtype, (const uint32_t *)data + done, n);
        TRY(copy(memory, memory->staging, 0, memory->blocks.items[s.block].buffer, s.first, n, trace));
    }
    return OK;
}

static enum status read_block(struct memory *m, uint32_t block, uint64_t first, uint64_t count, void *data,
                              struct trace *trace)
{
    VkBuffer buffer = m->blocks.items[block].buffer;
    for (uint64_t done = 0, n; done < count; done += n) {
        n = staged(m, count - done);
        TRY(copy(m, buffer, first + done, m->staging, 0, n, trace));
        memcpy((uint32_t *)data + done, m->staging_bytes, n * 4);
    }
    return OK;
}

enum status memory_read(struct memory *memory, uint32_t piece, uint64_t first, uint64_t count, void *data,
                        struct trace *trace)
{
    const struct memory_piece *p = memory_piece(memory, piece);
    TRY(check_range(p, first, count, trace));
    for (uint64_t done = 0, n; done < count; done += n) {
        struct memory_segment s = memory_locate(memory, piece, first + done);
        n = count - done < s.count ? count - done : s.count;
        TRY(read_block(memory, s.block, s.first, n, (uint32_t *)data + done, trace));
    }
    return OK;
}

static enum status check_guards(struct memory *m, uint32_t piece, const struct memory_segment *s,
                                struct trace *trace)
{
    enum { MOST = 1024 };
    uint32_t words[MOST];
    uint64_t guard = m->guard_words < MOST ? m->guard_words : MOST;
    const uint64_t at[2] = {s->first - guard, s->first + s->count};
    for (uint32_t side = 0; guard && side < 2; side++) {
        TRY(read_block(m, s->block, at[side], guard, words, trace));
        for (uint64_t i = 0; i < guard; i++)
            if (words[i] != GUARD_PATTERN)
                return status_fail(trace, BROKEN,
                                   "tensor %" PRIu32 " of %" PRIu64 " elements: word %" PRIu64
                                   " of the guard %s it was overwritten with %08" PRIx32,
                                   piece, memory_piece(m, piece)->count, i, side ? "after" : "before",
                                   words[i]);
    }
    return OK;
}

enum status memory_check_guards(struct memory *memory, struct trace *trace)
{
    for (uint32_t i = 0; i < memory->pieces.count; i++) {
        const struct memory_piece *p = &memory->pieces.items[i];
        for (uint32_t j = 0; p->is_live && j < p->segments.count; j++)
            TRY(check_guards(memory, i, &p->segments.items[j], trace));
    }
    return OK;
}
