/* Operators that move elements without computing, and what is read from concrete inputs for them. */
#include "frontend/evaluate.h"
#include <inttypes.h>
#include <string.h>

static enum status need_input(const struct evaluation *e, uint32_t slot)
{
    if (slot >= e->input_count || !e->inputs[slot])
        return status_fail(e->trace, INVALID, "input %u is missing", slot);
    return OK;
}

enum status evaluate_integers(const struct evaluation *e, const char *name, uint32_t slot, int64_t *out,
                              uint32_t capacity, uint32_t *count, bool *given)
{
    const Onnx__AttributeProto *attribute = onnx_find_attribute(e->node, name);
    const struct array *input = slot < e->input_count ? e->inputs[slot] : NULL;
    *given = attribute || input;
    size_t found = attribute ? attribute->n_ints : input ? (size_t)input->count : 0;
    *count = (uint32_t)found;
    if (found > capacity)
        return status_fail(e->trace, UNSUPPORTED, "a list of %zu integers, at most %u are supported", found,
                           capacity);
    for (uint32_t i = 0; i < found; i++) {
        if (attribute)
            out[i] = attribute->ints[i];
        else if (!array_integer(input, i, &out[i]))
            return status_fail(e->trace, INVALID, "input %u holds a number that is not an integer", slot);
    }
    return OK;
}

enum status evaluate_axes(const struct evaluation *e, uint32_t slot, uint32_t rank,
                          uint32_t axes[ONNX_MAX_RANK], uint32_t *count, bool *given)
{
    int64_t raw[ONNX_MAX_RANK];
    TRY(evaluate_integers(e, "axes", slot, raw, ONNX_MAX_RANK, count, given));
    for (uint32_t i = 0; i < *count; i++)
        if (!onnx_resolve_axis(raw[i], rank, &axes[i]))
            return status_fail(e->trace, INVALID, "axis %" PRId64 " is out of range for %u axes", raw[i],
                               rank);
    return OK;
}

enum status evaluate_Identity(struct evaluation *e)
{
    TRY(need_input(e, 0));
    e->outputs[0] = array_reshape(e->room, e->inputs[0], e->inputs[0]->rank, e->inputs[0]->dims);
    return OK;
}

enum status evaluate_Reshape(struct evaluation *e)
{
    int64_t dims[ONNX_MAX_RANK];
    uint32_t rank;
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    TRY(evaluate_reshape(e, x->rank, x->dims, x->count, &rank, dims));
    e->outputs[0] = array_reshape(e->room, x, rank, dims);
    return OK;
}

enum status evaluate_reshape(const struct evaluation *e, uint32_t rank, const int64_t *dims, int64_t total,
                             uint32_t *out_rank, int64_t out[ONNX_MAX_RANK])
{
    bool given, keep_zero = onnx_integer(e->node, "allowzero", 0) != 0;
    uint32_t inferred = ONNX_MAX_RANK;
    int64_t product = 1,
            padded = 1; /* padded: as if no axis were empty, so that strides cannot overflow either */
    TRY(evaluate_integers(e, "shape", 1, out, ONNX_MAX_RANK, out_rank, &given));
    for (uint32_t i = 0; i < *out_rank; i++) {
        if (out[i] == 0 && !keep_zero && i < rank)
            out[i] = dims[i];
        if (out[i] == -1 && inferred == ONNX_MAX_RANK)
            inferred = i;
        else if (out[i] < 0 || __builtin_mul_overflow(padded, out[i] > 0 ? out[i] : 1, &padded))
            return status_fail(e->trace, INVALID, "the shape has the size %" PRId64, out[i]);
        else
            product *= out[i];
    }
    if (inferred < ONNX_MAX_RANK) {
        out[inferred] = product > 0 ? total / product : 0;
        product *= out[inferred];
    }
    if (product != total)
        return status_fail(e->trace, INVALID, "%" PRId64 " elements cannot take the shape asked for", total);
    return OK;
}

