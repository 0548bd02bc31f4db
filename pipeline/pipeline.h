/* A pipeline file, read and checked: inputs, stages in order, and which stage feeds which. Nothing has run
 * yet; every mistake that can be seen from the file alone has been reported with line and column. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "base/arena.h"
#include "base/status.h"
#include "base/vec.h"
#include "ir/numerics.h"
#include "pipeline/settings.h"

enum { STAGE_NONE = UINT32_MAX };

struct input_entry {
    const char *name;
    struct settings settings; /* kind "input"; paths are made relative to the working directory */
};

struct stage_kind;

/* Training text: an input and how many of the micro-batches are drawn from it. */
struct data_source {
    uint32_t input, share;
    uint32_t route; /* number of its teacher */
};

/* Who teaches: a stage that makes a model, or one that kept what a teacher said (kind teach). */
struct stage_teacher {
    const char *tag; /* of the data it is for; NULL: all */
    uint32_t stage;
};

struct stage_phase {
    struct settings settings;          /* kind "phase" */
    const struct data_source *sources; /* NULL: the stage's */
    uint32_t source_count;
};

struct stage_entry {
    const char *name;              /* its kind, or `as:` */
    const struct stage_kind *kind; /* row of stages.def */
    struct settings settings;
    uint32_t line, column;
    /* Numbers of stages; STAGE_NONE where there is none. */
    uint32_t model;  /* whose model it takes */
    uint32_t scores; /* prune, apply */
    uint32_t like;   /* init */
    uint32_t data;   /* number of an input: score, teach, evaluate, answer */
    uint32_t task;   /* number of an input: score */
    uint32_t source; /* number of an input: import */
    /* Training stages. */
    const struct data_source *sources;
    uint32_t source_count;
    const struct stage_teacher *teachers; /* distill; evaluate: one, without a tag */
    uint32_t teacher_count;
    const struct stage_phase *phases; /* none: all steps are one */
    uint32_t phase_count;
};

struct pipeline {
    struct arena arena;
    const char *path, *name;
    enum numerics numerics;
    const struct yaml_value *root; /* the file's text */
    int64_t seed;
    VEC(struct input_entry) inputs;
    VEC(struct stage_entry) stages;
};

/* What the numbers of a stage kind are for: one row of stages.def. */
struct run;
struct stage_run;
struct stage_kind {
    const char *name;
    uint32_t version;   /* rises when its bytes may change */
    const char *output; /* the object that its lock line names: "model", "scores", "report", "files" */
    bool makes_model;   /* else it hands on the model it was given */
    enum status (*run)(struct stage_run *stage, struct trace *trace);
    const char *summary;
};
extern const struct stage_kind stage_kinds[];
extern const uint32_t stage_kind_count;

/* INVALID or NOT_FOUND; *out is released on failure. */
enum status pipeline_read(struct pipeline *out, const char *path, struct trace *trace) MUST_CHECK;
/* The same with what the caller knows besides. */
struct pipeline_options {
    const char *const
        *also; /* keys of the caller (NULL-terminated): the file may have them, and may have no stages */
    const int64_t *seed; /* in place of the file's; then the name ends in ".seed-N" */
};
enum status pipeline_read_with(struct pipeline *out, const char *path, const struct pipeline_options *options,
                               struct trace *trace) MUST_CHECK;
void pipeline_release(struct pipeline *pipeline); /* accepts zeroed memory */
/* The stage that the stage's model goes back to by pruning, training and the like: an import or init. */
uint32_t pipeline_find_origin(const struct pipeline *pipeline, uint32_t stage);
uint32_t pipeline_find_stage(const struct pipeline *pipeline, const char *name); /* or STAGE_NONE */
uint32_t pipeline_find_input(const struct pipeline *pipeline, const char *name); /* or STAGE_NONE */

#endif
