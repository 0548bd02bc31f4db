/* The tensors that a model's files hold, by name. Whoever builds the graph takes them one after the other,
 * and what nobody took is reported at the end: a tensor that is left over means that the graph is not the
 * model's. */
#ifndef FRONTEND_WEIGHT_SET_H
#define FRONTEND_WEIGHT_SET_H

#include "base/arena.h"
#include "base/map.h"
#include "base/status.h"
#include "base/vec.h"
#include "ir/tensor.h"

enum { STORED_MAX_RANK = 8 };

struct stored_weight {
    struct str name;
    const char *type; /* as the file calls it: "BF16" */
    uint32_t rank;
    int64_t dims[STORED_MAX_RANK];
    bool is_float; /* `view` shows the elements; else espalier has no such weights */
    bool is_taken;
    struct tensor_view view;
};

struct weight_set {
    struct arena *arena; /* of the names */
    VEC(struct stored_weight) items;
    struct map numbers; /* name -> item */
};

/* INVALID when there is one of that name. */
enum status weight_set_add(struct weight_set *set, const struct stored_weight *weight,
                           struct trace *trace) MUST_CHECK;
struct stored_weight *weight_set_find(struct weight_set *set, struct str name); /* or NULL */

/* Takes the weight `name`, which must be floats of this shape. INVALID when it is missing or has another
 * shape, UNSUPPORTED when its elements are of another type. */
enum status weight_set_take(struct tensor_view *out, struct weight_set *set, const char *name, uint32_t rank,
                            const int64_t *dims, struct trace *trace) MUST_CHECK;

/* UNSUPPORTED names a weight that nobody took. */
enum status weight_set_check_taken(const struct weight_set *set, struct trace *trace) MUST_CHECK;

#endif
