/* See frontend/hf_layers.h. Lists say it layer by layer; without one the architecture does. */
#include "frontend/hf_layers.h"
#include <inttypes.h>
#include <string.h>

struct setting {
    struct decoder_config *config;
    const struct hf_layer_fields *fields;
    const struct hf_architecture *architecture;
    struct trace *trace;
    bool *full;
};

static bool is_full_by_architecture(const struct setting *s, int64_t layer)
{
    const struct hf_layer_fields *f = s->fields;
    switch (s->architecture->defaults.window) {
    case WINDOW_ALWAYS:
        return f->window == 0;
    case WINDOW_SWITCHED:
        return f->window == 0 || !f->has_window || layer < f->full_layers;
    case WINDOW_PATTERN:
        return f->window == 0 || (layer + 1) % f->pattern == 0;
    case WINDOW_NONE:
        break;
    }
    return true;
}

static enum status set_typed(struct setting *s, int64_t layer, const char *name, const char *field)
{
    s->full[layer] = name && (strcmp(name, "full_attention") == 0 || strcmp(name, "global") == 0);
    bool has_window = name && (strcmp(name, "sliding_attention") == 0 || strcmp(name, "local") == 0);
    if (!s->full[layer] && !has_window)
        return status_fail(s->trace, UNSUPPORTED,
                           "the field \"%s\": layer %" PRId64
                           " is neither full_attention (global) nor sliding_attention (local)",
                           field, layer);
    if (has_window && (s->fields->window == 0 || s->architecture->defaults.window == WINDOW_NONE))
        return status_fail(
            s->trace, UNSUPPORTED,
            "the field \"%s\": layer %" PRId64
            " is sliding_attention, which needs sliding_window and an architecture that has it",
            field, layer);
    return OK;
}

static enum status read_types(struct setting *s)
{
    size_t types = json_array_size(s->fields->layer_types);
    if (types != (size_t)s->config->layers)
        return status_fail(s->trace, INVALID,
                           "the field \"layer_types\" has %zu entries for %" PRId64 " layers", types,
                           s->config->layers);
    for (int64_t i = 0; i < s->config->layers; i++)
        TRY(set_typed(s, i, json_string_value(json_array_get(s->fields->layer_types, (size_t)i)),
                      "layer_types"));
    return OK;
}

/* [[words, times], ...] */
static enum status read_counted(struct setting *s)
{
    const json_t *run, *word;
    size_t i, k;
    int64_t layer = 0, layers = s->config->layers;
    json_array_foreach(s->fields->attention_types, i, run)
    {
        const json_t *words = json_array_get(run, 0);
        int64_t times = json_integer_value(json_array_get(run, 1));
        for (int64_t t = 0; t < times && layer < layers && json_array_size(words) > 0; t++)
            json_array_foreach(words, k, word)
            {
                if (layer < layers)
                    TRY(set_typed(s, layer, json_string_value(word), "attention_types"));
                layer++;
            }
    }
    if (layer != layers)
        return status_fail(s->trace, INVALID,
                           "the field \"attention_types\" does not stand for %" PRId64 " layers", layers);
    return OK;
}

static enum status set_bare(struct setting *s, struct arena *arena)
{
    const struct hf_layer_fields *f = s->fields;
    int64_t layers = s->config->layers;
    bool *bare = ARENA_ARRAY(arena, bool, (size_t)layers + 1);
    if (f->rotated_layers && json_array_size(f->rotated_layers) != (size_t)layers)
        return status_fail(s->trace, INVALID,
                           "the field \"no_rope_layers\" has %zu entries for %" PRId64 " layers",
                           json_array_size(f->rotated_layers), layers);
    for (int64_t i = 0; i < layers; i++) {
        const json_t *item = json_array_get(f->rotated_layers, (size_t)i);
        if (item && !json_is_integer(item))
            return status_fail(s->trace, INVALID, "the field \"no_rope_layers\": expected 0 or 1");
        bare[i] = item ? json_integer_value(item) == 0 : (i + 1) % f->bare_interval == 0;
    }
    s->config->is_bare = bare;
    return OK;
}

enum status hf_layers_set(struct decoder_config *out, const struct hf_layer_fields *fields,
                          const struct hf_architecture *architecture, struct arena *arena,
                          struct trace *trace)
{
    struct setting s = {.config = out, .fields = fields, .architecture = architecture, .trace = trace};
    if (fields->window > INT32_MAX || out->layers > DECODER_MAX_LAYERS)
        return status_fail(trace, INVALID,
                           "the field \"sliding_window\" is %" PRId64 " with %" PRId64 " layers",
                           fields->window, out->layers);
    s.full = ARENA_ARRAY(arena, bool, (size_t)out->layers + 1);
    for (int64_t i = 0; i < out->layers; i++)
        s.full[i] = is_full_by_architecture(&s, i);
    if (fields->layer_types)
        TRY(read_types(&s));
    else if (fields->attention_types)
        TRY(read_counted(&s));
    for (int64_t i = 0; i < out->layers; i++)
        out->window = s.full[i] ? out->window : fields->window;
    out->has_full_window = s.full;
    return architecture->fields.has_bare_layers ? set_bare(&s, arena) : OK;
}
