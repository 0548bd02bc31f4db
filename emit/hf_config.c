/* See emit/hf_config.h. Keys are in alphabetical order, as transformers writes them. */
#include "emit/hf_config.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum status hf_config_choose(enum hf_architecture *out, const struct llama *llama, struct trace *trace)
{
    *out = llama->hidden % llama->heads == 0 ? HF_LLAMA : HF_MISTRAL;
    if (*out == HF_MISTRAL && (llama->attention_has_bias || llama->mlp_has_bias))
        return status_fail(trace, UNSUPPORTED,
                           "Hugging Face export: no configuration has both biases and a hidden size (%" PRId64
                           ") that the %" PRId64 " heads do not divide",
                           llama->hidden, llama->heads);
    return OK;
}

/* The shortest decimal form that reads back as the same float; whole numbers as people write them. */
static void print_float(struct builder *out, const char *key, float value)
{
    char text[32];
    if (value >= 1 && value < 0x1p24f && value == (float)(int32_t)value) {
        builder_printf(out, "  \"%s\": %.1f,\n", key, (double)value);
        return;
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    builder_printf(out, "  \"%s\": %s,\n", key, text);
}

static void print_id(struct builder *out, const char *key, int32_t id)
{
    if (id >= 0)
        builder_printf(out, "  \"%s\": %" PRId32 ",\n", key, id);
    else
        builder_printf(out, "  \"%s\": null,\n", key);
}

static void print_size(struct builder *out, const char *key, int64_t size)
{
    builder_printf(out, "  \"%s\": %" PRId64 ",\n", key, size);
}

static int64_t context_of(const struct emit_hf_options *options)
{
    return options->context > 0 ? options->context : HF_DEFAULT_CONTEXT;
}

void hf_config_print(struct builder *out, const struct llama *llama, enum hf_architecture architecture,
                     float rotary_base, const struct emit_hf_options *options)
{
    bool is_llama = architecture == HF_LLAMA;
    builder_printf(out, "{\n  \"architectures\": [\"%s\"],\n",
                   is_llama ? "LlamaForCausalLM" : "MistralForCausalLM");
    if (is_llama)
        builder_printf(out, "  \"attention_bias\": %s,\n", llama->attention_has_bias ? "true" : "false");
    print_id(out, "bos_token_id", options->bos);
    print_id(out, "eos_token_id", options->eos);
    print_size(out, "head_dim", llama->head_size);
    builder_add_text(out, "  \"hidden_act\": \"silu\",\n");
    print_size(out, "hidden_size", llama->hidden);
    print_size(out, "intermediate_size", llama->ffn);
    print_size(out, "max_position_embeddings", context_of(options));
    if (is_llama)
        builder_printf(out, "  \"mlp_bias\": %s,\n", llama->mlp_has_bias ? "true" : "false");
    builder_printf(out, "  \"model_type\": \"%s\",\n", is_llama ? "llama" : "mistral");
    print_size(out, "num_attention_heads", llama->heads);
    print_size(out, "num_hidden_layers", llama->layers.count);
    print_size(out, "num_key_value_heads", llama->kv_heads);
    print_float(out, "rms_norm_eps", llama->epsilon);
    print_float(out, "rope_theta", rotary_base);
    if (!is_llama)
        builder_add_text(out, "  \"sliding_window\": null,\n");
    builder_printf(out, "  \"tie_word_embeddings\": %s,\n", llama->head ? "false" : "true");
    builder_add_text(out, "  \"torch_dtype\": \"float32\",\n");
    builder_printf(out, "  \"vocab_size\": %" PRId64 "\n}\n", llama->vocabulary);
}

/* ---- the tokenizer ---- */

/* The text of token `id`: an added token's, or a key of the model's vocabulary. NULL when there is none. */
static const char *token_text(const json_t *tokenizer, int32_t id)
{
    const json_t *added = json_object_get(tokenizer, "added_tokens"), *token, *value;
    const json_t *vocabulary = json_object_get(json_object_get(tokenizer, "model"), "vocab");
    size_t i;
    const char *text;
    json_array_foreach(added, i, token)
    {
        value = json_object_get(token, "id");
        if (json_is_integer(value) && json_integer_value(value) == id)
            return json_string_value(json_object_get(token, "content"));
    }
    json_object_foreach((json_t *)(uintptr_t)vocabulary, text, value)
    {
        if (json_is_integer(value) && json_integer_value(value) == id)
            return text;
    }
    return NULL;
}

static enum status set_token(json_t *config, const char *key, const json_t *tokenizer, int32_t id,
                             struct trace *trace)
{
    const char *text = id >= 0 ? token_text(tokenizer, id) : NULL;
    if (id < 0)
        return OK;
    if (!text)
        return status_fail(trace, INVALID, "the tokenizer has no token %" PRId32 ", which %s should be", id,
                           key);
    json_object_set_new(config, key, json_string(text));
    return OK;
}

enum status hf_tokenizer_config_print(struct builder *out, const struct emit_hf_options *options,
                                      struct trace *trace)
{
    json_error_t error;
    struct str text = options->tokenizer_json;
    json_t *tokenizer = json_loadb(text.data, text.length, JSON_ALLOW_NUL, &error);
    if (!json_is_object(tokenizer)) {
        json_decref(tokenizer);
        return status_fail(trace, INVALID, "tokenizer.json, line %d: %s", error.line,
                           tokenizer ? "expected an object" : error.text);
    }
    json_t *config = json_object();
    json_object_set_new(config, "clean_up_tokenization_spaces", json_false());
    json_object_set_new(config, "model_max_length", json_integer(context_of(options)));
    json_object_set_new(config, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    enum status status = set_token(config, "bos_token", tokenizer, options->bos, trace);
    if (status == OK)
        status = set_token(config, "eos_token", tokenizer, options->eos, trace);
    char *printed = json_dumps(config, JSON_SORT_KEYS | JSON_INDENT(2));
    if (status == OK)
        builder_printf(out, "%s\n", printed);
    free(printed);
    json_decref(config);
    json_decref(tokenizer);
    return status;
}
