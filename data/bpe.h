/* Byte-pair merging. A word is a row of symbols (token ids); as long as two neighbours have a rule, the pair
 * whose rule has the lowest rank, and among those the leftmost, becomes one symbol. A heap of candidates
 * makes that n log n for a word of n symbols, so that a text without any boundary is no problem.
 *
 * A *seam* is a place between two symbols that no rule can ever join, whatever is merged on either side
 * before. Cutting at seams gives the same symbols, and lets a vocabulary that has no word splitting
 * (SentencePiece's) use short words, hence the word cache. */
#ifndef DATA_BPE_H
#define DATA_BPE_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpe_rule {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t result; /* -1: an empty slot */
};

struct bpe {
    struct bpe_rule *rules; /* open addressing, power-of-two size */
    size_t rule_slots;
    uint64_t *joints; /* pairs of base symbols that some rule joins; UINT64_MAX empty */
    size_t joint_slots, joint_count;
    struct bpe_symbol *symbols; /* scratch of bpe_merge() */
    struct bpe_candidate *heap;
    size_t symbol_capacity, heap_count, heap_capacity;
};

/* Room for `count` rules. */
void bpe_init(struct bpe *out, size_t count);
void bpe_release(struct bpe *bpe); /* accepts zeroed memory */
/* A later rule for the same pair replaces the earlier one. */
void bpe_add_rule(struct bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t result);
/* A rule joins something that ends in the base symbol `last` to something that begins with `first`. */
void bpe_add_joint(struct bpe *bpe, int32_t last, int32_t first);
bool bpe_is_seam(const struct bpe *bpe, int32_t last, int32_t first);

/* Merges `count` (< 2^31) symbols in place; returns how many are left. */
size_t bpe_merge(struct bpe *bpe, int32_t *symbols, size_t count);

#endif
