/* Where positions, masks and cached keys and values of an ONNX graph come from: the tokens alone, or the
 * inputs that the graph's interface (ir/interface.h) has. Queries are the tokens that are given, [s] of them;
 * keys are those of the cache and these, [t] of them; without a cache t = s. */
#ifndef EMIT_ONNX_INTERFACE_H
#define EMIT_ONNX_INTERFACE_H

#include "emit/emit.h"
#include "emit/onnx_lower.h"

/* The interface that `wanted` means for the graph; UNSUPPORTED when the graph cannot have it. */
enum status onnx_interface_choose(struct interface *out, const struct graph *graph,
                                  enum emit_interface wanted, struct trace *trace) MUST_CHECK;
/* Declares inputs and outputs: before anything else takes their names. UNSUPPORTED when two have the same. */
enum status onnx_interface_declare(struct onnx_lower *l, struct trace *trace) MUST_CHECK;

/* Of the tokens: 0, 1, ... or where the cache ends, [s]. */
const char *onnx_lower_positions(struct onnx_lower *l);
/* The positions that tables are read at: the input for them where there is one, [b, s] or [s], else as above
 * [s]. COUNTED: without such an input, tokens that the mask hides do not count, [b, s], unless the interface
 * numbers them, too. */
enum onnx_counting { POSITIONS_PLAIN, POSITIONS_COUNTED };
const char *onnx_lower_table_positions(struct onnx_lower *l, enum onnx_counting counting, bool *has_batch);
/* Which row of a table over the tokens is which token's, [b, s]. */
const char *onnx_lower_row_ids(struct onnx_lower *l);
/* 0 where a query sees a key, else a number below all scores: [s, t], with a mask of padding [b, 1, s, t]. */
const char *onnx_lower_mask(struct onnx_lower *l, int64_t window); /* 0: all before */
bool onnx_lower_needs_mask(const struct onnx_lower *l);            /* or is a triangle all that hides keys? */
const char *onnx_lower_distances(struct onnx_lower *l);            /* key less query [s, t], as numbers */

/* Keys (or values) x [b, s, g*size] behind those of the cache: [b, g, t, size], which `part` hands on. */
const char *onnx_lower_join_past(struct onnx_lower *l, const char *x, int64_t groups, int64_t size,
                                 enum interface_part past, const char *name);
/* The names of the current layer's past and present; axes as the operator Attention has them, b n s h.
 * After the present has been made, onnx_lower_hand_on puts its axes in the interface's order. */
const char *onnx_lower_past(struct onnx_lower *l, enum interface_part past);
const char *onnx_lower_present(struct onnx_lower *l, enum interface_part present);
void onnx_lower_hand_on(struct onnx_lower *l, enum interface_part present, const char *made);

#endif
