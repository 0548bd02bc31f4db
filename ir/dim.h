/* Dimension terms: what the axes of all values of a graph have in common.
 *
 * Each axis is a term: a leaf, a product of terms (major to minor) or a sum of terms (concatenation). A leaf
 * is either static (size > 0) or a symbol (batch, sequence; size unknown until a program is compiled). Leaves
 * are global to the graph. dims_unify() makes two terms equal; unification may split a leaf into a product or
 * a sum, which refines every axis that mentions it at once. LLaMA's query weight comes out as [D,
 * (g*r*(f+f))].
 *
 * A conflict freezes the leaves involved with its reason; analysis goes on and pruning them is refused later.
 * Term ids are 32-bit, stable, owned by the graph's `struct dims`. */
#ifndef IR_DIM_H
#define IR_DIM_H

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"
#include <stdbool.h>
#include <stdint.h>

enum { DIM_NONE = UINT32_MAX, DIM_MAX_FACTORS = 64 };
enum { DIM_UNKNOWN = -1 }; /* size of a term that mentions a symbol */

enum dim_kind { DIM_LEAF, DIM_PRODUCT, DIM_SUM };

/* What is known of a leaf; joined when leaves are unified, pushed down when a leaf is split. */
enum dim_fact {
    FACT_CONTRACTED = 1 << 0, /* a product sums over it: removing a zeroed element is exact */
    FACT_NORMALISER = 1 << 1, /* a mean runs over it: pruning is renormalising, not exact */
    FACT_DOMAIN = 1 << 2,     /* values of an integer input index it (vocabulary) */
    FACT_INTERFACE = 1 << 3,  /* an axis of a graph input or output */
    FACT_FROZEN = 1 << 4,     /* must not be pruned; see `reason` */
    FACT_PAIRED = 1 << 5,     /* rotary frequency: both halves of a head carry it */
    FACT_POSITION = 1 << 6,   /* positions of a sequence index it: neither ranked nor pruned */
};

struct dim_term {
    enum dim_kind kind;
    uint32_t parent;      /* union-find: another term this one stands for, or itself */
    int64_t size;         /* DIM_UNKNOWN when a symbol is mentioned */
    uint32_t first_child; /* into `children` (product, sum) */
    uint32_t child_count;
    struct str symbol; /* name of a dynamic leaf; empty for a static one */
    uint32_t facts;    /* of a leaf: enum dim_fact */
    struct str reason; /* why frozen */
};

struct dims {
    struct arena *arena;
    VEC(struct dim_term) terms;
    VEC(uint32_t) children;
};

uint32_t dims_leaf(struct dims *dims, int64_t size);
uint32_t dims_symbol(struct dims *dims, struct str name); /* one term per name */
/* Products drop factors of size 1; no factor left gives a leaf of size 1, one gives itself. */
uint32_t dims_product(struct dims *dims, const uint32_t *factors, uint32_t count);
uint32_t dims_sum(struct dims *dims, const uint32_t *parts, uint32_t count);

uint32_t dims_find(const struct dims *dims, uint32_t term); /* the representative */
int64_t dims_size(const struct dims *dims, uint32_t term);
bool dims_is_leaf(const struct dims *dims, uint32_t term);
/* Flattened factors of a product (itself when no product), representatives, major first. Returns the count.
 */
uint32_t dims_factors(const struct dims *dims, uint32_t term, uint32_t out[DIM_MAX_FACTORS]);
uint32_t dims_parts(const struct dims *dims, uint32_t term, uint32_t out[DIM_MAX_FACTORS]);
/* All distinct leaves below, left to right. */
uint32_t dims_leaves(const struct dims *dims, uint32_t term, uint32_t out[DIM_MAX_FACTORS]);
bool dims_equal(const struct dims *dims, uint32_t a, uint32_t b); /* same structure over the same leaves */

/* Makes a and b the same term. False on conflict: `*why` says it (on the arena), and the static leaves of
 * both are frozen with that reason. Sizes that differ are a conflict. */
bool dims_unify(struct dims *dims, uint32_t a, uint32_t b, struct str *why);
void dims_add_fact(struct dims *dims, uint32_t term, enum dim_fact fact);
void dims_freeze(struct dims *dims, uint32_t term, struct str reason);

/* "64", "(d1*d2*(d3+d3))" with names from `name` (an index per leaf), for messages and the text form. */
struct builder;
void dims_print(const struct dims *dims, uint32_t term, struct builder *out);

/* Sizes of the symbols of a program. */
struct dim_binding {
    struct str symbol;
    int64_t size;
};
/* The size of `term` under the bindings; DIM_UNKNOWN when a symbol is not bound. */
int64_t dims_evaluate(const struct dims *dims, uint32_t term, const struct dim_binding *bindings,
                      uint32_t count);

#endif
