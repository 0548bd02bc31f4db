/* Building and copying graphs. */
#include "ir/build.h"
#include "ir/rule.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

static uint32_t add_value(struct graph *graph, struct value value)
{
    uint32_t id = graph->values.count;
    *VEC_PUSH(&graph->arena, &graph->values) = value;
    return id;
}

static struct str keep_string(struct graph *graph, struct str text)
{
    return (struct str){arena_copy_string(&graph->arena, text.data, text.length), text.length};
}

uint32_t build_input(struct graph *graph, const char *name, enum dtype dtype, uint32_t rank,
                     const uint32_t *axes)
{
    assert(rank <= VALUE_MAX_RANK);
    struct value value = {.origin = VALUE_INPUT, .source = graph->inputs.count, .dtype = dtype, .rank = rank};
    for (uint32_t i = 0; i < rank; i++)
        value.axes[i] = axes[i];
    uint32_t id = add_value(graph, value);
    *VEC_PUSH(&graph->arena, &graph->inputs) = (struct input){keep_string(graph, str_from(name)), id};
    return id;
}

uint32_t build_tensor(struct graph *graph, struct str name, const struct tensor_view *view,
                      const uint32_t *axes)
{
    assert(view->rank <= VALUE_MAX_RANK);
    struct value value = {.origin = VALUE_TENSOR, .source = graph->tensors.count, .rank = view->rank};
    value.dtype = view->dtype == DTYPE_I32 ? DTYPE_I32 : DTYPE_F32;
    for (uint32_t i = 0; i < view->rank; i++) {
        assert(dims_size(&graph->dims, axes[i]) == view->dims[i]);
        value.axes[i] = axes[i];
    }
    uint32_t id = add_value(graph, value);
    *VEC_PUSH(&graph->arena, &graph->tensors) =
        (struct tensor){.name = keep_string(graph, name), .value = id, .view = *view};
    for (uint32_t i = 0; i < view->rank; i++) { /* the graph that they come from may go first */
        if (!view->index[i])
            continue;
        uint32_t *index = ARENA_ARRAY(&graph->arena, uint32_t, (size_t)view->dims[i]);
        memcpy(index, view->index[i], (size_t)view->dims[i] * sizeof *index);
        VEC_LAST(&graph->tensors).view.index[i] = index;
    }
    return id;
}

void build_output(struct graph *graph, const char *name, uint32_t value)
{
    assert(value < graph->values.count);
    *VEC_PUSH(&graph->arena, &graph->outputs) = (struct output){keep_string(graph, str_from(name)), value};
}

/* Options are not negative; what they mean to each other holds. */
static enum status check_options(const struct node *node, struct trace *trace)
{
    for (uint32_t i = 0; i < node->attribute_count; i++) {
        const struct attribute *a = &node->attributes[i];
        bool is_integer = attribute_is_integer(a->key);
        if (attribute_is_option(a->key) &&
            !(is_integer ? a->integer >= 0 && a->integer <= INT32_MAX : a->real >= 0 && a->real <= 0x1p40f))
            return status_fail(trace, INVALID, "%s: attribute %s = %.9g, expected one that is not negative",
                               op_table[node->op].name, attribute_table[a->key].name,
                               is_integer ? (double)a->integer : (double)a->real);
        if (a->key == ATTRIBUTE_window && a->integer > 0 && node_integer(node, ATTRIBUTE_causal) != 1)
            return status_fail(trace, INVALID, "%s: attribute window = %" PRId64 " without causal = 1",
                               op_table[node->op].name, a->integer);
    }
    return OK;
}

enum status build_node(struct graph *graph, enum op op, const uint32_t *inputs,
                       const struct attribute *attributes, uint32_t *results, struct trace *trace)
{
    struct node node = {.op = op, .input_count = op_table[op].inputs, .result_count = op_table[op].results};
    enum attribute_key keys[OP_MAX_ATTRIBUTES];
    node.attribute_count = op_attributes(op, keys);
    for (uint32_t i = 0; i < node.input_count; i++) {
        assert(inputs[i] < graph->values.count);
        node.inputs[i] = inputs[i];
    }
    for (uint32_t i = 0; i < node.attribute_count; i++) {
        assert(attributes[i].key == keys[i]);
        node.attributes[i] = attributes[i];
    }
    TRY(check_options(&node, trace));
    struct rule_result shapes[NODE_MAX_RESULTS];
    TRY(rule_apply(graph, &node, shapes, trace));
    for (uint32_t r = 0; r < node.result_count; r++) {
        struct value value = {.origin = VALUE_NODE, .source = graph->nodes.count, .slot = r};
        value.dtype = shapes[r].dtype;
        value.rank = shapes[r].rank;
        memcpy(value.axes, shapes[r].axes, sizeof value.axes);
        node.results[r] = add_value(graph, value);
        if (results)
            results[r] = node.results[r];
    }
    *VEC_PUSH(&graph->arena, &graph->nodes) = node;
    return OK;
}

