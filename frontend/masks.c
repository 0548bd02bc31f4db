/* See frontend/masks.h. A mask has an element for each head, or one for all heads, and each pair of query and
 * key. What a whole row of scores has in common makes no difference to a softmax, so that rows are compared
 * from the query's own position on: there a slope is a straight line. */
#include "frontend/masks.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What counts as minus infinity in a mask: exp() of it is 0 whatever the scores. */
static const double masked_below = -1e4;
/* Of what falls with the distance: bfloat16 rounds products of slopes and positions to 8 bits. */
static const double slope_tolerance = 0x1p-6;

/* ---- reading ---- */

static int64_t atom_size(const struct atom *atom, uint32_t probe)
{
    return atom->kind == ATOM_BATCH                                 ? probes[probe].batch
           : atom->kind == ATOM_STATIC || atom->kind == ATOM_REPEAT ? atom->size
                                                                    : probes[probe].sequence;
}

/* Adds to *head what element `index` of an axis says about it. */
static void add_head(int64_t *head, const struct view *view, uint32_t axis, int64_t index, uint32_t probe)
{
    for (uint32_t i = view->ends[axis]; i-- > view_start(view, axis);) {
        int64_t size = atom_size(&view->atoms[i], probe);
        if (view->atoms[i].kind == ATOM_STATIC)
            *head += index % size * view->atoms[i].stride;
        index /= size;
    }
}

static bool has_heads(const struct view *view, uint32_t axis)
{
    for (uint32_t i = view_start(view, axis); i < view->ends[axis]; i++)
        if (view->atoms[i].kind == ATOM_STATIC)
            return true;
    return false;
}

/* The scores and a mask at one probe: how it is walked through. */
struct reading {
    const struct view *view;
    const struct array *mask;
    uint32_t probe;
    struct shape shape;
    int64_t strides[ONNX_MAX_RANK];
    int64_t heads, total; /* of the mask: 1 where it is the same for all; elements to visit */
};

static enum status begin_reading(struct rule *rule, struct reading *r, int64_t heads)
{
    int64_t *dims = r->shape.dims[r->probe];
    if (!array_broadcast(r->mask, r->shape.rank, dims, r->strides))
        return rule_refuse(rule, "the attention mask does not fit the scores");
    r->heads = r->total = 1;
    for (uint32_t axis = 0; axis < r->shape.rank; axis++)
        if (r->strides[axis] != 0 && dims[axis] > 1 && has_heads(r->view, axis))
            r->heads = heads;
    for (uint32_t axis = 0; axis < r->shape.rank; axis++) {
        /* Axes that the mask is broadcast along need one pass, except positions, keys, and heads that others
         * tell apart. */
        if (r->strides[axis] == 0 && !view_axis_is(r->view, axis, ATOM_SEQUENCE) &&
            !view_axis_is(r->view, axis, ATOM_KEYS) && (r->heads == 1 || !has_heads(r->view, axis)))
            dims[axis] = 1;
        r->total *= dims[axis];
    }
    return OK;
}

/* The mask as [heads or 1, sequence, sequence], when it is the same for every batch item. */
static enum status read_mask(struct rule *rule, struct array **out, struct reading *r, int64_t heads,
                             const double map[2])
{
    TRY(begin_reading(rule, r, heads));
    int64_t length = probes[r->probe].sequence, dims[3] = {r->heads, length, length};
    int64_t index[ONNX_MAX_RANK] = {0};
    TRY(array_create(out, &rule->im->room, ONNX_FLOAT, 3, dims, rule->trace));
    bool *seen = ARENA_ARRAY(rule->im->arena, bool, (size_t)(*out)->count);
    for (int64_t i = 0; i < r->total; i++) {
        int64_t at = 0, row = -1, column = -1, head = 0;
        for (uint32_t axis = 0; axis < r->shape.rank; axis++) {
            at += r->strides[axis] * index[axis];
            row = view_axis_is(r->view, axis, ATOM_SEQUENCE) ? index[axis] : row;
            column = view_axis_is(r->view, axis, ATOM_KEYS) ? index[axis] : column;
            add_head(&head, r->view, axis, index[axis], r->probe);
        }
        if (row < 0 || column < 0 || head >= heads)
            return rule_refuse(rule, "the scores have no separate axes of positions and keys");
        double value = map ? map[r->mask->data[at] != 0] : r->mask->data[at];
        int64_t place = ((r->heads > 1 ? head : 0) * length + row) * length + column;
        if (seen[place] && !((*out)->data[place] == value))
            return rule_refuse(rule, "the attention mask differs between batch items");
        (*out)->data[place] = value;
        seen[place] = true;
        array_next(index, r->shape.rank, r->shape.dims[r->probe]);
    }
    return OK;
}

