/* Building mixes. */
#include "frontend/mix.h"
#include <inttypes.h>
#include <string.h>

/* Channels of a head: the smallest stride of the static atoms before the last axis; all channels when there
 * are none. */
static int64_t head_size(const struct view *view, int64_t size)
{
    int64_t head = size;
    for (uint32_t i = 0; i < view_start(view, view->rank - 1); i++)
        if (view->atoms[i].kind == ATOM_STATIC && view->atoms[i].stride < head)
            head = view->atoms[i].stride;
    return head;
}

/* `value` as a mix: each channel itself, once. The view of the mix goes to *view. */
enum status mix_from(struct rule *rule, const struct import_value *value, struct mix *mix, struct view *view)
{
    const struct term_set *terms = &rule->im->terms;
    struct import_value narrow = *value;
    double factor = 1;
    if (value->view.rank > 0)
        rule_narrow(rule, &narrow, value, head_size(&value->view, rule_get(rule, value)->size));
    const struct view *in = &narrow.view;
    uint32_t x = term_strip_scale(terms, narrow.term, &factor);
    const struct term *t = term_get(terms, x);
    /* One channel has no atom. */
    bool is_single = in->rank > 0 && view_count(in, in->rank - 1) == 0;
    const struct atom single = {ATOM_STATIC, 1, 1},
                      *found = in->rank > 0 ? view_atom(in, in->rank - 1) : NULL;
    const struct atom *channel = is_single ? &single : found;
    if (!channel || channel->kind != ATOM_STATIC)
        return rule_refuse(rule, "the last axis is not a run of channels of a head");
    if (channel->size > MIX_MAX_CHANNELS)
        return rule_refuse(rule, "a head of more than %d channels", MIX_MAX_CHANNELS);
    int64_t head = head_size(in, t->size), heads = 1;
    *view = (struct view){0};
    for (uint32_t axis = 0; axis + 1 < in->rank; axis++) {
        view_open_axis(view);
        for (uint32_t i = view_start(in, axis); i < in->ends[axis]; i++) {
            struct atom atom = in->atoms[i];
            if (atom.kind == ATOM_KEYS || (atom.kind == ATOM_STATIC && atom.stride % head != 0))
                return rule_refuse(rule, "the axes of %s are not batch, sequence, heads and channels",
                                   term_kind_name(t->kind));
            heads *= atom.kind == ATOM_STATIC ? atom.size : 1;
            atom.stride = atom.stride / head * channel->size;
            view_append(view, atom);
        }
    }
    view_open_axis(view);
    view_append(view, (struct atom){ATOM_STATIC, channel->size, 1});
    if (head * heads != t->size || in->offset + (channel->size - 1) * channel->stride >= head)
        return rule_refuse(rule, "a part of the channels of %s is not the same part of every head",
                           term_kind_name(t->kind));
    const struct mix *inner = t->kind == TERM_MIX ? rule->im->mixes.items[t->index] : NULL;
    /* Pairs of channels that were joined before may be many to a head. */
    int64_t blocks = inner ? head / inner->count : 1;
    if (inner && inner->count * blocks != head)
        return rule_refuse(rule, "heads of %" PRId64 " channels are read as heads of %" PRId64, inner->count,
                           head);
    *mix =
        (struct mix){inner ? inner->x : x, inner ? inner->head * blocks : head, heads, channel->size, NULL};
    mix->entries = ARENA_ARRAY(rule->im->arena, struct mix_entry, (size_t)mix->count);
    for (int64_t j = 0; j < mix->count; j++) {
        int64_t place = in->offset + j * channel->stride;
        struct mix_part own = {place, 1, MIX_NO_TABLE, 0};
        mix->entries[j] = inner ? inner->entries[place % inner->count] : (struct mix_entry){1, {own}};
        for (uint32_t p = 0; p < mix->entries[j].count; p++) {
            mix->entries[j].parts[p].factor *= factor;
            mix->entries[j].parts[p].source += inner ? place / inner->count * inner->head : 0;
        }
    }
    return OK;
}

