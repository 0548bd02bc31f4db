/* Rules of attention: queries times keys, masks, softmax, weights times values. Which key head a query head
 * reads is proved from the atoms of the stacked axes; that the mask is causal, from its elements at the
 * probes. */
#include "frontend/masks.h"
#include "frontend/mix.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Query heads against key heads: groups that both have, then repeats that only the queries have. */
struct pairing {
    int64_t groups, repeats;
    struct view view; /* of the stacked axes, over query heads */
};

struct head_pair {
    int64_t size, query_stride, key_stride;
    bool is_repeat;
};

struct pair_list {
    struct head_pair items[2 * VIEW_MAX_ATOMS];
    uint32_t count;
};

/* Atoms of one stacked axis on both sides, cut to common sizes. */
static enum status pair_axis(struct rule *rule, struct pair_list *list, struct view *out,
                             const struct view *queries, const struct view *keys, uint32_t axis)
{
    struct atom a[VIEW_MAX_ATOMS], b[VIEW_MAX_ATOMS];
    uint32_t m = view_count(queries, axis), n = view_count(keys, axis), i = 0, j = 0;
    memcpy(a, queries->atoms + view_start(queries, axis), m * sizeof *a);
    memcpy(b, keys->atoms + view_start(keys, axis), n * sizeof *b);
    view_open_axis(out);
    if (n == 0) /* broadcasting repeats */
        for (; n < m; n++)
            b[n] = (struct atom){ATOM_REPEAT, a[n].size, 0};
    while (i < m && j < n) {
        if (out->ends[out->rank - 1] + 1 >= VIEW_MAX_ATOMS || list->count == 2 * VIEW_MAX_ATOMS)
            return rule_refuse(rule, "the heads have too many factors");
        if (a[i].kind == ATOM_BATCH && b[j].kind == ATOM_BATCH) {
            view_append(out, a[i++]);
            j++;
            continue;
        }
        if (a[i].kind != ATOM_STATIC || (b[j].kind != ATOM_STATIC && b[j].kind != ATOM_REPEAT))
            return rule_refuse(rule, "stacked axis %u does not pair query heads with key heads", axis);
        int64_t size = a[i].size < b[j].size ? a[i].size : b[j].size;
        if (a[i].size % size != 0 || b[j].size % size != 0)
            return rule_refuse(rule, "%" PRId64 " query heads do not pair with %" PRId64 " key heads",
                               a[i].size, b[j].size);
        struct head_pair *pair = &list->items[list->count++];
        *pair = (struct head_pair){size, a[i].stride * (a[i].size / size), b[j].stride * (b[j].size / size),
                                   b[j].kind == ATOM_REPEAT};
        view_append(out, (struct atom){ATOM_STATIC, size, pair->query_stride});
        a[i].size /= size;
        b[j].size /= size;
        i += a[i].size == 1;
        j += b[j].size == 1;
    }
    if (i < m || j < n)
        return rule_refuse(rule, "stacked axis %u has more heads on one side", axis);
    return OK;
}

static enum status check_order(struct rule *rule, struct pairing *out, const struct pair_list *list,
                               int64_t query_unit, int64_t key_unit)
{
    int64_t query_stride = query_unit, key_stride = key_unit;
    out->groups = out->repeats = 1;
    for (uint32_t i = list->count; i-- > 0;) {
        const struct head_pair *pair = &list->items[i];
        if (pair->query_stride != query_stride || (!pair->is_repeat && pair->key_stride != key_stride))
            return rule_refuse(rule, "heads are not stacked in the order of their channels");
        if (pair->is_repeat && out->groups > 1)
            return rule_refuse(rule,
                               "key heads are tiled (query head i reads key head i mod %" PRId64
                               "), expected each repeated in place",
                               out->groups);
        query_stride *= pair->size;
        if (pair->is_repeat) {
            out->repeats *= pair->size;
        } else {
            out->groups *= pair->size;
            key_stride *= pair->size;
        }
    }
    return OK;
}

