/* Rules of operators that only arrange axes: they change the view of an activation. */
#include "frontend/importer.h"
#include <inttypes.h>
#include <string.h>

enum status rule_Identity(struct rule *rule)
{
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "its first input is not an activation");
    if (rule->output_count != 1)
        return rule_refuse(rule, "%u outputs, expected one", rule->output_count);
    rule_set(rule, 0, rule->inputs[0]->term, &rule->inputs[0]->view);
    return OK;
}

/* The sizes of the activation's axes are known at every probe. */
enum status rule_Shape(struct rule *rule)
{
    struct shape shape = view_shape(&rule->inputs[0]->view);
    for (uint32_t p = 0; p < PROBES; p++) {
        struct array stand_in = {.rank = shape.rank};
        struct evaluation e;
        memcpy(stand_in.dims, shape.dims[p], sizeof stand_in.dims);
        TRY(rule_evaluation(rule, p, &e));
        e.inputs[0] = &stand_in;
        TRY(evaluate_Shape(&e));
        rule->outputs[0].kind = VALUE_CONCRETE;
        rule->outputs[0].at[p] = e.outputs[0];
    }
    return OK;
}

static int64_t total(const struct shape *shape, uint32_t probe)
{
    int64_t count = 1;
    for (uint32_t axis = 0; axis < shape->rank; axis++)
        count *= shape->dims[probe][axis];
    return count;
}

static enum status need_activation(struct rule *rule)
{
    return rule_is_activation(rule, 0) ? OK : rule_refuse(rule, "its first input is not an activation");
}

static enum status finish_reshape(struct rule *rule, const struct shape *shape)
{
    struct view view;
    if (!view_reshape(&view, &rule->inputs[0]->view, shape))
        return rule_refuse(rule, "the shape cuts through the batch, the sequence or a group of channels");
    rule_set(rule, 0, rule->inputs[0]->term, &view);
    return OK;
}

enum status rule_Reshape(struct rule *rule)
{
    TRY(need_activation(rule));
    struct shape from = view_shape(&rule->inputs[0]->view), to = {0};
    for (uint32_t p = 0; p < PROBES; p++) {
        struct evaluation e;
        uint32_t rank = 0;
        TRY(rule_evaluation(rule, p, &e));
        TRY(evaluate_reshape(&e, from.rank, from.dims[p], total(&from, p), &rank, to.dims[p]));
        if (p > 0 && rank != to.rank)
            return rule_refuse(rule, "the number of axes depends on the sizes");
        to.rank = rank;
    }
    return finish_reshape(rule, &to);
}

enum status rule_Flatten(struct rule *rule)
{
    TRY(need_activation(rule));
    struct shape from = view_shape(&rule->inputs[0]->view), to = {.rank = 2};
    int64_t axis = onnx_integer(rule->node, "axis", 1);
    axis = axis < 0 ? axis + from.rank : axis;
    for (uint32_t p = 0; p < PROBES; p++) {
        to.dims[p][0] = to.dims[p][1] = 1;
        for (uint32_t i = 0; i < from.rank; i++)
            to.dims[p][i >= axis] *= from.dims[p][i];
    }
    return finish_reshape(rule, &to);
}

enum status rule_Transpose(struct rule *rule)
{
    const struct import_value *x = rule->inputs[0];
    uint32_t order[ONNX_MAX_RANK];
    struct evaluation e;
    struct view view;
    TRY(rule_evaluation(rule, 0, &e));
    TRY(evaluate_permutation(&e, x->view.rank, order));
    view_transpose(&view, &x->view, order);
    rule_set(rule, 0, x->term, &view);
    return OK;
}

