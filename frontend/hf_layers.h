/* What a config.json says of single layers: which of them see a window only, which rotate nothing. */
#ifndef FRONTEND_HF_LAYERS_H
#define FRONTEND_HF_LAYERS_H

#include "frontend/decoder.h"
#include "ir/hf_architecture.h"
#include <jansson.h>

/* The fields, 0 and NULL where there is none. */
struct hf_layer_fields {
    const json_t *layer_types;     /* a word a layer */
    const json_t *attention_types; /* [[words, times], ...] */
    const json_t *rotated_layers;  /* 0 or 1 a layer */
    int64_t window, full_layers, pattern, bare_interval;
    bool has_window;
};

/* Sets the window and the lists of layers, which are on the arena. */
enum status hf_layers_set(struct decoder_config *out, const struct hf_layer_fields *fields,
                          const struct hf_architecture *architecture, struct arena *arena,
                          struct trace *trace) MUST_CHECK;

#endif
