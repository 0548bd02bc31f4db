/* Whether two models can be compared token by token: a teacher with its student, or with a model that is
 * measured. Both need the same tokenizer, byte by byte, and as many logits, or padding that is said to be
 * such. */
#ifndef PIPELINE_VOCABULARIES_H
#define PIPELINE_VOCABULARIES_H

#include "pipeline/model.h"
#include "pipeline/settings.h"
#include "pipeline/targets_object.h"

/* What the logits of one side are of. */
struct vocabulary {
    int64_t size;
    bool is_kept; /* of a teacher that was asked beforehand, about these tokens */
    bool has_tokenizer;
    struct hash128 tokenizer;
    uint32_t tokens; /* of the tokenizer */
};

/* `tokenizer` may be NULL: then it is not compared. */
enum status vocabulary_of_model(struct vocabulary *out, const struct graph *graph,
                                const struct tokenizer *tokenizer, struct trace *trace) MUST_CHECK;

/* What the user says of models that have not as many logits. */
struct vocabulary_rule {
    enum { VOCABULARY_SAME, VOCABULARY_SHARED } word;
    const struct settings *settings; /* that say so, for messages; NULL: the option --vocab does */
};

/* *out: tokens that take part, the first; 0: all. INVALID says what differs. */
enum status vocabularies_match(int64_t *out, const struct vocabulary *student,
                               const struct vocabulary *teacher, const struct vocabulary_rule *rule,
                               struct trace *trace) MUST_CHECK;

/* Who teaches: a model, or what one said beforehand. */
struct teacher_source {
    const struct model *model; /* NULL where it was asked beforehand */
    const struct targets_info *kept;
};

/* The same for a stage, whose settings have a member "vocab" (same, shared). */
enum status vocabularies_match_stage(int64_t *out, const struct settings *settings,
                                     const struct model *student, const struct teacher_source *teacher,
                                     struct trace *trace) MUST_CHECK;

#endif
