/* Hashes of input files, remembered as long as size, mtime and inode stay what they were. */
#ifndef STORE_INPUT_H
#define STORE_INPUT_H

#include "base/hash.h"
#include "base/status.h"
#include "store/store.h"
#include <stdbool.h>
#include <stdint.h>

struct store_input {
    struct hash128 xxh3; /* of the file's bytes; its text form is "file-xxh3:HEX", for it is no object id */
    char sha256[SHA256_HEX];
    uint64_t size;
};

enum input_check {
    INPUT_REMEMBERED, /* trust what is remembered */
    INPUT_AGAIN, /* read the file; CORRUPT when it differs although size, mtime and inode are what they were
                  */
};

/* A file that was written less than two seconds ago is hashed but not remembered. */
enum status store_input_hash(struct store_input *out, const struct store *store, const char *path,
                             enum input_check check, struct trace *trace) MUST_CHECK;

/* Is a file with this mtime so old that another change of it would get another mtime? */
bool input_mtime_is_settled(int64_t mtime_ns);

enum status store_input_forget(const struct store *store, const char *absolute_path,
                               struct trace *trace) MUST_CHECK;

/* Visits every remembered file, by absolute path. Stops at the first status that is not OK and returns it. */
typedef enum status input_visitor(void *context, const char *path, struct trace *trace);
enum status store_input_each(const struct store *store, input_visitor *visit, void *context,
                             struct trace *trace) MUST_CHECK;

#endif
