/* What parts_find() met on its walk, and the check that it is the same in all layers. */
#ifndef EMIT_PARTS_CHECK_H
#define EMIT_PARTS_CHECK_H

#include "emit/parts.h"

struct mlp_kind {
    bool is_gated;
    enum decoder_activation activation;
};

struct matcher {
    const struct graph *graph;
    struct parts *parts;
    VEC(struct parts_layer) upwards; /* layers as they are met, the last one first */
    VEC(const struct node *) norms;
    enum parts_missing missing;
    VEC(struct mlp_kind) mlps;
    uint32_t parallel; /* layers whose branches are added to the same x */
    struct trace *trace;
};

enum status parts_refuse(const struct matcher *m, uint32_t value, const char *expected) MUST_CHECK;
/* Sets the facts and sizes of m->parts. */
enum status parts_check(struct matcher *m) MUST_CHECK;

#endif
