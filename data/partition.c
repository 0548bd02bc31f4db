/* The fraction becomes a 32-bit threshold, exactly, so that every machine draws the same line. */
#include "data/partition.h"

#include "shaders/scalar/random.h"
#include <assert.h>
#include <stdbool.h>

/* Keeps these random words apart from those of other uses of the same seed: "part". */
static const uint32_t PURPOSE = 0x70617274;

static void add_range(struct token_ranges *out, struct arena *arena, uint64_t first, uint64_t count)
{
    if (count == 0)
        return;
    if (out->items.count > 0) {
        struct token_range *last = &VEC_LAST(&out->items);
        if (last->first + last->count == first) {
            last->count += count;
            return;
        }
    }
    *VEC_PUSH(arena, &out->items) = (struct token_range){first, count};
}

static bool is_held_out(uint64_t block, uint64_t seed, uint32_t threshold)
{
    struct gm_words counter = {(uint32_t)block, (uint32_t)(block >> 32), PURPOSE, 0};
    return gm_philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32)).x < threshold;
}

static enum status find_blocks(struct token_ranges *out, struct arena *arena, struct partition p,
                               uint32_t threshold, uint64_t count, struct trace *trace)
{
    uint64_t size = p.block ? p.block : PARTITION_BLOCK;
    if (count / size >= UINT32_MAX)
        return status_fail(trace, INVALID,
                           "a split in blocks of %llu tokens has too many blocks in %llu tokens",
                           (unsigned long long)size, (unsigned long long)count);
    for (uint64_t block = 0; block * size < count; block++) {
        uint64_t first = block * size, left = count - first;
        if (is_held_out(block, p.seed, threshold) == (p.part == PART_HELDOUT))
            add_range(out, arena, first, left < size ? left : size);
    }
    return OK;
}

static void find_tail(struct token_ranges *out, struct arena *arena, struct partition p, uint32_t threshold,
                      uint64_t count)
{
    uint64_t held_out = (uint64_t)((unsigned __int128)count * threshold >> 32);
    if (p.part == PART_HELDOUT)
        add_range(out, arena, count - held_out, held_out);
    else
        add_range(out, arena, 0, count - held_out);
}

enum status partition_find(struct token_ranges *out, struct arena *arena, struct partition partition,
                           uint64_t count, struct trace *trace)
{
    *out = (struct token_ranges){0};
    if (partition.part == PART_ALL) {
        add_range(out, arena, 0, count);
        return OK;
    }
    if (!(partition.fraction > 0 && partition.fraction < 1))
        return status_fail(trace, INVALID, "the held-out fraction must be between 0 and 1, it is %g",
                           partition.fraction);
    uint32_t threshold = (uint32_t)(partition.fraction * 4294967296.0);
    if (partition.method == PARTITION_BLOCKS)
        return find_blocks(out, arena, partition, threshold, count, trace);
    find_tail(out, arena, partition, threshold, count);
    return OK;
}

const char *partition_part_name(enum partition_part part)
{
    static const char *const names[] = {
        [PART_ALL] = "all", [PART_TRAIN] = "train", [PART_HELDOUT] = "heldout"};
    assert(part <= PART_HELDOUT);
    return names[part];
}
