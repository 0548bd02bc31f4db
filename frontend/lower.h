/* From terms to the IR: one node a term, weights named by the part they play. */
#ifndef FRONTEND_LOWER_H
#define FRONTEND_LOWER_H

#include "frontend/importer.h"

/* Builds the graph of the logits. UNSUPPORTED: a term is left over that no rule completed. */
enum status lower_graph(struct graph **out, struct importer *im, struct trace *trace) MUST_CHECK;
/* The same, of a term that is known to be the logits [batch, sequence, vocabulary]. */
enum status lower_terms(struct graph **out, struct importer *im, uint32_t logits,
                        struct trace *trace) MUST_CHECK;

/* The parts of a decoder, told from who reads what (frontend/roles.c). Arrays have one entry a term. */
struct roles {
    const char **names; /* of the weight of an EMBED, LINEAR, RMSNORM; NULL: none */
    uint32_t *layers;   /* attentions below the term */
    uint32_t *mlps;     /* MLPs below the term */
    uint32_t head;      /* LINEAR of the logits, or TERM_NONE */
};
void roles_find(struct roles *out, struct importer *im, uint32_t logits);
/* The linear layer below scales, norms, rotary embeddings and biases; TERM_NONE when there is something else.
 */
uint32_t roles_projection(const struct term_set *terms, uint32_t term);
/* A product with an activation: *gate is what is under the activation, *up the other factor. */
bool roles_gated(const struct term_set *terms, uint32_t term, uint32_t *gate, uint32_t *up);
/* The layer of an MLP's term, which may stand behind its layer's attention or beside it. */
uint32_t roles_mlp_layer(const struct roles *roles, uint32_t term);
bool roles_is_activation(enum term_kind kind);

bool weights_have_one_shape(const struct tensor_view *a, const struct tensor_view *b); /* and type */
/* Are all elements of two weights the same bytes? */
bool weights_equal(const struct tensor_view *a, const struct tensor_view *b);
/* Where they are large only some of them are compared: *is_certain says whether the answer is that of
 * weights_equal(). */
bool weights_look_equal(bool *is_certain, const struct tensor_view *a, const struct tensor_view *b);
/* The one or the other, as the importer was told. */
bool import_weights_equal(struct importer *im, uint32_t a, uint32_t b);

#endif
