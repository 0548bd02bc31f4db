/* See frontend/hf_config.h. The fields are first read as the table says, then put together. */
#include "frontend/hf_config.h"
#include "frontend/hf_layers.h"
#include "frontend/json_object.h"
#include "ir/hf_architecture.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields as they stand in the file, or by the architecture's defaults; 0 and NULL where there is none. */
struct fields {
    const json_t *architectures, *layer_types, *attention_types, *rotated_layers;
    const char *model_type, *activation, *rotary_type;
    int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab, context, window, full_layers,
        original_context, window_pattern, bare_interval, embedding, parallel_norms, slopes_range;
    double epsilon, theta, factor, low_factor, high_factor, rotary_fraction, local_theta, softcap,
        logit_softcap, query_scalar;
    bool has_window, attention_bias, mlp_bias, tied, parallel, fixed;
    const char *local_rotary_type;
    const json_t *rotary, *attention;
};

enum field_kind {
    FIELD_SIZE,
    FIELD_COUNT,
    FIELD_REAL,
    FIELD_FLAG,
    FIELD_TEXT,
    FIELD_ROTARY,
    FIELD_LIST,
    FIELD_TRUE,
    FIELD_SWITCH,
    FIELD_CAP,
    FIELD_LOCAL,
    FIELD_ATTENTION,
    FIELD_IGNORED
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset; /* in struct fields */
};

struct field_list {
    const struct field *items;
    size_t count;
};

static const struct field model_fields[] = {
#define HF_FIELD(name, kind, member) {name, FIELD_##kind, offsetof(struct fields, member)},
#define ROTARY_FIELD(name, kind, member)
#define LOCAL_FIELD(name, kind, member)
#define ATTENTION_FIELD(name, kind, member)
#define HF_IGNORED(name) {name, FIELD_IGNORED, 0},
#define HF_OWN(model_type, name, value)
#include "frontend/hf_fields.def"
};

static const struct field rotary_fields[] = {
#define HF_FIELD(name, kind, member)
#define ROTARY_FIELD(name, kind, member) {name, FIELD_##kind, offsetof(struct fields, member)},
#define LOCAL_FIELD(name, kind, member)
#define ATTENTION_FIELD(name, kind, member)
#define HF_IGNORED(name)
#define HF_OWN(model_type, name, value)
#include "frontend/hf_fields.def"
};

static const struct field local_fields[] = {
#define HF_FIELD(name, kind, member)
#define ROTARY_FIELD(name, kind, member)
#define LOCAL_FIELD(name, kind, member) {name, FIELD_##kind, offsetof(struct fields, member)},
#define ATTENTION_FIELD(name, kind, member)
#define HF_IGNORED(name)
#define HF_OWN(model_type, name, value)
#include "frontend/hf_fields.def"
};

static const struct field attention_fields[] = {
#define HF_FIELD(name, kind, member)
#define ROTARY_FIELD(name, kind, member)
#define LOCAL_FIELD(name, kind, member)
#define ATTENTION_FIELD(name, kind, member) {name, FIELD_##kind, offsetof(struct fields, member)},
#define HF_IGNORED(name) {name, FIELD_IGNORED, 0},
#define HF_OWN(model_type, name, value)
#include "frontend/hf_fields.def"
};

/* Fields that are read over with one architecture only. */
static const struct own_field {
    const char *model_type, *name, *value; /* value: the text that it must be; NULL: any */
} own_fields[] = {
#define HF_FIELD(name, kind, member)
#define ROTARY_FIELD(name, kind, member)
#define LOCAL_FIELD(name, kind, member)
#define ATTENTION_FIELD(name, kind, member)
#define HF_IGNORED(name)
#define HF_OWN(model_type, name, value) {model_type, name, value},
#include "frontend/hf_fields.def"
};