static enum status pair_heads(struct rule *rule, struct pairing *out, struct view queries, struct view keys,
                              int64_t query_unit, int64_t key_unit)
{
    struct pair_list list = {.count = 0};
    while (queries.rank < keys.rank)
        view_insert(&queries, 0);
    while (keys.rank < queries.rank)
        view_insert(&keys, 0);
    *out = (struct pairing){.groups = 1};
    for (uint32_t axis = 0; axis + 2 < queries.rank; axis++)
        TRY(pair_axis(rule, &list, &out->view, &queries, &keys, axis));
    return check_order(rule, out, &list, query_unit, key_unit);
}

/* How many neighbouring channels an axis runs over; 0 when it runs over something else. */
static int64_t channels_of(const struct view *view, uint32_t axis)
{
    const struct atom *atom = view_atom(view, axis);
    if (view_count(view, axis) == 0)
        return 1;
    return atom && atom->kind == ATOM_STATIC && atom->stride == 1 ? atom->size : 0;
}

/* Queries or keys with no other channels than their view shows. */
static enum status settle(struct rule *rule, struct import_value *value, int64_t *reordered)
{
    struct import_value wide = *value;
    rule_narrow(rule, value, &wide, 1);
    return mix_settle(rule, value, reordered);
}

enum status rule_scores(struct rule *rule)
{
    struct import_value queries = *rule->inputs[0], keys = *rule->inputs[1], *q = &queries, *k = &keys;
    int64_t reordered[2];
    TRY(settle(rule, q, &reordered[0]));
    TRY(settle(rule, k, &reordered[1]));
    if (reordered[0] != reordered[1])
        return rule_refuse(
            rule, "neighbouring channels are rotated, %" PRId64 " of each query and %" PRId64 " of each key",
            reordered[0], reordered[1]);
    uint32_t m = q->view.rank, n = k->view.rank;
    if (m < 3 || n < 3 || !view_axis_is(&q->view, m - 2, ATOM_SEQUENCE) ||
        channels_of(&q->view, m - 1) == 0 || !view_axis_is(&k->view, n - 1, ATOM_SEQUENCE) ||
        channels_of(&k->view, n - 2) == 0 || q->view.offset != 0 || k->view.offset != 0)
        return rule_refuse(rule,
                           "its operands (%s, %s) are not queries [..., sequence, channels] and keys "
                           "[..., channels, sequence]",
                           term_kind_name(rule_get(rule, q)->kind), term_kind_name(rule_get(rule, k)->kind));
    int64_t head = channels_of(&q->view, m - 1);
    struct pairing pairing;
    TRY(pair_heads(rule, &pairing, q->view, k->view, head, head));
    int64_t heads = pairing.groups * pairing.repeats;
    if (channels_of(&k->view, n - 2) != head || rule_get(rule, q)->size != heads * head ||
        rule_get(rule, k)->size != pairing.groups * head)
        return rule_refuse(rule,
                           "%" PRId64 " query heads and %" PRId64 " key heads of %" PRId64
                           " channels are not all there is of queries and keys",
                           heads, pairing.groups, head);
    double scale = 1;
    struct term term = {.kind = TERM_SCORES, .size = heads, .heads = heads, .groups = pairing.groups};
    term.x = term_strip_scale(&rule->im->terms, q->term, &scale);
    term.y = term_strip_scale(&rule->im->terms, k->term, &scale);
    struct view view = {0};
    for (uint32_t axis = 0; axis < pairing.view.rank; axis++) {
        view_open_axis(&view);
        for (uint32_t i = view_start(&pairing.view, axis); i < pairing.view.ends[axis]; i++) {
            struct atom atom = pairing.view.atoms[i];
            atom.stride /= head;
            view_append(&view, atom);
        }
    }
    view_open_axis(&view);
    view_append(&view, (struct atom){.kind = ATOM_SEQUENCE});
    view_open_axis(&view);
    view_append(&view, (struct atom){.kind = ATOM_KEYS});
    rule_set(rule, 0, term_scale(&rule->im->terms, rule_term(rule, term), scale, rule->im->node), &view);
    return OK;
}

