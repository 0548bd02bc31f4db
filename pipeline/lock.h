/* Locks: what every stage of a pipeline came to, for `verify` to compare with. The lock of DIR/X.yaml is
 * DIR/X.lock: first line "espalier-lock 1 golden/N", then "STAGE xxh3:HEX sha256:HEX" for each stage in the
 * order of the file. */
#ifndef PIPELINE_LOCK_H
#define PIPELINE_LOCK_H

#include "pipeline/run.h"

struct lock_entry {
    struct str stage;
    struct hash128 id;
    char sha256[SHA256_HEX];
};

struct lock {
    struct arena arena;
    VEC(struct lock_entry) entries;
};

char *lock_path(const char *pipeline_path); /* heap string */
/* INVALID with line number when it is no lock or of another profile. */
enum status lock_read(struct lock *out, const char *path, struct trace *trace) MUST_CHECK;
void lock_release(struct lock *lock);
/* INVALID: the run's numerics do not promise bytes that could be locked. */
enum status lock_check_numerics(const struct run *run, struct trace *trace) MUST_CHECK;
/* Every stage must be done. INVALID as above. */
enum status lock_write(const struct run *run, const char *path, struct trace *trace) MUST_CHECK;

/* Runs the pipeline in a fresh temporary store and compares each stage with the lock; stages are announced as
 * same, differs or missing. DIFFERS unless all are the same. */
enum status verify_run(const char *path, const struct run_options *options, struct trace *trace) MUST_CHECK;

#endif