static const char *const expected[] = {
    [FIELD_SIZE] = "a positive integer",
    [FIELD_COUNT] = "an integer that is not negative",
    [FIELD_REAL] = "a positive number",
    [FIELD_FLAG] = "true or false",
    [FIELD_TEXT] = "a name",
    [FIELD_ROTARY] = "an object",
    [FIELD_LIST] = "a list",
    [FIELD_TRUE] = "true",
    [FIELD_SWITCH] = "true or false",
    [FIELD_CAP] = "a positive number",
    [FIELD_LOCAL] = "an object",
    [FIELD_ATTENTION] = "an object",
};

static const struct field *find_field(struct field_list list, const char *name)
{
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i].name, name) == 0)
            return &list.items[i];
    return NULL;
}

static bool is_own(const struct hf_architecture *a, const char *name, const json_t *value)
{
    for (size_t i = 0; i < sizeof own_fields / sizeof *own_fields; i++) {
        const struct own_field *own = &own_fields[i];
        if (strcmp(own->model_type, a->model_type) == 0 && strcmp(own->name, name) == 0 &&
            (!own->value || (json_is_string(value) && strcmp(json_string_value(value), own->value) == 0)))
            return true;
    }
    return false;
}

static bool is_unset(const json_t *value)
{
    return json_is_null(value) || json_is_false(value);
}

/* False when the value is of another kind. */
static bool read_value(void *place, enum field_kind kind, const json_t *value)
{
    bool is_positive = json_is_number(value) && json_number_value(value) > 0;
    switch (kind) {
    case FIELD_SIZE:
        return json_read_integer(value, 1, place);
    case FIELD_COUNT:
        return json_read_integer(value, 0, place);
    case FIELD_REAL:
    case FIELD_CAP:
        *(double *)place = json_number_value(value);
        return is_positive;
    case FIELD_FLAG:
        *(bool *)place = json_is_true(value);
        return json_is_boolean(value);
    case FIELD_TRUE:
        return json_is_true(value);
    case FIELD_TEXT:
        *(const char **)place = json_string_value(value);
        return json_is_string(value);
    case FIELD_LIST:
        *(const json_t **)place = value;
        return json_is_array(value);
    case FIELD_SWITCH:
        return json_is_boolean(value);
    case FIELD_ROTARY:
    case FIELD_LOCAL:
    case FIELD_ATTENTION:
        *(const json_t **)place = value;
        return json_is_object(value);
    case FIELD_IGNORED:
        break;
    }
    return true;
}

static enum status refuse_value(const char *name, enum field_kind kind, const json_t *value,
                                struct trace *trace)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    enum status status =
        status_fail(trace, INVALID, "the field \"%s\": expected %s, found %.60s%s", name, expected[kind],
                    text ? text : "something that is no text", text && strlen(text) > 60 ? "..." : "");
    free(text);
    return status;
}

static enum status read_fields(struct fields *out, const struct hf_architecture *a, struct field_list list,
                               const json_t *object, struct trace *trace)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const struct field *field = find_field(list, name);
        if (!field && !is_unset(value) && !is_own(a, name, value))
            return status_fail(
                trace, UNSUPPORTED,
                "the field \"%.100s\" is not understood, and may change what the model computes", name);
        if (field && field->kind == FIELD_CAP && json_is_null(value))
            *(double *)((char *)out + field->offset) = 0; /* the default may be another */
        if (!field || json_is_null(value))
            continue;
        if (!read_value((char *)out + field->offset, field->kind, value))
            return refuse_value(name, field->kind, value, trace);
        struct field_list inner = {0};
        if (field->kind == FIELD_ROTARY)
            inner = (struct field_list){rotary_fields, sizeof rotary_fields / sizeof *rotary_fields};
        else if (field->kind == FIELD_LOCAL)
            inner = (struct field_list){local_fields, sizeof local_fields / sizeof *local_fields};
        else if (field->kind == FIELD_ATTENTION)
            inner = (struct field_list){attention_fields, sizeof attention_fields / sizeof *attention_fields};
        if (inner.count > 0)
            TRY_WITH(trace, read_fields(out, a, inner, value, trace), "while reading the field \"%s\"", name);
    }
    return OK;
}

