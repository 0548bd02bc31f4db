/* Runs an ONNX file on given inputs, slowly: the importer's evaluators where it has them, and here the
 * operators that it only has rules for. What it computes owes nothing to emit/. */
#ifndef TESTS_EMIT_ONNX_RUN_H
#define TESTS_EMIT_ONNX_RUN_H

#include "frontend/evaluate.h"
#include "frontend/frontend.h"
#include "tests/support/test.h"

struct onnx_run {
    struct onnx_file file;
    struct imported_model owner; /* of the mappings */
    struct arena arena;          /* of what one run computes */
    struct array_room room;
    struct map names;
    VEC(const struct array *) values;
};

void onnx_run_open(struct onnx_run *run, const char *path);
void onnx_run_close(struct onnx_run *run);
/* A zeroed array for an input of the next run; fill its data. */
struct array *onnx_run_array(struct onnx_run *run, int32_t type, uint32_t rank, const int64_t *dims);
void onnx_run_set(struct onnx_run *run, const char *name, const struct array *array);
bool onnx_run_has_input(const struct onnx_run *run, const char *name);
void onnx_run_all(struct onnx_run *run); /* every node; fails the test when one cannot */
const struct array *onnx_run_get(const struct onnx_run *run, const char *name);
void onnx_run_forget(struct onnx_run *run); /* what was set and computed, but not its arrays */

#endif
