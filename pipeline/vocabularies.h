/* Whether two models can be compared token by token: a teacher with its student, or with a model that is
 * measured. Both need the same tokenizer, byte by byte, and as many logits, or padding that is said to be
 * such. */
#ifndef PIPELINE_VOCABULARIES_H
#define PIPELINE_VOCABULARIES_H

#include "pipeline/model.h"
#include "pipeline/settings.h"
#include "pipeline/targets_object.h"

/* Who teaches: a model, or what one said beforehand. */
struct teacher_source {
    const struct model *model; /* NULL where it was asked beforehand */
    const struct targets_info *kept;
};

/* *out: tokens that take part, the first; 0: all. The settings have a member "vocab" (same, shared). INVALID
 * says what differs. */
enum status vocabularies_match(int64_t *out, const struct settings *settings, const struct model *student,
                               const struct teacher_source *teacher, struct trace *trace) MUST_CHECK;

#endif
