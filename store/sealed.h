/* Small files that are no objects but must not be misread: one line of compact JSON, and in a second line the
 * XXH3 of the first (with its newline). For the files of store/ only. */
#ifndef STORE_SEALED_H
#define STORE_SEALED_H

#include "base/status.h"
#include "store/store.h"
#include <jansson.h>

/* Takes over `root`. INVALID when root is NULL, which is what json_pack() makes of text that is not UTF-8. */
enum status sealed_write(const struct store *store, const char *path, json_t *root,
                         struct trace *trace) MUST_CHECK;

/* NOT_FOUND, or CORRUPT when the lines do not fit together. Release with json_decref(). */
enum status sealed_read(json_t **out, const char *path, struct trace *trace) MUST_CHECK;

#endif
