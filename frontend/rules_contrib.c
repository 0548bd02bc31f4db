/* Rules of com.microsoft's fused operators, as onnxruntime's model builder and optimiser write them: each is
 * the same as the small operators that it stands for. */
#include "frontend/importer.h"
#include "frontend/rules_rotary.h"
#include <inttypes.h>
#include <math.h>

/* ---- norms of sums ---- */

/* x, skip, weight, and the inputs `bias_of_norm` and `bias_of_sum` where there are any. Output 0 is the norm,
 * output 3 the sum. */
static enum status skip_norm(struct rule *rule, bool is_centred, uint32_t norm_bias, uint32_t sum_bias)
{
    struct rule *inner = ARENA_NEW(rule->im->arena, struct rule);
    *inner = (struct rule){.im = rule->im, .node = rule->node, .trace = rule->trace, .input_count = 2};
    if (rule->input_count < 3 || !rule_is_activation(rule, 0) || !rule_is_activation(rule, 1))
        return rule_refuse(rule, "expected two activations and a weight");
    for (uint32_t i = 1; i < rule->output_count && i < 3; i++)
        if (*rule->node->output[i])
            return rule_refuse(rule, "output %u (a statistic) is not supported", i);
    struct import_value x = *rule->inputs[0], y = *rule->inputs[1], *biased;
    biased = rule_get(rule, &x)->kind == TERM_LINEAR ? &x : &y; /* the bias of a linear layer */
    inner->inputs[0] = biased;
    if (sum_bias < rule->input_count && rule->inputs[sum_bias]) {
        inner->inputs[1] = rule->inputs[sum_bias];
        TRY(rule_Add(inner));
        *biased = inner->outputs[0];
    }
    inner->inputs[0] = &x;
    inner->inputs[1] = &y;
    TRY(rule_Add(inner));
    struct import_value sum = inner->outputs[0];
    inner->inputs[0] = &sum;
    inner->inputs[1] = rule->inputs[2];
    inner->inputs[2] = norm_bias < rule->input_count ? rule->inputs[norm_bias] : NULL;
    inner->input_count = 3;
    TRY(rule_norm(inner, is_centred, 1e-12));
    rule->outputs[0] = inner->outputs[0];
    if (rule->output_count > 3)
        rule->outputs[3] = sum;
    return OK;
}

enum status rule_SkipSimplifiedLayerNormalization(struct rule *rule)
{
    return skip_norm(rule, false, UINT32_MAX, 3);
}

enum status rule_SkipLayerNormalization(struct rule *rule)
{
    return skip_norm(rule, true, 3, 4);
}

/* ---- activations ---- */

/* Of x, plus the bias in input 1 where there is one. */
static enum status biased_activation(struct rule *rule, enum term_kind kind)
{
    struct rule *inner = ARENA_NEW(rule->im->arena, struct rule);
    *inner = (struct rule){.im = rule->im, .node = rule->node, .trace = rule->trace, .input_count = 2};
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "its first input is not an activation");
    struct import_value x = *rule->inputs[0];
    inner->inputs[0] = rule->inputs[0];
    inner->inputs[1] = rule->input_count > 1 ? rule->inputs[1] : NULL;
    if (inner->inputs[1]) {
        TRY(rule_Add(inner));
        x = inner->outputs[0];
    }
    inner->inputs[0] = &x;
    TRY(rule_unary(inner, kind));
    rule->outputs[0] = inner->outputs[0];
    return OK;
}

enum status rule_FastGelu(struct rule *rule)
{
    return biased_activation(rule, TERM_GELU_TANH);
}

enum status rule_BiasGelu(struct rule *rule)
{
    return biased_activation(rule, TERM_GELU);
}

/* ---- attention ---- */

enum {
    GQA_QUERY,
    GQA_KEY,
    GQA_VALUE,
    GQA_PAST_KEY,
    GQA_PAST_VALUE,
    GQA_LAST, /* of each batch item: its length less one */
    GQA_LENGTH,
    GQA_COSINES,
    GQA_SINES,
    GQA_MORE /* positions, a bias, sinks, scales, norms */
};

