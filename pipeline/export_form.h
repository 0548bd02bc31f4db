/* The forms that a model is exported in: settings of the stage export, words of `export --to`. */
#ifndef PIPELINE_EXPORT_FORM_H
#define PIPELINE_EXPORT_FORM_H

#include "data/tokenizer.h"
#include "emit/emit.h"

struct export_request {
    const char *path;
    const struct graph *graph;
    const struct tokenizer *tokenizer; /* NULL: none */
    const char *type;                  /* of the weights, where the form has a choice; NULL: f32 */
    enum emit_missing missing;
};

struct export_form {
    const char *name; /* "onnx", "hf", "gguf", "onnx_fused" */
    /* The file that people look at first, when the form is a folder; NULL: the form is one file, perhaps with
     * others beside it, and that is listed first. */
    const char *main_file;
    enum status (*check)(const struct graph *graph, enum emit_missing missing, struct trace *trace);
    enum status (*write)(struct emitted *out, const struct export_request *request, struct trace *trace);
};

enum { EXPORT_FORMS = 4 };
extern const struct export_form export_forms[EXPORT_FORMS]; /* in the order of their rank as the main file */
const struct export_form *export_form_find(const char *name);

#endif