static void set_masked(struct rule *rule, const struct import_value *scores, struct array *const read[PROBES],
                       int64_t window)
{
    struct importer *im = rule->im;
    struct term term = {.kind = TERM_MASKED, .x = scores->term, .size = rule_get(rule, scores)->size};
    term.index = im->masks.count / PROBES;
    for (uint32_t p = 0; p < PROBES; p++)
        *VEC_PUSH(im->arena, &im->masks) = read[p];
    *VEC_PUSH(im->arena, &im->mask_windows) = window;
    rule_set(rule, 0, rule_term(rule, term), &scores->view);
}

enum status masks_add(struct rule *rule, const struct import_value *scores, uint32_t slot,
                      const double map[2])
{
    struct array *read[PROBES];
    TRY(import_materialise(rule->im, rule->inputs[slot], rule->trace));
    int64_t window;
    TRY(mask_check_limits(rule, rule->inputs[slot], &window));
    for (uint32_t p = 0; p < PROBES; p++) {
        struct reading r = {.view = &scores->view, .mask = rule->inputs[slot]->at[p], .probe = p};
        r.shape = view_shape(&scores->view);
        TRY(read_mask(rule, &read[p], &r, rule_get(rule, scores)->size, map));
    }
    set_masked(rule, scores, read, window);
    return OK;
}

enum status masks_add_triangle(struct rule *rule, const struct import_value *scores, int64_t window)
{
    struct array *masks[PROBES];
    for (uint32_t p = 0; p < PROBES; p++) {
        int64_t length = probes[p].sequence, dims[3] = {1, length, length};
        TRY(array_create(&masks[p], &rule->im->room, ONNX_FLOAT, 3, dims, rule->trace));
        for (int64_t i = 0; i < masks[p]->count; i++) {
            int64_t back = i / length - i % length;
            masks[p]->data[i] = back < 0 || (window > 0 && back >= window) ? -INFINITY : 0;
        }
    }
    set_masked(rule, scores, masks, window);
    return OK;
}

enum status rule_add_mask(struct rule *rule, const struct import_value *scores, uint32_t mask_slot)
{
    return masks_add(rule, scores, mask_slot, NULL);
}

enum status rule_select_mask(struct rule *rule)
{
    double fill;
    uint32_t slot = rule_is_activation(rule, 1) ? 1 : 2;
    if (!rule_is_activation(rule, slot) || !view_has_keys(&rule->inputs[slot]->view) ||
        !rule_number(rule, 3 - slot, &fill))
        return rule_refuse(rule, "only attention scores and one number can be selected by a mask");
    double map[2] = {slot == 1 ? fill : 0, slot == 1 ? 0 : fill};
    return masks_add(rule, rule->inputs[slot], 0, map);
}

/* ---- the sum of all masks ---- */

/* [heads, sequence, sequence] at each probe. */
struct sums {
    int64_t heads;
    double *values[PROBES];
};

static double *row_of(const struct sums *s, uint32_t probe, int64_t head, int64_t row)
{
    int64_t length = probes[probe].sequence;
    return s->values[probe] + (head * length + row) * length;
}

static enum status add_sums(struct rule *rule, struct masking *m, struct sums *s, uint32_t mask)
{
    const struct importer *im = rule->im;
    int64_t window = im->mask_windows.items[mask];
    if (m->softcap != 0)
        return rule_refuse(rule, "scores are masked before they are bent by a soft cap");
    if (window > 0 && (m->window == 0 || window < m->window))
        m->window = window;
    for (uint32_t p = 0; p < PROBES; p++) {
        const struct array *array = im->masks.items[mask * PROBES + p];
        int64_t square = probes[p].sequence * probes[p].sequence;
        for (int64_t i = 0; i < s->heads * square; i++) {
            double value = array->data[i % array->count];
            s->values[p][i] += value == 0 ? 0 : value * m->scale;
        }
    }
    return OK;
}

static enum status walk(struct masking *m, struct sums *s, struct rule *rule, uint32_t term)
{
    const struct importer *im = rule->im;
    const struct term *t;
    while ((t = term_get(&im->terms, term))->kind != TERM_SCORES) {
        if (t->kind == TERM_SCALE) {
            m->scale *= t->number;
        } else if (t->kind == TERM_MASKED) {
            TRY(add_sums(rule, m, s, t->index));
        } else if (t->kind == TERM_TANH && m->softcap == 0 && m->scale > 0) {
            m->softcap = m->scale; /* what is below, times it, is the scale as it would be without */
        } else {
            return rule_refuse(rule, "the softmax is taken of %s, expected attention scores",
                               term_kind_name(t->kind));
        }
        term = t->x;
    }
    m->scores = term;
    return OK;
}

/* ---- slopes ---- */

