/* The merging of Sennrich et al. 2016 with a linked list of symbols and a binary heap of candidate pairs. */
#include "data/bpe.h"

#include "base/file.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct bpe_symbol {
    int32_t id;              /* -1: swallowed by its left neighbour */
    uint32_t previous, next; /* END beyond the ends */
};

struct bpe_candidate {
    uint64_t order; /* rank << 32 | position: the smallest is merged first */
    int32_t result;
};

static const uint32_t END = UINT32_MAX;

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        BUG("out of memory for %zu x %zu bytes", count, size);
    return memory;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* Fibonacci hashing after mixing the halves: ids are small and dense. */
static size_t slot_of(uint64_t pair, size_t slots)
{
    uint64_t mixed = (pair ^ pair >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 20) & (slots - 1);
}

static size_t slots_for(size_t count)
{
    size_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    return slots;
}

void bpe_init(struct bpe *out, size_t count)
{
    *out = (struct bpe){.rule_slots = slots_for(count), .joint_slots = 16};
    out->rules = allocate(out->rule_slots, sizeof *out->rules);
    for (size_t i = 0; i < out->rule_slots; i++)
        out->rules[i].result = -1;
    out->joints = allocate(out->joint_slots, sizeof *out->joints);
    memset(out->joints, 0xff, out->joint_slots * sizeof *out->joints);
}

void bpe_release(struct bpe *bpe)
{
    free(bpe->rules);
    free(bpe->joints);
    free(bpe->symbols);
    free(bpe->heap);
    *bpe = (struct bpe){0};
}

static struct bpe_rule *rule_slot(const struct bpe *bpe, uint64_t pair)
{
    size_t slot = slot_of(pair, bpe->rule_slots);
    while (bpe->rules[slot].result >= 0 && bpe->rules[slot].pair != pair)
        slot = (slot + 1) & (bpe->rule_slots - 1);
    return &bpe->rules[slot];
}

void bpe_add_rule(struct bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t result)
{
    assert(left >= 0 && right >= 0 && result >= 0);
    uint64_t pair = pair_of(left, right);
    *rule_slot(bpe, pair) = (struct bpe_rule){pair, rank, result};
}

static size_t joint_slot(const uint64_t *joints, size_t slots, uint64_t pair)
{
    size_t slot = slot_of(pair, slots);
    while (joints[slot] != UINT64_MAX && joints[slot] != pair)
        slot = (slot + 1) & (slots - 1);
    return slot;
}

static void joints_grow(struct bpe *bpe)
{
    size_t slots = bpe->joint_slots * 2;
    uint64_t *joints = allocate(slots, sizeof *joints);
    memset(joints, 0xff, slots * sizeof *joints);
    for (size_t i = 0; i < bpe->joint_slots; i++)
        if (bpe->joints[i] != UINT64_MAX)
            joints[joint_slot(joints, slots, bpe->joints[i])] = bpe->joints[i];
    free(bpe->joints);
    bpe->joints = joints;
    bpe->joint_slots = slots;
}

void bpe_add_joint(struct bpe *bpe, int32_t last, int32_t first)
{
    assert(last >= 0 && first >= 0);
    uint64_t pair = pair_of(last, first);
    size_t slot = joint_slot(bpe->joints, bpe->joint_slots, pair);
    if (bpe->joints[slot] == pair)
        return;
    bpe->joints[slot] = pair;
    if (++bpe->joint_count * 2 > bpe->joint_slots)
        joints_grow(bpe);
}

bool bpe_is_seam(const struct bpe *bpe, int32_t last, int32_t first)
{
    return bpe->joints[joint_slot(bpe->joints, bpe->joint_slots, pair_of(last, first))] == UINT64_MAX;
}

static bool comes_before(struct bpe_candidate a, struct bpe_candidate b)
{
    return a.order < b.order;
}

static void heap_push(struct bpe *bpe, struct bpe_candidate candidate)
{
    if (bpe->heap_count == bpe->heap_capacity) {
        bpe->heap_capacity = bpe->heap_capacity ? bpe->heap_capacity * 2 : 64;
        bpe->heap = realloc(bpe->heap, bpe->heap_capacity * sizeof *bpe->heap);
        if (!bpe->heap)
            BUG("out of memory for a word of %zu candidates", bpe->heap_capacity);
    }
    size_t at = bpe->heap_count++;
    while (at > 0 && comes_before(candidate, bpe->heap[(at - 1) / 2])) {
        bpe->heap[at] = bpe->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    bpe->heap[at] = candidate;
}

static struct bpe_candidate heap_pop(struct bpe *bpe)
{
    struct bpe_candidate top = bpe->heap[0], last = bpe->heap[--bpe->heap_count];
    size_t at = 0, count = bpe->heap_count;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && comes_before(bpe->heap[child + 1], bpe->heap[child]))
            child++;
        if (!comes_before(bpe->heap[child], last))
            break;
        bpe->heap[at] = bpe->heap[child];
        at = child;
    }
    bpe->heap[at] = last;
    return top;
}

static void push_pair(struct bpe *bpe, uint32_t left)
{
    const struct bpe_symbol *s = bpe->symbols;
    if (left == END || s[left].next == END)
        return;
    const struct bpe_rule *rule = rule_slot(bpe, pair_of(s[left].id, s[s[left].next].id));
    if (rule->result >= 0)
        heap_push(bpe, (struct bpe_candidate){(uint64_t)rule->rank << 32 | left, rule->result});
}

static void join(struct bpe *bpe, uint32_t left, int32_t result)
{
    struct bpe_symbol *s = bpe->symbols;
    uint32_t right = s[left].next;
    s[left].id = result;
    s[left].next = s[right].next;
    s[right].id = -1;
    if (s[left].next != END)
        s[s[left].next].previous = left;
    push_pair(bpe, s[left].previous);
    push_pair(bpe, left);
}

static void symbols_load(struct bpe *bpe, const int32_t *symbols, size_t count)
{
    if (bpe->symbol_capacity < count) {
        free(bpe->symbols);
        bpe->symbol_capacity = count < 64 ? 64 : count;
        bpe->symbols = allocate(bpe->symbol_capacity, sizeof *bpe->symbols);
    }
    for (uint32_t i = 0; i < count; i++)
        bpe->symbols[i] = (struct bpe_symbol){symbols[i], i ? i - 1 : END, i + 1 < count ? i + 1 : END};
}

size_t bpe_merge(struct bpe *bpe, int32_t *symbols, size_t count)
{
    assert(count < INT32_MAX);
    if (count < 2)
        return count;
    symbols_load(bpe, symbols, count);
    struct bpe_symbol *s = bpe->symbols;
    bpe->heap_count = 0;
    for (uint32_t i = 0; i + 1 < count; i++)
        push_pair(bpe, i);
    while (bpe->heap_count > 0) {
        struct bpe_candidate top = heap_pop(bpe);
        uint32_t left = (uint32_t)top.order;
        if (s[left].id < 0 || s[left].next == END)
            continue;
        /* A candidate is stale when its pair has been merged with others since it was pushed. */
        const struct bpe_rule *rule = rule_slot(bpe, pair_of(s[left].id, s[s[left].next].id));
        if (rule->result == top.result)
            join(bpe, left, top.result);
    }
    size_t kept = 0;
    for (uint32_t at = 0; at != END; at = s[at].next)
        symbols[kept++] = s[at].id;
    return kept;
}
