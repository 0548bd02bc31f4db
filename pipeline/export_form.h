/* The forms that a model is exported in: settings of the stage export, words of `export --to`; rows of
 * pipeline/export_forms.def. */
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
    enum emit_interface interface;
};

enum export_takes { TAKES_NOTHING, TAKES_INTERFACE, TAKES_TYPE };

struct export_form {
    const char *name, *main_file;
    enum export_takes takes;
    enum status (*check)(const struct export_request *request, struct trace *trace);
    enum status (*write)(struct emitted *out, const struct export_request *request, struct trace *trace);
};

enum {
#define EXPORT_FORM(name, ...) EXPORT_FORM_##name,
#include "pipeline/export_forms.def"
    EXPORT_FORMS
};
extern const struct export_form export_forms[EXPORT_FORMS];
const struct export_form *export_form_find(const char *name);
/* "onnx, hf or gguf", on the arena; only those that take an option, where `takes` is one. */
const char *export_form_names(struct arena *arena, enum export_takes takes);

/* "source", "tokens" or "cache". */
bool export_interface_from_name(const char *name, enum emit_interface *out);

#endif