/* Rows from the query's own position on. */
static void shift_rows(const struct sums *s)
{
    for (uint32_t p = 0; p < PROBES; p++)
        for (int64_t i = 0; i < s->heads * probes[p].sequence; i++) {
            double *row = s->values[p] + i * probes[p].sequence, own = row[i % probes[p].sequence];
            for (int64_t j = 0; j < probes[p].sequence && own > masked_below; j++)
                row[j] -= own;
        }
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Takes a head's straight line away where that is what is left; 0 where it is another line. */
static double take_slope(const struct sums *s, int64_t head, double *worst)
{
    double slope = -row_of(s, PROBES - 1, head, 1)[0], error = 0;
    if (slope == 0 || slope >= -masked_below)
        return 0;
    for (uint32_t p = 0; p < PROBES; p++)
        for (int64_t i = 0; i < probes[p].sequence; i++)
            for (int64_t j = 0; j <= i; j++) {
                double value = row_of(s, p, head, i)[j], line = -slope * (double)(i - j);
                if (value > masked_below)
                    error = larger(error, fabs(value - line) / fabs(slope) / (double)(i + 1));
            }
    if (!(error <= slope_tolerance))
        return 0;
    for (uint32_t p = 0; p < PROBES; p++)
        for (int64_t i = 0; i < probes[p].sequence; i++)
            for (int64_t j = 0; j <= i; j++)
                if (row_of(s, p, head, i)[j] > masked_below)
                    row_of(s, p, head, i)[j] = 0;
    *worst = larger(*worst, error);
    return slope;
}

static uint32_t number_of(struct importer *im, const float *slopes, int64_t count)
{
    for (uint32_t i = 0; i < im->slopes.count; i++) {
        const struct frequencies *known = &im->slopes.items[i];
        if (known->count == count && memcmp(known->values, slopes, (size_t)count * sizeof *slopes) == 0)
            return i + 1;
    }
    struct frequencies list = {.count = count,
                               .values = ARENA_ARRAY(&im->model->arena, float, (size_t)count)};
    memcpy(list.values, slopes, (size_t)count * sizeof *slopes);
    *VEC_PUSH(im->arena, &im->slopes) = list;
    return im->slopes.count;
}

static void take_slopes(struct masking *m, struct sums *s, struct importer *im)
{
    double worst = 0;
    bool any = false;
    float *slopes = ARENA_ARRAY(im->arena, float, (size_t)s->heads);
    for (int64_t head = 0; head < s->heads; head++) {
        slopes[head] = (float)take_slope(s, head, &worst);
        any |= slopes[head] != 0;
    }
    if (!any)
        return;
    uint32_t known = im->slopes.count;
    m->slopes = number_of(im, slopes, s->heads);
    if (worst > 1e-5 && im->slopes.count > known)
        import_note(im,
                    "what attention scores lose with the distance is rounded in the file, by up to %.1g of a "
                    "slope at each position; it is taken as a straight line",
                    worst);
}

/* ---- what is hidden ---- */

/* The window that the last probe shows is the smallest of the masks', or there is none. */
static void see_window(struct masking *m, const struct sums *s)
{
    int64_t length = probes[PROBES - 1].sequence, seen = 0;
    const double *last = row_of(s, PROBES - 1, 0, length - 1);
    while (seen < length && last[length - 1 - seen] == 0)
        seen++;
    if (seen > 0 && seen < length && (m->window == 0 || seen < m->window))
        m->window = seen;
}

static enum status check_element(struct rule *rule, const struct masking *m, int64_t length, int64_t row,
                                 int64_t column, double value)
{
    bool is_hidden = m->window > 0 && row - column >= m->window;
    if (column > row && !(value <= masked_below))
        return rule_refuse(rule,
                           "attention mask is not causal: in %" PRId64 " positions, position %" PRId64
                           " sees the later position %" PRId64 " (mask %g)",
                           length, row, column, value);
    if (is_hidden && !(value <= masked_below))
        return rule_refuse(rule,
                           "attention mask is no window: in %" PRId64 " positions, position %" PRId64
                           " sees position %" PRId64 " (mask %g), beyond the last %" PRId64,
                           length, row, column, value, m->window);
    if (column <= row && !is_hidden && !(value == 0))
        return rule_refuse(rule,
                           "attention mask is not causal: in %" PRId64 " positions, position %" PRId64
                           " does not see position %" PRId64 " (mask %g), and what it loses is no slope",
                           length, row, column, value);
    return OK;
}

static enum status check_causal(struct rule *rule, const struct masking *m, const struct sums *s)
{
    for (uint32_t p = 0; p < PROBES; p++) {
        int64_t length = probes[p].sequence;
        for (int64_t i = 0; i < s->heads * length * length; i++)
            TRY(check_element(rule, m, length, i / length % length, i % length, s->values[p][i]));
    }
    return OK;
}

enum status masks_collect(struct masking *out, struct rule *rule, uint32_t term)
{
    struct importer *im = rule->im;
    struct sums sums = {.heads = term_get(&im->terms, term)->size};
    *out = (struct masking){.scale = 1};
    for (uint32_t p = 0; p < PROBES; p++)
        sums.values[p] =
            ARENA_ARRAY(im->arena, double, (size_t)(sums.heads * probes[p].sequence * probes[p].sequence));
    TRY(walk(out, &sums, rule, term));
    shift_rows(&sums);
    take_slopes(out, &sums, im);
    if (out->slopes > 0 && out->softcap > 0)
        return rule_refuse(rule, "scores that fall with the distance are bent by a soft cap");
    see_window(out, &sums);
    return check_causal(rule, out, &sums);
}
