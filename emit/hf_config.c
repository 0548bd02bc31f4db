/* See emit/hf_config.h. Keys are in alphabetical order, as transformers writes them. */
#include "emit/hf_config.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines of the file, sorted by key before they are printed. */
struct line {
    const char *key, *value;
};
struct lines {
    struct arena arena;
    VEC(struct line) items;
};

static void add(struct lines *lines, const char *key, const char *value)
{
    *VEC_PUSH(&lines->arena, &lines->items) = (struct line){key, value};
}

static void add_text(struct lines *lines, const char *key, const char *text)
{
    add(lines, key, arena_printf(&lines->arena, "\"%s\"", text));
}

static void add_flag(struct lines *lines, const char *key, bool is_set)
{
    add(lines, key, is_set ? "true" : "false");
}

static void add_size(struct lines *lines, const char *key, int64_t size)
{
    add(lines, key, arena_printf(&lines->arena, "%" PRId64, size));
}

static void add_id(struct lines *lines, const char *key, int32_t id)
{
    add(lines, key, id >= 0 ? arena_printf(&lines->arena, "%" PRId32, id) : "null");
}

/* The shortest decimal form that reads back as the same float; whole numbers as people write them. */
static void add_float(struct lines *lines, const char *key, float value)
{
    char text[32];
    if (value >= 1 && value < 0x1p24f && value == (float)(int32_t)value) {
        snprintf(text, sizeof text, "%.1f", (double)value);
    } else {
        for (int digits = 1; digits <= 9; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, (double)value);
            if (strtof(text, NULL) == value)
                break;
        }
    }
    add(lines, key, arena_copy_string(&lines->arena, text, strlen(text)));
}

/* The fraction of a head that readers turn back into `turned` channels by rounding down a product of doubles.
 */
static void add_fraction(struct lines *lines, const char *key, int64_t turned, int64_t head)
{
    double fraction = (double)turned / (double)head;
    while ((int64_t)(fraction * (double)head) < turned)
        fraction = nextafter(fraction, 2);
    char text[32];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, fraction);
        if (strtod(text, NULL) == fraction)
            break;
    }
    add(lines, key, arena_copy_string(&lines->arena, text, strlen(text)));
}

static int64_t context_of(const struct emit_hf_options *options)
{
    return options->context > 0 ? options->context : HF_DEFAULT_CONTEXT;
}

static void add_sizes(struct lines *lines, const struct parts *p, const struct hf_architecture *a,
                      const struct emit_hf_options *options)
{
    const char *const *names = hf_size_names[a->fields.sizes];
    const char *activation = a->defaults.activation;
    if (activation_find(activation) != p->activation)
        activation = activation_name(p->activation);
    add_size(lines, names[HF_HIDDEN], p->hidden);
    add_size(lines, names[HF_LAYERS], p->layers.count);
    add_size(lines, names[HF_HEADS], p->heads);
    if (names[HF_FFN])
        add_size(lines, names[HF_FFN], p->ffn);
    add_size(lines, names[HF_CONTEXT],
             p->positions ? p->positions->view.dims[0] - p->first_position : context_of(options));
    if (names[HF_ACTIVATION])
        add_text(lines, names[HF_ACTIVATION], activation);
    add_size(lines, "vocab_size", p->vocabulary);
    if (a->fields.kv_heads)
        add_size(lines, a->fields.kv_heads, p->kv_heads);
    if (a->fields.has_head_dim)
        add_size(lines, "head_dim", p->head_size);
}

static void add_rotary(struct lines *lines, const struct parts *p, const struct hf_form *form)
{
    const struct hf_architecture *a = form->architecture;
    bool is_short = a->fields.has_short_rotary;
    if (!p->frequencies)
        return;
    if (a->fields.has_local_rotary)
        add_float(lines, "rope_local_base_freq", form->local_base > 0 ? form->local_base : form->rotary.base);
    add_float(lines, is_short ? "rotary_emb_base" : "rope_theta", form->rotary.base);
    if (form->rotary.scaling == SCALING_LINEAR)
        add(lines, "rope_scaling",
            arena_printf(&lines->arena, "{\"rope_type\": \"linear\", \"factor\": %#.9g}",
                         (double)form->rotary.factor));
    else if (form->rotary.scaling == SCALING_LLAMA3)
        add(lines, "rope_scaling",
            arena_printf(&lines->arena,
                         "{\"rope_type\": \"llama3\", \"factor\": %#.9g, \"low_freq_factor\": 1.0, "
                         "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": %" PRId64 "}",
                         (double)form->rotary.factor, form->rotary.context));
    if (a->defaults.turns_part)
        add_fraction(lines, is_short ? "rotary_pct" : "partial_rotary_factor",
                     2 * p->frequencies->view.dims[0], p->head_size);
}

/* A word a layer, `times` NULL, or [[words, 1]]. */
static void add_layer_words(struct lines *lines, const struct parts *p, const char *key,
                            const char *with_window, const char *full, const char *times)
{
    struct builder list = {0};
    for (uint32_t i = 0; i < p->layers.count; i++)
        builder_printf(&list, "%s\"%s\"", i > 0 ? ", " : "",
                       p->layers.items[i].window > 0 ? with_window : full);
    add(lines, key, arena_printf(&lines->arena, times ? "[[[%s], %s]]" : "[%s]", builder_text(&list), times));
    builder_release(&list);
}