/* Masked scores become weights: the masks are summed and must be causal, with a window or without. The scores
 * below a soft cap are divided by it: softcap * tanh(scale * x / softcap). */
static enum status normalise(struct rule *rule, const struct import_value *x)
{
    struct masking m;
    TRY(masks_collect(&m, rule, x->term));
    const struct term *t = term_get(&rule->im->terms, m.scores);
    struct term term = {.kind = TERM_SOFTMAX, .x = m.scores, .size = t->size, .number = m.scale};
    term.softcap = m.softcap;
    term.window = m.window;
    term.index = m.slopes;
    rule_set(rule, 0, rule_term(rule, term), &x->view);
    return OK;
}

enum status rule_Softmax(struct rule *rule)
{
    if (!rule_is_activation(rule, 0) || rule->inputs[0]->view.rank == 0)
        return rule_refuse(rule, "its first input is not an activation");
    const struct import_value *x = rule->inputs[0];
    uint32_t axis;
    if (!onnx_resolve_axis(onnx_integer(rule->node, "axis", rule->im->file->opset < 13 ? 1 : -1),
                           x->view.rank, &axis) ||
        axis + 1 != x->view.rank || !view_axis_is(&x->view, axis, ATOM_KEYS))
        return rule_refuse(rule, "the softmax of %s is not over the keys of attention scores",
                           term_kind_name(rule_get(rule, x)->kind));
    return normalise(rule, x);
}

/* Exporters split, fold and round the usual scale in several ways; all of them mean 1 / sqrt(head). */
static double snap_scale(double scale, int64_t head)
{
    double usual = 1 / sqrt((double)head);
    return fabs(scale / usual - 1) < 1e-6 ? usual : scale;
}

enum status rule_weigh(struct rule *rule)
{
    struct import_value values = *rule->inputs[1];
    const struct import_value *w = rule->inputs[0], *v = &values;
    rule_narrow(rule, &values, rule->inputs[1], 1);
    const struct term *softmax = rule_get(rule, w);
    uint32_t m = w->view.rank, n = v->view.rank;
    if (softmax->kind != TERM_SOFTMAX || m < 3 || n < 3 || !view_axis_is(&w->view, m - 1, ATOM_KEYS) ||
        !view_axis_is(&w->view, m - 2, ATOM_SEQUENCE) || !view_axis_is(&v->view, n - 2, ATOM_SEQUENCE) ||
        channels_of(&v->view, n - 1) == 0 || w->view.offset != 0 || v->view.offset != 0)
        return rule_refuse(rule,
                           "its operands (%s, %s) are not attention weights [..., sequence, keys] and values "
                           "[..., sequence, channels]",
                           term_kind_name(softmax->kind), term_kind_name(rule_get(rule, v)->kind));
    const struct term *scores = term_get(&rule->im->terms, softmax->x);
    int64_t head = channels_of(&v->view, n - 1);
    struct pairing pairing;
    TRY(pair_heads(rule, &pairing, w->view, v->view, 1, head));
    if (pairing.groups != scores->groups || pairing.groups * pairing.repeats != scores->heads ||
        rule_get(rule, v)->size != pairing.groups * head)
        return rule_refuse(rule, "%" PRId64 " value heads for %" PRId64 " key heads", pairing.groups,
                           scores->groups);
    struct term term = {.kind = TERM_ATTENTION, .x = scores->x, .y = scores->y, .z = v->term};
    term.softcap = softmax->softcap;
    term.window = softmax->window;
    term.index = softmax->index;
    term.heads = scores->heads;
    term.groups = scores->groups;
    term.size = scores->heads * head;
    term.number = snap_scale(softmax->number, term_get(&rule->im->terms, scores->x)->size / scores->heads);
    struct view view = {0};
    for (uint32_t axis = 0; axis < pairing.view.rank; axis++) {
        view_open_axis(&view);
        for (uint32_t i = view_start(&pairing.view, axis); i < pairing.view.ends[axis]; i++) {
            struct atom atom = pairing.view.atoms[i];
            atom.stride *= head;
            view_append(&view, atom);
        }
    }
    view_open_axis(&view);
    view_append(&view, (struct atom){.kind = ATOM_SEQUENCE});
    view_open_axis(&view);
    view_append(&view, (struct atom){ATOM_STATIC, head, 1});
    rule_set(rule, 0, rule_term(rule, term), &view);
    return OK;
}

