/* Pruning to a shape: the request of a pipeline's prune stage. Sizes are what is left; 0 means unchanged.
 *
 * Rankings come from scores (passes/scores.h); kept positions stay in ascending order, ties go to the lower
 * index. Rankings are per layer; hidden's is one for the whole model. Key-value groups are ranked by the sum
 * of their heads' scores; query heads within each kept group. All width surgery is one reindex; then layers
 * go. */
#ifndef PASSES_PRUNE_H
#define PASSES_PRUNE_H

#include "passes/amend.h"
#include "passes/pass.h"

/* count 0: unchanged; 1: the same for all layers; else one for each layer that is kept (0: unchanged). */
struct prune_sizes {
    const int64_t *sizes;
    uint32_t count;
};

/* Sizes must be multiples of these, unless they stay as they are; those on the way are rounded up to them. 0:
 * any. ALIGN_USUAL: what is asked for is taken as it is, and a note says so where it is no multiple of what
 * align_usual gives for the size that is there; on the way it is that. */
enum { ALIGN_USUAL = -1, ALIGN_UNIT = 64, ALIGN_LEAST = 1024 };
struct prune_align {
    int64_t hidden, ffn, heads, kv_heads, vocab;
};
/* Of widths and vocabularies: the tiles of matrix units are multiples of 64; below ALIGN_LEAST that would be
 * too coarse, and 1 is enough. */
int64_t align_usual(int64_t there);

enum heads_ranking {
    HEADS_IN_GROUP, /* the best of each key-value group */
    HEADS_GLOBAL,   /* the best of the layer; INVALID where the groups would keep different numbers */
};

/* The size after one of `rounds` equal steps from `from` to `to` (Minitron, arXiv 2407.14679:
 * iterative importance), rounded up to a multiple of `unit`, but not above `from`. One round: `to`. */
int64_t prune_step(int64_t from, int64_t to, uint32_t rounds, int64_t unit);

struct prune_request {
    int64_t hidden;
    struct prune_sizes ffn;
    struct prune_sizes heads;    /* query heads in all, a multiple of kv_heads */
    struct prune_sizes kv_heads; /* stays unless given */
    int64_t layers;              /* how many: those with the highest score "layers" */
    const uint32_t *keep_layers; /* or which, ascending (then layers is 0 or their number) */
    uint32_t keep_layer_count;
    const uint32_t *keep_tokens; /* token ids, ascending; embedding and head share the list */
    uint32_t keep_token_count;
    bool drop_run;   /* layers go as one run, that with the lowest score "blocks.N" ("layers" where N is 1) */
    uint32_t rounds; /* 0 and 1: to the shape; else one of as many steps on the way */
    enum heads_ranking ranking;
    struct prune_align align;
    struct amend_request amend;
};

/* INVALID: impossible sizes or missing scores: what was asked for and what there is. UNSUPPORTED: the class
 * is refused, with its reason. Fills context's receipt and remap. */
enum status prune_to_shape(struct graph **out, const struct graph *graph, const struct prune_request *request,
                           struct pass_context *context, struct trace *trace) MUST_CHECK;

#endif
