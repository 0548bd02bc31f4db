/* Training and held-out parts of one token stream, which never share a token.
 *
 * PARTITION_BLOCKS cuts the stream in blocks of `block` tokens and holds a block out when a hash of its
 * number, keyed by the seed, is below `fraction`. PARTITION_TAIL holds out the last `fraction` of the stream.
 * Both depend on nothing but these settings and the number of tokens, so any two stages that share them share
 * no token, whatever window lengths they use. */
#ifndef DATA_PARTITION_H
#define DATA_PARTITION_H

#include "base/arena.h"
#include "base/status.h"
#include "base/vec.h"
#include <stdint.h>

enum partition_part { PART_ALL, PART_TRAIN, PART_HELDOUT };
enum partition_method { PARTITION_BLOCKS, PARTITION_TAIL };
enum { PARTITION_BLOCK = 8192 }; /* what a zero `block` means */

/* Zeroed: everything. */
struct partition {
    enum partition_part part;
    enum partition_method method;
    double fraction; /* held out; between 0 and 1, both excluded */
    uint64_t seed;   /* of blocks */
    uint32_t block;  /* tokens */
};

struct token_range {
    uint64_t first, count; /* count > 0 */
};

struct token_ranges {
    VEC(struct token_range) items; /* ascending, never touching each other */
};

/* The ranges of the part in a stream of `count` tokens; there may be none. INVALID for impossible settings.
 */
enum status partition_find(struct token_ranges *out, struct arena *arena, struct partition partition,
                           uint64_t count, struct trace *trace) MUST_CHECK;
const char *partition_part_name(enum partition_part part); /* "train", ... */

#endif
