/* The JSON files of a Hugging Face folder: config.json and tokenizer_config.json. */
#ifndef EMIT_HF_CONFIG_H
#define EMIT_HF_CONFIG_H

#include "base/str.h"
#include "emit/emit.h"
#include "emit/hf_form.h"

enum { HF_DEFAULT_CONTEXT = 2048 };

void hf_config_print(struct builder *out, const struct parts *parts, const struct hf_form *form,
                     const struct emit_hf_options *options);

/* INVALID when the tokenizer is no JSON, or when it has no token bos or eos. */
enum status hf_tokenizer_config_print(struct builder *out, const struct emit_hf_options *options,
                                      struct trace *trace) MUST_CHECK;

#endif