static void add_windows(struct lines *lines, const struct parts *p, const struct hf_architecture *a)
{
    const char *field = a->fields.window ? a->fields.window : "sliding_window";
    enum hf_window kind = a->defaults.window;
    if (kind == WINDOW_NONE)
        return;
    if (p->window > 0)
        add(lines, field, arena_printf(&lines->arena, "%" PRId64, p->window));
    else if (kind == WINDOW_ALWAYS)
        add(lines, field, "null");
    if (kind == WINDOW_SWITCHED) {
        add_flag(lines, "use_sliding_window", p->window > 0);
        if (p->window > 0 && !p->has_windows_apart)
            add(lines, "max_window_layers", "0"); /* the first layer that has the window */
    }
    if (a->fields.layers == LAYERS_COUNTED)
        add_layer_words(lines, p, "attention_types", "local", "global", "1");
    else if (a->fields.layers == LAYERS_TYPED && (p->has_windows_apart || kind == WINDOW_PATTERN))
        add_layer_words(lines, p, "layer_types", "sliding_attention", "full_attention", NULL);
}

static void add_bare_layers(struct lines *lines, const struct parts *p)
{
    struct builder list = {0};
    for (uint32_t i = 0; i < p->layers.count; i++)
        builder_printf(&list, "%s%d", i > 0 ? ", " : "",
                       p->layers.items[i].frequencies != NULL || !p->layers.items[i].attention);
    add(lines, "no_rope_layers", arena_printf(&lines->arena, "[%s]", builder_text(&list)));
    builder_release(&list);
}

static void add_cap(struct lines *lines, const char *key, float cap)
{
    if (cap > 0)
        add_float(lines, key, cap);
    else
        add(lines, key, "null");
}

/* The scale of the scores is this to the power of -1/2. */
static void add_query_scalar(struct lines *lines, float scale)
{
    double scalar = 1 / ((double)scale * (double)scale);
    if (fabs(scalar / round(scalar) - 1) < 1e-6) {
        add_size(lines, "query_pre_attn_scalar", (int64_t)round(scalar));
        return;
    }
    add(lines, "query_pre_attn_scalar", arena_printf(&lines->arena, "%.17g", scalar));
}

static void add_scores(struct lines *lines, const struct parts *p, const struct hf_architecture *a)
{
    add_windows(lines, p, a);
    if (a->fields.has_bare_layers)
        add_bare_layers(lines, p);
    if (a->fields.caps == CAPS_ANY) {
        add_cap(lines, "attn_logit_softcapping", p->softcap);
        add_cap(lines, "final_logit_softcapping", p->logit_softcap);
    }
    if (a->fields.has_query_scalar)
        add_query_scalar(lines, p->scale);
}

static void add_switches(struct lines *lines, const struct parts *p, const struct hf_architecture *a)
{
    bool any = p->has_qkv_bias || p->has_o_bias || (a->fields.has_one_bias && p->has_mlp_bias);
    if (a->form.qkv_bias == BIAS_CONFIGURED)
        add_flag(lines, a->fields.qkv_bias ? a->fields.qkv_bias : "attention_bias", any);
    if (a->form.mlp_bias == BIAS_CONFIGURED && !a->fields.has_one_bias)
        add_flag(lines, "mlp_bias", p->has_mlp_bias);
    if (a->fields.parallel)
        add_flag(lines, a->fields.parallel, p->is_parallel);
    for (size_t i = 0; i < HF_MOST_SWITCHES && a->fields.switches[i].name; i++)
        add_flag(lines, a->fields.switches[i].name, a->fields.switches[i].value);
    add_flag(lines, "tie_word_embeddings", !p->head);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->key, ((const struct line *)b)->key);
}

void hf_config_print(struct builder *out, const struct parts *parts, const struct hf_form *form,
                     const struct emit_hf_options *options)
{
    const struct hf_architecture *a = form->architecture;
    struct lines lines = {0};
    add(&lines, "architectures", arena_printf(&lines.arena, "[\"%s\"]", a->name));
    add_text(&lines, "model_type", a->model_type);
    add_text(&lines, "torch_dtype", "float32");
    add_id(&lines, "bos_token_id", options->bos);
    add_id(&lines, "eos_token_id", options->eos);
    if (a->defaults.padding >= parts->vocabulary)
        add(&lines, "pad_token_id", "null");
    if (a->fields.epsilon)
        add_float(&lines, a->fields.epsilon, parts->epsilon);
    add_sizes(&lines, parts, a, options);
    add_rotary(&lines, parts, form);
    add_scores(&lines, parts, a);
    add_switches(&lines, parts, a);
    qsort(lines.items.items, lines.items.count, sizeof *lines.items.items, compare_keys);
    for (uint32_t i = 0; i < lines.items.count; i++)
        builder_printf(out, "%s  \"%s\": %s", i > 0 ? ",\n" : "{\n", lines.items.items[i].key,
                       lines.items.items[i].value);
    builder_add_text(out, "\n}\n");
    arena_release(&lines.arena);
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
