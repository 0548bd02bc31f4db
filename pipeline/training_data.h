/* Where the micro-batches of a phase of training come from: the windows of its inputs, mixed by shares, with
 * what teachers said of them beforehand. Micro-batches hold samples of one input, so they have one tag. */
#ifndef PIPELINE_TRAINING_DATA_H
#define PIPELINE_TRAINING_DATA_H

#include "data/mixture.h"
#include "pipeline/stage.h"
#include "pipeline/targets_object.h"
#include "train/trainer.h"

struct training_source {
    struct corpus corpus;
    struct batcher batcher;
    struct targets_reader *kept; /* borrowed; NULL: its teacher is asked in the step */
    uint32_t route;
};

struct training_data {
    struct training_source *sources;
    struct mixture mixture;
    uint32_t micros, rows; /* micro-batches a step, sequences in one */
};

/* How many samples of an input the phases before `phase` have drawn, of windows as long as its own. */
uint64_t training_first_sample(const struct stage_entry *entry, uint32_t phase, uint32_t input);

/* `kept` has a reader for each route, those without a stage being zero; borrowed. INVALID: a sample about
 * which no teacher was asked. Release it in any case. */
enum status training_data_open(struct training_data *out, struct stage_run *stage, uint32_t phase,
                               struct tokenizer *tokenizer, struct targets_reader *kept,
                               struct trace *trace) MUST_CHECK;
struct trainer_source training_data_source(struct training_data *data);
void training_data_release(struct training_data *data); /* accepts zeroed memory */

#endif
