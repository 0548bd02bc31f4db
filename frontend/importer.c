/* Interpreting the nodes one after the other. */
#include "frontend/importer.h"
#include "frontend/stored.h"
#include <stdio.h>
#include <string.h>

enum { LAYOUT = 1, VIEW = 2, ALWAYS = 4 };

struct operator
{
    const char *name;
    enum status (*evaluate)(struct evaluation *);
    enum status (*rule)(struct rule *);
    uint32_t flags;
};

static const struct operator operators[] = {
#define ONNX_OP(name, evaluate, rule, flags) {#name, evaluate, rule, flags},
#define CONTRIB_OP(name, rule)
#include "frontend/onnx_ops.def"
};

/* Of the domain com.microsoft. */
static const struct operator contrib_operators[] = {
#define ONNX_OP(name, evaluate, rule, flags)
#define CONTRIB_OP(name, rule) {#name, NULL, rule, 0},
#include "frontend/onnx_ops.def"
};

static const struct operator* find_operator(const Onnx__NodeProto *node)
{
    const char *domain = node->domain ? node->domain : "", *op = node->op_type ? node->op_type : "";
    for (uint32_t i = 0; i < sizeof contrib_operators / sizeof contrib_operators[0]; i++)
        if (strcmp(domain, "com.microsoft") == 0 && strcmp(contrib_operators[i].name, op) == 0)
            return &contrib_operators[i];
    if (*domain && strcmp(domain, "ai.onnx") != 0)
        return NULL;
    for (uint32_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (strcmp(operators[i].name, op) == 0)
            return &operators[i];
    return NULL;
}

void import_note(struct importer *im, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    imported_model_note(im->model, "%s", text);
}

void import_note_storage(struct importer *im)
{
    bool seen[DTYPE_COUNT] = {false};
    for (uint32_t i = 0; i < im->weights.count; i++)
        seen[im->weights.items[i].dtype] = true;
    for (uint32_t d = 0; d < DTYPE_COUNT; d++)
        if (seen[d] && d != DTYPE_F32)
            import_note(im, "weights stored as %s; espalier computes in f32", dtype_name((enum dtype)d));
}

/* Views with index lists are compared list by list. */
static bool same_indexed(const struct tensor_view *a, const struct tensor_view *b)
{
    if (a->base != b->base || a->offset != b->offset || a->dtype != b->dtype || a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i] || a->strides[i] != b->strides[i] || !a->index[i] != !b->index[i])
            return false;
        if (a->index[i] && memcmp(a->index[i], b->index[i], (size_t)a->dims[i] * sizeof *a->index[i]) != 0)
            return false;
    }
    return true;
}

static uint32_t indexed_weight(struct importer *im, const struct tensor_view *view)
{
    for (uint32_t i = 0; i < im->weights.count; i++)
        if (same_indexed(&im->weights.items[i], view))
            return i;
    *VEC_PUSH(im->arena, &im->weights) = *view;
    return im->weights.count - 1;
}

uint32_t import_weight(struct importer *im, const struct tensor_view *view)
{
    for (uint32_t i = 0; i < view->rank; i++)
        if (view->index[i])
            return indexed_weight(im, view);
    uint32_t number = im->weights.count;
    struct tensor_view key;
    memset(&key, 0, sizeof key); /* padding takes part in the comparison */
    key.mapping = view->mapping;
    key.base = view->base;
    key.base_size = view->base_size;
    key.dtype = view->dtype;
    key.rank = view->rank;
    key.offset = view->offset;
    memcpy(key.dims, view->dims, sizeof key.dims);
    memcpy(key.strides, view->strides, sizeof key.strides);
    struct str text = {(const char *)&key, sizeof key};
    if (map_find_text(&im->weight_numbers, text, &number))
        return number;
    map_add_text(&im->weight_numbers, im->arena, text, number);
    *VEC_PUSH(im->arena, &im->weights) = *view;
    return number;
}

