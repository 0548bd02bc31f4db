/* See frontend/gguf_config.h. */
#include "frontend/gguf_config.h"
#include <inttypes.h>
#include <string.h>

/* Keys of an architecture that do not change the logits of a prompt. */
static const char *const ignored[] = {"context_length", "vocab_size", "rope.scaling.original_context_length",
                                      "rope.scaling.finetuned", "tensor_data_layout"};

static bool has_tensor(struct gguf_config_reader *r, const struct hf_architecture *a, enum weight_role role,
                       enum weight_part part)
{
    const char *name = weight_name(r->arena, a->form.naming, role, 0, part);
    uint32_t found;
    return name && map_find_text(&r->file->names, str_from(name), &found);
}

enum status gguf_config_find_architecture(struct gguf_config_reader *r)
{
    struct gguf_entry *entry = gguf_find(r->file, "general.architecture");
    struct builder known = {0};
    struct str name;
    if (!entry || !gguf_text(entry, &name))
        return status_fail(r->trace, INVALID, "no text \"general.architecture\"");
    for (size_t i = 0; i < gguf_architecture_count; i++) {
        const struct hf_architecture *a = &gguf_architectures[i];
        if (!strstr(builder_text(&known), a->name))
            builder_printf(&known, "%s%s", i > 0 ? ", " : "", a->name);
        if (str_is(name, a->name) && (!r->architecture || has_tensor(r, a, ROLE_attention_norm, PART_WEIGHT)))
            r->architecture = a;
    }
    enum status status = OK;
    if (!r->architecture)
        status = status_fail(r->trace, UNSUPPORTED, "architecture \"%.*s\" is not supported; these are: %s",
                             (int)(name.length < 100 ? name.length : 100), name.data, builder_text(&known));
    builder_release(&known);
    return status;
}

/* ---- keys ---- */

static struct gguf_entry *find(struct gguf_config_reader *r, const char *key)
{
    return gguf_find(r->file, arena_printf(r->arena, "%s.%s", r->architecture->name, key));
}

static enum status read_size(struct gguf_config_reader *r, int64_t *out, const char *key, int64_t fallback)
{
    struct gguf_entry *entry = find(r, key);
    *out = fallback;
    if (entry && (!gguf_integer(entry, out) || *out < 1))
        return status_fail(r->trace, entry->is_array ? UNSUPPORTED : INVALID,
                           "%s.%s: expected one positive integer%s", r->architecture->name, key,
                           entry->is_array ? " for all layers" : "");
    if (*out < 1)
        return status_fail(r->trace, INVALID, "%s.%s is missing", r->architecture->name, key);
    return OK;
}

static enum status read_real(struct gguf_config_reader *r, double *out, const char *key, double fallback)
{
    struct gguf_entry *entry = find(r, key);
    *out = fallback;
    if (entry && (!gguf_real(entry, out) || !(*out > 0)))
        return status_fail(r->trace, INVALID, "%s.%s: expected a number above 0", r->architecture->name, key);
    if (!(*out > 0))
        return status_fail(r->trace, INVALID, "%s.%s is missing", r->architecture->name, key);
    return OK;
}

/* The size of a head, and of the part of it that is rotated. */
static enum status read_heads(struct gguf_config_reader *r, struct decoder_config *c)
{
    int64_t value_size;
    TRY(read_size(r, &c->heads, "attention.head_count", 0));
    TRY(read_size(r, &c->kv_heads, "attention.head_count_kv", c->heads));
    bool divides = c->hidden % c->heads == 0;
    TRY(read_size(r, &c->head_dim, "attention.key_length", divides ? c->hidden / c->heads : 0));
    TRY(read_size(r, &value_size, "attention.value_length", c->head_dim));
    if (value_size != c->head_dim)
        return status_fail(r->trace, UNSUPPORTED,
                           "heads of %" PRId64 " channels with values of %" PRId64 ": expected one size",
                           c->head_dim, value_size);
    if (!c->form->has_rotary)
        return OK;
    TRY(read_size(r, &c->rotary.size, "rope.dimension_count", c->head_dim));
    if (c->rotary.size != c->head_dim && !r->architecture->defaults.turns_part)
        return status_fail(r->trace, UNSUPPORTED,
                           "heads of %" PRId64 " channels, of which %" PRId64 " are rotated: expected all",
                           c->head_dim, c->rotary.size);
    return OK;
}