enum status evaluate_Flatten(struct evaluation *e)
{
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    int64_t axis = onnx_integer(e->node, "axis", 1), dims[2] = {1, 1};
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis > x->rank)
        return status_fail(e->trace, INVALID, "the axis is out of range");
    for (uint32_t i = 0; i < x->rank; i++)
        dims[i >= axis] *= x->dims[i];
    e->outputs[0] = array_reshape(e->room, x, 2, dims);
    return OK;
}

enum status evaluate_Unsqueeze(struct evaluation *e)
{
    uint32_t axes[ONNX_MAX_RANK], count, from = 0;
    bool given, added[2 * ONNX_MAX_RANK] = {false};
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    int64_t raw[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    TRY(evaluate_integers(e, "axes", 1, raw, ONNX_MAX_RANK, &count, &given));
    uint32_t rank = x->rank + count;
    if (rank > ONNX_MAX_RANK)
        return status_fail(e->trace, UNSUPPORTED, "%u axes, at most %d are supported", rank, ONNX_MAX_RANK);
    for (uint32_t i = 0; i < count; i++) {
        if (!onnx_resolve_axis(raw[i], rank, &axes[i]) || added[axes[i]])
            return status_fail(e->trace, INVALID, "axis %" PRId64 " is out of range or given twice", raw[i]);
        added[axes[i]] = true;
    }
    for (uint32_t i = 0; i < rank; i++)
        dims[i] = added[i] ? 1 : x->dims[from++];
    e->outputs[0] = array_reshape(e->room, x, rank, dims);
    return OK;
}

enum status evaluate_Squeeze(struct evaluation *e)
{
    uint32_t axes[ONNX_MAX_RANK], count, rank = 0;
    bool given, removed[ONNX_MAX_RANK] = {false};
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    TRY(evaluate_axes(e, 1, x->rank, axes, &count, &given));
    for (uint32_t i = 0; i < x->rank; i++)
        removed[i] = !given && x->dims[i] == 1;
    for (uint32_t i = 0; i < count; i++) {
        if (x->dims[axes[i]] != 1)
            return status_fail(e->trace, INVALID, "axis %u has the size %" PRId64 ", not 1", axes[i],
                               x->dims[axes[i]]);
        removed[axes[i]] = true;
    }
    int64_t dims[ONNX_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++)
        if (!removed[i])
            dims[rank++] = x->dims[i];
    e->outputs[0] = array_reshape(e->room, x, rank, dims);
    return OK;
}

enum status evaluate_permutation(const struct evaluation *e, uint32_t rank, uint32_t out[ONNX_MAX_RANK])
{
    const Onnx__AttributeProto *perm = onnx_find_attribute(e->node, "perm");
    bool seen[ONNX_MAX_RANK] = {false};
    if (perm && perm->n_ints != rank)
        return status_fail(e->trace, INVALID, "the permutation has %zu axes, the value %u", perm->n_ints,
                           rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (!onnx_resolve_axis(perm ? perm->ints[i] : rank - 1 - i, rank, &out[i]) || seen[out[i]])
            return status_fail(e->trace, INVALID, "the permutation is not one");
        seen[out[i]] = true;
    }
    return OK;
}

enum status evaluate_Transpose(struct evaluation *e)
{
    uint32_t order[ONNX_MAX_RANK];
    int64_t own[ONNX_MAX_RANK], strides[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    TRY(evaluate_permutation(e, x->rank, order));
    array_strides(x, own);
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = x->dims[order[i]];
        strides[i] = own[order[i]];
    }
    return array_gather_strided(&e->outputs[0], e->room, x, x->rank, dims, strides, 0, e->trace);
}

enum status evaluate_Expand(struct evaluation *e)
{
    struct array shape = {0};
    uint32_t rank;
    bool given;
    int64_t dims[ONNX_MAX_RANK], strides[ONNX_MAX_RANK];
    TRY(need_input(e, 0));
    TRY(evaluate_integers(e, "", 1, shape.dims, ONNX_MAX_RANK, &shape.rank, &given));
    if (!array_broadcast_shape(e->inputs[0], &shape, &rank, dims) ||
        !array_broadcast(e->inputs[0], rank, dims, strides))
        return status_fail(e->trace, INVALID, "the value does not broadcast to the shape asked for");
    return array_gather_strided(&e->outputs[0], e->room, e->inputs[0], rank, dims, strides, 0, e->trace);
}

enum status evaluate_Tile(struct evaluation *e)
{
    int64_t repeats[ONNX_MAX_RANK], dims[ONNX_MAX_RANK], own[ONNX_MAX_RANK], index[ONNX_MAX_RANK] = {0};
    uint32_t count;
    bool given;
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    TRY(evaluate_integers(e, "", 1, repeats, ONNX_MAX_RANK, &count, &given));
    if (count != x->rank)
        return status_fail(e->trace, INVALID, "%u repeats for %u axes", count, x->rank);
    for (uint32_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(x->dims[i], repeats[i], &dims[i]))
            return status_fail(e->trace, INVALID, "the repeats overflow");
    TRY(array_create(&e->outputs[0], e->room, x->type, x->rank, dims, e->trace));
    array_strides(x, own);
    for (int64_t i = 0; i < e->outputs[0]->count; i++) {
        int64_t at = 0;
        for (uint32_t axis = 0; axis < x->rank; axis++)
            at += own[axis] * (index[axis] % x->dims[axis]);
        e->outputs[0]->data[i] = x->data[at];
        array_next(index, x->rank, dims);
    }
    return OK;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

enum status evaluate_slices(const struct evaluation *e, uint32_t rank, const int64_t *dims,
                            struct slice out[ONNX_MAX_RANK], uint32_t *count)
{
    int64_t starts[ONNX_MAX_RANK], ends[ONNX_MAX_RANK], steps[ONNX_MAX_RANK];
    uint32_t axes[ONNX_MAX_RANK], end_count, axis_count, step_count;
    bool given, has_axes, has_steps;
    TRY(evaluate_integers(e, "starts", 1, starts, ONNX_MAX_RANK, count, &given));
    TRY(evaluate_integers(e, "ends", 2, ends, ONNX_MAX_RANK, &end_count, &given));
    TRY(evaluate_axes(e, 3, rank, axes, &axis_count, &has_axes));
    TRY(evaluate_integers(e, "steps", 4, steps, ONNX_MAX_RANK, &step_count, &has_steps));
    if (end_count != *count || (has_axes && axis_count != *count) || (has_steps && step_count != *count) ||
        *count > rank)
        return status_fail(e->trace, INVALID, "starts, ends, axes and steps differ in number");
    for (uint32_t i = 0; i < *count; i++) {
        struct slice *s = &out[i];
        s->axis = has_axes ? axes[i] : i;
        s->step = has_steps ? steps[i] : 1;
        int64_t size = dims[s->axis], start = starts[i], end = ends[i];
        if (s->step == 0)
            return status_fail(e->trace, INVALID, "a slice has the step 0");
        s->step = clamp(s->step, -(1 << 30), 1 << 30);
        start = clamp(start < 0 ? start + size : start, s->step < 0 ? -1 : 0, s->step < 0 ? size - 1 : size);
        end = clamp(end < 0 ? end + size : end, s->step < 0 ? -1 : 0, size);
        int64_t span = s->step > 0 ? end - start : start - end;
        int64_t step = s->step > 0 ? s->step : -s->step;
        s->start = start;
        s->count = span > 0 ? (span + step - 1) / step : 0;
    }
    return OK;
}

enum status evaluate_Slice(struct evaluation *e)
{
    struct slice slices[ONNX_MAX_RANK];
    uint32_t count;
    int64_t strides[ONNX_MAX_RANK], dims[ONNX_MAX_RANK], offset = 0;
    bool sliced[ONNX_MAX_RANK] = {false};
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    TRY(evaluate_slices(e, x->rank, x->dims, slices, &count));
    memcpy(dims, x->dims, sizeof dims);
    array_strides(x, strides);
    for (uint32_t i = 0; i < count; i++) {
        if (sliced[slices[i].axis])
            return status_fail(e->trace, INVALID, "axis %u is sliced twice", slices[i].axis);
        sliced[slices[i].axis] = true;
        offset += slices[i].count > 0 ? slices[i].start * strides[slices[i].axis] : 0;
        strides[slices[i].axis] *= slices[i].step;
        dims[slices[i].axis] = slices[i].count;
    }
    return array_gather_strided(&e->outputs[0], e->room, x, x->rank, dims, strides, offset, e->trace);
}

enum status evaluate_parts(const struct evaluation *e, int64_t size, int64_t parts[EVALUATE_MAX_OUTPUTS])
{
    uint32_t count;
    bool given;
    int64_t total = 0;
    TRY(evaluate_integers(e, "split", 1, parts, EVALUATE_MAX_OUTPUTS, &count, &given));
    if (!given) {
        count = e->output_count;
        int64_t part = count > 0 ? (size + count - 1) / count : 0;
        for (uint32_t i = 0; i < count; i++)
            parts[i] = clamp(size - part * i, 0, part);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i] < 0 || parts[i] > size)
            return status_fail(e->trace, INVALID, "a part has the size %" PRId64, parts[i]);
        total += parts[i];
    }
    if (count != e->output_count || total != size)
        return status_fail(e->trace, INVALID,
                           "%u parts of %" PRId64 " elements for %u outputs of an axis of %" PRId64, count,
                           total, e->output_count, size);
    return OK;
}

