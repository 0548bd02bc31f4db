/* See emit/onnx_interface.h. */
#include "emit/onnx_interface.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- which interface ---- */

static bool is_attention(const struct node *node)
{
    return node->op == OP_attention || node->op == OP_sloped_attention;
}

static bool has_op(const struct graph *graph, enum op op)
{
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.items[i].op == op)
            return true;
    return false;
}

/* What was asked for in addition to what the source had. */
static void add_cache(struct interface *out, const struct graph *graph)
{
    memcpy(out->cache, interface_usual.cache, sizeof out->cache);
    memcpy(out->layouts, interface_usual.layouts, sizeof out->layouts);
    if (out->mask.name.length == 0)
        out->mask = interface_usual.mask;
    if (out->positions.name.length == 0 &&
        (has_op(graph, OP_rotary_table) || has_op(graph, OP_add_positions)))
        out->positions = interface_usual.positions;
    out->numbers_hidden = out->numbers_hidden && out->positions.name.length == 0;
}

enum status onnx_interface_choose(struct interface *out, const struct graph *graph,
                                  enum emit_interface wanted, struct trace *trace)
{
    bool any = false;
    *out = wanted == EMIT_INTERFACE_TOKENS ? (struct interface){0} : graph->interface;
    if (wanted == EMIT_INTERFACE_CACHE && !interface_has_cache(out))
        add_cache(out, graph);
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const struct node *node = &graph->nodes.items[i];
        if (!is_attention(node))
            continue;
        any = true;
        if (!interface_is_empty(out) && !node_integer(node, ATTRIBUTE_causal))
            return status_fail(trace, UNSUPPORTED,
                               "ONNX export: node %" PRIu32 " (attention" STR_FORMAT
                               ") sees later positions, so the model can have no cache and no mask "
                               "(interface: tokens leaves them out)",
                               i, STR_ARGUMENT(node->origin));
    }
    if (interface_has_cache(out) && !any && wanted == EMIT_INTERFACE_CACHE)
        return status_fail(trace, UNSUPPORTED,
                           "ONNX export: a key-value cache is asked for, but the model has no attention");
    if (interface_has_cache(out) && !any)
        memset(out->cache, 0, sizeof out->cache); /* nothing is left to be cached */
    return OK;
}

/* ---- declarations ---- */

static const struct onnx_axis batch = {"batch", 0}, sequence = {"sequence", 0}, past_axis = {"past", 0},
                              total = {"total", 0};

static void declare(struct onnx_lower *l, const char *name, enum onnx_kind kind, uint32_t rank,
                    const struct onnx_axis *axes, bool is_output)
{
    struct onnx_graph *g = l->onnx;
    struct onnx_place *place = is_output ? VEC_PUSH(&g->arena, &g->outputs) : VEC_PUSH(&g->arena, &g->inputs);
    *place = (struct onnx_place){.name = name, .kind = kind, .rank = rank};
    memcpy(place->axes, axes, rank * sizeof *axes);
}

/* Names of an interface are taken as they are; `l->clash` is one that is there already. */
static const char *take_name(struct onnx_lower *l, struct str wanted)
{
    const char *taken = onnx_graph_name(l->onnx, wanted);
    if (!str_is(wanted, taken) && !l->clash)
        l->clash = arena_copy_string(&l->onnx->arena, wanted.data, wanted.length);
    return taken;
}

/* The axes of a layer's cache in the interface's order; `positions` is how the axis of them is called. */
static void cache_axes(struct onnx_axis out[4], enum interface_layout layout, int64_t heads, int64_t channels,
                       struct onnx_axis positions)
{
    for (int i = 0; i < 4; i++)
        switch (interface_layouts[layout][i]) {
        case 'b':
            out[i] = batch;
            break;
        case 'n':
            out[i] = (struct onnx_axis){NULL, heads};
            break;
        case 's':
            out[i] = positions;
            break;
        default:
            out[i] = (struct onnx_axis){NULL, channels};
        }
}

static int64_t channels_of(const struct graph *graph, const struct node *node, uint32_t input)
{
    const struct value *x = graph_value(graph, node->inputs[input]);
    return dims_size(&graph->dims, x->axes[2]) / node_integer(node, ATTRIBUTE_kv_heads);
}

