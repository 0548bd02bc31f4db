/* Which architecture of Hugging Face's can hold a model, and what must be moved into weights because its
 * configuration computes it: attention scale, embedding scale, norm weights minus one. */
#ifndef EMIT_HF_FORM_H
#define EMIT_HF_FORM_H

#include "emit/parts.h"
#include "emit/rotary_form.h"
#include "ir/hf_architecture.h"

struct hf_form {
    const struct hf_architecture *architecture;
    struct rotary_form rotary; /* zeroed where the frequencies have no content */
    float local_base;          /* of the frequencies of layers with a window; 0: as the others */
    int64_t window_period;  /* all layers but every so many-th have the window; 0: there is no such number */
    float query_factor;     /* of the queries' weights and biases, or of the weight of their norm */
    float embedding_factor; /* of the embedding's rows; a tied head's final norm is divided by it */
};

/* Of those that can hold it the one that leaves least to be made up for. UNSUPPORTED names the fields that
 * the nearest ones lack. */
struct hf_table {
    const struct hf_architecture *items;
    size_t count;
};
enum status hf_form_choose(struct hf_form *out, const struct parts *parts, struct hf_table table,
                           struct trace *trace) MUST_CHECK;

#endif