static struct attribute pick_attribute(const struct build_attributes *from, enum attribute_key key)
{
    static const struct build_attributes none;
    const struct build_attributes *a = from ? from : &none;
    switch (key) {
    case ATTRIBUTE_heads:
        return (struct attribute){key, {.integer = a->heads}};
    case ATTRIBUTE_kv_heads:
        return (struct attribute){key, {.integer = a->kv_heads}};
    case ATTRIBUTE_causal:
        return (struct attribute){key, {.integer = a->causal}};
    case ATTRIBUTE_window:
        return (struct attribute){key, {.integer = a->window}};
    case ATTRIBUTE_softcap:
        return (struct attribute){key, {.real = a->softcap}};
    case ATTRIBUTE_inverse:
        return (struct attribute){key, {.integer = a->inverse}};
    case ATTRIBUTE_rows:
        return (struct attribute){key, {.integer = a->rows}};
    case ATTRIBUTE_start:
        return (struct attribute){key, {.integer = a->start}};
    case ATTRIBUTE_top:
        return (struct attribute){key, {.integer = a->top}};
    case ATTRIBUTE_decay:
        return (struct attribute){key, {.integer = a->decay}};
    case ATTRIBUTE_scale:
        return (struct attribute){key, {.real = a->scale}};
    case ATTRIBUTE_epsilon:
        return (struct attribute){key, {.real = a->epsilon}};
    case ATTRIBUTE_COUNT:
        break;
    }
    BUG("attribute %d", (int)key);
}

uint32_t build_op(struct graph *graph, enum op op, const uint32_t *inputs,
                  const struct build_attributes *attributes)
{
    struct attribute list[OP_MAX_ATTRIBUTES];
    enum attribute_key keys[OP_MAX_ATTRIBUTES];
    uint32_t count = op_attributes(op, keys);
    for (uint32_t i = 0; i < count; i++)
        list[i] = pick_attribute(attributes, keys[i]);
    struct trace trace = {0};
    uint32_t results[NODE_MAX_RESULTS];
    if (build_node(graph, op, inputs, list, results, &trace) != OK)
        BUG("%s", trace.text);
    return results[0];
}

uint32_t build_unary(struct graph *graph, enum op op, uint32_t x)
{
    return build_op(graph, op, &x, NULL);
}

uint32_t build_binary(struct graph *graph, enum op op, uint32_t x, uint32_t y)
{
    uint32_t inputs[2] = {x, y};
    return build_op(graph, op, inputs, NULL);
}

uint32_t build_result(const struct graph *graph, uint32_t value, uint32_t slot)
{
    const struct value *v = graph_value(graph, value);
    assert(v->origin == VALUE_NODE && slot < graph->nodes.items[v->source].result_count);
    return graph->nodes.items[v->source].results[slot];
}

/* ---- copying ---- */

static uint32_t *filled(struct arena *arena, uint32_t count)
{
    uint32_t *ids = ARENA_ARRAY(arena, uint32_t, count ? count : 1);
    memset(ids, 0xff, count * sizeof *ids);
    return ids;
}

struct graph_copy graph_copy_begin(struct graph *to, const struct graph *from)
{
    static_assert(ID_NONE == UINT32_MAX && DIM_NONE == UINT32_MAX, "filled() writes all ones");
    return (struct graph_copy){.from = from,
                               .to = to,
                               .values = filled(&to->arena, from->values.count),
                               .terms = filled(&to->arena, from->dims.terms.count),
                               .term_count = from->dims.terms.count};
}

static void forget_term(struct graph_copy *copy, uint32_t term)
{
    const struct dims *from = &copy->from->dims;
    uint32_t id = dims_find(from, term), items[DIM_MAX_FACTORS];
    const struct dim_term *t = &from->terms.items[id];
    copy->terms[id] = DIM_NONE;
    if (t->kind == DIM_LEAF)
        return;
    uint32_t count = t->kind == DIM_PRODUCT ? dims_factors(from, id, items) : dims_parts(from, id, items);
    for (uint32_t i = 0; i < count; i++)
        forget_term(copy, items[i]);
}

void graph_copy_forget(struct graph_copy *copy, uint32_t value)
{
    const struct value *v = graph_value(copy->from, value);
    copy->values[value] = ID_NONE;
    for (uint32_t a = 0; a < v->rank; a++)
        forget_term(copy, v->axes[a]);
}

uint32_t graph_copy_term(struct graph_copy *copy, uint32_t term)
{
    const struct dims *from = &copy->from->dims;
    uint32_t id = dims_find(from, term);
    if (copy->terms[id] != DIM_NONE)
        return copy->terms[id];
    const struct dim_term *t = &from->terms.items[id];
    uint32_t made;
    if (t->kind == DIM_LEAF) {
        made = t->symbol.length > 0 ? dims_symbol(&copy->to->dims, t->symbol)
                                    : dims_leaf(&copy->to->dims, t->size);
    } else {
        uint32_t items[DIM_MAX_FACTORS];
        uint32_t count = t->kind == DIM_PRODUCT ? dims_factors(from, id, items) : dims_parts(from, id, items);
        for (uint32_t i = 0; i < count; i++)
            items[i] = graph_copy_term(copy, items[i]);
        made = t->kind == DIM_PRODUCT ? dims_product(&copy->to->dims, items, count)
                                      : dims_sum(&copy->to->dims, items, count);
    }
    return copy->terms[id] = made;
}

