/* The sections of the page. Each looks at all stages and adds nothing when none has what it shows. */
#ifndef REPORT_SECTIONS_H
#define REPORT_SECTIONS_H

#include "pipeline/run.h"

typedef enum status section_function(struct builder *page, const struct run *run, struct arena *arena,
                                     struct trace *trace);

section_function section_models;   /* shapes and parameters of every model */
section_function section_rewrites; /* receipts of what was cut */
section_function section_texts;    /* loss and perplexity */
section_function section_answers;  /* tasks */
section_function section_training; /* curves of loss and learning rate */
section_function section_scores;   /* heat maps */
section_function section_records;  /* device and time of the last run of each stage */

/* The JSON of an output of a stage that is done, or NULL where there is none. Release the reference. */
enum status section_json(json_t **out, const struct run *run, uint32_t stage, const char *output,
                         struct trace *trace) MUST_CHECK;

#endif