static enum status check_attributes(struct rule *rule)
{
    static const struct {
        const char *name;
        int64_t usual;
    } attributes[] = {{"smooth_softmax", 0}, {"qk_output", 0}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        int64_t found = onnx_integer(rule->node, attributes[i].name, attributes[i].usual);
        if (found != attributes[i].usual)
            return rule_refuse(rule, "%s = %" PRId64 " is not supported, only %" PRId64, attributes[i].name,
                               found, attributes[i].usual);
    }
    return OK;
}

/* A concrete input all of whose elements are so many positions less `less`, or that has no elements. */
static enum status check_lengths(struct rule *rule, uint32_t slot, bool is_empty, int64_t less)
{
    if (slot >= rule->input_count || !rule->inputs[slot])
        return OK;
    if (!rule_is_concrete(rule, slot))
        return rule_refuse(rule, "input %u depends on the tokens", slot);
    TRY(import_materialise(rule->im, rule->inputs[slot], rule->trace));
    for (uint32_t p = 0; p < PROBES; p++) {
        const struct array *array = rule->inputs[slot]->at[p];
        if (is_empty && array->count != 0)
            return rule_refuse(rule, "input %u (of the cache) is not empty", slot);
        for (int64_t i = 0; i < array->count; i++)
            if (array->data[i] != (double)(probes[p].sequence - less))
                return rule_refuse(rule, "input %u is %g for %" PRId64 " positions, expected %" PRId64, slot,
                                   array->data[i], probes[p].sequence, probes[p].sequence - less);
    }
    return OK;
}

static enum status check_inputs(struct rule *rule)
{
    if (rule->input_count < GQA_LENGTH + 1 || !rule_is_activation(rule, GQA_QUERY))
        return rule_refuse(rule, "expected queries, keys, values, a cache and lengths");
    TRY(check_lengths(rule, GQA_PAST_KEY, true, 0));
    TRY(check_lengths(rule, GQA_PAST_VALUE, true, 0));
    TRY(check_lengths(rule, GQA_LAST, false, 1));
    TRY(check_lengths(rule, GQA_LENGTH, false, 0));
    for (uint32_t i = GQA_MORE; i < rule->input_count; i++)
        if (rule->inputs[i])
            return rule_refuse(rule, "input %u (positions, a bias, sinks, scales or norms) is not supported",
                               i);
    return OK;
}

/* Queries, keys and values [batch, sequence, heads side by side]: three inputs, or packed in the first. */
static enum status take_operands(struct rule *rule, struct attention_operands *o, int64_t heads,
                                 int64_t groups)
{
    o->q = *rule->inputs[GQA_QUERY];
    if (rule_is_activation(rule, GQA_KEY) && rule_is_activation(rule, GQA_VALUE)) {
        o->k = *rule->inputs[GQA_KEY];
        o->v = *rule->inputs[GQA_VALUE];
    } else {
        int64_t all = heads + 2 * groups, width = o->q.view.rank == 3 ? view_shape(&o->q.view).dims[0][2] : 0;
        int64_t head = width / all;
        o->k = o->v = o->q;
        if (rule->inputs[GQA_KEY] || rule->inputs[GQA_VALUE] || width < 1 || width % all != 0 ||
            !view_slice(&o->q.view, 2, 0, heads * head) ||
            !view_slice(&o->k.view, 2, heads * head, groups * head) ||
            !view_slice(&o->v.view, 2, (heads + groups) * head, groups * head))
            return rule_refuse(rule,
                               "its first input is not %" PRId64 " query, %" PRId64 " key and %" PRId64
                               " value heads side by side",
                               heads, groups, groups);
    }
    if (rule_split_heads(&o->q, heads) && rule_split_heads(&o->k, groups) && rule_split_heads(&o->v, groups))
        return OK;
    return rule_refuse(rule,
                       "its operands are not %" PRId64 " query heads and %" PRId64 " key heads side by side",
                       heads, groups);
}