/* Keys and values of fewer heads are repeated in place (operator Attention, "grouped query attention"). */
static enum status repeat_heads(struct rule *rule, struct view *out, const struct view *keys,
                                const struct view *queries)
{
    if (queries->rank != 4 || keys->rank != 4)
        return rule_refuse(rule, "its operands are not [batch, heads, sequence, channels]");
    struct shape wide = view_shape(queries), narrow = view_shape(keys);
    int64_t sizes[2] = {wide.dims[0][1], narrow.dims[0][1]};
    if (wide.dims[PROBES - 1][1] != sizes[0] || narrow.dims[PROBES - 1][1] != sizes[1])
        return rule_refuse(rule, "the number of heads is not constant");
    if (sizes[0] % sizes[1] != 0)
        return rule_refuse(rule, "%" PRId64 " query heads for %" PRId64 " key heads", sizes[0], sizes[1]);
    if (keys->ends[3] == VIEW_MAX_ATOMS)
        return rule_refuse(rule, "the heads have too many factors");
    *out = (struct view){.offset = keys->offset};
    for (uint32_t axis = 0; axis < 4; axis++) {
        view_open_axis(out);
        for (uint32_t i = view_start(keys, axis); i < keys->ends[axis]; i++)
            view_append(out, keys->atoms[i]);
        if (axis == 1)
            view_append(out, (struct atom){ATOM_REPEAT, sizes[0] / sizes[1], 0});
    }
    return OK;
}

static enum status check_attention(struct rule *rule)
{
    if (rule->input_count < 3 || !rule_is_activation(rule, 0) || !rule_is_activation(rule, 1) ||
        !rule_is_activation(rule, 2))
        return rule_refuse(rule, "its queries, keys and values are not activations");
    for (uint32_t i = 4; i < rule->input_count; i++) {
        if (!rule->inputs[i])
            continue;
        if (!rule_is_concrete(rule, i))
            return rule_refuse(rule, "input %u is not empty", i);
        TRY(import_materialise(rule->im, rule->inputs[i], rule->trace));
        for (uint32_t p = 0; p < PROBES; p++)
            if (rule->inputs[i]->at[p]->count != 0)
                return rule_refuse(rule, "input %u is not empty", i);
    }
    return OK;
}

bool rule_split_heads(struct import_value *x, int64_t heads)
{
    struct shape wide = view_shape(&x->view), split = {.rank = 4};
    struct view view;
    if (wide.rank != 3 || heads < 1)
        return false;
    for (uint32_t p = 0; p < PROBES; p++) {
        const int64_t dims[4] = {wide.dims[p][0], wide.dims[p][1], heads, wide.dims[p][2] / heads};
        if (wide.dims[p][2] % heads != 0)
            return false;
        memcpy(split.dims[p], dims, sizeof dims);
    }
    if (!view_reshape(&view, &x->view, &split))
        return false;
    view_transpose(&x->view, &view, (const uint32_t[]){0, 2, 1, 3});
    return true;
}

bool rule_merge_heads(struct import_value *x)
{
    struct shape split = view_shape(&x->view), wide = {.rank = 3};
    struct view view;
    if (split.rank != 4)
        return false;
    for (uint32_t p = 0; p < PROBES; p++) {
        const int64_t dims[3] = {split.dims[p][0], split.dims[p][2], split.dims[p][1] * split.dims[p][3]};
        memcpy(wide.dims[p], dims, sizeof dims);
    }
    view_transpose(&view, &x->view, (const uint32_t[]){0, 2, 1, 3});
    return view_reshape(&x->view, &view, &wide);
}

