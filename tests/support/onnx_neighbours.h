/* Rotary embedding of neighbouring channels, as GPT-J's family has it: channel 2i of a head rotates with 2i
 * + 1. A model whose rows of queries and keys stand in that order is the same as one that rotates halves. */
#ifndef TESTS_SUPPORT_ONNX_NEIGHBOURS_H
#define TESTS_SUPPORT_ONNX_NEIGHBOURS_H

#include "tests/support/onnx_llama.h"

/* Rows [heads * head, columns] in which row i + p * head / 2 of a head goes to 2i + p. */
void neighbours_order(float *values, int64_t rows, int64_t columns, int64_t head);
/* The same of a part that is queries or keys of such a model; others stay as they are. Returns them. */
float *neighbours_order_part(float *values, const char *part, int64_t count, const struct onnx_llama *model);
/* [..., half] with each element twice, one beside the other. */
const char *neighbours_spread(struct onnx_writer *w, const char *angles, bool has_batch, int64_t half);
/* -x1, x0, -x3, x2, ... of [batch, heads, sequence, head] */
const char *neighbours_turn(struct onnx_writer *w, const char *x, int64_t heads, int64_t head);

#endif