/* Channels in front that are sums of two products with tables, when all behind them are as they were; 0 when
 * there is more to come. */
static int64_t turned_channels(const struct mix *mix)
{
    int64_t turned = 0;
    if (mix->count != mix->head)
        return 0;
    while (turned < mix->count && mix->entries[turned].count == 2)
        turned++;
    for (int64_t j = turned; j < mix->count; j++) {
        const struct mix_part *part = &mix->entries[j].parts[0];
        if (mix->entries[j].count != 1 || part->table != MIX_NO_TABLE || part->source != j ||
            part->factor != 1)
            return 0;
    }
    return turned;
}

/* Is each channel in front a sum of its own and the one beside it, two by two? */
static bool turns_neighbours(const struct mix *mix, int64_t turned)
{
    for (int64_t j = 0; j < turned; j++)
        for (uint32_t p = 0; p < 2; p++)
            if (mix->entries[j].parts[p].source / 2 != j / 2)
                return false;
    return turned > 2 && turned % 2 == 0;
}

static enum status set_rope(struct rule *rule, const struct mix *mix, int64_t turned, const struct view *view)
{
    struct importer *im = rule->im;
    struct term term = {.kind = TERM_ROPE, .x = mix->x, .size = mix->heads * mix->head, .groups = mix->heads};
    double factor = 1;
    TRY(rotary_recognise(rule, mix, turned, &term.index, &factor));
    if (factor != 1 && turned != mix->count)
        return rule_refuse(rule, "a rotated part of a head is scaled by %g, the rest is not", factor);
    rule_set(rule, 0, term_scale(&im->terms, rule_term(rule, term), factor, im->node), view);
    return OK;
}

enum status mix_finish(struct rule *rule, const struct mix *mix, const struct view *view)
{
    struct importer *im = rule->im;
    struct term term = {.kind = TERM_MIX, .size = mix->heads * mix->count, .index = im->mixes.count};
    int64_t turned = turned_channels(mix);
    if (turned > 0 && !turns_neighbours(mix, turned))
        return set_rope(rule, mix, turned, view);
    struct mix *kept = ARENA_NEW(im->arena, struct mix);
    *kept = *mix;
    *VEC_PUSH(im->arena, &im->mixes) = kept;
    rule_set(rule, 0, rule_term(rule, term), view);
    return OK;
}

/* Channels in the order in which halves are rotated: of those in front the even ones, the odd ones, the rest.
 * The mix is that of x with its channels in that order. */
static void reorder(struct rule *rule, struct mix *mix, int64_t turned, int64_t *channels)
{
    struct mix_entry *entries = ARENA_ARRAY(rule->im->arena, struct mix_entry, (size_t)mix->count);
    int64_t half = turned / 2;
    for (int64_t j = 0; j < mix->count; j++) {
        int64_t from = j < half ? 2 * j : j < turned ? 2 * (j - half) + 1 : j;
        channels[j] += from - j;
        entries[j] = mix->entries[from];
        for (uint32_t p = 0; j < turned && p < entries[j].count; p++) {
            int64_t *source = &entries[j].parts[p].source;
            *source = *source / 2 + *source % 2 * half;
        }
    }
    mix->entries = entries;
}

