/* Rotary embedding in the making: each channel of a head is a sum of at most two products of a rotary table's
 * column and a channel of the same head of x. Slices, negations, products with tables, sums and
 * concatenations build such mixes in any order; as soon as one is x * cos + rotate(x) * sin in both halves of
 * the head, it becomes a TERM_ROPE. Channels behind those may stay as they are (a partial rotary embedding).
 * A mix of a part of each head of x (queries, keys and values of a head packed side by side) waits until
 * attention reads it, and so does one that rotates neighbouring channels: scores are the same when queries
 * and keys have their channels in the same other order, in which halves of a head are rotated. */
#ifndef FRONTEND_MIX_H
#define FRONTEND_MIX_H

#include "frontend/importer.h"

enum { MIX_MAX_PARTS = 2, MIX_MAX_CHANNELS = 1 << 14, MIX_NO_TABLE = UINT32_MAX };

struct mix_part {
    int64_t source; /* channel of x within the head */
    double factor;
    uint32_t table; /* of the importer's tables, or MIX_NO_TABLE */
    int64_t column;
};

struct mix_entry {
    uint32_t count;
    struct mix_part parts[MIX_MAX_PARTS];
};

struct mix {
    uint32_t x;
    int64_t head; /* channels of a head of x */
    int64_t heads;
    int64_t count; /* channels of a head of the mix */
    struct mix_entry *entries;
};

/* `value` as a mix: each channel itself, once. The view of the mix goes to *view. */
enum status mix_from(struct rule *rule, const struct import_value *value, struct mix *mix,
                     struct view *view) MUST_CHECK;
/* Output 0 is the mix, or the rotary embedding that it has become. */
enum status mix_finish(struct rule *rule, const struct mix *mix, const struct view *view) MUST_CHECK;
/* Sums and concatenates activations, at least one of them a mix or a part of a head. */
enum status mix_sum(struct rule *rule, const struct import_value *x, const struct import_value *y) MUST_CHECK;
enum status mix_concat(struct rule *rule, struct import_value *const *parts, uint32_t count) MUST_CHECK;
/* A mix that attention reads: the rotary embedding of its channels alone. *reordered: so many channels in
 * front of each head have another order now, those of even numbers first. Other values are left as they are.
 */
enum status mix_settle(struct rule *rule, struct import_value *value, int64_t *reordered) MUST_CHECK;
/* The frequencies of a finished mix, whose first `turned` channels are rotated (frontend/rotary.c).
 * UNSUPPORTED says what is not a rotary embedding. */
enum status rotary_recognise(struct rule *rule, const struct mix *mix, int64_t turned, uint32_t *frequencies,
                             double *factor) MUST_CHECK;
/* Reads a concrete input as a rotary table under the axes of `view`. */
enum status rotary_table_read(struct rule *rule, uint32_t slot, const struct view *view, int64_t columns,
                              uint32_t *table) MUST_CHECK;

#endif
