/* What the stage teach makes. Output "targets" is an object of that kind, JSON: how they were asked for, of
 * which text, and the hashes of their parts before these were compressed; it is what locks and keys name.
 * Output "packed", in no key, is a manifest of the objects that hold the parts compressed, one id a line.
 *
 * A part is an object of kind "packed": the number n of its windows, n + 1 offsets from the object's first
 * byte to where windows begin and the last one ends, all 32-bit little-endian, then the windows, each
 * compressed by itself. */
#ifndef PIPELINE_TARGETS_OBJECT_H
#define PIPELINE_TARGETS_OBJECT_H

#include "data/batch.h"
#include "data/targets.h"
#include "pipeline/stage.h"

/* How they were asked for. */
struct targets_info {
    struct targets_form form;
    double temperature;
    uint64_t windows; /* of the text */
    uint64_t count;   /* that were asked about: all, or those of the first `count` samples */
    uint64_t seed;    /* of the order of samples */
    uint64_t part;    /* windows in a part */
    const char *data; /* describes the text */
    struct hash128 tokenizer;
    uint32_t tokens; /* of the tokenizer */
};

/* A part as it is made. */
struct targets_part {
    struct hash128 raw; /* of its windows' bytes */
    struct hash128 id;  /* of the object that holds them compressed */
};

/* Stores the manifest that lists parts. */
enum status targets_list_parts(struct hash128 *out, char sha256[SHA256_HEX], const struct store *store,
                               const struct targets_part *parts, uint64_t count,
                               struct trace *trace) MUST_CHECK;
/* Hands over both outputs. */
enum status targets_object_add(struct stage_run *stage, const struct targets_info *info,
                               const struct targets_part *parts, uint64_t count,
                               struct trace *trace) MUST_CHECK;
/* What text an input stands for, tokens and all: two are the same when their descriptions are. */
const char *targets_describe_data(struct arena *arena, const struct run *run, uint32_t input,
                                  const struct corpus *corpus);

struct targets_reader {
    struct targets_info info;
    const struct stage_entry *from; /* the stage that made them */
    const struct store *store;
    struct arena arena;
    struct hash128 *parts; /* ids */
    uint64_t part_count;
    struct targets_place *places; /* by window, ascending; NULL: windows lie in their order */
    uint8_t *raw;                 /* a window */
};

/* What stage number `from` made. Release it in any case. */
enum status targets_reader_open(struct targets_reader *out, struct stage_run *stage, uint32_t from,
                                struct trace *trace) MUST_CHECK;
/* Tells where the windows of this text are; INVALID when they are of another. `batcher` draws from it. */
enum status targets_reader_match(struct targets_reader *reader, const char *data,
                                 const struct batcher *batcher, struct trace *trace) MUST_CHECK;
bool targets_reader_has(const struct targets_reader *reader, uint64_t window);
/* Into the tokens of `out` from `first` on. CORRUPT names the object. */
enum status targets_reader_read(struct targets_reader *reader, uint64_t window, struct targets *out,
                                uint32_t first, struct trace *trace) MUST_CHECK;
void targets_reader_release(struct targets_reader *reader); /* accepts zeroed memory */

#endif