/* The factors that some files store divide the frequencies. */
static enum status read_factors(struct gguf_config_reader *r, struct decoder_config *c)
{
    static const char name[] = "rope_freqs.weight";
    struct tensor_view view;
    int64_t count = c->rotary.size / 2;
    if (!r->architecture->fields.has_factors || !weight_set_find(r->weights, str_from(name)))
        return OK;
    TRY(weight_set_take(&view, r->weights, name, 1, &count, r->trace));
    float *factors = ARENA_ARRAY(r->arena, float, (size_t)count);
    tensor_view_read_f32(&view, 0, count, factors);
    for (int64_t i = 0; i < count; i++)
        if (!(factors[i] > 0))
            return status_fail(r->trace, INVALID, "%s has the factor %g", name, (double)factors[i]);
    c->rotary.factors = factors;
    return OK;
}

static enum status read_rotary(struct gguf_config_reader *r, struct decoder_config *c)
{
    struct gguf_entry *entry = find(r, "rope.scaling.type");
    struct str type = STR("none");
    TRY(read_real(r, &c->rotary.theta, "rope.freq_base", 10000));
    TRY(read_real(r, &c->rotary.factor, "rope.scaling.factor", 1));
    if (entry && !gguf_text(entry, &type))
        return status_fail(r->trace, INVALID, "%s.rope.scaling.type: expected a text", r->architecture->name);
    bool is_linear = str_is(type, "linear");
    if (!is_linear && !str_is(type, "none"))
        return status_fail(r->trace, UNSUPPORTED,
                           "%s.rope.scaling.type: \"%.*s\" is not supported, only none and linear",
                           r->architecture->name, (int)(type.length < 40 ? type.length : 40), type.data);
    c->rotary.scaling = is_linear ? ROTARY_LINEAR : ROTARY_PLAIN;
    TRY(read_factors(r, c));
    if (!r->architecture->fields.has_local_rotary)
        return OK;
    c->local = (struct decoder_rotary){.size = c->rotary.size};
    return read_real(r, &c->local.theta, "rope.freq_base_swa", r->architecture->defaults.local_theta);
}

/* ---- what differs between layers ---- */

static enum status read_windows(struct gguf_config_reader *r, struct decoder_config *c)
{
    const struct hf_architecture *a = r->architecture;
    bool *full = ARENA_ARRAY(r->arena, bool, (size_t)c->layers);
    int64_t period = a->defaults.window_pattern;
    if (!a->fields.window)
        return OK;
    struct gguf_entry *entry = find(r, a->fields.window);
    c->window = a->defaults.window_size;
    if (entry && (!gguf_integer(entry, &c->window) || c->window > INT32_MAX)) /* 0: none */
        return status_fail(r->trace, entry->is_array ? UNSUPPORTED : INVALID,
                           "%s.%s: expected one integer from 0 to %d", a->name, a->fields.window, INT32_MAX);
    if (a->fields.layers != LAYERS_PERIODIC)
        return OK;
    TRY(read_size(r, &period, "attention.sliding_window_pattern", period));
    for (int64_t i = 0; i < c->layers; i++)
        full[i] = (i + 1) % period == 0;
    c->has_full_window = full;
    return OK;
}

static void set_bare_layers(struct gguf_config_reader *r, struct decoder_config *c)
{
    int64_t interval = r->architecture->defaults.bare_interval;
    bool *bare = ARENA_ARRAY(r->arena, bool, (size_t)c->layers);
    if (interval == 0)
        return;
    for (int64_t i = 0; i < c->layers; i++)
        bare[i] = (i + 1) % interval == 0;
    c->is_bare = bare;
}

/* ---- the whole ---- */

/* Left out it means 0: readers take nothing off with the distance then. */
static enum status check_slopes(struct gguf_config_reader *r)
{
    const struct hf_architecture *a = r->architecture;
    struct gguf_entry *entry = find(r, a->fields.slopes);
    double range = 0;
    if (entry && !gguf_real(entry, &range))
        return status_fail(r->trace, INVALID, "%s.%s: expected a number", a->name, a->fields.slopes);
    if (range != SLOPES_RANGE)
        return status_fail(r->trace, UNSUPPORTED, "%s.%s is %s%g, expected %d", a->name, a->fields.slopes,
                           entry ? "" : "missing, which means ", range, SLOPES_RANGE);
    return OK;
}

