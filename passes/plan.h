/* A width pruning in the making: keep lists collected by the parts, then carried out by one reindex. Each
 * part (plan_ffn in prune_ffn.c, ...) turns a count and scores, or an explicit list, into keep lists of its
 * class. */
#ifndef PASSES_PLAN_H
#define PASSES_PLAN_H

#include "base/vec.h"
#include "passes/classes.h"
#include "passes/pass.h"
#include "passes/reindex.h"

struct plan {
    const struct graph *graph;
    struct classes classes;
    struct pass_context *context; /* scores; contract and remap are set */
    struct arena arena;           /* plan_release() frees it */
    bool rank_globally;           /* heads over all groups of a layer, not in each */
    VEC(struct keep) keeps;
};

enum status plan_begin(struct plan *plan, const struct graph *graph, struct pass_context *context,
                       struct trace *trace) MUST_CHECK;
void plan_release(struct plan *plan); /* also after a failed plan_begin */
/* The reindexed graph (not canonical). */
enum status plan_apply(struct graph **out, const struct plan *plan, struct trace *trace) MUST_CHECK;

/* A class or none, `name` for messages. Keeps `list` (count ascending positions) or, where it is NULL, the
 * best by the score of the class's name. Asking for the present size changes nothing. */
enum status plan_class(struct plan *plan, const struct prunable *item, const char *name, int64_t count,
                       const uint32_t *list, struct trace *trace) MUST_CHECK;
/* Adds lists that are chosen already, one for each position of item->parent where that is a leaf. */
void plan_add(struct plan *plan, const struct prunable *item, uint32_t count, const uint32_t *lists);
/* INVALID: 1 <= count <= there does not hold. UNSUPPORTED: the class is refused. */
enum status plan_check(const struct prunable *item, const char *name, int64_t count, int64_t there,
                       struct trace *trace) MUST_CHECK;

enum status plan_ffn(struct plan *plan, uint32_t layer, int64_t count, const uint32_t *list,
                     struct trace *trace) MUST_CHECK;
enum status plan_hidden(struct plan *plan, int64_t count, const uint32_t *list,
                        struct trace *trace) MUST_CHECK;
/* Token ids; embedding and head keep the same. Sets the context's remap. */
enum status plan_vocab(struct plan *plan, int64_t count, const uint32_t *list,
                       struct trace *trace) MUST_CHECK;
/* Whole groups, ranked by the sums of their heads' scores; `list` names groups. */
enum status plan_kv_heads(struct plan *plan, uint32_t layer, int64_t count, const uint32_t *list,
                          struct trace *trace) MUST_CHECK;
/* Query heads, `count` in all over `groups` kept groups (0: all there are), ranked within each group. `list`
 * names heads of all groups, as many in each; only when groups is 0. */
enum status plan_heads(struct plan *plan, uint32_t layer, int64_t count, int64_t groups, const uint32_t *list,
                       struct trace *trace) MUST_CHECK;

/* A pass over layers: calls `part` for those that the option "layers" names, else for all whose `sizes` is
 * not 0, with the option `size` or the list "keep". */
typedef enum status plan_part(struct plan *plan, uint32_t layer, int64_t count, const uint32_t *list,
                              struct trace *trace);
enum status plan_layers(struct graph **out, const struct graph *graph, const struct pass_call *call,
                        const char *size, plan_part *part, struct pass_context *context,
                        struct trace *trace) MUST_CHECK;

#endif
