/* Bookkeeping of axes. */
#include "frontend/view.h"
#include <assert.h>
#include <string.h>

/* Neither product, sum nor difference of these meets a constant at both probes; rows of a mask show its
 * triangle. */
const struct probe probes[PROBES] = {{2, 3}, {3, 5}};

static int64_t atom_size(struct atom atom, uint32_t probe)
{
    switch (atom.kind) {
    case ATOM_BATCH:
        return probes[probe].batch;
    case ATOM_SEQUENCE:
    case ATOM_KEYS:
        return probes[probe].sequence;
    default:
        return atom.size;
    }
}

void view_open_axis(struct view *view)
{
    assert(view->rank < ONNX_MAX_RANK);
    view->ends[view->rank] = view->rank > 0 ? view->ends[view->rank - 1] : 0;
    view->rank++;
}

uint32_t view_start(const struct view *view, uint32_t axis)
{
    return axis > 0 ? view->ends[axis - 1] : 0;
}

uint32_t view_count(const struct view *view, uint32_t axis)
{
    return view->ends[axis] - view_start(view, axis);
}

static bool merge(struct atom *major, struct atom minor)
{
    if (major->kind != minor.kind)
        return false;
    if (major->kind == ATOM_REPEAT ||
        (major->kind == ATOM_STATIC && major->stride == minor.stride * minor.size)) {
        major->size *= minor.size;
        major->stride = minor.stride;
        return true;
    }
    return false;
}

void view_append(struct view *view, struct atom atom)
{
    uint32_t axis = view->rank - 1;
    bool is_fixed = atom.kind == ATOM_STATIC || atom.kind == ATOM_REPEAT;
    if (is_fixed && atom.size == 1)
        return;
    if (view_count(view, axis) > 0 && merge(&view->atoms[view->ends[axis] - 1], atom))
        return;
    assert(view->ends[axis] < VIEW_MAX_ATOMS);
    view->atoms[view->ends[axis]++] = atom;
}

struct view view_rows(int64_t size)
{
    struct view view = {0};
    view_open_axis(&view);
    view_append(&view, (struct atom){.kind = ATOM_BATCH});
    view_open_axis(&view);
    view_append(&view, (struct atom){.kind = ATOM_SEQUENCE});
    view_open_axis(&view);
    view_append(&view, (struct atom){ATOM_STATIC, size, 1});
    return view;
}

struct shape view_shape(const struct view *view)
{
    struct shape shape = {.rank = view->rank};
    for (uint32_t p = 0; p < PROBES; p++)
        for (uint32_t axis = 0; axis < view->rank; axis++) {
            shape.dims[p][axis] = 1;
            for (uint32_t i = view_start(view, axis); i < view->ends[axis]; i++)
                shape.dims[p][axis] *= atom_size(view->atoms[i], p);
        }
    return shape;
}

static bool atom_equal(struct atom a, struct atom b)
{
    return a.kind == b.kind && a.size == b.size && a.stride == b.stride;
}

bool view_equal(const struct view *a, const struct view *b)
{
    if (a->rank != b->rank || a->offset != b->offset ||
        (a->rank > 0 && memcmp(a->ends, b->ends, a->rank * sizeof a->ends[0]) != 0))
        return false;
    for (uint32_t i = 0; a->rank > 0 && i < a->ends[a->rank - 1]; i++)
        if (!atom_equal(a->atoms[i], b->atoms[i]))
            return false;
    return true;
}

const struct atom *view_atom(const struct view *view, uint32_t axis)
{
    return view_count(view, axis) == 1 ? &view->atoms[view_start(view, axis)] : NULL;
}

bool view_axis_is(const struct view *view, uint32_t axis, enum atom_kind kind)
{
    const struct atom *atom = view_atom(view, axis);
    return atom && atom->kind == kind;
}

bool view_has_rows(const struct view *view, int64_t size)
{
    uint32_t batches = 0, sequences = 0;
    if (view->rank == 0 || view->offset != 0)
        return false;
    uint32_t last = view->rank - 1;
    const struct atom *channel = view_atom(view, last);
    if (size == 1 ? view_count(view, last) != 0
                  : !channel || !atom_equal(*channel, (struct atom){ATOM_STATIC, size, 1}))
        return false;
    for (uint32_t i = 0; i < view_start(view, last); i++) {
        batches += view->atoms[i].kind == ATOM_BATCH;
        sequences += view->atoms[i].kind == ATOM_SEQUENCE;
    }
    return batches == 1 && sequences == 1 && view_start(view, last) == 2;
}

bool view_has_keys(const struct view *view)
{
    for (uint32_t i = 0; view->rank > 0 && i < view->ends[view->rank - 1]; i++)
        if (view->atoms[i].kind == ATOM_KEYS)
            return true;
    return false;
}

