/* What a GGUF file's keys and tensors say of its decoder. */
#ifndef FRONTEND_GGUF_CONFIG_H
#define FRONTEND_GGUF_CONFIG_H

#include "frontend/decoder.h"
#include "frontend/gguf_file.h"
#include "frontend/weight_set.h"
#include "ir/hf_architecture.h"

struct gguf_config_reader {
    struct gguf_file *file;
    struct weight_set *weights; /* all of the file's; factors of rotary frequencies are taken of them */
    struct arena *arena;        /* of what *out refers to */
    const struct hf_architecture *architecture;
    struct trace *trace;
};

/* Sets reader->architecture by the file alone, before its weights are decoded. */
enum status gguf_config_find_architecture(struct gguf_config_reader *reader) MUST_CHECK;
/* Fills *out. UNSUPPORTED names a key that is not understood, INVALID what is
 * missing or of another kind. */
enum status gguf_config_read(struct decoder_config *out, struct gguf_config_reader *reader) MUST_CHECK;

#endif