/* softcap * tanh(scores / softcap) */
static void bend(struct rule *rule, struct import_value *scores, double softcap)
{
    struct term_set *terms = &rule->im->terms;
    uint32_t origin = rule->im->node, inner = term_scale(terms, scores->term, 1 / softcap, origin);
    struct term term = {.kind = TERM_TANH, .x = inner, .size = term_get(terms, inner)->size};
    scores->term = term_scale(terms, rule_term(rule, term), softcap, origin);
}

/* The same steps as in the primitive form. */
enum status rule_attend(struct rule *rule, const struct attention_operands *operands)
{
    static const double visible[2] = {-INFINITY, 0};
    static const uint32_t swap_last[4] = {0, 1, 3, 2};
    struct import_value q = operands->q, k = operands->k, v = operands->v, *mask = operands->mask;
    struct view wide;
    TRY(repeat_heads(rule, &wide, &k.view, &q.view));
    view_transpose(&k.view, &wide, swap_last);
    TRY(repeat_heads(rule, &wide, &v.view, &q.view));
    v.view = wide;
    struct rule *inner = ARENA_NEW(rule->im->arena, struct rule);
    *inner = (struct rule){.im = rule->im, .node = rule->node, .trace = rule->trace, .input_count = 2};
    inner->inputs[0] = &q;
    inner->inputs[1] = &k;
    TRY(rule_scores(inner));
    struct import_value scores = inner->outputs[0];
    scores.term = term_scale(&rule->im->terms, scores.term, operands->scale, rule->im->node);
    if (operands->softcap > 0)
        bend(rule, &scores, operands->softcap);
    if (mask) {
        TRY(import_materialise(rule->im, mask, rule->trace));
        inner->inputs[1] = mask;
        TRY(masks_add(inner, &scores, 1, mask->at[0]->type == ONNX_BOOL ? visible : NULL));
        scores = inner->outputs[0];
    }
    if (operands->is_causal) {
        TRY(masks_add_triangle(inner, &scores, operands->window));
        scores = inner->outputs[0];
    }
    TRY(normalise(inner, &scores));
    struct import_value weights = inner->outputs[0];
    inner->inputs[0] = &weights;
    inner->inputs[1] = &v;
    TRY(rule_weigh(inner));
    rule->outputs[0] = inner->outputs[0];
    return OK;
}

/* The operator of opset 23, with heads as an axis or side by side. */
enum status rule_Attention(struct rule *rule)
{
    TRY(check_attention(rule));
    struct attention_operands o = {.q = *rule->inputs[0], .k = *rule->inputs[1], .v = *rule->inputs[2]};
    bool is_wide = o.q.view.rank == 3;
    int64_t heads = onnx_integer(rule->node, "q_num_heads", 0),
            groups = onnx_integer(rule->node, "kv_num_heads", 0);
    if (is_wide && (!rule_split_heads(&o.q, heads) || !rule_split_heads(&o.k, groups) ||
                    !rule_split_heads(&o.v, groups)))
        return rule_refuse(
            rule, "its operands are not %" PRId64 " query heads and %" PRId64 " key heads side by side",
            heads, groups);
    const struct atom *channels = o.q.view.rank == 4 ? view_atom(&o.q.view, 3) : NULL;
    if (!channels)
        return rule_refuse(rule, "its queries have no channels");
    if (rule_is_concrete(rule, 3))
        o.mask = rule->inputs[3];
    o.scale = (double)onnx_real(rule->node, "scale", (float)(1 / sqrt((double)channels->size)));
    o.softcap = (double)onnx_real(rule->node, "softcap", 0);
    o.is_causal = onnx_integer(rule->node, "is_causal", 0) != 0;
    TRY(rule_attend(rule, &o));
    if (is_wide && !rule_merge_heads(&rule->outputs[0]))
        return rule_refuse(rule, "its heads cannot be put side by side");
    return OK;
}
