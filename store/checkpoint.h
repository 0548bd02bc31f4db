/* What a long stage needs to go on after it was stopped: named byte arrays of one step, raw, one file each,
 * and a manifest with their hashes, written last. The last two checkpoints of a stage are kept; the stage
 * removes them when its result is in the store. They are never part of a result, so when one is written
 * changes no bytes. The caller holds the stage's lock. */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/vec.h"
#include "store/store.h"

struct checkpoint_file {
    const char *name; /* "weights/12", "adamw.m/12", "counters", ...; UTF-8, unique */
    uint64_t bytes;
    struct hash128 xxh3;
};

struct checkpoint_writer {
    const struct store *store;
    struct hash128 key;
    uint64_t step;
    char *directory;
    VEC(struct checkpoint_file) files;
    struct map names;
    struct arena arena;
    bool is_open; /* false in zeroed memory */
};

/* Drops what an earlier process left of this step. */
enum status checkpoint_writer_begin(struct checkpoint_writer *out, const struct store *store,
                                    struct hash128 key, uint64_t step, struct trace *trace) MUST_CHECK;
/* INVALID when the name is there already. */
enum status checkpoint_writer_add(struct checkpoint_writer *w, const char *name, const void *bytes,
                                  size_t length, struct trace *trace) MUST_CHECK;
/* Afterwards this checkpoint and the one before are there, and no other. */
enum status checkpoint_writer_commit(struct checkpoint_writer *w, struct trace *trace) MUST_CHECK;
void checkpoint_writer_release(
    struct checkpoint_writer *w); /* drops what is not committed; accepts zeroed memory */

struct checkpoint {
    uint64_t step;
    char *directory;
    VEC(struct checkpoint_file) files; /* in the order in which they were added */
    struct map names;
    struct arena arena;
};

/* The latest checkpoint whose files all have their hashes; one that is unfinished or damaged is passed over
 * with a warning. NOT_FOUND when there is none. */
enum status checkpoint_open_latest(struct checkpoint *out, const struct store *store, struct hash128 key,
                                   struct trace *trace) MUST_CHECK;
/* Maps a file, whose length must be `bytes` (CORRUPT otherwise; NOT_FOUND when the checkpoint has no such
 * name). */
enum status checkpoint_map(struct mapping *out, const struct checkpoint *checkpoint, const char *name,
                           uint64_t bytes, struct trace *trace) MUST_CHECK;
const struct checkpoint_file *checkpoint_find(const struct checkpoint *checkpoint,
                                              const char *name); /* or NULL */
void checkpoint_release(struct checkpoint *checkpoint);          /* accepts zeroed memory */

enum status checkpoint_remove_all(const struct store *store, struct hash128 key,
                                  struct trace *trace) MUST_CHECK;

#endif
