/* See emit/hf_form.h. */
#include "emit/hf_form.h"
#include "base/str.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST_REASONS = 24, MOST_HEADS = 1 << 16 };

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

/* All elements are `value`, or not known. */
static bool is_filled(const struct tensor *tensor, float value)
{
    int64_t count = tensor->view.dims[0];
    for (int64_t i = 0; tensor->view.base && i < count; i++) {
        float found;
        tensor_view_read_f32(&tensor->view, i, 1, &found);
        if (found != value)
            return false;
    }
    return true;
}

static bool norm_is_bare(const struct part_norm *norm)
{
    return !norm->weight || (is_filled(norm->weight, 1) && (!norm->bias || is_filled(norm->bias, 0)));
}

static bool norm_lacks_bias(const struct part_norm *norm)
{
    return !norm->weight || !norm->bias || is_filled(norm->bias, 0);
}

static bool all_norms(const struct parts *p, bool (*is_such)(const struct part_norm *norm))
{
    bool are = is_such(&p->norm) && is_such(&p->embed_norm);
    for (uint32_t i = 0; are && i < p->layers.count; i++) {
        const struct parts_layer *l = &p->layers.items[i];
        are = is_such(&l->attention_norm) && is_such(&l->mlp_norm) && is_such(&l->attention_post_norm) &&
              is_such(&l->mlp_post_norm);
    }
    return are;
}

static bool norms_are_bare(const struct parts *p)
{
    return all_norms(p, norm_is_bare);
}

static bool norms_lack_bias(const struct parts *p)
{
    return all_norms(p, norm_lacks_bias);
}

static void check_norms(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    static const char *const places[] = {
        [NORMS_BEFORE] = "its branches have a norm of what they read only (input_layernorm)",
        [NORMS_AFTER] = "its branches have a norm of what they give only (post_attention_layernorm)",
        [NORMS_AROUND] = "its branches have norms of what they read and give (post_feedforward_layernorm)",
    };
    static const char *const kinds[] = {
        [HEAD_NORMS_NONE] = "it does not normalise queries and keys (q_norm)",
        [HEAD_NORMS_EACH] = "it normalises each head's queries and keys (q_norm)",
        [HEAD_NORMS_WHOLE] = "it normalises queries and keys of all heads together (q_norm)",
    };
    const struct decoder_form *form = &a->form;
    require(r, form->norm == p->norm_kind,
            p->norm_kind == DECODER_LAYERNORM ? "its norms subtract no mean (it has no layer_norm_eps)"
                                              : "its norms subtract the mean (it has no rms_norm_eps)");
    require(r, form->norms == p->norms, places[form->norms]);
    require(r, form->head_norms == p->head_norms, kinds[form->head_norms]);
    require(r, !form->norms_are_bare || norms_are_bare(p), "its norms have no weights (all must be 1)");
    require(r, !form->norms_lack_bias || norms_lack_bias(p), "its norms have no biases (all must be 0)");
    require(r, form->has_embedding_norm == (p->embed_norm.weight != NULL),
            form->has_embedding_norm ? "it normalises the embedding" : "it does not normalise the embedding");
    require(r, !form->shares_norm || !p->is_parallel || p->shares_norm,
            "attention and MLP side by side read one norm");
    if (!a->fields.epsilon && p->epsilon != (float)a->defaults.epsilon)
        require(r, false,
                arena_printf(r->arena, "the epsilon of its norms is %g, found %g", a->defaults.epsilon,
                             (double)p->epsilon));
}

