/* The letters of kernels.def as ranges of elements, and the search for chunks. */
#include "backend-vulkan/window.h"
#include "shaders/include/constants.h"
#include "shaders/include/push/chain.h"
#include "shaders/include/push/elements.h"
#include "shaders/include/push/rotary.h"
#include "shaders/include/push/rows.h"
#include <inttypes.h>
#include <string.h>

enum { LANES = 64, BLOCK = 4096 };

uint64_t window_limit(const struct memory *memory)
{
    const struct device *device = memory->device;
    uint64_t step = device->offset_alignment > 4 ? device->offset_alignment / 4 : 1;
    uint64_t most = (device->max_binding / 4 - step) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    return most < memory->segment ? most : memory->segment;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct span part(const struct span *span, uint64_t first, uint64_t end)
{
    first = smaller(first, span->count);
    return (struct span){span->piece, span->first + first, smaller(end, span->count) - first};
}

static uint64_t length_of(const struct launch *launch)
{
    struct push_rows push;
    memcpy(&push, launch->push, sizeof push);
    return push.length;
}

static uint64_t columns_of(const struct launch *launch)
{
    struct push_rows push;
    memcpy(&push, launch->push, sizeof push);
    return push.columns;
}

/* Of norms. */
static uint64_t rows_of_group(const struct launch *launch)
{
    return launch->constants[NORM_QUADS] ? 8 : 1;
}

static uint64_t period_of(const struct launch *launch)
{
    struct push_elements push;
    memcpy(&push, launch->push, sizeof push);
    return push.period;
}

static uint64_t count_of(const struct launch *launch)
{
    struct push_chain push;
    memcpy(&push, launch->push, sizeof push);
    return push.count;
}

/* Of heads whose pairs, or whose elements, are worked on by a lane each. */
static struct push_rotary rotary_of(const struct launch *launch)
{
    struct push_rotary push;
    memcpy(&push, launch->push, sizeof push);
    return push;
}

/* Rows of `elements` that the lanes of a chunk lie in, `lanes` to a row. */
static struct span rows_of_lanes(const struct span *span, struct chunk chunk, uint64_t lanes,
                                 uint64_t elements)
{
    return part(span, chunk.first * LANES / lanes * elements,
                (chunk.end * LANES + lanes - 1) / lanes * elements);
}

bool window_is_there(const struct launch *launch, uint32_t binding)
{
    return kernel_table[launch->kernel].access[binding] != '-' && launch->spans[binding].count > 0;
}

struct span window_of(const struct launch *launch, uint32_t binding, struct chunk chunk)
{
    const struct span *span = &launch->spans[binding];
    uint64_t unit;
    struct push_rotary rotary;
    switch (kernel_table[launch->kernel].windows[binding]) {
    case 'l':
        unit = LANES;
        break;
    case 'd':
        unit = 2 * LANES;
        break;
    case 'q':
        if (span->count != count_of(launch))
            return *span;
        unit = 4 * LANES;
        break;
    case 'g':
        unit = 1;
        break;
    case 'b':
        unit = BLOCK;
        break;
    case 'r':
        unit = columns_of(launch);
        break;
    case 'R':
        unit = columns_of(launch) * rows_of_group(launch);
        break;
    case 'G':
        unit = rows_of_group(launch);
        break;
    case 'k':
        unit = length_of(launch);
        break;
    case 'h':
        unit = columns_of(launch) * LANES;
        break;
    case 'c':
        return rows_of_lanes(span, chunk, columns_of(launch), 1);
    case 's':
        return rows_of_lanes(span, chunk, period_of(launch), 1);
    case 'p':
        rotary = rotary_of(launch);
        if (launch->constants[0]) /* four a lane */
            chunk = (struct chunk){4 * chunk.first, 4 * chunk.end};
        return rows_of_lanes(span, chunk, rotary.frequencies, 2 * (uint64_t)rotary.frequencies);
    case 't':
        rotary = rotary_of(launch);
        unit = 2 * (uint64_t)rotary.frequencies + rotary.rest;
        return rows_of_lanes(span, chunk, unit, unit);
    default:
        return *span;
    }
    return part(span, chunk.first * unit, chunk.end * unit);
}

bool window_is_split(const struct memory *memory, const struct span *window)
{
    return memory_locate(memory, window->piece, window->first).count < window->count;
}

/* The first binding whose window is too large, or, of the operands that walk along, split; else
 * DEVICE_BINDINGS. */
static uint32_t first_misfit(const struct memory *memory, const struct launch *launch, struct chunk chunk,
                             bool may_split)
{
    const struct kernel_info *kernel = &kernel_table[launch->kernel];
    for (uint32_t i = 0; kernel->access[i]; i++) {
        if (!window_is_there(launch, i))
            continue;
        struct span window = window_of(launch, i, chunk);
        if (window.count > window_limit(memory))
            return i;
        if (kernel->windows[i] != '.' && !may_split && window_is_split(memory, &window))
            return i;
    }
    return DEVICE_BINDINGS;
}

enum status window_next_chunk(struct chunk *out, const struct memory *memory, const struct launch *launch,
                              uint64_t first, struct trace *trace)
{
    uint64_t fits = first,
             fails = launch->groups + 1; /* the end of a chunk that fits, and of one that does not */
    *out = (struct chunk){first, launch->groups};
    if (first_misfit(memory, launch, *out, false) == DEVICE_BINDINGS)
        return OK;
    while (fits + 1 < fails) {
        uint64_t middle = fits + (fails - fits) / 2;
        if (first_misfit(memory, launch, (struct chunk){first, middle}, false) == DEVICE_BINDINGS)
            fits = middle;
        else
            fails = middle;
    }
    out->end = fits > first ? fits : first + 1;
    uint32_t misfit = first_misfit(memory, launch, *out, true);
    if (misfit == DEVICE_BINDINGS)
        return OK;
    return status_fail(trace, DEVICE,
                       "kernel %s: a group needs %" PRIu64 " bytes of operand %" PRIu32
                       " at once, this device binds at most %" PRIu64,
                       kernel_table[launch->kernel].name, window_of(launch, misfit, *out).count * 4, misfit,
                       window_limit(memory) * 4);
}
