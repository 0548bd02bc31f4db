/* How the axes of an ONNX value lie over the elements of an expression.
 *
 * An expression (frontend/term.h) has one element for each batch item, each position and each of `size`
 * static channels, attention scores also for each key. A view lists, for each axis of the ONNX value, the
 * atoms that it runs over, major first: the batch, the positions, the keys, some static channels (size,
 * stride), or a repetition that runs over nothing. Reshape, Transpose, Unsqueeze, Expand and Slice only
 * change the view: no operator of the IR comes of them.
 *
 * Sizes are known at two probes: small batch and sequence sizes that are told apart from constants because
 * those do not vary. A view is normalised: no atom of static size 1, adjacent atoms merged where one atom
 * says the same. */
#ifndef FRONTEND_VIEW_H
#define FRONTEND_VIEW_H

#include "frontend/onnx_file.h"

enum { PROBES = 2, VIEW_MAX_ATOMS = 16 };

struct probe {
    int64_t batch, sequence;
};
extern const struct probe probes[PROBES];

enum atom_kind { ATOM_BATCH, ATOM_SEQUENCE, ATOM_KEYS, ATOM_STATIC, ATOM_REPEAT };

struct atom {
    enum atom_kind kind;
    int64_t size;   /* ATOM_STATIC, ATOM_REPEAT */
    int64_t stride; /* ATOM_STATIC: channels between neighbours */
};

struct view {
    uint32_t rank;
    uint32_t ends[ONNX_MAX_RANK]; /* axis a runs over atoms [a > 0 ? ends[a - 1] : 0, ends[a]) */
    struct atom atoms[VIEW_MAX_ATOMS];
    int64_t offset; /* channel of the first element */
};

struct shape {
    uint32_t rank;
    int64_t dims[PROBES][ONNX_MAX_RANK];
};

struct view view_rows(int64_t size); /* [batch, sequence, size] */
uint32_t view_start(const struct view *view, uint32_t axis);
uint32_t view_count(const struct view *view, uint32_t axis);
struct shape view_shape(const struct view *view);
bool view_equal(const struct view *a, const struct view *b);
/* The single atom of an axis, or NULL. */
const struct atom *view_atom(const struct view *view, uint32_t axis);
bool view_axis_is(const struct view *view, uint32_t axis,
                  enum atom_kind kind); /* exactly one atom of this kind */
/* The last axis is all `size` channels in order; the others run over batch and positions, once each. */
bool view_has_rows(const struct view *view, int64_t size);
bool view_has_keys(const struct view *view);

void view_append(struct view *view, struct atom atom); /* to the last axis */
void view_open_axis(struct view *view);                /* a new, empty last axis */
bool view_reshape(struct view *out, const struct view *in,
                  const struct shape *shape); /* false: cuts batch or positions */
void view_transpose(struct view *out, const struct view *in, const uint32_t *order);
void view_insert(struct view *view, uint32_t axis); /* an empty axis before `axis` */
bool view_remove(struct view *view, uint32_t axis); /* false when it is not empty */
bool view_expand(struct view *out, const struct view *in, const struct shape *shape);
/* Elements start .. start + count - 1 of a static axis. False when the axis is not static, or repeats. */
bool view_slice(struct view *view, uint32_t axis, int64_t start, int64_t count);
/* The same of every step-th element: start, start + step, ... */
bool view_slice_steps(struct view *view, uint32_t axis, int64_t start, int64_t count, int64_t step);

#endif