static enum status read_scores(struct gguf_config_reader *r, struct decoder_config *c)
{
    const struct hf_architecture *a = r->architecture;
    if (a->fields.caps == CAPS_BOTH)
        TRY(read_real(r, &c->softcap, "attn_logit_softcapping", a->defaults.softcap));
    if (a->fields.caps == CAPS_BOTH || (a->fields.caps == CAPS_LOGITS && find(r, "final_logit_softcapping")))
        TRY(read_real(r, &c->logit_softcap, "final_logit_softcapping", a->defaults.logit_softcap));
    if (a->fields.slopes)
        TRY(check_slopes(r));
    c->scale = hf_defaults_scale(&a->defaults, c->layers, c->hidden, c->heads);
    return OK;
}

/* What tensors say: the words, the positions, which biases there are, and whether the head is the embedding.
 */
static enum status read_tensors(struct gguf_config_reader *r, struct decoder_config *c)
{
    const struct hf_architecture *a = r->architecture;
    const struct stored_weight *embed = weight_set_find(r->weights, STR("token_embd.weight")),
                               *positions = weight_set_find(r->weights, STR("position_embd.weight"));
    enum weight_role qkv = a->form.packing == PACKING_APART ? ROLE_q : ROLE_qkv;
    c->vocab = embed && embed->rank == 2 ? embed->dims[0] : 0;
    c->positions = positions && positions->rank == 2 ? positions->dims[0] : 0;
    c->tied = !has_tensor(r, a, ROLE_head, PART_WEIGHT);
    c->has_qkv_bias = has_tensor(r, a, qkv, PART_BIAS);
    c->has_o_bias = has_tensor(r, a, ROLE_o, PART_BIAS);
    c->has_mlp_bias = has_tensor(r, a, ROLE_up, PART_BIAS);
    return decoder_check(c, r->trace);
}

static enum status read_parallel(struct gguf_config_reader *r, struct decoder_config *c)
{
    const struct hf_architecture *a = r->architecture;
    struct gguf_entry *entry = a->fields.parallel ? find(r, a->fields.parallel) : NULL;
    c->is_parallel = a->defaults.parallel;
    if (entry && !gguf_flag(entry, &c->is_parallel))
        return status_fail(r->trace, INVALID, "%s.%s: expected true or false", a->name, a->fields.parallel);
    return OK;
}

static enum status read_keys(struct gguf_config_reader *r, struct decoder_config *c)
{
    const struct hf_architecture *a = r->architecture;
    c->form = &a->form;
    c->activation = activation_find(a->defaults.activation);
    TRY(read_size(r, &c->layers, "block_count", 0));
    TRY(read_size(r, &c->hidden, "embedding_length", 0));
    TRY(read_size(r, &c->ffn, "feed_forward_length", 0));
    TRY(read_real(r, &c->epsilon, a->fields.epsilon, 0));
    TRY(read_heads(r, c));
    TRY(read_parallel(r, c));
    TRY(read_tensors(r, c));
    TRY(read_scores(r, c));
    TRY(read_windows(r, c));
    set_bare_layers(r, c);
    return a->form.has_rotary ? read_rotary(r, c) : OK;
}

/* A key of the architecture that nobody read may change what the model computes. */
static enum status check_keys(struct gguf_config_reader *r)
{
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        find(r, ignored[i]);
    for (uint32_t i = 0; i < r->file->entries.count; i++) {
        const struct gguf_entry *entry = &r->file->entries.items[i];
        bool is_other = str_starts_with(entry->key, "general.") ||
                        str_starts_with(entry->key, "tokenizer.") || str_starts_with(entry->key, "quantize.");
        if (!is_other && !entry->is_read)
            return status_fail(r->trace, UNSUPPORTED,
                               "the key \"%.*s\" is not understood, and may change what the model computes",
                               (int)(entry->key.length < 100 ? entry->key.length : 100), entry->key.data);
    }
    return OK;
}

enum status gguf_config_read(struct decoder_config *out, struct gguf_config_reader *reader)
{
    *out = (struct decoder_config){0};
    TRY(read_keys(reader, out));
    return check_keys(reader);
}
