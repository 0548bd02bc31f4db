/* See emit/hf_form.h. */
#include "emit/hf_form.h"
#include "base/str.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST_REASONS = 12 };

/* What an architecture lacks for a model. */
struct reasons {
    struct arena *arena;
    uint32_t count;
    const char *items[MOST_REASONS];
};

static void require(struct reasons *r, bool holds, const char *text)
{
    if (!holds && r->count < MOST_REASONS)
        r->items[r->count++] = text;
}

static void check_blocks(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    const struct decoder_form *form = &a->form;
    require(r, form->norm == p->norm_kind,
            p->norm_kind == DECODER_LAYERNORM ? "its norms subtract no mean (it has no layer_norm_eps)"
                                              : "its norms subtract the mean (it has no rms_norm_eps)");
    require(r, form->is_gated == p->is_gated,
            form->is_gated ? "its MLP has a gate (gate_proj)" : "its MLP has no gate (gate_proj)");
    require(r, form->has_head_norms == p->has_head_norms,
            form->has_head_norms ? "it normalises queries and keys (q_norm)"
                                 : "it does not normalise queries and keys (q_norm)");
    require(r, form->has_positions == (p->positions != NULL),
            form->has_positions ? "it has a table of positions (n_positions)"
                                : "it has no table of positions (n_positions)");
    require(r, form->has_positions == (p->frequencies == NULL),
            form->has_positions ? "it has no rotary embedding (rope_theta)"
                                : "it has a rotary embedding (rope_theta)");
    require(r, a->defaults.parallel || !p->is_parallel,
            "attention and MLP are not side by side (use_parallel_residual)");
    require(r, form->qkv_bias != BIAS_NEVER || !p->has_qkv_bias,
            "it has no biases of queries, keys and values (attention_bias)");
    require(r, form->o_bias != BIAS_NEVER || !p->has_o_bias,
            "it has no bias of the attention's output (attention_bias)");
    require(r, form->mlp_bias != BIAS_NEVER || !p->has_mlp_bias, "it has no biases of the MLP (mlp_bias)");
    require(r, !a->defaults.gelu || p->activation != ACTIVATION_GELU,
            "its \"gelu\" is another function (hidden_act)");
}

static void check_sizes(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    const char *const *sizes = hf_size_names[a->fields.sizes];
    int64_t turned = p->frequencies ? 2 * p->frequencies->view.dims[0] : p->head_size;
    if (a->fields.divides_hidden && p->hidden % p->heads != 0)
        require(r, false,
                arena_printf(r->arena, "%s (%" PRId64 ") must be a multiple of %s (%" PRId64 ")",
                             sizes[HF_HIDDEN], p->hidden, sizes[HF_HEADS], p->heads));
    else if (!a->fields.has_head_dim && p->head_size * p->heads != p->hidden)
        require(r, false,
                arena_printf(r->arena,
                             "without head_dim its heads have %s / %s (%" PRId64 ") channels, found %" PRId64,
                             sizes[HF_HIDDEN], sizes[HF_HEADS], p->hidden / p->heads, p->head_size));
    if (!a->fields.has_kv_heads && p->heads != p->kv_heads)
        require(
            r, false,
            arena_printf(r->arena,
                         "it has as many key-value heads as heads (no num_key_value_heads), found %" PRId64
                         " for %" PRId64,
                         p->kv_heads, p->heads));
    if (p->window > 0 && a->defaults.window == WINDOW_NONE)
        require(
            r, false,
            arena_printf(r->arena, "its attention has no sliding_window, found one of %" PRId64, p->window));
    if (turned != p->head_size && !a->defaults.turns_part)
        require(r, false,
                arena_printf(r->arena,
                             "it rotates whole heads (partial_rotary_factor), found %" PRId64 " of %" PRId64
                             " channels rotated",
                             turned, p->head_size));
}

/* What has to be made up for, or looks like another architecture. */
static uint32_t distance_of(const struct hf_architecture *a, const struct parts *p)
{
    const struct decoder_form *form = &a->form;
    uint32_t distance = 0;
    distance += activation_find(a->defaults.activation) != p->activation;
    distance += form->scales_embedding != (p->embedding_scale != 1);
    distance += form->qkv_bias == BIAS_ALWAYS && !p->has_qkv_bias;
    distance += form->qkv_bias == BIAS_CONFIGURED && form->o_bias == BIAS_CONFIGURED &&
                p->has_qkv_bias != p->has_o_bias;
    distance += form->mlp_bias == BIAS_ALWAYS && !p->has_mlp_bias;
    return distance;
}

static enum status choose(struct hf_form *out, struct arena *scratch, const struct parts *parts,
                          struct trace *trace)
{
    struct builder list = {0};
    uint32_t fewest = MOST_REASONS + 1, nearest = UINT32_MAX;
    for (size_t i = 0; i < hf_architecture_count; i++) {
        const struct hf_architecture *a = &hf_architectures[i];
        struct reasons reasons = {.arena = scratch};
        check_blocks(&reasons, a, parts);
        check_sizes(&reasons, a, parts);
        if (reasons.count == 0 && distance_of(a, parts) < nearest) {
            out->architecture = a;
            nearest = distance_of(a, parts);
        }
        if (reasons.count > fewest)
            continue;
        if (reasons.count < fewest)
            list.length = 0;
        fewest = reasons.count;
        builder_printf(&list, "%s%s: ", list.length > 0 ? "; " : "", a->name);
        for (uint32_t k = 0; k < reasons.count; k++)
            builder_printf(&list, "%s%s", k > 0 ? ", " : "", reasons.items[k]);
    }
    enum status status = OK;
    if (!out->architecture)
        status =
            status_fail(trace, UNSUPPORTED, "no configuration can say what this model is. The nearest: %s",
                        builder_text(&list));
    builder_release(&list);
    return status;
}

static float embedding_factor(const struct parts *p, const struct decoder_form *form)
{
    float usual = form->scales_embedding ? (float)sqrt((double)p->hidden) : 1;
    float factor = p->embedding_scale / usual;
    return fabsf(factor - 1) < 0x1.8p-23f ? 1 : factor;
}

enum status hf_form_choose(struct hf_form *out, const struct parts *parts, struct trace *trace)
{
    struct arena scratch = {0};
    *out = (struct hf_form){0};
    enum status status = choose(out, &scratch, parts, trace);
    arena_release(&scratch);
    if (status != OK)
        return status;
    out->embedding_factor = embedding_factor(parts, &out->architecture->form);
    if (!(fabsf(out->embedding_factor) > 0) || !isfinite(out->embedding_factor))
        return status_fail(trace, UNSUPPORTED, "embedding scale %.9g", (double)parts->embedding_scale);
    TRY(parts_find_query_factor(&out->query_factor, parts, trace));
    if (parts->frequencies && parts->frequencies->view.base)
        TRY(rotary_form_find(&out->rotary, &parts->frequencies->view, trace));
    return OK;
}
