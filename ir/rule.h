/* Dimension rules: one line per op says which axes are the same thing.
 *
 * A rule is "inputs -> results; statements". Inputs and results are separated by commas (an input that starts
 * with # is i32, all others f32); each lists its axes separated by blanks: a name (same name, same term),
 * `...` (any number of leading axes, the same everywhere), a number (that size), or a term in parentheses
 * with * and +, e.g. (g*r*h) or (h*(f+f)). Statements, separated by semicolons: contract x, normalise x,
 * domain x, position x, pair x     facts of a leaf
 * attribute = term                 an integer attribute restates the size of a term
 * Rules that a line cannot say (broadcast, views, blocks) have names and a function in ir/rule_special.c.
 *
 * Applying a rule unifies the axes of the inputs and yields the axes of the results. An attribute both splits
 * leaves when a node is first built (heads=8 cuts 64 into 8*8) and is recomputed when leaves have been
 * pruned. */
#ifndef IR_RULE_H
#define IR_RULE_H

#include "base/status.h"
#include "ir/graph.h"

/* Infers results of `node` (inputs and attributes set): writes rank and axes of each result. A conflict
 * between terms freezes leaves and is OK as long as sizes agree; ranks or sizes that cannot agree are
 * INVALID. */
struct rule_result {
    enum dtype dtype;
    uint32_t rank;
    uint32_t axes[VALUE_MAX_RANK];
};
enum status rule_apply(struct graph *graph, struct node *node, struct rule_result results[NODE_MAX_RESULTS],
                       struct trace *trace) MUST_CHECK;

/* The dimension term that attribute `key` of this node restates, or DIM_NONE (after rule_apply). */
uint32_t rule_attribute_term(struct graph *graph, const struct node *node, enum attribute_key key);

#endif
