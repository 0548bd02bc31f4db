/* Rules of means and norms, over all channels or over those of each head. A norm in its primitive form
 * arrives as a row times the reciprocal root of the mean of its squares. */
#include "frontend/importer.h"
#include <inttypes.h>

/* What a reduction of the last axis of a value runs over. */
struct rows {
    struct import_value x;
    int64_t size;     /* channels of a row */
    int64_t groups;   /* heads, 0: a row is all channels */
    struct view view; /* of one element a row, the last axis of size 1 */
};

static enum status find_rows(struct rule *rule, struct rows *out, const struct import_value *x)
{
    rule_narrow(rule, &out->x, x, 1);
    const struct term *t = rule_get(rule, &out->x);
    const struct view *view = &out->x.view;
    const struct atom *channels = view->rank > 0 ? view_atom(view, view->rank - 1) : NULL;
    int64_t heads = 1;
    *out = (struct rows){.x = out->x, .size = channels ? channels->size : 1};
    if (view->rank == 0 || view->offset != 0 || view_count(view, view->rank - 1) > 1 ||
        (channels && (channels->kind != ATOM_STATIC || channels->stride != 1)))
        return rule_refuse(rule, "the last axis is not a run of neighbouring channels of %s",
                           term_kind_name(t->kind));
    for (uint32_t axis = 0; axis + 1 < view->rank; axis++) {
        view_open_axis(&out->view);
        for (uint32_t i = view_start(view, axis); i < view->ends[axis]; i++) {
            struct atom atom = view->atoms[i];
            if (atom.kind == ATOM_KEYS || atom.kind == ATOM_REPEAT ||
                (atom.kind == ATOM_STATIC && atom.stride % out->size != 0))
                return rule_refuse(rule, "the axes of %s are not batch, sequence, heads and channels",
                                   term_kind_name(t->kind));
            heads *= atom.kind == ATOM_STATIC ? atom.size : 1;
            atom.stride /= out->size;
            view_append(&out->view, atom);
        }
    }
    view_open_axis(&out->view);
    if (heads * out->size != t->size)
        return rule_refuse(rule, "the last axis is not all %" PRId64 " channels of %s in order", t->size,
                           term_kind_name(t->kind));
    out->groups = heads > 1 ? heads : 0;
    return OK;
}

enum status rule_ReduceMean(struct rule *rule)
{
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "its first input is not an activation");
    struct rows rows;
    struct evaluation e;
    uint32_t axes[ONNX_MAX_RANK], count;
    bool given;
    TRY(rule_evaluation(rule, 0, &e));
    TRY(evaluate_axes(&e, 1, rule->inputs[0]->view.rank, axes, &count, &given));
    if (count != 1 || axes[0] + 1 != rule->inputs[0]->view.rank)
        return rule_refuse(rule, "only the last axis can be reduced");
    TRY(find_rows(rule, &rows, rule->inputs[0]));
    struct term term = {
        .kind = TERM_MEAN, .x = rows.x.term, .groups = rows.groups, .size = rows.groups ? rows.groups : 1};
    if (onnx_integer(rule->node, "keepdims", 1) == 0)
        view_remove(&rows.view, rows.view.rank - 1);
    rule_set(rule, 0, rule_term(rule, term), &rows.view);
    return OK;
}

enum status rule_ReduceSum(struct rule *rule)
{
    TRY(rule_ReduceMean(rule));
    struct import_value mean = rule->outputs[0];
    const struct term *t = rule_get(rule, &mean);
    double count = (double)(term_get(&rule->im->terms, t->x)->size / t->size);
    rule_set(rule, 0, term_scale(&rule->im->terms, mean.term, count, rule->im->node), &mean.view);
    return OK;
}

bool rule_is_row_of(const struct import_value *row, const struct import_value *x)
{
    if (row->view.rank != x->view.rank || x->view.rank == 0)
        return false;
    struct view without = x->view;
    uint32_t last = without.rank - 1;
    const struct atom *channels = view_atom(&without, last);
    int64_t size = channels && channels->kind == ATOM_STATIC ? channels->size : 1;
    if (size == 1 || without.offset % size != 0)
        return false;
    without.ends[last] = view_start(&without, last);
    without.offset /= size;
    for (uint32_t i = 0; i < without.ends[last]; i++)
        if (without.atoms[i].kind == ATOM_STATIC) {
            if (without.atoms[i].stride % size != 0)
                return false;
            without.atoms[i].stride /= size;
        }
    return view_equal(&without, &row->view);
}