enum status mix_settle(struct rule *rule, struct import_value *value, int64_t *reordered)
{
    double scale = 1;
    *reordered = 0;
    uint32_t number = term_strip_scale(&rule->im->terms, value->term, &scale);
    const struct term *t = term_get(&rule->im->terms, number);
    if (t->kind != TERM_MIX)
        return OK;
    struct mix part = *rule->im->mixes.items[t->index];
    struct mix_entry *entries = ARENA_ARRAY(rule->im->arena, struct mix_entry, (size_t)part.count);
    int64_t first = part.head;
    for (int64_t j = 0; j < part.count; j++)
        for (uint32_t p = 0; p < part.entries[j].count; p++)
            first = part.entries[j].parts[p].source < first ? part.entries[j].parts[p].source : first;
    for (int64_t j = 0; j < part.count; j++) {
        entries[j] = part.entries[j];
        for (uint32_t p = 0; p < entries[j].count; p++)
            entries[j].parts[p].source -= first;
    }
    part.entries = entries;
    bool is_inside = first + part.count <= part.head;
    int64_t wide = part.head, *channels = ARENA_ARRAY(rule->im->arena, int64_t, (size_t)part.count);
    for (int64_t j = 0; j < part.count; j++)
        channels[j] = first + j;
    part.head = part.count;
    int64_t turned = turned_channels(&part);
    if (is_inside && turns_neighbours(&part, turned)) {
        reorder(rule, &part, turned, channels);
        *reordered = turned;
    }
    uint32_t x =
        is_inside && turned > 0 ? rule_order_channels(rule, part.x, wide, channels, part.count) : TERM_NONE;
    if (x == TERM_NONE)
        return rule_refuse(
            rule, "a part of a rotary embedding is read that is neither whole heads nor neighbouring "
                  "channels of each head of a linear layer");
    part.x = x;
    struct import_value output = rule->outputs[0];
    TRY(set_rope(rule, &part, turned, &value->view));
    value->term = term_scale(&rule->im->terms, rule->outputs[0].term, scale, rule->im->node);
    rule->outputs[0] = output;
    return OK;
}

enum status rule_table_product(struct rule *rule, const struct import_value *x, uint32_t table_slot)
{
    struct mix mix;
    struct view view;
    uint32_t table;
    TRY_WITH(
        rule->trace, mix_from(rule, x, &mix, &view),
        "where %s is multiplied by a constant that is neither a number nor a stored vector of its channels",
        term_kind_name(rule_get(rule, x)->kind));
    TRY(rotary_table_read(rule, table_slot, &view, mix.count, &table));
    for (int64_t j = 0; j < mix.count; j++)
        for (uint32_t p = 0; p < mix.entries[j].count; p++) {
            struct mix_part *part = &mix.entries[j].parts[p];
            if (part->table != MIX_NO_TABLE)
                return rule_refuse(rule, "a channel is multiplied by two rotary tables");
            part->table = table;
            part->column = j;
        }
    return mix_finish(rule, &mix, &view);
}

static bool fits(const struct mix *a, const struct mix *b)
{
    return a->x == b->x && a->head == b->head && a->heads == b->heads;
}

enum status mix_sum(struct rule *rule, const struct import_value *x, const struct import_value *y)
{
    struct mix a, b;
    struct view view, other;
    TRY(mix_from(rule, x, &a, &view));
    TRY(mix_from(rule, y, &b, &other));
    if (!fits(&a, &b) || a.count != b.count || !view_equal(&view, &other))
        return rule_refuse(rule, "the two parts of a rotary embedding are not of the same value");
    for (int64_t j = 0; j < a.count; j++) {
        struct mix_entry *into = &a.entries[j], *from = &b.entries[j];
        if (into->count + from->count > MIX_MAX_PARTS)
            return rule_refuse(rule, "a channel of a rotary embedding is a sum of more than %d products",
                               MIX_MAX_PARTS);
        for (uint32_t p = 0; p < from->count; p++)
            into->parts[into->count++] = from->parts[p];
    }
    return mix_finish(rule, &a, &view);
}

/* Do the parts have heads, channels, and an axis behind those, along which they are joined? Without heads
 * what looks like channels may be heads of pairs, which is the same thing where it is all channels. */
