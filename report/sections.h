/* The sections of the page. Each looks at all stages and adds nothing when none has what it shows. */
#ifndef REPORT_SECTIONS_H
#define REPORT_SECTIONS_H

#include "pipeline/run.h"

typedef enum status section_function(struct builder *page, const struct run *run, struct arena *arena,
                                     struct trace *trace);

section_function section_evaluation; /* all models, as the papers' tables have them */
section_function section_models;     /* shapes, parameters and operations of every model */
section_function section_rewrites;   /* receipts of what was cut */
section_function section_texts;      /* loss and perplexity, stage by stage */
section_function section_answers;    /* tasks, stage by stage */
section_function section_samples;    /* sample texts */
section_function section_training;   /* curves of loss and learning rate */
section_function section_scores;     /* heat maps and sorted curves */
section_function section_inputs;     /* files, with their hashes */
section_function section_records;    /* device and time of the last run of each stage */

/* The JSON of an output of a stage that is done, or NULL where there is none. Release the reference. */
enum status section_json(json_t **out, const struct run *run, uint32_t stage, const char *output,
                         struct trace *trace) MUST_CHECK;

struct section_size {
    int64_t parameters, non_embedding; /* without what has the vocabulary's axis */
};
/* Of the model that a stage made, which is done. */
enum status section_size_of(struct section_size *out, const struct run *run, uint32_t stage,
                            struct trace *trace) MUST_CHECK;

#endif
