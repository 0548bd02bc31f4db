/* The interface of an ONNX file: which inputs are its mask, its positions and its key-value cache, which
 * outputs the cache that is handed on. The graph is computed without them (frontend/order.c gives them the
 * values of a first full pass); here they are remembered, so that an export has them again. */
#ifndef FRONTEND_INTERFACE_H
#define FRONTEND_INTERFACE_H

#include "frontend/importer.h"

/* An input as the file declares it. */
struct declared {
    const char *name;
    int32_t type;
    uint32_t rank;
    int64_t dims[ONNX_MAX_RANK]; /* -1: symbolic */
    bool has_shape;
};

/* A name with a number in it: "past_key_values.3.key". */
struct cache_place {
    struct str pattern; /* the number is % */
    uint32_t layer;
    enum interface_layout layout;
    int64_t heads, channels; /* -1: symbolic */
    bool is_understood;
};

struct interface_parts {
    struct interface_input mask, positions;
    VEC(struct cache_place) past;
    VEC(struct cache_place) present;
    bool counts_shown; /* rows of learned positions are picked by what the mask shows */
    bool numbers_all;  /* or without it */
    int32_t stored;    /* element type of the cache where it is not FLOAT; else 0 */
};

void interface_add_mask(struct importer *im, const struct declared *in);
void interface_add_positions(struct importer *im, const struct declared *in);
void interface_add_past(struct importer *im, const struct declared *in);
void interface_add_output(struct importer *im, const char *name); /* another than the logits */

/* Learned positions were found; `from_mask`: which rows they are depends on the mask. */
void interface_add_table(struct importer *im, bool from_mask);

/* Tells the lowered graph what was found; a cache that is not one of keys and values for each attention of
 * the graph is dropped, and a note says why. */
void interface_finish(struct importer *im, struct graph *graph);

#endif