static void declare_cache(struct onnx_lower *l, enum interface_part first, bool is_output)
{
    uint32_t layer = 0;
    for (uint32_t i = 0; i < l->graph->nodes.count; i++) {
        const struct node *node = &l->graph->nodes.items[i];
        struct onnx_axis axes[4];
        if (!is_attention(node))
            continue;
        for (int kind = 0; kind < CACHE_KINDS; kind++) {
            struct str pattern = l->interface.cache[(int)first + kind];
            const char *name = interface_cache_name(&l->onnx->arena, pattern, layer);
            cache_axes(axes, l->interface.layouts[kind], node_integer(node, ATTRIBUTE_kv_heads),
                       channels_of(l->graph, node, kind == 0 ? 1 : 2), is_output ? total : past_axis);
            declare(l, take_name(l, str_from(name)), ONNX_FLOAT, 4, axes, is_output);
        }
        layer++;
    }
}

static void declare_all(struct onnx_lower *l)
{
    const struct interface *f = &l->interface;
    const struct graph *graph = l->graph;
    const struct value *logits = graph_value(graph, graph->outputs.items[0].value);
    struct onnx_axis axes[3] = {batch, sequence, {NULL, dims_size(&graph->dims, logits->axes[2])}};
    l->has_cache = interface_has_cache(f);
    l->tokens = take_name(l, STR("input_ids"));
    l->logits = take_name(l, STR("logits"));
    declare(l, l->tokens, ONNX_INT64, 2, axes, false);
    declare(l, l->logits, ONNX_FLOAT, 3, axes, true);
    if (f->mask.name.length > 0) {
        const struct onnx_axis whole[2] = {batch, l->has_cache ? total : sequence};
        l->padding = take_name(l, f->mask.name);
        declare(l, l->padding, (enum onnx_kind)f->mask.type, 2, whole, false);
    }
    if (f->positions.name.length > 0) {
        l->given_positions = take_name(l, f->positions.name);
        declare(l, l->given_positions, (enum onnx_kind)f->positions.type, f->positions.rank,
                axes + 2 - f->positions.rank, false);
    }
    if (!l->has_cache)
        return;
    declare_cache(l, PAST_KEY, false);
    declare_cache(l, PRESENT_KEY, true);
}

enum status onnx_interface_declare(struct onnx_lower *l, struct trace *trace)
{
    declare_all(l);
    return l->clash ? status_fail(trace, UNSUPPORTED, "ONNX export: two inputs or outputs are called \"%s\"",
                                  l->clash)
                    : OK;
}

/* ---- positions ---- */

static const char *cast(struct onnx_lower *l, const char *x, enum onnx_kind kind, const char *output)
{
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "Cast",
                                                .inputs = {x},
                                                .outputs = {output},
                                                .attributes = {{.name = "to", .values = {(int64_t)kind}}}});
    return output;
}

static const char *name(struct onnx_lower *l, const char *wanted)
{
    return onnx_graph_name(l->onnx, str_from(wanted));
}

/* The size of an axis, a scalar. */
static const char *size_of(struct onnx_lower *l, const char *x, int64_t axis, const char *shape,
                           const char *out)
{
    const char *sizes = onnx_lower_apply(l, "Shape", x, NULL, name(l, shape));
    return onnx_lower_apply(l, "Gather", sizes, onnx_graph_integer(l->onnx, axis), name(l, out));
}

static const char *range(struct onnx_lower *l, const char *from, const char *to, const char *output)
{
    struct onnx_node node = {
        .op = "Range", .inputs = {from, to, onnx_graph_integer(l->onnx, 1)}, .outputs = {output}};
    onnx_graph_add(l->onnx, &node);
    return output;
}

static int64_t axis_of_positions(enum interface_layout layout)
{
    return strchr(interface_layouts[layout], 's') - interface_layouts[layout];
}

static const char *past_length(struct onnx_lower *l)
{
    if (!l->past_length) {
        const char *first = interface_cache_name(&l->onnx->arena, l->interface.cache[PAST_KEY], 0);
        l->past_length =
            size_of(l, first, axis_of_positions(l->interface.layouts[0]), "past/shape", "past/length");
    }
    return l->past_length;
}

const char *onnx_lower_positions(struct onnx_lower *l)
{
    if (l->positions)
        return l->positions;
    const char *from = l->has_cache ? past_length(l) : NULL;
    const char *length = size_of(l, l->tokens, 1, "positions/shape", "positions/length");
    l->end = from ? onnx_lower_apply(l, "Add", from, length, name(l, "positions/end")) : length;
    const char *positions = name(l, "positions");
    return l->positions = range(l, from ? from : onnx_graph_integer(l->onnx, 0), l->end, positions);
}