enum status import_evaluate(struct importer *im, const Onnx__NodeProto *node, struct evaluation *e)
{
    (void)im;
    const struct operator* op = find_operator(node);
    if (!op || !op->evaluate)
        return status_fail(e->trace, UNSUPPORTED, "no rule for this operator on constants");
    return op->evaluate(e);
}

/* The value of an input name, or NULL when the optional input is absent. */
static struct import_value *find_value(struct importer *im, const char *name)
{
    uint32_t index;
    if (!*name || !map_find_text(&im->names, str_from(name), &index))
        return NULL;
    return &im->values.items[index];
}

/* What is known of elements moves with them: carries the node out on the angles as well. */
static enum status move_angles(struct evaluation *e, const struct operator* op)
{
    bool joins = strcmp(op->name, "Concat") == 0;
    uint32_t count = joins ? e->input_count : 1;
    const struct array *first = e->inputs[0];
    for (uint32_t i = 0; i < count; i++)
        if (!e->inputs[i] || e->inputs[i]->function == ARRAY_PLAIN ||
            e->inputs[i]->function != first->function)
            return OK;
    struct evaluation moved = *e;
    for (uint32_t i = 0; i < count; i++)
        moved.inputs[i] = e->inputs[i]->angle;
    TRY(op->evaluate(&moved));
    for (uint32_t o = 0; o < e->output_count; o++) {
        e->outputs[o]->function = first->function;
        e->outputs[o]->angle = moved.outputs[o];
    }
    return OK;
}

static struct evaluation evaluation_of(struct rule *rule, uint32_t probe)
{
    struct importer *im = rule->im;
    struct evaluation e = {.room = &im->room, .file = im->file, .node = rule->node, .trace = rule->trace};
    e.input_count = rule->input_count;
    e.output_count = rule->output_count;
    for (uint32_t i = 0; i < rule->input_count; i++)
        e.inputs[i] = rule->inputs[i] ? rule->inputs[i]->at[probe] : NULL;
    return e;
}

enum status rule_evaluation(struct rule *rule, uint32_t probe, struct evaluation *e)
{
    for (uint32_t i = 0; i < rule->input_count; i++)
        if (rule_is_concrete(rule, i))
            TRY(import_materialise(rule->im, rule->inputs[i], rule->trace));
    *e = evaluation_of(rule, probe);
    return OK;
}

static enum status evaluate_concrete(struct rule *rule, const struct operator* op)
{
    bool same = true;
    if (!op->evaluate)
        return rule_refuse(rule, "no rule for this operator on constants");
    for (uint32_t i = 0; i < rule->input_count; i++) {
        if (!rule->inputs[i])
            continue;
        TRY(import_materialise(rule->im, rule->inputs[i], rule->trace));
        for (uint32_t p = 1; p < PROBES; p++)
            same &= rule->inputs[i]->at[p] == rule->inputs[i]->at[0];
    }
    for (uint32_t p = 0; p < PROBES; p++) {
        struct evaluation e = evaluation_of(rule, p);
        if (p == 0 || !same) {
            TRY(op->evaluate(&e));
            for (uint32_t o = 0; o < rule->output_count; o++)
                if (!e.outputs[o])
                    return rule_refuse(rule, "output %u is not supported", o);
            if (op->flags & LAYOUT)
                TRY(move_angles(&e, op));
        }
        for (uint32_t o = 0; o < rule->output_count; o++) {
            rule->outputs[o].kind = VALUE_CONCRETE;
            rule->outputs[o].at[p] = p == 0 || !same ? e.outputs[o] : rule->outputs[o].at[0];
        }
    }
    return OK;
}

/* A tensor inside a Constant node is a stored tensor like any other. */
static enum status store_constant(struct rule *rule, bool *done)
{
    const Onnx__AttributeProto *value = onnx_find_attribute(rule->node, "value");
    *done = false;
    if (strcmp(rule->node->op_type, "Constant") != 0 || !value || !value->t || rule->output_count != 1)
        return OK;
    struct onnx_data *data = ARENA_NEW(rule->im->arena, struct onnx_data);
    TRY(onnx_data_locate(data, rule->im->file, value->t, rule->trace));
    data->is_literal = true;
    rule->outputs[0] = (struct import_value){.kind = VALUE_CONCRETE, .data = data};
    rule->outputs[0].has_weight = onnx_data_view(&rule->outputs[0].weight, data);
    *done = true;
    return OK;
}

