/* What a training stage logs: one JSON object a line and step, in the store beside the run record, and the
 * same numbers as an event file where one is asked for.
 *
 *   {"gradient_norm": 0.8, "loss": 2.4, "losses": {"forward_kl": 2.4}, "rate": 0.001, "step": 1,
 * "time": 1.7e9, "tokens_per_s": 5200.0}
 *
 * A run that goes on from a checkpoint keeps the lines of the steps before it, so there is one line a step
 * however often the run was cut off. Times are in it, so it is no part of any result. */
#ifndef PIPELINE_TRAINING_LOG_H
#define PIPELINE_TRAINING_LOG_H

#include "base/status.h"
#include "pipeline/event_file.h"
#include <jansson.h>
#include <stdint.h>

struct training_log {
    FILE *lines;
    struct event_file events;
};

/* Lines of steps up to `done` are kept. `events` is a folder, which is made, or NULL. */
enum status training_log_open(struct training_log *out, const char *path, const char *events, uint64_t done,
                              struct trace *trace) MUST_CHECK;
/* Takes the reference. */
enum status training_log_add(struct training_log *log, json_t *line, struct trace *trace) MUST_CHECK;
void training_log_close(struct training_log *log); /* accepts zeroed memory */

#endif