/* 0, 1, ... of all keys, [t] */
static const char *key_positions(struct onnx_lower *l)
{
    const char *positions = onnx_lower_positions(l);
    if (!l->has_cache)
        return positions;
    if (!l->key_positions)
        l->key_positions = range(l, onnx_graph_integer(l->onnx, 0), l->end, name(l, "positions/keys"));
    return l->key_positions;
}

/* The count of tokens that the mask shows up to each, less one, [b, s]. */
static const char *counted_positions(struct onnx_lower *l)
{
    struct onnx_graph *g = l->onnx;
    if (l->counted)
        return l->counted;
    const int64_t last = INT64_MAX, axis = 1;
    const char *shown = cast(l, l->padding, ONNX_INT64, name(l, "positions/shown"));
    const char *count =
        onnx_lower_apply(l, "CumSum", shown, onnx_graph_integer(g, 1), name(l, "positions/count"));
    const char *less = onnx_lower_apply(l, "Sub", count, onnx_graph_integer(g, 1), name(l, "positions/less"));
    l->counted = onnx_lower_apply(l, "Max", less, onnx_graph_integer(g, 0), name(l, "positions/counted"));
    if (!l->has_cache)
        return l->counted;
    const char *from = onnx_lower_unsqueeze(l, past_length(l), 0, name(l, "positions/from"));
    const char *own = name(l, "positions/own");
    onnx_graph_add(g, &(struct onnx_node){.op = "Slice",
                                          .inputs = {l->counted, from, onnx_graph_integers(g, 1, &last),
                                                     onnx_graph_integers(g, 1, &axis)},
                                          .outputs = {own}});
    return l->counted = own;
}

const char *onnx_lower_table_positions(struct onnx_lower *l, enum onnx_counting counting, bool *has_batch)
{
    *has_batch = true;
    if (l->given_positions) {
        *has_batch = l->interface.positions.rank == 2;
        if (!l->cast_positions)
            l->cast_positions = l->interface.positions.type == INTERFACE_INT64
                                    ? l->given_positions
                                    : cast(l, l->given_positions, ONNX_INT64, name(l, "positions/given"));
        return l->cast_positions;
    }
    if (counting == POSITIONS_COUNTED && l->padding && !l->interface.numbers_hidden)
        return counted_positions(l);
    *has_batch = false;
    return onnx_lower_positions(l);
}

const char *onnx_lower_row_ids(struct onnx_lower *l)
{
    if (l->row_ids)
        return l->row_ids;
    const char *rows = l->has_cache || l->given_positions ? NULL : onnx_lower_positions(l);
    const char *shape = onnx_lower_apply(l, "Shape", l->tokens, NULL, name(l, "positions/ids_shape"));
    if (!rows) {
        const char *length = onnx_lower_apply(l, "Gather", shape, onnx_graph_integer(l->onnx, 1),
                                              name(l, "positions/count_of_rows"));
        rows = range(l, onnx_graph_integer(l->onnx, 0), length, name(l, "positions/rows"));
    }
    return l->row_ids = onnx_lower_apply(l, "Expand", rows, shape, name(l, "positions/ids"));
}

/* ---- what is seen ---- */

bool onnx_lower_needs_mask(const struct onnx_lower *l)
{
    return l->padding || l->has_cache;
}

/* What the mask shows, [b, 1, 1, t] */
static const char *shown_keys(struct onnx_lower *l)
{
    if (l->shown)
        return l->shown;
    const char *shown = l->padding;
    if (l->interface.mask.type != INTERFACE_BOOL)
        shown = cast(l, l->padding, ONNX_BOOL, name(l, "mask/shown"));
    const char *axes = onnx_graph_integers(l->onnx, 2, (const int64_t[]){1, 2});
    return l->shown = onnx_lower_apply(l, "Unsqueeze", shown, axes, name(l, "mask/keys_shown"));
}