/* Takes atoms (splitting static ones) until the axis has its size at every probe. */
static bool fill_axis(struct view *out, struct atom *rest, uint32_t *at, uint32_t count,
                      const int64_t target[PROBES])
{
    int64_t done[PROBES];
    bool complete = true;
    for (uint32_t p = 0; p < PROBES; p++) {
        done[p] = 1;
        complete &= target[p] == 1;
    }
    while (!complete) {
        if (*at == count || out->rank == 0 || out->ends[out->rank - 1] == VIEW_MAX_ATOMS)
            return false;
        struct atom *atom = &rest[*at];
        bool whole = true, same = true;
        int64_t left = target[0] / done[0];
        for (uint32_t p = 0; p < PROBES; p++) {
            whole &= target[p] % (done[p] * atom_size(*atom, p)) == 0;
            same &= target[p] % done[p] == 0 && target[p] / done[p] == left;
        }
        struct atom taken = *atom;
        if (whole) {
            (*at)++;
        } else {
            bool is_fixed = atom->kind == ATOM_STATIC || atom->kind == ATOM_REPEAT;
            if (!is_fixed || !same || left < 1 || atom->size % left != 0)
                return false;
            taken.size = left;
            taken.stride = atom->stride * (atom->size / left);
            atom->size /= left;
        }
        view_append(out, taken);
        complete = true;
        for (uint32_t p = 0; p < PROBES; p++) {
            done[p] *= atom_size(taken, p);
            complete &= done[p] == target[p];
        }
    }
    return true;
}

bool view_reshape(struct view *out, const struct view *in, const struct shape *shape)
{
    struct atom rest[VIEW_MAX_ATOMS];
    uint32_t count = 0, at = 0;
    /* Neighbours of different axes may be one run, to be cut elsewhere. */
    for (uint32_t i = 0; in->rank > 0 && i < in->ends[in->rank - 1]; i++)
        if (count == 0 || !merge(&rest[count - 1], in->atoms[i]))
            rest[count++] = in->atoms[i];
    *out = (struct view){.offset = in->offset};
    for (uint32_t axis = 0; axis < shape->rank; axis++) {
        int64_t target[PROBES];
        for (uint32_t p = 0; p < PROBES; p++)
            if ((target[p] = shape->dims[p][axis]) < 1)
                return false;
        view_open_axis(out);
        if (!fill_axis(out, rest, &at, count, target))
            return false;
    }
    return at == count;
}

static void append_axis(struct view *out, const struct view *in, uint32_t axis)
{
    view_open_axis(out);
    for (uint32_t i = view_start(in, axis); i < in->ends[axis]; i++)
        view_append(out, in->atoms[i]);
}

void view_transpose(struct view *out, const struct view *in, const uint32_t *order)
{
    *out = (struct view){.offset = in->offset};
    for (uint32_t i = 0; i < in->rank; i++)
        append_axis(out, in, order[i]);
}

void view_insert(struct view *view, uint32_t axis)
{
    assert(view->rank < ONNX_MAX_RANK && axis <= view->rank);
    uint32_t end = axis > 0 ? view->ends[axis - 1] : 0;
    for (uint32_t i = view->rank; i > axis; i--)
        view->ends[i] = view->ends[i - 1];
    view->ends[axis] = end;
    view->rank++;
}

bool view_remove(struct view *view, uint32_t axis)
{
    if (view_count(view, axis) != 0)
        return false;
    for (uint32_t i = axis; i + 1 < view->rank; i++)
        view->ends[i] = view->ends[i + 1];
    view->rank--;
    return true;
}

/* Bounded, so that no product of sizes of atoms overflows. */
static bool is_small(const struct shape *shape)
{
    const int64_t limit = (int64_t)1 << 50;
    for (uint32_t p = 0; p < PROBES; p++) {
        int64_t total = 1;
        for (uint32_t axis = 0; axis < shape->rank; axis++)
            if (__builtin_mul_overflow(total, shape->dims[p][axis], &total) || total > limit)
                return false;
    }
    return true;
}

bool view_expand(struct view *out, const struct view *in, const struct shape *shape)
{
    struct shape own = view_shape(in);
    uint32_t atoms = in->rank > 0 ? in->ends[in->rank - 1] : 0;
    if (shape->rank < in->rank || atoms + shape->rank > VIEW_MAX_ATOMS || !is_small(shape))
        return false;
    *out = (struct view){.offset = in->offset};
    for (uint32_t axis = 0; axis < shape->rank; axis++) {
        uint32_t added = shape->rank - in->rank;
        bool same = axis >= added, one = true, fixed = true;
        for (uint32_t p = 0; p < PROBES; p++) {
            same = same && (own.dims[p][axis - added] == shape->dims[p][axis] || shape->dims[p][axis] == 1);
            fixed &= shape->dims[p][axis] == shape->dims[0][axis];
        }
        one = axis < added || view_count(in, axis - added) == 0;
        if (same) {
            append_axis(out, in, axis - added);
        } else if (one && fixed && shape->dims[0][axis] > 0) {
            view_open_axis(out);
            view_append(out, (struct atom){ATOM_REPEAT, shape->dims[0][axis], 0});
        } else {
            return false;
        }
    }
    return true;
}

bool view_slice(struct view *view, uint32_t axis, int64_t start, int64_t count)
{
    return view_slice_steps(view, axis, start, count, 1);
}

bool view_slice_steps(struct view *view, uint32_t axis, int64_t start, int64_t count, int64_t step)
{
    uint32_t at = view_start(view, axis);
    const struct atom *atom = view_atom(view, axis);
    if (!atom || atom->kind != ATOM_STATIC || start < 0 || count < 1 || step < 1 || start >= atom->size ||
        count - 1 > (atom->size - 1 - start) / step)
        return false;
    struct view old = *view;
    view->offset += start * atom->stride;
    *view = (struct view){.offset = view->offset};
    for (uint32_t a = 0; a < old.rank; a++) {
        if (a != axis) {
            append_axis(view, &old, a);
            continue;
        }
        view_open_axis(view);
        view_append(view, (struct atom){ATOM_STATIC, count, count > 1 ? old.atoms[at].stride * step : 1});
    }
    return true;
}
