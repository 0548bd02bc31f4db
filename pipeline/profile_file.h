/* A profile as a file in the trace event form that Perfetto and chrome://tracing open, with a lane for the
 * host (stages and steps) and one for the device (nodes), and its totals by op. */
#ifndef PIPELINE_PROFILE_FILE_H
#define PIPELINE_PROFILE_FILE_H

#include "base/status.h"
#include "ir/profile.h"
#include <stdio.h>

struct profile_file;

/* The file appears when the profile is closed. */
enum status profile_file_open(struct profile_file **out, const char *path, struct trace *trace) MUST_CHECK;
struct profile *profile_file_profile(struct profile_file *file);
/* A row an op of the device, longest first: time, rate of operations and of bytes. */
void profile_file_print(const struct profile_file *file, FILE *to);
/* Writes the file and releases everything; accepts NULL. */
enum status profile_file_close(struct profile_file *file, struct trace *trace) MUST_CHECK;
/* The same without writing; accepts NULL. */
void profile_file_discard(struct profile_file *file);

#endif