static void check_slopes(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    bool has_slopes = a->form.slopes != SLOPES_NONE;
    require(r, has_slopes == p->has_slopes,
            has_slopes ? "its scores fall with the distance (alibi)"
                       : "its scores do not fall with the distance (it has no alibi)");
    if (!has_slopes || !p->has_slopes || p->heads > MOST_HEADS)
        return;
    float *usual = ARENA_ARRAY(r->arena, float, (size_t)p->heads),
          *found = ARENA_ARRAY(r->arena, float, (size_t)p->heads);
    bool is_scaled = a->form.slopes == SLOPES_SCALED;
    double factor = is_scaled ? 1 / sqrt((double)p->head_size) : 1, tolerance = is_scaled ? 0x1p-8 : 1e-6;
    slopes_usual(usual, p->heads);
    for (uint32_t i = 0; i < p->layers.count; i++) {
        const struct tensor *slopes = p->layers.items[i].slopes;
        const struct tensor_view *view = slopes ? &slopes->view : NULL;
        if (!view || !view->base)
            continue;
        tensor_view_read_f32(view, 0, p->heads, found);
        for (int64_t h = 0; h < p->heads; h++) {
            double expected = (double)usual[h] * factor;
            if (fabs((double)found[h] - expected) <= tolerance * expected)
                continue;
            require(r, false,
                    arena_printf(r->arena,
                                 "its slopes are those of %" PRId64
                                 " heads (alibi), which pruned heads no longer have: head %" PRId64
                                 " of layer %" PRIu32 " has %g, expected %g",
                                 p->heads, h, i, (double)found[h], expected));
            return;
        }
    }
}

/* The least n so that all layers but every n-th have the window; 0: none is. Layers without attention have it
 * or not. */
static int64_t window_period(const struct parts *p)
{
    for (int64_t n = 1; n <= p->layers.count + 1; n++) {
        bool fits = true;
        for (uint32_t i = 0; fits && i < p->layers.count; i++)
            fits = !p->layers.items[i].attention || (p->layers.items[i].window > 0) == ((i + 1) % n != 0);
        if (fits)
            return n;
    }
    return 0;
}

static void check_bare_layers(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    int64_t n = a->defaults.bare_interval;
    if (a->fields.has_bare_layers)
        return;
    bool fits = n > 0 || !p->has_bare_layers;
    for (uint32_t i = 0; n > 0 && fits && i < p->layers.count; i++)
        fits =
            !p->layers.items[i].attention || (p->layers.items[i].frequencies == NULL) == ((i + 1) % n == 0);
    require(
        r, fits,
        n > 0 ? arena_printf(r->arena, "every layer but each number %" PRId64 " rotates queries and keys", n)
              : "it rotates queries and keys in all layers or none (it has no no_rope_layers)");
}

static void check_caps(struct reasons *r, enum hf_caps caps, const struct parts *p)
{
    bool has_both = p->softcap > 0 && p->logit_softcap > 0;
    require(r, caps == CAPS_ANY || caps == CAPS_BOTH || p->softcap == 0,
            "it has no soft caps (attn_logit_softcapping)");
    require(r, caps != CAPS_NONE || p->logit_softcap == 0,
            "it has no soft caps of logits (final_logit_softcapping)");
    require(r, caps != CAPS_BOTH || has_both, "it has soft caps (attn_logit_softcapping)");
}

static void check_layers(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    const struct decoder_form *form = &a->form;
    bool must = a->defaults.parallel && !a->fields.parallel, can = a->defaults.parallel || a->fields.parallel;
    require(r, p->is_parallel ? can : !must,
            must ? "attention and MLP are side by side (parallel_attn)"
                 : "attention and MLP are not side by side (use_parallel_residual)");
    require(r, form->is_gated == p->is_gated,
            form->is_gated ? "its MLP has a gate (gate_proj)" : "its MLP has no gate (gate_proj)");
    require(r, form->has_positions == (p->positions != NULL),
            form->has_positions ? "it has a table of positions (n_positions)"
                                : "it has no table of positions (n_positions)");
    require(r, form->has_rotary == (p->frequencies != NULL),
            form->has_rotary ? "it has a rotary embedding (rope_theta)"
                             : "it has no rotary embedding (rope_theta)");
    check_bare_layers(r, a, p);
    require(r, a->fields.has_local_rotary || !p->local_frequencies,
            "it has one rope_theta for all layers (no rope_local_base_freq)");
    require(r, a->fields.layers != LAYERS_ALIKE || !p->has_windows_apart,
            "a configuration has one sliding_window for all layers (it has no layer_types)");
    require(r, a->fields.layers != LAYERS_PERIODIC || window_period(p) > 0,
            "all layers but every n-th have a window (sliding_window_pattern)");
    check_caps(r, a->fields.caps, p);
}

