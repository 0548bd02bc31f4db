/* Event files as TensorBoard reads them: records of TFRecord, each an `Event` message with scalar summaries
 * (tensorflow/core/lib/io/record_writer.h, tensorboard/compat/proto/event.proto). */
#ifndef PIPELINE_EVENT_FILE_H
#define PIPELINE_EVENT_FILE_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct event_file {
    FILE *file; /* NULL: nothing is open, and nothing is written */
};

struct event_scalar {
    const char *tag;
    double value; /* written as a float */
};

/* Replaces the file; its folder is there. */
enum status event_file_create(struct event_file *out, const char *path, struct trace *trace) MUST_CHECK;
/* `time` is in seconds since 1970. What was added is on its way to the disk when it returns. */
enum status event_file_add(struct event_file *file, double time, int64_t step,
                           const struct event_scalar *scalars, size_t count, struct trace *trace) MUST_CHECK;
void event_file_close(struct event_file *file); /* accepts zeroed memory */

/* CRC-32C (Castagnoli; RFC 3720, appendix B.4), for the test. */
uint32_t event_crc(const void *bytes, size_t length);

#endif