static void copy_axes(struct graph_copy *copy, uint32_t value, uint32_t axes[VALUE_MAX_RANK])
{
    const struct value *v = graph_value(copy->from, value);
    for (uint32_t i = 0; i < v->rank; i++)
        axes[i] = graph_copy_term(copy, v->axes[i]);
}

uint32_t graph_copy_input(struct graph_copy *copy, uint32_t input_index)
{
    const struct input *input = &copy->from->inputs.items[input_index];
    const struct value *v = graph_value(copy->from, input->value);
    uint32_t axes[VALUE_MAX_RANK];
    copy_axes(copy, input->value, axes);
    const char *name = arena_copy_string(&copy->to->arena, input->name.data, input->name.length);
    return copy->values[input->value] = build_input(copy->to, name, v->dtype, v->rank, axes);
}

uint32_t graph_copy_tensor(struct graph_copy *copy, uint32_t tensor_index)
{
    const struct tensor *tensor = &copy->from->tensors.items[tensor_index];
    uint32_t axes[VALUE_MAX_RANK];
    copy_axes(copy, tensor->value, axes);
    uint32_t id = build_tensor(copy->to, tensor->name, &tensor->view, axes);
    VEC_LAST(&copy->to->tensors).id = tensor->id;
    VEC_LAST(&copy->to->tensors).has_id = tensor->has_id;
    return copy->values[tensor->value] = id;
}

enum status graph_copy_node(struct graph_copy *copy, const struct node *node, struct trace *trace)
{
    uint32_t inputs[NODE_MAX_INPUTS], results[NODE_MAX_RESULTS];
    struct attribute attributes[OP_MAX_ATTRIBUTES];
    for (uint32_t i = 0; i < node->input_count; i++) {
        inputs[i] = copy->values[node->inputs[i]];
        assert(inputs[i] != ID_NONE);
    }
    for (uint32_t i = 0; i < node->attribute_count; i++) {
        attributes[i] = node->attributes[i];
        /* rule_attribute_term only adds terms, it does not change what the graph says */
        uint32_t term = rule_attribute_term((struct graph *)copy->from, node, attributes[i].key);
        if (term == DIM_NONE)
            continue;
        attributes[i].integer = 1; /* leaf by leaf: rule_attribute_term may have made a new product */
        uint32_t factors[DIM_MAX_FACTORS], count = dims_factors(&copy->from->dims, term, factors);
        for (uint32_t f = 0; f < count; f++)
            attributes[i].integer *= factors[f] < copy->term_count
                                         ? dims_size(&copy->to->dims, graph_copy_term(copy, factors[f]))
                                         : dims_size(&copy->from->dims, factors[f]);
    }
    TRY(build_node(copy->to, node->op, inputs, attributes, results, trace));
    VEC_LAST(&copy->to->nodes).origin = keep_string(copy->to, node->origin);
    for (uint32_t r = 0; r < node->result_count; r++)
        copy->values[node->results[r]] = results[r];
    return OK;
}

enum status graph_copy_all(struct graph_copy *copy, struct trace *trace)
{
    const struct graph *from = copy->from;
    for (uint32_t i = 0; i < from->inputs.count; i++)
        if (copy->values[from->inputs.items[i].value] == ID_NONE)
            graph_copy_input(copy, i);
    for (uint32_t i = 0; i < from->tensors.count; i++)
        if (copy->values[from->tensors.items[i].value] == ID_NONE)
            graph_copy_tensor(copy, i);
    for (uint32_t i = 0; i < from->nodes.count; i++)
        TRY(graph_copy_node(copy, &from->nodes.items[i], trace));
    return OK;
}

void graph_copy_outputs(struct graph_copy *copy)
{
    for (uint32_t i = 0; i < copy->from->outputs.count; i++) {
        const struct output *output = &copy->from->outputs.items[i];
        build_output(copy->to, keep_string(copy->to, output->name).data, copy->values[output->value]);
    }
}

void graph_copy_description(struct graph *to, const struct graph *from)
{
    to->interface = interface_copy(&from->interface, &to->arena);
    graph_copy_metadata(to, from);
}

void graph_copy_metadata(struct graph *to, const struct graph *from)
{
    to->metadata = (struct metadata){0};
    for (uint32_t i = 0; i < from->metadata.entries.count; i++)
        metadata_add(&to->metadata, &to->arena, from->metadata.entries.items[i].key,
                     from->metadata.entries.items[i].text);
}

struct graph *graph_clone(const struct graph *graph)
{
    struct graph *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, graph);
    struct trace trace = {0};
    if (graph_copy_all(&copy, &trace) != OK)
        BUG("clone: %s", trace.text);
    graph_copy_outputs(&copy);
    graph_copy_description(to, graph);
    return to;
}
