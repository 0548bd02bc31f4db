/* See pipeline/export_form.h. */
#include "pipeline/export_form.h"
#include <string.h>

static struct emit_onnx_options onnx_options(const struct export_request *request, bool is_fused)
{
    return (struct emit_onnx_options){is_fused, request->interface};
}

static enum status write_onnx(struct emitted *out, const struct export_request *request, struct trace *trace)
{
    struct emit_onnx_options options = onnx_options(request, false);
    return emit_onnx(out, request->path, request->graph, &options, trace);
}

static enum status write_onnx_fused(struct emitted *out, const struct export_request *request,
                                    struct trace *trace)
{
    struct emit_onnx_options options = onnx_options(request, true);
    return emit_onnx(out, request->path, request->graph, &options, trace);
}

/* Any graph of layers can be said. */
static enum status check_onnx(const struct export_request *request, struct trace *trace)
{
    struct emit_onnx_options options = onnx_options(request, false);
    return emit_onnx_check(request->graph, &options, trace);
}

static enum status check_onnx_fused(const struct export_request *request, struct trace *trace)
{
    struct emit_onnx_options options = onnx_options(request, true);
    return emit_onnx_check(request->graph, &options, trace);
}

static enum status check_hf(const struct export_request *request, struct trace *trace)
{
    return emit_hf_check(request->graph, request->missing, trace);
}

static enum status check_gguf(const struct export_request *request, struct trace *trace)
{
    return emit_gguf_check(request->graph, request->missing, trace);
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

static const char *const interfaces[] = {
    [EMIT_INTERFACE_SOURCE] = "source", [EMIT_INTERFACE_TOKENS] = "tokens", [EMIT_INTERFACE_CACHE] = "cache"};

bool export_interface_from_name(const char *name, enum emit_interface *out)
{
    for (size_t i = 0; i < sizeof interfaces / sizeof *interfaces; i++)
        if (strcmp(name, interfaces[i]) == 0) {
            *out = (enum emit_interface)i;
            return true;
        }
    return false;
}

const struct export_form export_forms[EXPORT_FORMS] = {
#define EXPORT_FORM(name, main_file, takes, summary) {#name, main_file, takes, check_##name, write_##name},
#include "pipeline/export_forms.def"
};

const char *export_form_names(struct arena *arena, enum export_takes takes)
{
    const char *names = "";
    uint32_t left = 0;
    for (size_t i = 0; i < EXPORT_FORMS; i++)
        left += takes == TAKES_NOTHING || export_forms[i].takes == takes;
    for (size_t i = 0; i < EXPORT_FORMS; i++) {
        if (takes != TAKES_NOTHING && export_forms[i].takes != takes)
            continue;
        const char *before = !*names ? "" : left == 1 ? " or " : ", ";
        names = arena_printf(arena, "%s%s%s", names, before, export_forms[i].name);
        left--;
    }
    return names;
}

const struct export_form *export_form_find(const char *name)
{
    for (size_t i = 0; i < EXPORT_FORMS; i++)
        if (strcmp(name, export_forms[i].name) == 0)
            return &export_forms[i];
    return NULL;
}