const char *onnx_lower_mask(struct onnx_lower *l, int64_t window)
{
    struct onnx_graph *g = l->onnx;
    if (window == 0 ? l->mask != NULL : l->window == window)
        return window == 0 ? l->mask : l->window_mask;
    const char *positions = onnx_lower_positions(l), *all = key_positions(l);
    const char *keys = onnx_lower_unsqueeze(l, all, 0, name(l, "mask/keys"));
    const char *queries = onnx_lower_unsqueeze(l, positions, 1, name(l, "mask/queries"));
    const char *seen = onnx_lower_apply(l, "LessOrEqual", keys, queries, name(l, "mask/seen"));
    if (window > 0) {
        const char *back = onnx_lower_apply(l, "Sub", queries, keys, name(l, "mask/back"));
        const char *size = onnx_graph_integers(g, 1, &window);
        const char *near = onnx_lower_apply(l, "Less", back, size, name(l, "mask/near"));
        seen = onnx_lower_apply(l, "And", seen, near, name(l, "mask/window"));
    }
    if (l->padding)
        seen = onnx_lower_apply(l, "And", seen, shown_keys(l), name(l, "mask/seen_and_shown"));
    /* Nobody reads what a padded query computes, but it must be a number: its values are multiplied by 0. */
    float hidden = l->padding ? -FLT_MAX : -INFINITY;
    const char *mask = name(l, "mask");
    onnx_graph_add(g,
                   &(struct onnx_node){.op = "Where",
                                       .inputs = {seen, onnx_graph_float(g, 0), onnx_graph_float(g, hidden)},
                                       .outputs = {mask}});
    if (window == 0)
        return l->mask = mask;
    l->window = window;
    return l->window_mask = mask;
}

const char *onnx_lower_distances(struct onnx_lower *l)
{
    if (l->distances)
        return l->distances;
    const char *positions = onnx_lower_positions(l), *all = key_positions(l);
    const char *keys = onnx_lower_unsqueeze(l, all, 0, name(l, "distances/keys"));
    const char *queries = onnx_lower_unsqueeze(l, positions, 1, name(l, "distances/queries"));
    const char *apart = onnx_lower_apply(l, "Sub", keys, queries, name(l, "distances/integers"));
    return l->distances = cast(l, apart, ONNX_FLOAT, name(l, "distances"));
}

/* ---- the cache ---- */

/* How the axes of `from` are reordered to be those of `to`. */
static void order_axes(int64_t order[4], const char *from, const char *to)
{
    for (int i = 0; i < 4; i++)
        order[i] = strchr(from, to[i]) - from;
}

static const char *reorder(struct onnx_lower *l, const char *x, const char *from, const char *to,
                           const char *output)
{
    int64_t order[4];
    order_axes(order, from, to);
    return onnx_lower_transpose(l, x, 4, order, output);
}

static const char *layout_of(const struct onnx_lower *l, enum interface_part part)
{
    return interface_layouts[l->interface.layouts[(int)part % CACHE_KINDS]];
}

static const char *layer_name(const struct onnx_lower *l, enum interface_part part)
{
    return interface_cache_name(&l->onnx->arena, l->interface.cache[part], l->layer);
}

const char *onnx_lower_join_past(struct onnx_lower *l, const char *x, int64_t groups, int64_t size,
                                 enum interface_part past, const char *part)
{
    struct arena *arena = &l->onnx->arena;
    const char *layout = layout_of(l, past);
    const char *present = layer_name(l, (enum interface_part)(past + CACHE_KINDS));
    x = onnx_lower_reshape(l, x, 4, (const int64_t[]){0, 0, groups, size}, onnx_lower_part(l, part));
    if (strcmp(layout, "bsnh") != 0)
        x = reorder(l, x, "bsnh", layout, onnx_lower_part(l, arena_printf(arena, "%s/own", part)));
    struct onnx_node join = {.op = "Concat", .inputs = {layer_name(l, past), x}, .outputs = {present}};
    join.attributes[0] = (struct onnx_attribute){.name = "axis", .values = {strchr(layout, 's') - layout}};
    onnx_graph_add(l->onnx, &join);
    if (strcmp(layout, "bnsh") == 0)
        return present;
    return reorder(l, present, layout, "bnsh", onnx_lower_part(l, arena_printf(arena, "%s/all", part)));
}

const char *onnx_lower_past(struct onnx_lower *l, enum interface_part past)
{
    const char *layout = layout_of(l, past), *given = layer_name(l, past);
    if (strcmp(layout, "bnsh") == 0)
        return given;
    return reorder(l, given, layout, "bnsh",
                   onnx_lower_part(l, past == PAST_KEY ? "past_key" : "past_value"));
}

const char *onnx_lower_present(struct onnx_lower *l, enum interface_part present)
{
    if (strcmp(layout_of(l, present), "bnsh") == 0)
        return layer_name(l, present);
    return onnx_lower_part(l, present == PRESENT_KEY ? "present_key" : "present_value");
}

void onnx_lower_hand_on(struct onnx_lower *l, enum interface_part present, const char *made)
{
    const char *layout = layout_of(l, present);
    if (strcmp(layout, "bnsh") != 0)
        reorder(l, made, "bnsh", layout, layer_name(l, present));
}
