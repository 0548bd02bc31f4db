/* Learning rates, and the 16 numbers that the optimizer's kernels read, computed by golden scalar functions:
 * a pure function of the step, so nothing has to be saved. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include "base/status.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

enum schedule_kind {
#define SCHEDULE(name, ...) SCHEDULE_##name,
#include "train/schedules.def"
    SCHEDULE_COUNT
};

struct schedule {
    enum schedule_kind kind;
    uint32_t
        warmup; /* steps that rise in a straight line to the peak: step t has (t + 1) / (warmup + 1) of it */
    uint32_t steps; /* in all; the last step comes close to `final` */
    uint32_t decay; /* wsd: the last steps, in which the rate comes down */
    float peak, final;
};

struct schedule_info {
    const char *name;
    const char *summary;
};
extern const struct schedule_info schedule_table[SCHEDULE_COUNT];
bool schedule_from_name(struct str name, enum schedule_kind *out);

/* INVALID names the setting that makes no sense. */
enum status schedule_check(const struct schedule *schedule, struct trace *trace) MUST_CHECK;
float schedule_rate(const struct schedule *schedule, uint32_t step); /* step < schedule->steps */

/* Settings of AdamW (Loshchilov & Hutter 2019); zeroes are not defaults. */
struct adamw {
    float beta1, beta2, epsilon;
    float decay;    /* of the tensors that decay, see train/step.h */
    float max_norm; /* of the whole gradient; 0: not clipped */
};

enum { HYPER_SIZE = 16 };
enum status adamw_check(const struct adamw *adamw, struct trace *trace) MUST_CHECK;
/* The vector of the clip and adamw rows of ir/ops.def, for step 0, 1, ... with that rate and total token
 * weight. */
void adamw_hyper(float out[HYPER_SIZE], const struct adamw *adamw, float rate, uint32_t step, float weight);

#endif
