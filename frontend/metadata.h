/* What a file says of its model besides the program: kept with the graph where an export can say it again,
 * else named in a note. */
#ifndef FRONTEND_METADATA_H
#define FRONTEND_METADATA_H

#include "frontend/frontend.h"

enum { METADATA_MAX_TEXT = 64 << 10, METADATA_MAX_ENTRIES = 1024 };

/* Collects for model->graph, which exists; metadata_finish makes the notes. */
struct metadata_reader {
    struct imported_model *model;
    struct builder kept, dropped;
};
/* A key and its text, if it is not empty; dropped when it is no UTF-8, too long, or one too many. */
void metadata_read(struct metadata_reader *reader, struct str key, struct str text);
void metadata_drop(struct metadata_reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);
void metadata_finish(struct metadata_reader *reader);

struct onnx_file;
void metadata_read_onnx(struct imported_model *model, const struct onnx_file *file);

#endif
