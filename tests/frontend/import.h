/* Shared by the tests of the importer: a model on disk, imported, and its canonical text with content ids. */
#ifndef TESTS_FRONTEND_IMPORT_H
#define TESTS_FRONTEND_IMPORT_H

#include "frontend/frontend.h"
#include "tests/support/onnx_llama.h"
#include "tests/support/test.h"

struct import_fixture {
    char *directory, *path; /* DIRECTORY/model.onnx */
};

void import_fixture_create(struct import_fixture *f);
void import_fixture_release(struct import_fixture *f);
/* Writes model.onnx, and the external file beside it when there is one. */
void import_write(struct import_fixture *f, const struct onnx_llama *model);
void import_write_bytes(struct import_fixture *f, const char *name, const void *bytes, size_t length);
/* Writes and imports; fails the test with the trace when that fails. Release the model. */
void import_llama(struct imported_model *out, struct import_fixture *f, const struct onnx_llama *model);
/* The canonical text with every weight's content id, computed here. Release it. */
void import_text(struct builder *out, struct imported_model *model);
const struct tensor *import_find_tensor(const struct imported_model *model, const char *name); /* or NULL */
bool import_has_note(const struct imported_model *model, const char *words);

#endif