enum status rule_Unsqueeze(struct rule *rule)
{
    TRY(need_activation(rule));
    struct view view = rule->inputs[0]->view;
    struct evaluation e;
    uint32_t axes[ONNX_MAX_RANK], count, axis;
    int64_t raw[ONNX_MAX_RANK];
    bool given, added[ONNX_MAX_RANK] = {false};
    TRY(rule_evaluation(rule, 0, &e));
    TRY(evaluate_integers(&e, "axes", 1, raw, ONNX_MAX_RANK, &count, &given));
    uint32_t rank = view.rank + count;
    if (rank > ONNX_MAX_RANK)
        return rule_refuse(rule, "%u axes, at most %d are supported", rank, ONNX_MAX_RANK);
    for (uint32_t i = 0; i < count; i++) {
        if (!onnx_resolve_axis(raw[i], rank, &axes[i]) || added[axes[i]])
            return status_fail(rule->trace, INVALID, "axis %" PRId64 " is out of range or given twice",
                               raw[i]);
        added[axes[i]] = true;
    }
    for (axis = 0; axis < rank; axis++)
        if (added[axis])
            view_insert(&view, axis);
    rule_set(rule, 0, rule->inputs[0]->term, &view);
    return OK;
}

enum status rule_Squeeze(struct rule *rule)
{
    TRY(need_activation(rule));
    struct view view = rule->inputs[0]->view;
    struct evaluation e;
    uint32_t axes[ONNX_MAX_RANK], count;
    bool given, removed[ONNX_MAX_RANK] = {false};
    TRY(rule_evaluation(rule, 0, &e));
    TRY(evaluate_axes(&e, 1, view.rank, axes, &count, &given));
    for (uint32_t axis = 0; axis < view.rank; axis++)
        removed[axis] = !given && view_count(&view, axis) == 0;
    for (uint32_t i = 0; i < count; i++)
        removed[axes[i]] = true;
    for (uint32_t axis = view.rank; axis-- > 0;)
        if (removed[axis] && !view_remove(&view, axis))
            return status_fail(rule->trace, INVALID, "axis %u is not of size 1", axis);
    rule_set(rule, 0, rule->inputs[0]->term, &view);
    return OK;
}

enum status rule_Expand(struct rule *rule)
{
    TRY(need_activation(rule));
    struct shape own = view_shape(&rule->inputs[0]->view), to = {0};
    struct view view;
    for (uint32_t p = 0; p < PROBES; p++) {
        struct evaluation e;
        uint32_t count;
        bool given;
        int64_t *dims = to.dims[p];
        TRY(rule_evaluation(rule, p, &e));
        TRY(evaluate_integers(&e, "", 1, dims, ONNX_MAX_RANK, &count, &given));
        if (count < own.rank) { /* shorter shapes are filled up with ones in front */
            memmove(dims + (own.rank - count), dims, count * sizeof *dims);
            for (uint32_t i = 0; i < own.rank - count; i++)
                dims[i] = 1;
            count = own.rank;
        }
        to.rank = count;
    }
    if (!view_expand(&view, &rule->inputs[0]->view, &to))
        return rule_refuse(rule, "the expansion is not a repetition by a constant");
    rule_set(rule, 0, rule->inputs[0]->term, &view);
    return OK;
}

enum status rule_Tile(struct rule *rule)
{
    TRY(need_activation(rule));
    struct view view = rule->inputs[0]->view, expanded;
    struct shape to = view_shape(&view);
    for (uint32_t p = 0; p < PROBES; p++) {
        struct evaluation e;
        uint32_t count;
        bool given;
        int64_t repeats[ONNX_MAX_RANK];
        TRY(rule_evaluation(rule, p, &e));
        TRY(evaluate_integers(&e, "", 1, repeats, ONNX_MAX_RANK, &count, &given));
        if (count != view.rank)
            return status_fail(rule->trace, INVALID, "%u repeats for %u axes", count, view.rank);
        for (uint32_t i = 0; i < count; i++) {
            if (repeats[i] != 1 && view_count(&view, i) != 0)
                return rule_refuse(rule, "axis %u, which is not of size 1, is tiled", i);
            if (view_count(&view, i) == 0)
                to.dims[p][i] = repeats[i];
        }
    }
    if (!view_expand(&expanded, &view, &to))
        return rule_refuse(rule, "the tiling is not a repetition by a constant");
    rule_set(rule, 0, rule->inputs[0]->term, &expanded);
    return OK;
}

