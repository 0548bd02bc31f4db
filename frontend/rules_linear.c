/* Rules of operators that read weights: embeddings and linear layers; and of joining. */
#include "frontend/importer.h"
#include "frontend/mix.h"
#include <inttypes.h>
#include <string.h>

static enum status need_rows(struct rule *rule, struct import_value *x)
{
    struct import_value narrow;
    if (rule_narrow(rule, &narrow, x, 1))
        *x = narrow;
    const struct term *t = rule_get(rule, x);
    if (!view_has_rows(&x->view, t->size))
        return rule_refuse(rule, "the last axis is not all %" PRId64 " channels of %s in order", t->size,
                           term_kind_name(t->kind));
    return OK;
}

/* The view of the same rows with another number of channels. */
static struct view with_channels(const struct view *view, int64_t size)
{
    struct view out = *view;
    uint32_t last = out.rank - 1;
    out.ends[last] = view_start(&out, last);
    view_append(&out, (struct atom){ATOM_STATIC, size, 1});
    return out;
}

enum status rule_linear(struct rule *rule, const struct import_value *operand,
                        const struct import_value *weight)
{
    struct import_value rows_of = *operand, *x = &rows_of;
    const struct tensor_view *view = &weight->weight;
    TRY(need_rows(rule, x));
    const struct term *t = rule_get(rule, x);
    if (view->dims[1] != t->size)
        return status_fail(rule->trace, INVALID,
                           "the weight takes %" PRId64 " channels, its operand has %" PRId64, view->dims[1],
                           t->size);
    struct term term = {.kind = TERM_LINEAR, .x = x->term, .size = view->dims[0]};
    term.weight = import_weight(rule->im, view);
    struct view rows = with_channels(&x->view, term.size);
    rule_set(rule, 0, rule_term(rule, term), &rows);
    return OK;
}

/* x times the stored matrix in `slot`; `is_in_out` when it is stored as [in, out]. */
static enum status linear(struct rule *rule, const struct import_value *x, uint32_t slot, bool is_in_out)
{
    struct import_value w = *rule->inputs[slot];
    if (!w.has_weight)
        return rule_refuse(
            rule, "input %u is computed in the file; weights must be stored as FLOAT, FLOAT16 or BFLOAT16",
            slot);
    if (w.weight.rank != 2)
        return rule_refuse(rule, "the weight in input %u has %u axes, expected two", slot, w.weight.rank);
    if (is_in_out)
        w.weight = tensor_view_transpose(&w.weight);
    return rule_linear(rule, x, &w);
}

enum status rule_MatMul(struct rule *rule)
{
    if (rule->input_count != 2 || !rule->inputs[0] || !rule->inputs[1])
        return status_fail(rule->trace, INVALID, "%u inputs, expected two", rule->input_count);
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "a constant times an activation is not supported");
    if (rule_is_concrete(rule, 1))
        return linear(rule, rule->inputs[0], 1, true);
    return view_has_keys(&rule->inputs[0]->view) ? rule_weigh(rule) : rule_scores(rule);
}

enum status rule_Gemm(struct rule *rule)
{
    const Onnx__NodeProto *node = rule->node;
    if (!rule_is_activation(rule, 0) || !rule_is_concrete(rule, 1))
        return rule_refuse(rule, "only an activation times a stored weight is supported");
    if (onnx_real(node, "alpha", 1) != 1 || onnx_real(node, "beta", 1) != 1 ||
        onnx_integer(node, "transA", 0) != 0)
        return rule_refuse(rule, "only alpha = 1, beta = 1 and transA = 0 are supported");
    TRY(linear(rule, rule->inputs[0], 1, onnx_integer(node, "transB", 0) == 0));
    if (rule->input_count < 3 || !rule->inputs[2])
        return OK;
    struct import_value product = rule->outputs[0];
    struct term term = {.kind = TERM_BIAS, .x = product.term, .size = rule_get(rule, &product)->size};
    if (!rule_vector(rule, 2, term.size, &term.weight))
        return rule_refuse(rule, "input 2 is not a stored vector of %" PRId64 " elements", term.size);
    rule_set(rule, 0, rule_term(rule, term), &product.view);
    return OK;
}

static enum status embed(struct rule *rule)
{
    struct import_value *table = rule->inputs[0];
    const struct import_value *tokens = rule->inputs[1];
    if (!table->has_weight || table->weight.rank != 2 || onnx_integer(rule->node, "axis", 0) != 0 ||
        rule_get(rule, tokens)->kind != TERM_TOKENS)
        return rule_refuse(rule, "only rows of a stored matrix can be looked up, by the tokens");
    struct term term = {.kind = TERM_EMBED, .x = tokens->term, .size = table->weight.dims[1]};
    term.weight = import_weight(rule->im, &table->weight);
    struct view view = tokens->view;
    if (view.rank == ONNX_MAX_RANK)
        return rule_refuse(rule, "too many axes");
    view_open_axis(&view);
    view_append(&view, (struct atom){ATOM_STATIC, term.size, 1});
    rule_set(rule, 0, rule_term(rule, term), &view);
    return OK;
}

