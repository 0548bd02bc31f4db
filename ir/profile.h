/* Where time goes: whoever measures a piece of time tells a profile of it. Executors tell of every node that
 * they run, pipelines of stages and steps. */
#ifndef IR_PROFILE_H
#define IR_PROFILE_H

#include "ir/work.h"

enum profile_lane { PROFILE_HOST, PROFILE_DEVICE };

struct profile_span {
    enum profile_lane lane;
    const char *name;   /* the op, the stage */
    const char *detail; /* which one: "%12 = matmul_nt (layers.0.q)"; or "" */
    double start, end;  /* clock_seconds() */
    struct work work;   /* of a node; else zero */
};

/* First member of every implementation. Texts of a span are borrowed for the call. */
struct profile {
    void (*span)(struct profile *profile, const struct profile_span *span);
};

/* Does nothing when profile is NULL. */
static inline void profile_span(struct profile *profile, const struct profile_span *span)
{
    if (profile)
        profile->span(profile, span);
}

#endif