enum status rule_GroupQueryAttention(struct rule *rule)
{
    struct attention_operands o = {.is_causal = true};
    int64_t heads = onnx_integer(rule->node, "num_heads", 0),
            groups = onnx_integer(rule->node, "kv_num_heads", 0);
    if (heads < 1 || groups < 1 || heads > 1 << 20 || groups > 1 << 20)
        return rule_refuse(rule, "%" PRId64 " heads and %" PRId64 " key heads", heads, groups);
    TRY(check_attributes(rule));
    TRY(check_inputs(rule));
    TRY(take_operands(rule, &o, heads, groups));
    if (onnx_integer(rule->node, "do_rotary", 0) != 0) {
        struct rotary_caches caches = {.cosines = GQA_COSINES, .sines = GQA_SINES};
        caches.turns_neighbours = onnx_integer(rule->node, "rotary_interleaved", 0) != 0;
        TRY(rotary_positions(rule, caches.ids));
        TRY(rotary_apply(rule, &o.q, &caches));
        o.q = rule->outputs[0];
        TRY(rotary_apply(rule, &o.k, &caches));
        o.k = rule->outputs[0];
    }
    int64_t window = onnx_integer(rule->node, "local_window_size", -1);
    if (window == 0 || window < -1)
        return rule_refuse(rule, "local_window_size = %" PRId64 ", expected -1 or a positive number", window);
    o.window = window > 0 ? window : 0;
    o.softcap = (double)onnx_real(rule->node, "softcap", 0);
    if (!(o.softcap >= 0))
        return rule_refuse(rule, "softcap = %g, expected a positive number", o.softcap);
    o.scale = (double)onnx_real(rule->node, "scale", 0);
    if (o.scale == 0)
        o.scale = 1 / sqrt((double)view_shape(&o.q.view).dims[0][3]);
    TRY(rule_attend(rule, &o));
    if (!rule_merge_heads(&rule->outputs[0]))
        return rule_refuse(rule, "its heads cannot be put side by side");
    return OK;
}

enum { MHA_BIAS = 3, MHA_PADDING, MHA_MASK, MHA_PAST_KEY, MHA_PAST_VALUE, MHA_MORE };

/* As many key heads as query heads, and what is seen is an input of its own, added to the scores. */
enum status rule_MultiHeadAttention(struct rule *rule)
{
    struct attention_operands o = {.is_causal = onnx_integer(rule->node, "unidirectional", 0) != 0};
    int64_t heads = onnx_integer(rule->node, "num_heads", 0);
    if (heads < 1 || heads > 1 << 20)
        return rule_refuse(rule, "%" PRId64 " heads", heads);
    if (rule->input_count < MHA_BIAS || !rule_is_activation(rule, 0) || !rule_is_activation(rule, 1) ||
        !rule_is_activation(rule, 2))
        return rule_refuse(rule, "its queries, keys and values are not three activations");
    for (uint32_t i = MHA_BIAS; i < rule->input_count; i++)
        if (rule->inputs[i] && (i <= MHA_PADDING || i >= MHA_MORE))
            return rule_refuse(rule, "input %u (a bias, padding, lengths) is not supported", i);
    TRY(check_lengths(rule, MHA_PAST_KEY, true, 0));
    TRY(check_lengths(rule, MHA_PAST_VALUE, true, 0));
    o.q = *rule->inputs[0];
    o.k = *rule->inputs[1];
    o.v = *rule->inputs[2];
    if (!rule_split_heads(&o.q, heads) || !rule_split_heads(&o.k, heads) || !rule_split_heads(&o.v, heads))
        return rule_refuse(rule, "its operands are not %" PRId64 " heads side by side", heads);
    if (rule->input_count > MHA_MASK && rule->inputs[MHA_MASK]) {
        if (!rule_is_concrete(rule, MHA_MASK))
            return rule_refuse(rule, "input %u (what is added to the scores) depends on the tokens",
                               MHA_MASK);
        o.mask = rule->inputs[MHA_MASK];
    }
    o.scale = (double)onnx_real(rule->node, "scale", 0);
    if (o.scale == 0)
        o.scale = 1 / sqrt((double)view_shape(&o.q.view).dims[0][3]);
    TRY(rule_attend(rule, &o));
    if (!rule_merge_heads(&rule->outputs[0]))
        return rule_refuse(rule, "its heads cannot be put side by side");
    return OK;
}
