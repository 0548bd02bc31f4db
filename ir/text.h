/* The text form of a graph: canonical, printed and parsed back (docs/ir.md has the grammar). */
#ifndef IR_TEXT_H
#define IR_TEXT_H

#include "base/hash.h"
#include "base/status.h"
#include "ir/graph.h"

/* canonical: no names of weights, no origins: what is hashed. Else names and origins as comments after `#`.
 */
enum text_form { TEXT_CANONICAL, TEXT_READABLE };
void graph_print(const struct graph *graph, enum text_form form, struct builder *out);

/* Parses text; `name` is for messages ("file.ir:12:5: ..."). Tensors have dims and an id but no bytes
 * (view.base NULL) until the caller resolves them. */
enum status graph_parse(struct graph **out, struct str text, const char *name,
                        struct trace *trace) MUST_CHECK;

/* Hash of the canonical text: structure and weights' ids. */
struct hash128 graph_hash(const struct graph *graph);

/* Checks every rule of docs/ir.md; lists all failures, annotated. */
enum status graph_verify(const struct graph *graph, struct trace *trace) MUST_CHECK;

/* Renumbers: drops values and nodes that no output needs, orders nodes deterministically. */
struct graph *graph_canonicalise(const struct graph *graph);

#endif