/* x / sqrt(mean(x * x) + epsilon), when `row` is the second factor. */
static bool is_norm_of(struct rule *rule, uint32_t x, uint32_t row, struct term *norm)
{
    const struct term_set *terms = &rule->im->terms;
    const struct term *t = term_get(terms, row);
    if (t->kind != TERM_INVERSE || (t = term_get(terms, t->x))->kind != TERM_ROOT)
        return false;
    t = term_get(terms, t->x);
    if (t->kind == TERM_OFFSET) {
        norm->number = t->number;
        t = term_get(terms, t->x);
    }
    norm->groups = t->groups;
    if (t->kind != TERM_MEAN || (t = term_get(terms, t->x))->kind != TERM_SQUARE)
        return false;
    return t->x == x && norm->number >= 0;
}

enum status rule_times_row(struct rule *rule, const struct import_value *x, const struct import_value *row)
{
    struct import_value narrow;
    rule_narrow(rule, &narrow, x, 1);
    const struct term *t = rule_get(rule, &narrow);
    bool has_gain = t->kind == TERM_GAIN;
    struct term term = {.kind = has_gain ? TERM_RMSNORM : TERM_NORMAL,
                        .x = has_gain ? t->x : narrow.term,
                        .weight = has_gain ? t->weight : 0,
                        .size = t->size};
    if (!is_norm_of(rule, term.x, row->term, &term) || (has_gain && term.groups > 0))
        return rule_refuse(rule, "rows are multiplied by %s, which is no root mean square norm of them",
                           term_kind_name(rule_get(rule, row)->kind));
    rule_set(rule, 0, rule_term(rule, term), &narrow.view);
    return OK;
}

/* The whole norm as one operator: x, weight. */
static enum status fused(struct rule *rule, enum term_kind inner, double epsilon)
{
    struct rows rows;
    if (!rule_is_activation(rule, 0) || !rule_is_concrete(rule, 1))
        return rule_refuse(rule, "expected an activation and a stored weight");
    for (uint32_t i = 1; i < rule->output_count; i++)
        if (*rule->node->output[i])
            return rule_refuse(rule, "output %u (a statistic) is not supported", i);
    int64_t axis = onnx_integer(rule->node, "axis", -1);
    TRY(find_rows(rule, &rows, rule->inputs[0]));
    if (axis != -1 && axis + 1 != rows.x.view.rank)
        return rule_refuse(rule, "only the last axis can be normalised");
    struct term term = {.kind = TERM_RMSNORM, .x = rows.x.term, .groups = rows.groups};
    term.size = rule_get(rule, &rows.x)->size;
    if (!rule_vector(rule, 1, rows.size, &term.weight))
        return rule_refuse(rule, "input 1 is not a stored vector of %" PRId64 " elements", rows.size);
    term.number = (double)onnx_real(rule->node, "epsilon", (float)epsilon);
    if (inner == TERM_CENTRED) {
        if (rows.groups > 0)
            return rule_refuse(rule,
                               "a mean is subtracted within each head, only over all channels can it be");
        term.x = rule_term(rule, (struct term){.kind = TERM_CENTRED, .x = term.x, .size = term.size});
    }
    rule_set(rule, 0, rule_term(rule, term), &rows.x.view);
    return OK;
}

/* Exporters write a Constant node of zeros where a layer norm has no bias. */
static bool is_made_up(struct rule *rule, uint32_t slot)
{
    struct import_value *value = rule->inputs[slot];
    if (!rule_is_concrete(rule, slot) || !value->data || !value->data->is_literal ||
        import_materialise(rule->im, value, NULL) != OK)
        return false;
    for (int64_t i = 0; i < value->at[0]->count; i++)
        if (value->at[0]->data[i] != 0)
            return false;
    return true;
}

static enum status add_bias(struct rule *rule)
{
    struct import_value norm = rule->outputs[0];
    struct term term = {.kind = TERM_BIAS, .x = norm.term, .size = rule_get(rule, &norm)->size};
    if (!rule_vector(rule, 2, term.size, &term.weight))
        return rule_refuse(rule, "input 2 is not a stored vector of %" PRId64 " elements", term.size);
    rule_set(rule, 0, rule_term(rule, term), &norm.view);
    return OK;
}

enum status rule_norm(struct rule *rule, bool is_centred, double epsilon)
{
    TRY(fused(rule, is_centred ? TERM_CENTRED : TERM_RMSNORM, epsilon));
    return rule->input_count > 2 && rule->inputs[2] && !is_made_up(rule, 2) ? add_bias(rule) : OK;
}

enum status rule_RMSNormalization(struct rule *rule)
{
    if (rule->input_count != 2)
        return rule_refuse(rule, "%u inputs, expected two", rule->input_count);
    return rule_norm(rule, false, 1e-5);
}

enum status rule_LayerNormalization(struct rule *rule)
{
    if (rule->input_count < 2 || rule->input_count > 3)
        return rule_refuse(rule, "%u inputs, expected two or three", rule->input_count);
    return rule_norm(rule, true, 1e-5);
}