static bool is_gelu(enum decoder_activation activation)
{
    return activation == ACTIVATION_GELU || activation == ACTIVATION_GELU_TANH;
}

static void check_linear(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    const struct decoder_form *form = &a->form;
    require(r, form->qkv_bias != BIAS_NEVER || !p->has_qkv_bias,
            "it has no biases of queries, keys and values (attention_bias)");
    require(r, form->o_bias != BIAS_NEVER || !p->has_o_bias,
            "it has no bias of the attention's output (attention_bias)");
    require(r, form->mlp_bias != BIAS_NEVER || !p->has_mlp_bias, "it has no biases of the MLP (mlp_bias)");
    require(r, form->has_head_bias || !p->head_bias, "its head has no bias");
    require(r, !a->fields.must_tie || !p->head, "its head is the embedding (tied)");
    require(r, !a->defaults.gelu || p->activation != ACTIVATION_GELU,
            "its \"gelu\" is another function (hidden_act)");
    enum decoder_activation usual = activation_find(a->defaults.activation);
    bool are_gelus = a->fields.has_one_gelu && is_gelu(usual) && is_gelu(p->activation);
    if (!hf_size_names[a->fields.sizes][HF_ACTIVATION] && usual != p->activation && !are_gelus)
        require(r, false, arena_printf(r->arena, "its activation is %s", a->defaults.activation));
}

static void check_heads(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    const char *const *sizes = hf_size_names[a->fields.sizes];
    if (a->fields.divides_hidden && p->hidden % p->heads != 0)
        require(r, false,
                arena_printf(r->arena, "%s (%" PRId64 ") must be a multiple of %s (%" PRId64 ")",
                             sizes[HF_HIDDEN], p->hidden, sizes[HF_HEADS], p->heads));
    else if (!a->fields.has_head_dim && p->head_size * p->heads != p->hidden)
        require(r, false,
                arena_printf(r->arena,
                             "without head_dim its heads have %s / %s (%" PRId64 ") channels, found %" PRId64,
                             sizes[HF_HIDDEN], sizes[HF_HEADS], p->hidden / p->heads, p->head_size));
    if (a->form.has_one_group && p->kv_heads != 1)
        require(
            r, false,
            arena_printf(r->arena, "it has one key-value head (multi_query), found %" PRId64, p->kv_heads));
    else if (!a->form.has_one_group && !a->fields.kv_heads && p->heads != p->kv_heads)
        require(
            r, false,
            arena_printf(r->arena,
                         "it has as many key-value heads as heads (no num_key_value_heads), found %" PRId64
                         " for %" PRId64,
                         p->kv_heads, p->heads));
}

static void check_sizes(struct reasons *r, const struct hf_architecture *a, const struct parts *p)
{
    const char *const *sizes = hf_size_names[a->fields.sizes];
    int64_t turned = p->frequencies ? 2 * p->frequencies->view.dims[0] : p->head_size;
    if (!sizes[HF_FFN] && p->ffn != a->defaults.ffn_factor * p->hidden)
        require(r, false,
                arena_printf(r->arena, "its MLP has %" PRId64 " * %s (%" PRId64 ") channels, found %" PRId64,
                             a->defaults.ffn_factor, sizes[HF_HIDDEN], a->defaults.ffn_factor * p->hidden,
                             p->ffn));
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
    distance += form->has_head_bias && !p->head_bias;
    distance += p->is_parallel && form->shares_norm != p->shares_norm;
    distance += p->positions && form->first_position != p->first_position;
    distance += form->norm == DECODER_LAYERNORM && form->norms_are_bare != norms_are_bare(p);
    distance += form->norm == DECODER_LAYERNORM && form->norms_lack_bias != norms_lack_bias(p);
    distance += form->is_unscaled != (p->scale == 1);
    return distance;
}

