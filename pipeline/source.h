/* MODEL on the command line: an .onnx file, a Hugging Face folder, a .gguf file, an IR text file (.ir), an
 * object id or a unique prefix of one, or FILE.yaml:STAGE. */
#ifndef PIPELINE_SOURCE_H
#define PIPELINE_SOURCE_H

#include "frontend/frontend.h"
#include "pipeline/model.h"
#include "pipeline/pipeline.h"

struct model_source {
    const struct graph *graph;
    struct str tokenizer; /* "bytes", the text of a tokenizer.json, or empty */
    struct imported_model imported;
    struct model model;
    struct graph *parsed;
    struct builder text;
    struct store *store; /* NULL for files */
};

struct source_options {
    const char *store;    /* NULL: ".espalier" beside the pipeline file, or here */
    const char *numerics; /* of a pipeline's stage; NULL: as its file says */
    const char *device;   /* which device numerics are meant; NULL: auto */
    enum import_trust trust;
    enum import_use use;
};

/* Gives the graph of a stage's model the metadata of the stage's origin as it is now: stages between them may
 * have run when it was another. Both are done. */
struct run;
enum status source_take_metadata(struct graph *graph, const struct run *run, uint32_t stage,
                                 struct trace *trace) MUST_CHECK;

/* Imports the model of an input, with the trust that the input's settings give it. */
enum status model_import_input(struct imported_model *out, const struct input_entry *input,
                               enum import_use use, struct trace *trace) MUST_CHECK;

/* NOT_FOUND: no such file, object, or the stage has not run. */
enum status model_source_open(struct model_source *out, const char *spec,
                              const struct source_options *options, struct trace *trace) MUST_CHECK;
/* The tokenizer that `given` names ("bytes" or a file; may be NULL), else the model's own, else NULL. */
enum status model_source_tokenizer(struct tokenizer **out, const struct model_source *source,
                                   const char *given, struct trace *trace) MUST_CHECK;
void model_source_release(struct model_source *source); /* accepts zeroed memory */

#endif
