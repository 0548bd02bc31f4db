/* See frontend/gguf.h. */
#include "frontend/gguf.h"
#include "frontend/data_file.h"
#include "frontend/decoder.h"
#include "ir/hf_architecture.h"
#include <inttypes.h>
#include <string.h>

/* Keys of an architecture that do not change the logits of a prompt. */
static const char *const ignored[] = {"context_length", "vocab_size", "rope.scaling.original_context_length",
                                      "rope.scaling.finetuned"};

struct reader {
    struct imported_model *model;
    struct gguf_file file;
    struct weight_set weights;
    const struct hf_architecture *architecture;
    struct arena arena;
    struct trace *trace;
};

static enum status find_architecture(struct reader *r)
{
    struct gguf_entry *entry = gguf_find(&r->file, "general.architecture");
    struct builder known = {0};
    struct str name;
    if (!entry || !gguf_text(entry, &name))
        return status_fail(r->trace, INVALID, "no text \"general.architecture\"");
    for (size_t i = 0; i < gguf_architecture_read_count; i++) {
        builder_printf(&known, "%s%s", i > 0 ? ", " : "", gguf_architectures[i].name);
        if (str_is(name, gguf_architectures[i].name))
            r->architecture = &gguf_architectures[i];
    }
    enum status status = OK;
    if (!r->architecture)
        status = status_fail(r->trace, UNSUPPORTED, "architecture \"%.*s\" is not supported; these are: %s",
                             (int)(name.length < 100 ? name.length : 100), name.data, builder_text(&known));
    builder_release(&known);
    return status;
}

/* ---- keys ---- */

static struct gguf_entry *find(struct reader *r, const char *key)
{
    return gguf_find(&r->file, arena_printf(&r->arena, "%s.%s", r->architecture->name, key));
}

static enum status read_size(struct reader *r, int64_t *out, const char *key, int64_t fallback)
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

static enum status read_real(struct reader *r, double *out, const char *key, double fallback)
{
    struct gguf_entry *entry = find(r, key);
    *out = fallback;
    if (entry && (!gguf_real(entry, out) || !(*out > 0)))
        return status_fail(r->trace, INVALID, "%s.%s: expected a number above 0", r->architecture->name, key);
    if (!(*out > 0))
        return status_fail(r->trace, INVALID, "%s.%s is missing", r->architecture->name, key);
    return OK;
}

static enum status read_heads(struct reader *r, struct decoder_config *c)
{
    int64_t value_size;
    TRY(read_size(r, &c->heads, "attention.head_count", 0));
    TRY(read_size(r, &c->kv_heads, "attention.head_count_kv", c->heads));
    bool divides = c->hidden % c->heads == 0;
    TRY(read_size(r, &c->head_dim, "attention.key_length", divides ? c->hidden / c->heads : 0));
    TRY(read_size(r, &value_size, "attention.value_length", c->head_dim));
    TRY(read_size(r, &c->rotary.size, "rope.dimension_count", c->head_dim));
    if (value_size != c->head_dim || c->rotary.size != c->head_dim)
        return status_fail(r->trace, UNSUPPORTED,
                           "heads of %" PRId64 " channels with values of %" PRId64 " and %" PRId64
                           " rotated channels: expected one size",
                           c->head_dim, value_size, c->rotary.size);
    return OK;
}

/* The factors that some files store divide the frequencies. */
static enum status read_factors(struct reader *r, struct decoder_config *c)
{
    static const char name[] = "rope_freqs.weight";
    struct tensor_view view;
    int64_t count = c->rotary.size / 2;
    if (!weight_set_find(&r->weights, str_from(name)))
        return OK;
    TRY(weight_set_take(&view, &r->weights, name, 1, &count, r->trace));
    float *factors = ARENA_ARRAY(&r->arena, float, (size_t)count);
    tensor_view_read_f32(&view, 0, count, factors);
    for (int64_t i = 0; i < count; i++)
        if (!(factors[i] > 0))
            return status_fail(r->trace, INVALID, "%s has the factor %g", name, (double)factors[i]);
    c->rotary.factors = factors;
    return OK;
}

static enum status read_rotary(struct reader *r, struct decoder_config *c)
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
    return read_factors(r, c);
}

static bool has_tensor(struct reader *r, enum weight_role role, enum weight_part part)
{
    const char *name = weight_name(&r->arena, NAMING_GGUF, role, 0, part);
    return weight_set_find(&r->weights, str_from(name)) != NULL;
}

static enum status read_config(struct reader *r, struct decoder_config *c)
{
    const struct stored_weight *embed = weight_set_find(&r->weights, STR("token_embd.weight"));
    c->form = &r->architecture->form;
    c->activation = ACTIVATION_SILU;
    c->vocab = embed && embed->rank == 2 ? embed->dims[0] : 0;
    TRY(read_size(r, &c->layers, "block_count", 0));
    TRY(read_size(r, &c->hidden, "embedding_length", 0));
    TRY(read_size(r, &c->ffn, "feed_forward_length", 0));
    TRY(read_real(r, &c->epsilon, "attention.layer_norm_rms_epsilon", 0));
    TRY(read_heads(r, c));
    c->tied = !has_tensor(r, ROLE_head, PART_WEIGHT);
    c->has_qkv_bias = has_tensor(r, ROLE_q, PART_BIAS);
    c->has_o_bias = has_tensor(r, ROLE_o, PART_BIAS);
    c->has_mlp_bias = has_tensor(r, ROLE_up, PART_BIAS);
    TRY(decoder_check(c, r->trace));
    return read_rotary(r, c);
}

/* A key of the architecture that nobody read may change what the model computes. */
static enum status check_keys(struct reader *r)
{
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        find(r, ignored[i]);
    for (uint32_t i = 0; i < r->file.entries.count; i++) {
        const struct gguf_entry *entry = &r->file.entries.items[i];
        bool is_other = str_starts_with(entry->key, "general.") ||
                        str_starts_with(entry->key, "tokenizer.") || str_starts_with(entry->key, "quantize.");
        if (!is_other && !entry->is_read)
            return status_fail(r->trace, UNSUPPORTED,
                               "the key \"%.*s\" is not understood, and may change what the model computes",
                               (int)(entry->key.length < 100 ? entry->key.length : 100), entry->key.data);
    }
    return OK;
}

static enum status build(struct reader *r, const struct mapping *file)
{
    struct decoder_config config = {0};
    TRY(gguf_read(&r->file, file, r->trace));
    TRY(find_architecture(r));
    TRY(gguf_add_weights(&r->weights, r->model, &r->file, file, r->trace));
    TRY(read_config(r, &config));
    TRY(check_keys(r));
    struct decoder_source source = {&config, &r->weights};
    TRY(decoder_build(r->model, &source, r->trace));
    gguf_read_tokenizer(r->model, &r->file);
    return OK;
}

enum status gguf_build(struct imported_model *model, const struct mapping *file, struct trace *trace)
{
    struct reader r = {.model = model, .trace = trace};
    r.file.arena = r.weights.arena = &r.arena;
    enum status status = build(&r, file);
    arena_release(&r.arena);
    return status;
}

enum status frontend_import_gguf(struct imported_model *out, const char *path, struct trace *trace)
{
    const struct mapping *file;
    *out = (struct imported_model){0};
    enum status status = data_file_map_main(&file, out, path, trace);
    if (status == OK)
        status = gguf_build(out, file, trace);
    if (status != OK) {
        trace_add(trace, "while importing %s", path);
        imported_model_release(out);
    }
    return status;
}