enum status evaluate_Split(struct evaluation *e)
{
    int64_t parts[EVALUATE_MAX_OUTPUTS], strides[ONNX_MAX_RANK], dims[ONNX_MAX_RANK], offset = 0;
    uint32_t axis;
    TRY(need_input(e, 0));
    const struct array *x = e->inputs[0];
    if (!onnx_resolve_axis(onnx_integer(e->node, "axis", 0), x->rank, &axis))
        return status_fail(e->trace, INVALID, "the axis is out of range");
    TRY(evaluate_parts(e, x->dims[axis], parts));
    array_strides(x, strides);
    memcpy(dims, x->dims, sizeof dims);
    for (uint32_t i = 0; i < e->output_count; i++) {
        dims[axis] = parts[i];
        TRY(array_gather_strided(&e->outputs[i], e->room, x, x->rank, dims, strides, offset, e->trace));
        offset += parts[i] * strides[axis];
    }
    return OK;
}

enum status evaluate_Concat(struct evaluation *e)
{
    uint32_t axis;
    TRY(need_input(e, 0));
    const struct array *first = e->inputs[0];
    if (!onnx_resolve_axis(onnx_integer(e->node, "axis", 0), first->rank, &axis))
        return status_fail(e->trace, INVALID, "the axis is out of range");
    int64_t dims[ONNX_MAX_RANK], inner = 1, outer = 1, done = 0;
    memcpy(dims, first->dims, sizeof dims);
    dims[axis] = 0;
    for (uint32_t i = 0; i < e->input_count; i++) {
        TRY(need_input(e, i));
        for (uint32_t a = 0; a < first->rank; a++)
            if (e->inputs[i]->rank != first->rank || (a != axis && e->inputs[i]->dims[a] != first->dims[a]))
                return status_fail(e->trace, INVALID, "the shapes of inputs 0 and %u do not fit", i);
        dims[axis] += e->inputs[i]->dims[axis];
    }
    TRY(array_create(&e->outputs[0], e->room, first->type, first->rank, dims, e->trace));
    for (uint32_t a = 0; a < first->rank; a++) {
        inner *= a > axis ? dims[a] : 1;
        outer *= a < axis ? dims[a] : 1;
    }
    e->outputs[0]->table = first->table;
    for (uint32_t i = 0; i < e->input_count; i++) {
        int64_t length = e->inputs[i]->dims[axis] * inner;
        for (int64_t o = 0; o < outer && length > 0; o++)
            memcpy(e->outputs[0]->data + o * dims[axis] * inner + done, e->inputs[i]->data + o * length,
                   (size_t)length * sizeof(double));
        done += length;
        if (e->inputs[i]->table != first->table)
            e->outputs[0]->table = NULL;
    }
    return OK;
}