static enum status interpret_node(struct rule *rule)
{
    bool done, has_activation = false;
    const struct operator* op = find_operator(rule->node);
    if (!op)
        return rule_refuse(rule, "no rule for this operator%s%s%s",
                           rule->node->domain && *rule->node->domain ? " of domain '" : "",
                           rule->node->domain ? rule->node->domain : "",
                           rule->node->domain && *rule->node->domain ? "'" : "");
    for (uint32_t i = 0; i < rule->input_count; i++)
        has_activation |= rule_is_activation(rule, i);
    if (has_activation || (op->flags & ALWAYS)) {
        if (!op->rule)
            return rule_refuse(rule, "no rule for this operator on activations");
        return op->rule(rule);
    }
    TRY(store_constant(rule, &done));
    if (done)
        return OK;
    if ((op->flags & VIEW) && rule->input_count > 0 && stored_is(rule->inputs[0])) {
        struct evaluation e = evaluation_of(rule, 0);
        for (uint32_t i = 1; i < rule->input_count; i++)
            if (rule_is_concrete(rule, i)) {
                TRY(import_materialise(rule->im, rule->inputs[i], rule->trace));
                e.inputs[i] = rule->inputs[i]->at[0];
            }
        TRY(stored_pass(&rule->outputs[0], &done, &e, rule->inputs[0], op->evaluate));
        if (done)
            return OK;
        rule->outputs[0] = (struct import_value){0};
    }
    return evaluate_concrete(rule, op);
}

/* The shape of a mask is that of the tokens, whatever it hides. */
static bool reads_mask(const struct rule *rule)
{
    if (strcmp(rule->node->op_type, "Shape") == 0 || strcmp(rule->node->op_type, "Size") == 0)
        return false;
    for (uint32_t i = 0; i < rule->input_count; i++)
        if (rule->inputs[i] && rule->inputs[i]->from_mask)
            return true;
    return false;
}

static enum status interpret(struct rule *rule, const Onnx__NodeProto *node)
{
    struct importer *im = rule->im;
    rule->node = node;
    if (node->n_input > EVALUATE_MAX_INPUTS || node->n_output > EVALUATE_MAX_OUTPUTS)
        return rule_refuse(rule, "%zu inputs and %zu outputs are too many", node->n_input, node->n_output);
    rule->input_count = (uint32_t)node->n_input;
    rule->output_count = (uint32_t)node->n_output;
    memset(rule->outputs, 0, rule->output_count * sizeof rule->outputs[0]);
    for (uint32_t i = 0; i < rule->input_count; i++)
        rule->inputs[i] = find_value(im, node->input[i]);
    TRY(interpret_node(rule));
    bool from_mask = reads_mask(rule);
    for (uint32_t i = 0; i < rule->output_count; i++) {
        struct import_value *value = find_value(im, node->output[i]);
        if (!value)
            continue;
        *value = rule->outputs[i];
        value->from_mask = from_mask && value->kind == VALUE_CONCRETE;
    }
    return OK;
}

enum status import_interpret(struct importer *im, struct trace *trace)
{
    const Onnx__GraphProto *graph = im->file->proto->graph;
    struct trace *inner = ARENA_NEW(im->arena, struct trace);
    struct rule *rule = ARENA_NEW(im->arena, struct rule);
    rule->im = im;
    rule->trace = inner;
    for (uint32_t i = 0; i < im->order_count; i++) {
        im->node = im->order[i];
        const Onnx__NodeProto *node = graph->node[im->node];
        enum status status = interpret(rule, node);
        if (status != OK)
            return status_fail(trace, status, "node '%s' (%s, number %u): %s", onnx_node_name(node),
                               node->op_type ? node->op_type : "", im->node, inner->text);
    }
    return OK;
}