/* Of a whole [batch, sequence, channels] the slice is narrowed at once; other slices may be parts of a head,
 * and whoever reads them decides. */
static void set_channels(struct rule *rule, uint32_t output, uint32_t term, const struct view *view)
{
    struct import_value slice = {.kind = VALUE_ACTIVATION, .term = term, .view = *view}, narrow = slice;
    struct view rows = *view;
    const struct atom *channels = view->rank == 3 ? view_atom(view, 2) : NULL;
    rows.offset = 0;
    if (channels && view_has_rows(&rows, channels->size))
        rule_narrow(rule, &narrow, &slice, 1);
    rule_set(rule, output, narrow.term, &narrow.view);
}

/* A slice of no elements is a constant without elements: what it is joined to stays as it is. */
static enum status set_empty(struct rule *rule, const struct shape *shape, uint32_t axis)
{
    for (uint32_t p = 0; p < PROBES; p++) {
        int64_t dims[ONNX_MAX_RANK];
        struct array *empty;
        memcpy(dims, shape->dims[p], sizeof dims);
        dims[axis] = 0;
        TRY(array_create(&empty, &rule->im->room, ONNX_FLOAT, shape->rank, dims, rule->trace));
        rule->outputs[0].at[p] = empty;
    }
    rule->outputs[0].kind = VALUE_CONCRETE;
    return OK;
}

enum status rule_Slice(struct rule *rule)
{
    TRY(need_activation(rule));
    struct view view = rule->inputs[0]->view;
    struct shape shape = view_shape(&view);
    struct slice slices[PROBES][ONNX_MAX_RANK];
    uint32_t count = 0;
    for (uint32_t p = 0; p < PROBES; p++) {
        struct evaluation e;
        TRY(rule_evaluation(rule, p, &e));
        TRY(evaluate_slices(&e, shape.rank, shape.dims[p], slices[p], &count));
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct slice *s = &slices[0][i], *t = &slices[1][i];
        bool whole = s->start == 0 && s->step == 1 && s->count == shape.dims[0][s->axis] && t->start == 0 &&
                     t->step == 1 && t->count == shape.dims[1][t->axis];
        if (whole)
            continue;
        if (s->axis == t->axis && s->count == 0 && t->count == 0)
            return set_empty(rule, &shape, s->axis);
        if (s->axis != t->axis || s->start != t->start || s->count != t->count || s->step != t->step ||
            !view_slice_steps(&view, s->axis, s->start, s->count, s->step))
            return rule_refuse(
                rule,
                "axis %u is not sliced into channels that follow one another (only whole batches and "
                "sequences and runs of channels, or every n-th of them, are supported)",
                s->axis);
    }
    set_channels(rule, 0, rule->inputs[0]->term, &view);
    return OK;
}

enum status rule_Split(struct rule *rule)
{
    TRY(need_activation(rule));
    const struct view *view = &rule->inputs[0]->view;
    struct shape shape = view_shape(view);
    int64_t parts[EVALUATE_MAX_OUTPUTS], start = 0;
    uint32_t axis;
    struct evaluation e;
    if (!onnx_resolve_axis(onnx_integer(rule->node, "axis", 0), view->rank, &axis))
        return status_fail(rule->trace, INVALID, "the axis is out of range");
    TRY(rule_evaluation(rule, 0, &e));
    TRY(evaluate_parts(&e, shape.dims[0][axis], parts));
    for (uint32_t o = 0; o < rule->output_count; o++) {
        struct view part = *view;
        if (!view_slice(&part, axis, start, parts[o]))
            return rule_refuse(rule, "axis %u is not split into neighbouring channels", axis);
        start += parts[o];
        set_channels(rule, o, rule->inputs[0]->term, &part);
    }
    return OK;
}
