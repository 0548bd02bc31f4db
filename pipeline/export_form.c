/* See pipeline/export_form.h. */
#include "pipeline/export_form.h"
#include <string.h>

static enum status write_onnx(struct emitted *out, const struct export_request *request, struct trace *trace)
{
    return emit_onnx(out, request->path, request->graph, trace);
}

static enum status write_onnx_fused(struct emitted *out, const struct export_request *request,
                                    struct trace *trace)
{
    return emit_onnx_fused(out, request->path, request->graph, trace);
}

/* Any graph of layers can be said. */
static enum status check_onnx(const struct graph *graph, enum emit_missing missing, struct trace *trace)
{
    (void)missing;
    return emit_onnx_check(graph, trace);
}

static enum status write_hf(struct emitted *out, const struct export_request *request, struct trace *trace)
{
    const struct tokenizer *t = request->tokenizer;
    struct emit_hf_options options = {.bos = -1, .eos = -1};
    if (t)
        options = (struct emit_hf_options){
            .tokenizer_json = tokenizer_json(t), .bos = tokenizer_bos(t), .eos = tokenizer_eos(t)};
    options.missing = request->missing;
    return emit_hf(out, request->path, request->graph, &options, trace);
}

static enum status write_gguf(struct emitted *out, const struct export_request *request, struct trace *trace)
{
    const struct tokenizer *t = request->tokenizer;
    struct emit_gguf_options options = {.bos = -1, .eos = -1, .type = request->type};
    if (t)
        options = (struct emit_gguf_options){.tokenizer_json = tokenizer_json(t),
                                             .bos = tokenizer_bos(t),
                                             .eos = tokenizer_eos(t),
                                             .puts_bos = tokenizer_puts_bos(t),
                                             .puts_eos = tokenizer_puts_eos(t),
                                             .type = request->type};
    options.missing = request->missing;
    return emit_gguf(out, request->path, request->graph, &options, trace);
}

const struct export_form export_forms[EXPORT_FORMS] = {
    {"onnx", NULL, check_onnx, write_onnx},
    {"hf", "model.safetensors", emit_hf_check, write_hf},
    {"gguf", NULL, emit_gguf_check, write_gguf},
    {"onnx_fused", NULL, check_onnx, write_onnx_fused},
};

const struct export_form *export_form_find(const char *name)
{
    for (size_t i = 0; i < EXPORT_FORMS; i++)
        if (strcmp(name, export_forms[i].name) == 0)
            return &export_forms[i];
    return NULL;
}
