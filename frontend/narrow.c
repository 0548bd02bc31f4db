/* Leaving out the channels that a view does not show. */
#include "frontend/importer.h"
#include <string.h>

enum { NARROW_MAX_CHANNELS = 1 << 20, NARROW_MAX_TOTAL = 1 << 26 };

/* Channels to keep, in this order. */
struct channels {
    int64_t count;
    uint32_t *items; /* on the model's arena: views keep them */
};

/* Room for a list; false when it, or all of them together, are too long. */
static bool make_room(struct rule *rule, struct channels *keep, int64_t size)
{
    struct importer *im = rule->im;
    if (keep->count > NARROW_MAX_CHANNELS || size > UINT32_MAX ||
        im->narrowed + keep->count > NARROW_MAX_TOTAL)
        return false;
    im->narrowed += keep->count;
    keep->items = ARENA_ARRAY(&im->model->arena, uint32_t, (size_t)keep->count);
    return true;
}

static bool is_run(const struct channels *keep)
{
    for (int64_t i = 1; i < keep->count; i++)
        if (keep->items[i] != keep->items[0] + i)
            return false;
    return true;
}

static uint32_t take_weight(struct rule *rule, uint32_t weight, const struct channels *keep)
{
    struct importer *im = rule->im;
    struct tensor_view view = im->weights.items[weight];
    if (is_run(keep) && !view.index[0]) {
        view.offset += keep->items[0] * view.strides[0];
        view.dims[0] = keep->count;
    } else {
        view = tensor_view_take(&view, &im->model->arena, 0, keep->items, (uint32_t)keep->count);
    }
    return import_weight(im, &view);
}

static bool is_chain(enum term_kind kind)
{
    return kind == TERM_BIAS || kind == TERM_GAIN || kind == TERM_SCALE;
}

/* The linear layer below biases, gains and scales; false when there is something else. */
static bool has_linear(const struct term_set *terms, uint32_t term)
{
    const struct term *t = term_get(terms, term);
    while (is_chain(t->kind))
        t = term_get(terms, t->x);
    return t->kind == TERM_LINEAR;
}

static uint32_t take(struct rule *rule, uint32_t number, const struct channels *keep)
{
    struct term term = *term_get(&rule->im->terms, number);
    if (is_chain(term.kind))
        term.x = take(rule, term.x, keep);
    if (term.kind != TERM_SCALE)
        term.weight = take_weight(rule, term.weight, keep);
    term.size = keep->count;
    return rule_term(rule, term);
}

uint32_t rule_take_channels(struct rule *rule, uint32_t term, int64_t head, int64_t first, int64_t count)
{
    int64_t *channels = ARENA_ARRAY(rule->im->arena, int64_t, (size_t)count);
    if (first == 0 && count == head)
        return term;
    for (int64_t j = 0; j < count; j++)
        channels[j] = first + j;
    return rule_order_channels(rule, term, head, channels, count);
}

uint32_t rule_order_channels(struct rule *rule, uint32_t term, int64_t head, const int64_t *channels,
                             int64_t count)
{
    int64_t heads = term_get(&rule->im->terms, term)->size / head;
    struct channels keep = {.count = heads * count};
    if (!has_linear(&rule->im->terms, term) || !make_room(rule, &keep, heads * head))
        return TERM_NONE;
    for (int64_t i = 0; i < keep.count; i++)
        keep.items[i] = (uint32_t)(i / count * head + channels[i % count]);
    return take(rule, term, &keep);
}

/* The static atoms of a view, the smallest stride first. */
struct grid {
    struct atom *atoms[VIEW_MAX_ATOMS];
    uint32_t count;
};

static void sort_atoms(struct grid *grid, struct view *view)
{
    grid->count = 0;
    for (uint32_t i = 0; view->rank > 0 && i < view->ends[view->rank - 1]; i++) {
        struct atom *atom = &view->atoms[i];
        if (atom->kind != ATOM_STATIC)
            continue;
        uint32_t at = grid->count++;
        for (; at > 0 && grid->atoms[at - 1]->stride > atom->stride; at--)
            grid->atoms[at] = grid->atoms[at - 1];
        grid->atoms[at] = atom;
    }
}

/* Atoms below `whole` stay as they are, inside of whole pieces; those above are counted anew: channels
 * between neighbours in the narrow term. False when they overlap or cut a piece. */
static bool renumber(const struct grid *grid, int64_t whole, int64_t strides[VIEW_MAX_ATOMS], int64_t *count)
{
    int64_t end = whole; /* smaller atoms reach up to here */
    *count = whole;
    for (uint32_t i = 0; i < grid->count; i++) {
        const struct atom *atom = grid->atoms[i];
        strides[i] = atom->stride;
        if (whole > 1 && atom->stride < whole)
            continue;
        if (atom->stride % whole != 0 || atom->stride < end)
            return false;
        end += atom->stride * (atom->size - 1);
        strides[i] = *count;
        *count *= atom->size;
    }
    return true;
}

/* The same atoms, neighbours that are one run now merged. */
static struct view normalised(const struct view *view)
{
    struct view out = {.offset = view->offset};
    for (uint32_t axis = 0; axis < view->rank; axis++) {
        view_open_axis(&out);
        for (uint32_t i = view_start(view, axis); i < view->ends[axis]; i++)
            view_append(&out, view->atoms[i]);
    }
    return out;
}

/* Channel number `n` of the narrow term in the wide one. */
static int64_t wide_channel(const struct grid *grid, const int64_t strides[VIEW_MAX_ATOMS], int64_t whole,
                            int64_t n)
{
    int64_t at = n % whole;
    for (uint32_t i = 0; i < grid->count; i++) {
        const struct atom *atom = grid->atoms[i];
        if (whole == 1 || atom->stride >= whole)
            at += n / strides[i] % atom->size * atom->stride;
    }
    return at;
}

bool rule_narrow(struct rule *rule, struct import_value *out, const struct import_value *value, int64_t whole)
{
    const struct term_set *terms = &rule->im->terms;
    int64_t strides[VIEW_MAX_ATOMS];
    struct channels keep;
    struct grid grid;
    *out = *value;
    struct view view = value->view;
    int64_t size = term_get(terms, value->term)->size, inside = view.offset % whole,
            first = view.offset - inside;
    sort_atoms(&grid, &view);
    if (!renumber(&grid, whole, strides, &keep.count))
        return false;
    if (keep.count == size && first == 0)
        return true;
    if (keep.count >= size || !has_linear(terms, value->term) || !make_room(rule, &keep, size))
        return false;
    for (int64_t n = 0; n < keep.count; n++) {
        int64_t channel = first + wide_channel(&grid, strides, whole, n);
        if (channel >= size)
            return false;
        keep.items[n] = (uint32_t)channel;
    }
    for (uint32_t i = 0; i < grid.count; i++)
        grid.atoms[i]->stride = strides[i];
    view.offset = inside;
    out->view = normalised(&view);
    out->term = take(rule, value->term, &keep);
    return true;
}
