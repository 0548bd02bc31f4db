/* The JSON files of a Hugging Face folder: config.json and tokenizer_config.json. */
#ifndef EMIT_HF_CONFIG_H
#define EMIT_HF_CONFIG_H

#include "base/str.h"
#include "emit/emit.h"
#include "emit/llama.h"

enum { HF_DEFAULT_CONTEXT = 2048 };

/* What a configuration class can hold. Llama's refuses a hidden size that the number of heads does not
 * divide; Mistral's, which without a sliding window is the same network, has no biases. */
enum hf_architecture { HF_LLAMA, HF_MISTRAL };
enum status hf_config_choose(enum hf_architecture *out, const struct llama *llama,
                             struct trace *trace) MUST_CHECK;
void hf_config_print(struct builder *out, const struct llama *llama, enum hf_architecture architecture,
                     float rotary_base, const struct emit_hf_options *options);

/* INVALID when the tokenizer is no JSON, or when it has no token bos or eos. */
enum status hf_tokenizer_config_print(struct builder *out, const struct emit_hf_options *options,
                                      struct trace *trace) MUST_CHECK;

#endif