static bool are_stacked(const struct rule *rule, struct import_value *const *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct view *view = &parts[i]->view;
        const struct atom *channels = view->rank > 1 ? view_atom(view, view->rank - 2) : NULL;
        bool has_heads = false;
        if (!channels || channels->kind != ATOM_STATIC || view_count(view, view->rank - 1) != 0)
            return false;
        for (uint32_t a = 0; a < view_start(view, view->rank - 2); a++)
            has_heads |= view->atoms[a].kind == ATOM_STATIC;
        if (!has_heads && channels->size * channels->stride == rule_get(rule, parts[i])->size)
            return false;
    }
    return true;
}

/* One channel of each part in turn. */
static enum status stack(struct rule *rule, struct import_value *const *parts, uint32_t count)
{
    struct mix whole = {0}, part;
    struct view view = {0}, own;
    for (uint32_t i = 0; i < count; i++) {
        struct import_value flat = *parts[i];
        if (!view_remove(&flat.view, flat.view.rank - 1))
            return rule_refuse(rule, "the last axis of part %u is no axis of one element", i);
        TRY_WITH(rule->trace, mix_from(rule, &flat, &part, &own), "where activations are stacked");
        if (i == 0) {
            whole = part;
            whole.count *= count;
            whole.entries = ARENA_ARRAY(rule->im->arena, struct mix_entry, (size_t)whole.count);
            view = own;
        }
        if (!fits(&whole, &part) || part.count * count != whole.count || !view_equal(&view, &own))
            return rule_refuse(rule, "parts of different values are stacked");
        for (int64_t j = 0; j < part.count; j++)
            whole.entries[j * count + i] = part.entries[j];
    }
    if (whole.count > whole.head)
        return rule_refuse(rule, "a stack has more channels than a head of what it is made of");
    struct view final = {0};
    for (uint32_t axis = 0; axis < view.rank; axis++) {
        view_open_axis(&final);
        for (uint32_t i = view_start(&view, axis); i < view.ends[axis]; i++) {
            struct atom atom = view.atoms[i];
            atom.stride *= atom.kind == ATOM_STATIC ? count : 1;
            view_append(&final, atom);
        }
    }
    view_open_axis(&final);
    view_append(&final, (struct atom){ATOM_STATIC, count, 1});
    return mix_finish(rule, &whole, &final);
}

enum status mix_concat(struct rule *rule, struct import_value *const *parts, uint32_t count)
{
    if (are_stacked(rule, parts, count))
        return stack(rule, parts, count);
    struct mix whole = {0};
    struct view view = {0};
    int64_t last = 1; /* channels of a head of the last part */
    for (uint32_t i = 0; i < count; i++) {
        struct mix part;
        struct view own;
        TRY_WITH(rule->trace, mix_from(rule, parts[i], &part, &own), "where activations are concatenated");
        if (i > 0 && (!fits(&whole, &part) || own.rank != view.rank))
            return rule_refuse(rule, "parts of different values are concatenated");
        struct mix_entry *entries =
            ARENA_ARRAY(rule->im->arena, struct mix_entry, (size_t)(whole.count + part.count));
        if (whole.count > 0)
            memcpy(entries, whole.entries, (size_t)whole.count * sizeof *entries);
        memcpy(entries + whole.count, part.entries, (size_t)part.count * sizeof *entries);
        int64_t total = whole.count + part.count;
        whole = part;
        whole.count = total;
        whole.entries = entries;
        view = own;
        last = part.count;
    }
    if (whole.count > whole.head)
        return rule_refuse(rule, "a concatenation has more channels than a head of what it is made of");
    /* The last part's view, its channels counted anew. */
    struct view final = {0};
    for (uint32_t axis = 0; axis + 1 < view.rank; axis++) {
        view_open_axis(&final);
        for (uint32_t i = view_start(&view, axis); i < view.ends[axis]; i++) {
            struct atom atom = view.atoms[i];
            atom.stride = atom.stride / last * whole.count;
            view_append(&final, atom);
        }
    }
    view_open_axis(&final);
    view_append(&final, (struct atom){ATOM_STATIC, whole.count, 1});
    return mix_finish(rule, &whole, &final);
}