static bool picks_all(const struct array *indices, int64_t size)
{
    if (indices->rank != 1 || indices->count != size)
        return false;
    for (int64_t i = 0; i < size; i++)
        if (indices->data[i] != (double)i)
            return false;
    return true;
}

/* Constant indices: one channel group, or everything in order. */
static enum status pick(struct rule *rule)
{
    const struct import_value *x = rule->inputs[0];
    struct view view = x->view;
    struct shape shape = view_shape(&view);
    struct evaluation e;
    uint32_t axis;
    int64_t index;
    bool all = true;
    if (!onnx_resolve_axis(onnx_integer(rule->node, "axis", 0), view.rank, &axis))
        return status_fail(rule->trace, INVALID, "the axis is out of range");
    for (uint32_t p = 0; p < PROBES; p++) {
        TRY(rule_evaluation(rule, p, &e));
        all &= picks_all(e.inputs[1], shape.dims[p][axis]);
    }
    if (!all) {
        const struct array *indices = e.inputs[1];
        if (indices->count != 1 || !array_integer(indices, 0, &index) || indices->rank > 1 ||
            !view_slice(&view, axis, index < 0 ? index + shape.dims[0][axis] : index, 1))
            return rule_refuse(
                rule, "only one group of channels, or everything in order, can be picked by constants");
        if (indices->rank == 0)
            view_remove(&view, axis);
    }
    rule_set(rule, 0, x->term, &view);
    return OK;
}

/* One constant index of the first axis. */
enum status rule_GatherND(struct rule *rule)
{
    if (!rule_is_activation(rule, 0) || !rule_is_concrete(rule, 1) ||
        onnx_integer(rule->node, "batch_dims", 0) != 0)
        return rule_refuse(rule, "only an activation picked from by a constant is supported");
    struct view view = rule->inputs[0]->view;
    struct shape shape = view_shape(&view);
    struct evaluation e;
    int64_t index;
    TRY(rule_evaluation(rule, 0, &e));
    const struct array *indices = e.inputs[1];
    if (indices->count != 1 || indices->rank < 1 || indices->rank > 2 ||
        rule->inputs[1]->at[0] != rule->inputs[1]->at[1] || view.rank == 0 ||
        !array_integer(indices, 0, &index) ||
        !view_slice(&view, 0, index < 0 ? index + shape.dims[0][0] : index, 1))
        return rule_refuse(rule, "only one group of channels on the first axis can be picked by a constant");
    if (indices->rank == 1)
        view_remove(&view, 0);
    rule_set(rule, 0, rule->inputs[0]->term, &view);
    return OK;
}

enum status rule_Gather(struct rule *rule)
{
    if (rule_is_concrete(rule, 0) && rule_is_activation(rule, 1))
        return embed(rule);
    if (rule_is_activation(rule, 0) && rule_is_concrete(rule, 1))
        return pick(rule);
    return rule_refuse(rule, "an activation indexed by an activation is not supported");
}

/* An empty cache in front of keys or values adds nothing; otherwise parts of a head come together. */
enum status rule_Concat(struct rule *rule)
{
    struct import_value *parts[EVALUATE_MAX_INPUTS] = {NULL};
    uint32_t count = 0, axis = 0;
    for (uint32_t i = 0; i < rule->input_count; i++) {
        if (!rule->inputs[i])
            continue;
        if (rule_is_activation(rule, i)) {
            parts[count++] = rule->inputs[i];
            continue;
        }
        TRY(import_materialise(rule->im, rule->inputs[i], rule->trace));
        for (uint32_t p = 0; p < PROBES; p++)
            if (rule->inputs[i]->at[p]->count != 0)
                return rule_refuse(rule, "input %u, a constant that is not empty, is joined to an activation",
                                   i);
    }
    uint32_t rank = parts[0]->view.rank;
    if (!onnx_resolve_axis(onnx_integer(rule->node, "axis", 0), rank, &axis))
        return status_fail(rule->trace, INVALID, "the axis is out of range");
    if (count == 1) {
        rule_set(rule, 0, parts[0]->term, &parts[0]->view);
        return OK;
    }
    if (axis + 1 != rank)
        return rule_refuse(rule, "activations are joined along axis %u, only channels can be", axis);
    return mix_concat(rule, parts, count);
}