/* Is it the row of what the file says? */
static bool switches_fit(const struct hf_architecture *a, const json_t *root)
{
    for (size_t i = 0; i < HF_MOST_SWITCHES && a->fields.switches[i].name; i++) {
        const struct hf_switch *s = &a->fields.switches[i];
        const json_t *found = json_object_get(root, s->name);
        if ((found && !json_is_null(found) ? json_is_true(found) : s->usual) != s->value)
            return false;
    }
    return true;
}

static enum status refuse_switches(const char *name, struct trace *trace)
{
    struct builder known = {0};
    for (size_t i = 0; i < hf_architecture_count; i++) {
        const struct hf_architecture *a = &hf_architectures[i];
        if (strcmp(a->name, name) != 0)
            continue;
        builder_printf(&known, "%s", known.length > 0 ? "; " : "");
        for (size_t k = 0; k < HF_MOST_SWITCHES && a->fields.switches[k].name; k++)
            builder_printf(&known, "%s%s %s", k > 0 ? ", " : "", a->fields.switches[k].name,
                           a->fields.switches[k].value ? "true" : "false");
    }
    enum status status =
        status_fail(trace, UNSUPPORTED, "%s is supported with %s only", name, builder_text(&known));
    builder_release(&known);
    return status;
}

static enum status find_architecture(const struct hf_architecture **out, const json_t *root,
                                     struct trace *trace)
{
    const json_t *list = json_object_get(root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (!name || json_array_size(list) != 1)
        return status_fail(trace, INVALID, "the field \"architectures\": expected a list of one name");
    struct builder known = {0};
    bool is_known = false;
    *out = NULL;
    for (size_t i = 0; i < hf_architecture_count; i++) {
        const struct hf_architecture *a = &hf_architectures[i];
        if (i == 0 || strcmp(a->name, hf_architectures[i - 1].name) != 0)
            builder_printf(&known, "%s%s", i > 0 ? ", " : "", a->name);
        is_known |= strcmp(a->name, name) == 0;
        if (strcmp(a->name, name) == 0 && switches_fit(a, root))
            *out = a;
    }
    enum status status = OK;
    if (!*out)
        status = is_known ? refuse_switches(name, trace)
                          : status_fail(trace, UNSUPPORTED,
                                        "architecture \"%.100s\" is not supported; these are: %s", name,
                                        builder_text(&known));
    builder_release(&known);
    return status;
}

static struct fields fields_of(const struct hf_defaults *defaults)
{
    return (struct fields){.activation = defaults->activation,
                           .rotary_fraction = defaults->rotary_fraction,
                           .head_dim = defaults->head_dim,
                           .tied = defaults->tied,
                           .attention_bias = defaults->attention_bias,
                           .epsilon = defaults->epsilon,
                           .softcap = defaults->softcap,
                           .logit_softcap = defaults->logit_softcap,
                           .query_scalar = defaults->query_scalar,
                           .theta = defaults->theta,
                           .local_theta = defaults->local_theta,
                           .window = defaults->window_size,
                           .window_pattern = defaults->window_pattern,
                           .bare_interval = defaults->bare_interval,
                           .parallel = defaults->parallel};
}

static enum status require(int64_t value, const char *name, struct trace *trace)
{
    return value > 0 ? OK : status_fail(trace, INVALID, "the field \"%s\" is missing", name);
}

static enum status set_sizes(struct decoder_config *out, const struct fields *f,
                             const struct hf_architecture *a, struct trace *trace)
{
    TRY(require(f->hidden, "hidden_size", trace));
    TRY(require(f->ffn > 0 || a->defaults.ffn_factor > 0, "intermediate_size", trace));
    TRY(require(f->layers, "num_hidden_layers", trace));
    TRY(require(f->heads, "num_attention_heads", trace));
    TRY(require(f->vocab, "vocab_size", trace));
    TRY(require(f->epsilon > 0, a->form.norm == DECODER_RMSNORM ? "rms_norm_eps" : "layer_norm_eps", trace));
    TRY(require(f->context > 0 || !a->form.has_positions, "max_position_embeddings", trace));
    out->hidden = f->hidden;
    out->ffn = f->ffn > 0 ? f->ffn : f->hidden <= DECODER_MAX_SIZE ? f->hidden * a->defaults.ffn_factor : 0;
    out->layers = f->layers;
    out->heads = f->heads;
    out->kv_heads = a->fields.kv_heads && f->kv_heads > 0 ? f->kv_heads : f->heads;
    if (a->form.has_one_group)
        out->kv_heads = 1;
    out->vocab = f->vocab;
    out->positions = f->context;
    out->epsilon = f->epsilon;
    out->tied = f->tied;
    out->head_dim = f->head_dim;
    out->softcap = f->softcap;
    out->logit_softcap = f->logit_softcap;
    out->scale = a->form.is_unscaled ? 1 : f->query_scalar > 0 ? 1 / sqrt(f->query_scalar) : 0;
    if (f->embedding > 0 && f->embedding != f->hidden)
        return status_fail(trace, UNSUPPORTED,
                           "the field \"word_embed_proj_dim\" is %" PRId64
                           ", expected the hidden size %" PRId64,
                           f->embedding, f->hidden);
    if (f->slopes_range > 0 && f->slopes_range != SLOPES_RANGE)
        return status_fail(trace, UNSUPPORTED, "the field \"alibi_bias_max\" is %" PRId64 ", expected %d",
                           f->slopes_range, SLOPES_RANGE);
    if (f->parallel_norms > 0 && f->parallel_norms != (a->form.shares_norm ? 1 : 2))
        return status_fail(trace, UNSUPPORTED, "the field \"num_ln_in_parallel_attn\" is %" PRId64,
                           f->parallel_norms);
    if (f->head_dim == 0 && f->hidden % f->heads != 0)
        return status_fail(trace, INVALID,
                           "%" PRId64 " heads do not divide the hidden size %" PRId64
                           ", and the field \"head_dim\" is missing",
                           f->heads, f->hidden);
    if (f->head_dim == 0)
        out->head_dim = f->hidden / f->heads;
    return OK;
}

static bool has_bias(enum decoder_bias bias, bool configured)
{
    return bias == BIAS_ALWAYS || (bias == BIAS_CONFIGURED && configured);
}

/* A flag that says there are biases where this architecture has none would be a contradiction. */
static enum status set_biases(struct decoder_config *out, const struct fields *f,
                              const struct hf_architecture *a, struct trace *trace)
{
    const struct decoder_form *form = &a->form;
    if ((f->attention_bias && form->qkv_bias != BIAS_CONFIGURED) ||
        (f->mlp_bias && form->mlp_bias != BIAS_CONFIGURED))
        return status_fail(
            trace, UNSUPPORTED, "the field \"%s\" is set, which %s does not know",
            f->attention_bias && form->qkv_bias != BIAS_CONFIGURED ? "attention_bias" : "mlp_bias", a->name);
    out->has_qkv_bias = has_bias(form->qkv_bias, f->attention_bias);
    out->has_o_bias = has_bias(form->o_bias, f->attention_bias);
    out->has_mlp_bias = has_bias(form->mlp_bias, a->fields.has_one_bias ? f->attention_bias : f->mlp_bias);
    return OK;
}

static enum status set_activation(struct decoder_config *out, const struct fields *f,
                                  const struct hf_architecture *a, struct trace *trace)
{
    const char *name = f->activation;
    if (a->defaults.gelu && strcmp(name, "gelu") == 0)
        name = a->defaults.gelu;
    out->activation = activation_find(name);
    if (out->activation == ACTIVATION_NONE)
        return status_fail(trace, UNSUPPORTED, "the field \"hidden_act\": \"%.40s\" is not supported", name);
    return OK;
}

static enum status set_rotary(struct decoder_rotary *out, const struct fields *f,
                              const struct hf_architecture *a, int64_t head_dim, struct trace *trace)
{
    const char *type = f->rotary_type ? f->rotary_type : "default";
    *out = (struct decoder_rotary){.theta = f->theta > 0 ? f->theta : 10000};
    if (!(f->rotary_fraction <= 1))
        return status_fail(trace, INVALID, "the field \"partial_rotary_factor\" is %g, expected at most 1",
                           f->rotary_fraction);
    if (f->rotary_fraction != 1 && !a->defaults.turns_part)
        return status_fail(trace, UNSUPPORTED,
                           "the field \"partial_rotary_factor\" is %g, but %s rotates whole heads",
                           f->rotary_fraction, a->name);
    out->size = (int64_t)((double)(head_dim <= DECODER_MAX_SIZE ? head_dim : 0) * f->rotary_fraction);
    if (strcmp(type, "default") == 0)
        return OK;
    bool is_llama3 = strcmp(type, "llama3") == 0;
    if (!is_llama3 && strcmp(type, "linear") != 0)
        return status_fail(
            trace, UNSUPPORTED,
            "rotary scaling of type \"%.40s\" is not supported; these are: default, linear, llama3", type);
    out->scaling = is_llama3 ? ROTARY_LLAMA3 : ROTARY_LINEAR;
    out->factor = f->factor;
    out->low_factor = f->low_factor;
    out->high_factor = f->high_factor;
    out->original_context = f->original_context;
    TRY(require(f->factor > 0, "factor", trace));
    if (is_llama3) {
        TRY(require(f->original_context, "original_max_position_embeddings", trace));
        if (!(f->low_factor > 0) || !(f->high_factor > f->low_factor))
            return status_fail(trace, INVALID, "expected low_freq_factor above 0 and below high_freq_factor");
    }
    return OK;
}

/* Gemma 3: layers with a window turn with a base of their own, and without scaling. */
static enum status set_local_rotary(struct decoder_config *out, const struct fields *f, struct trace *trace)
{
    if (f->local_rotary_type && strcmp(f->local_rotary_type, "default") != 0)
        return status_fail(trace, UNSUPPORTED,
                           "rotary scaling of type \"%.40s\" for layers with a window is not supported",
                           f->local_rotary_type);
    out->local = (struct decoder_rotary){.theta = f->local_theta, .size = out->rotary.size};
    return OK;
}

static enum status set_all(struct decoder_config *out, const struct fields *f,
                           const struct hf_architecture *a, struct imported_model *model, struct trace *trace)
{
    out->form = &a->form;
    out->is_parallel = f->parallel;
    TRY(set_sizes(out, f, a, trace));
    TRY(set_biases(out, f, a, trace));
    TRY(set_activation(out, f, a, trace));
    if (a->form.has_rotary)
        TRY(set_rotary(&out->rotary, f, a, out->head_dim, trace));
    if (a->fields.has_local_rotary)
        TRY(set_local_rotary(out, f, trace));
    TRY(decoder_check(out, trace));
    const struct hf_layer_fields layers = {.layer_types = f->layer_types,
                                           .attention_types = f->attention_types,
                                           .rotated_layers = f->rotated_layers,
                                           .window = f->window,
                                           .full_layers = f->full_layers,
                                           .pattern = f->window_pattern,
                                           .bare_interval = f->bare_interval,
                                           .has_window = f->has_window};
    return hf_layers_set(out, &layers, a, &model->arena, trace);
}

static enum status read_root(struct decoder_config *out, struct imported_model *model, const json_t *root,
                             struct trace *trace)
{
    const struct hf_architecture *architecture;
    TRY(find_architecture(&architecture, root, trace));
    struct fields fields = fields_of(&architecture->defaults);
    const struct field_list all = {model_fields, sizeof model_fields / sizeof *model_fields};
    TRY(read_fields(&fields, architecture, all, root, trace));
    return set_all(out, &fields, architecture, model, trace);
}

enum status hf_config_read(struct decoder_config *out, struct imported_model *model, struct str text,
                           struct trace *trace)
{
    json_t *root;
    *out = (struct decoder_config){0};
    TRY(json_object_read(&root, text, trace));
    enum status status = read_root(out, model, root, trace);
    json_decref(root);
    return status;
}
