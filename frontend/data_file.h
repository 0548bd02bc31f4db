/* Further files of a model: named by the model, trusted in nothing. Each is opened once, inside the folder of
 * the model's own file (base/file.h), and stays mapped by the imported model. */
#ifndef FRONTEND_DATA_FILE_H
#define FRONTEND_DATA_FILE_H

#include "frontend/frontend.h"

/* Maps `location`, relative to the folder of `path`, and adds it to the model's files and data files: *out is
 * model->files' last. NOT_FOUND, INVALID when it leads out of the folder or, of an untrusted model, has
 * several hard links; of a trusted one a note says so. */
enum status data_file_map(const struct mapping **out, struct imported_model *model, const char *path,
                          struct str location, const struct import_options *options,
                          struct trace *trace) MUST_CHECK;

/* Maps the model's own file, `path`, the first of its files. */
enum status data_file_map_main(const struct mapping **out, struct imported_model *model, const char *path,
                               struct trace *trace) MUST_CHECK;

#endif
