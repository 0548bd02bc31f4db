/* Running a pipeline: each stage is looked up by its key and run when the store has no result for it. */
#ifndef PIPELINE_RUN_H
#define PIPELINE_RUN_H

#include "base/arena.h"
#include "base/status.h"
#include "ir/profile.h"
#include "pipeline/device_select.h"
#include "pipeline/pipeline.h"
#include "store/key.h"
#include "store/ref.h"
#include "store/store.h"
#include <jansson.h>
#include <signal.h>

enum stage_status { STAGE_RAN, STAGE_CACHED, STAGE_PLANNED, STAGE_SAME, STAGE_DIFFERS, STAGE_MISSING };
const char *stage_status_name(enum stage_status status);

struct stage_event {
    const struct stage_entry *entry;
    enum stage_status status;
    bool has_id;
    struct hash128 id; /* of the object that the lock names */
    char sha256[SHA256_HEX];
    double seconds;
    const char *why;      /* planned: what makes it run; may be NULL */
    const json_t *report; /* what the stage measured, or NULL; borrowed */
};

struct step_event {
    const struct stage_entry *entry;
    uint64_t step, steps;
    double loss, rate, norm, tokens_per_second;
};

/* What cli/ prints. Either may be NULL. */
struct run_events {
    void (*stage)(void *context, const struct stage_event *event);
    void (*step)(void *context, const struct step_event *event);
    void *context;
};

struct run_options {
    const char *store;            /* NULL: ".espalier" beside the pipeline file */
    struct device_options device; /* its numerics are those below once a run is open */
    const char *numerics;         /* in place of the file's; NULL: the file's */
    const int64_t *seed;          /* of the stages that give none; NULL: the file's */
    const char *until;            /* last stage to run; NULL: all */
    const char *events_folder;    /* gets a folder of event files a training stage; NULL: none are written */
    /* DRY: nothing runs, but mistakes are told as before a run. LOOK: what is done is found, whatever the
     * rest. */
    enum run_mode { RUN_ALL, RUN_DRY, RUN_LOOK } mode;
    enum run_exports { EXPORT_WRITE, EXPORT_NOTHING } exports; /* verify writes no export */
    struct run_events events;
    struct profile *profile; /* told of stages, steps and nodes; NULL: none */
    const volatile sig_atomic_t *stop;
};

struct run {
    struct arena arena;
    struct pipeline pipeline;
    struct run_options options;
    const char *numerics; /* what results depend on: see device_identity() */
    struct store *store;
    struct executor *executor;    /* NULL until a stage asks */
    struct store_result *results; /* one a stage that is done */
    struct hash128 *keys;
    enum stage_status *statuses;
    bool *done;
    uint32_t goal; /* of run_stages(): the last stage that is to run */
    /* Whether forecast_check() is yet to look at them; what it found. */
    enum { OUTLOOK_UNASKED, OUTLOOK_WANTED, OUTLOOK_GOOD, OUTLOOK_BAD } outlook;
};

/* Reads the file and opens the store. */
enum status run_open(struct run *out, const char *path, const struct run_options *options,
                     struct trace *trace) MUST_CHECK;
/* The same of a pipeline that was read, or made, by the caller; it is the run's now, also on failure. */
enum status run_open_pipeline(struct run *out, struct pipeline *pipeline, const struct run_options *options,
                              struct trace *trace) MUST_CHECK;
/* The store of a file at `path`: the one that the options name, or .espalier beside it; only looked at in a
 * dry run. */
enum status run_open_store(struct store **out, const char *path, const struct run_options *options,
                           struct trace *trace) MUST_CHECK;
/* Runs one stage; what it takes is done, or it is planned in a dry run. INTERRUPTED as below. */
enum status run_one_stage(struct run *run, uint32_t number, struct trace *trace) MUST_CHECK;
/* Runs every stage up to `until`; a dry run runs none. INTERRUPTED after writing a checkpoint. */
enum status run_stages(struct run *run, struct trace *trace) MUST_CHECK;
void run_release(struct run *run); /* accepts zeroed memory */

/* The output of a done stage that the lock names, or NULL. */
const struct store_output *run_output(const struct run *run, uint32_t stage);

#endif