static enum status choose(struct hf_form *out, struct arena *scratch, const struct parts *parts,
                          struct hf_table table, struct trace *trace)
{
    struct reasons fewest = {.count = UINT32_MAX};
    const struct hf_architecture *closest = NULL;
    uint32_t nearest = UINT32_MAX;
    for (size_t i = 0; i < table.count; i++) {
        const struct hf_architecture *a = &table.items[i];
        struct reasons reasons = {.arena = scratch};
        check_norms(&reasons, a, parts);
        check_layers(&reasons, a, parts);
        check_slopes(&reasons, a, parts);
        check_linear(&reasons, a, parts);
        check_heads(&reasons, a, parts);
        check_sizes(&reasons, a, parts);
        uint32_t distance = distance_of(a, parts);
        if (reasons.count > fewest.count || (reasons.count == fewest.count && distance >= nearest))
            continue;
        fewest = reasons;
        closest = a;
        nearest = distance;
    }
    if (fewest.count == 0) {
        out->architecture = closest;
        return OK;
    }
    struct builder list = {0};
    for (uint32_t k = 0; k < fewest.count; k++)
        builder_printf(&list, "%s%s", k > 0 ? ", " : "", fewest.items[k]);
    enum status status =
        status_fail(trace, UNSUPPORTED, "no configuration can say what this model is. The nearest is %s: %s",
                    closest->name, builder_text(&list));
    builder_release(&list);
    return status;
}

static float embedding_factor(const struct parts *p, const struct decoder_form *form)
{
    float usual = form->scales_embedding ? (float)sqrt((double)p->hidden) : 1;
    float factor = p->embedding_scale / usual;
    return fabsf(factor - 1) < 0x1.8p-23f ? 1 : factor;
}

/* The scale of the scores that readers compute by themselves; 0: that of the size of a head. */
static double usual_scale(const struct hf_architecture *a, const struct parts *p)
{
    if (a->form.is_unscaled)
        return 1;
    if (a->fields.has_query_scalar)
        return (double)p->scale;
    return hf_defaults_scale(&a->defaults, p->layers.count, p->hidden, p->heads);
}

enum status hf_form_choose(struct hf_form *out, const struct parts *parts, struct hf_table table,
                           struct trace *trace)
{
    struct arena scratch = {0};
    *out = (struct hf_form){0};
    enum status status = choose(out, &scratch, parts, table, trace);
    arena_release(&scratch);
    if (status != OK)
        return status;
    out->embedding_factor = embedding_factor(parts, &out->architecture->form);
    if (!(fabsf(out->embedding_factor) > 0) || !isfinite(out->embedding_factor))
        return status_fail(trace, UNSUPPORTED, "embedding scale %.9g", (double)parts->embedding_scale);
    out->window_period = window_period(parts);
    TRY(parts_find_query_factor(&out->query_factor, parts, usual_scale(out->architecture, parts), trace));
    if (parts->frequencies && parts->frequencies->view.base && !out->architecture->fields.has_factors)
        TRY(rotary_form_find(&out->rotary, &parts->frequencies->view, trace));
    if (parts->local_frequencies && parts->local_frequencies->view.base)
        TRY(rotary_base_find(&out->local_base, &parts->local_frequencies->view, trace));
    if (out->architecture->fields.has_local_rotary && parts->window > 0 && !parts->local_frequencies &&
        out->rotary.scaling != SCALING_NONE)
        return status_fail(trace, UNSUPPORTED,
                           "%s scales no rotary frequencies of layers with a window (rope_scaling)",
                           out->architecture->name);
    return OK;
}
