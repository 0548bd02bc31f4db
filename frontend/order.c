/* Names, inputs and order of an ONNX graph: every name is defined once and known where it is used, nodes are
 * sorted topologically, and the inputs of the model's interface (cache, mask, positions) get the values of a
 * first full pass. */
#include "frontend/interface.h"
#include <inttypes.h>
#include <string.h>

enum { NOT_MADE_BY_A_NODE = UINT32_MAX };

struct sorter {
    struct importer *im;
    const Onnx__GraphProto *graph;
    VEC(uint32_t) maker; /* of each value: node, or NOT_MADE_BY_A_NODE */
    uint32_t *missing;   /* per node: inputs not made yet */
    bool *needed;        /* per node */
    struct trace *trace;
};

static enum status add_value(struct sorter *s, const char *name, uint32_t maker, uint32_t *out)
{
    struct importer *im = s->im;
    uint32_t other, index = im->values.count;
    if (!map_add_text(&im->names, im->arena, str_from(name), index)) {
        map_find_text(&im->names, str_from(name), &other);
        uint32_t first = s->maker.items[other];
        return status_fail(s->trace, INVALID, "value '%s' is defined twice: by %s and by %s", name,
                           first == NOT_MADE_BY_A_NODE ? "the model's inputs or tensors"
                                                       : onnx_node_name(s->graph->node[first]),
                           maker == NOT_MADE_BY_A_NODE ? "the model's inputs or tensors"
                                                       : onnx_node_name(s->graph->node[maker]));
    }
    VEC_PUSH(im->arena, &im->values);
    *VEC_PUSH(im->arena, &s->maker) = maker;
    *out = index;
    return OK;
}

/* One array for all values, but not a larger one than a model has use for: what a file lists may be refused
 * yet. */
static void make_room(struct sorter *s)
{
    enum { MOST_AT_ONCE = 1 << 20 };
    size_t most = s->graph->n_initializer + s->graph->n_input;
    for (size_t i = 0; i < s->graph->n_node; i++)
        most += s->graph->node[i]->n_output;
    most = most < MOST_AT_ONCE ? most : MOST_AT_ONCE;
    VEC_MAKE_ROOM(s->im->arena, &s->im->values, most);
    VEC_MAKE_ROOM(s->im->arena, &s->maker, most);
}

static enum status add_tensors(struct sorter *s)
{
    struct importer *im = s->im;
    for (size_t i = 0; i < s->graph->n_initializer; i++) {
        struct onnx_data *data = ARENA_NEW(im->arena, struct onnx_data);
        uint32_t index;
        TRY(onnx_data_locate(data, im->file, s->graph->initializer[i], s->trace));
        TRY(add_value(s, data->name.data, NOT_MADE_BY_A_NODE, &index));
        struct import_value *value = &im->values.items[index];
        *value = (struct import_value){.kind = VALUE_CONCRETE, .data = data};
        value->has_weight = onnx_data_view(&value->weight, data);
    }
    return OK;
}

static enum status read_declared(struct declared *out, const Onnx__ValueInfoProto *info, struct trace *trace)
{
    const Onnx__TensorTypeProto *type = info->type ? info->type->tensor_type : NULL;
    *out = (struct declared){.name = info->name ? info->name : ""};
    if (!type)
        return status_fail(trace, UNSUPPORTED, "input '%s' is not a tensor", out->name);
    out->type = type->elem_type;
    out->has_shape = type->shape != NULL;
    size_t rank = type->shape ? type->shape->n_dim : 0;
    if (rank > ONNX_MAX_RANK)
        return status_fail(trace, UNSUPPORTED, "input '%s' has %zu axes", out->name, rank);
    out->rank = (uint32_t)rank;
    for (uint32_t i = 0; i < out->rank; i++) {
        const Onnx__TensorShapeDimension *dim = type->shape->dim[i];
        out->dims[i] = dim->has_dim_value ? dim->dim_value : -1;
        if (dim->has_dim_value && dim->dim_value < 0)
            return status_fail(trace, INVALID, "input '%s' has an axis of size %" PRId64, out->name,
                               dim->dim_value);
    }
    return OK;
}

static bool has_word(const char *name, const char *word)
{
    return strstr(name, word) != NULL;
}

static enum status set_tokens(struct importer *im, struct import_value *value, const struct declared *in,
                              struct trace *trace)
{
    if (in->rank != 2)
        return status_fail(trace, UNSUPPORTED, "input '%s' has %u axes, expected [batch, sequence]", in->name,
                           in->rank);
    for (uint32_t i = 0; i < 2; i++)
        if (in->dims[i] >= 0)
            return status_fail(trace, UNSUPPORTED,
                               "input '%s' has the fixed %s %" PRId64 ": export the model with dynamic axes",
                               in->name, i == 0 ? "batch" : "length", in->dims[i]);
    value->kind = VALUE_ACTIVATION;
    value->term = term_add(&im->terms, (struct term){.kind = TERM_TOKENS, .size = 1}, 0);
    value->view = view_rows(1);
    view_remove(&value->view, 2);
    return OK;
}

/* An array over [batch, sequence] or [sequence]: ones for a mask, else the position. */
static enum status set_interface(struct importer *im, struct import_value *value, const struct declared *in,
                                 bool is_mask, struct trace *trace)
{
    if (in->rank != 2 && !(in->rank == 1 && !is_mask))
        return status_fail(trace, UNSUPPORTED, "input '%s' has %u axes, expected [batch, sequence]", in->name,
                           in->rank);
    for (uint32_t i = 0; i < in->rank; i++)
        if (in->dims[i] >= 0 && !(in->rank == 2 && i == 0 && in->dims[i] == 1))
            return status_fail(trace, UNSUPPORTED, "input '%s' has an axis of the fixed size %" PRId64,
                               in->name, in->dims[i]);
    for (uint32_t p = 0; p < PROBES; p++) {
        int64_t length = probes[p].sequence,
                dims[2] = {in->dims[0] >= 0 ? in->dims[0] : probes[p].batch, length};
        struct array *array;
        TRY(array_create(&array, &im->room, in->type, in->rank, dims + (2 - in->rank), trace));
        for (int64_t i = 0; i < array->count; i++)
            array->data[i] = is_mask ? 1 : (double)(i % length);
        value->at[p] = array;
    }
    value->kind = VALUE_CONCRETE;
    return OK;
}

/* A cache before the first token: its one symbolic axis besides the batch is empty. Builders of fused
 * attention leave the size of a head open as well. */
static enum status set_cache(struct importer *im, struct import_value *value, const struct declared *in,
                             struct trace *trace)
{
    uint32_t symbolic = 0;
    for (uint32_t i = 1; i < in->rank; i++)
        symbolic += in->dims[i] < 0;
    bool is_open = in->rank == 4 && in->dims[3] < 0;
    if (symbolic != 1 && !(is_open && symbolic == 2))
        return status_fail(
            trace, UNSUPPORTED,
            "input '%s' is not understood: of a key-value cache exactly one axis besides the batch is "
            "symbolic, here %u",
            in->name, symbolic);
    for (uint32_t p = 0; p < PROBES; p++) {
        int64_t dims[ONNX_MAX_RANK];
        for (uint32_t i = 0; i < in->rank; i++)
            dims[i] = in->dims[i] >= 0 ? in->dims[i] : i == 0 ? probes[p].batch : 0;
        struct array *array;
        TRY(array_create(&array, &im->room, in->type, in->rank, dims, trace));
        value->at[p] = array;
    }
    value->kind = VALUE_CONCRETE;
    return OK;
}

static bool is_integer_type(int32_t type)
{
    return type == ONNX_INT64 || type == ONNX_INT32;
}

static bool may_be_tokens(const struct declared *in)
{
    return is_integer_type(in->type) && !has_word(in->name, "mask") && !has_word(in->name, "position");
}

/* The input that holds the tokens: called input_ids, or the only one of integers that is no mask and no
 * position. */
static enum status find_tokens(const struct sorter *s, size_t *out)
{
    size_t candidates = 0;
    for (size_t i = 0; i < s->graph->n_input; i++) {
        struct declared in;
        TRY(read_declared(&in, s->graph->input[i], s->trace));
        if (map_find_text(&s->im->names, str_from(in.name), NULL) || !may_be_tokens(&in))
            continue;
        if (strcmp(in.name, "input_ids") == 0) {
            *out = i;
            return OK;
        }
        *out = i;
        candidates++;
    }
    if (candidates != 1)
        return status_fail(s->trace, UNSUPPORTED,
                           "the model has %zu inputs that could be the tokens, expected 'input_ids'",
                           candidates);
    return OK;
}

static enum status set_input(struct sorter *s, const struct declared *in, bool is_tokens)
{
    struct importer *im = s->im;
    uint32_t index;
    TRY(add_value(s, in->name, NOT_MADE_BY_A_NODE, &index));
    struct import_value *value = &im->values.items[index];
    if (is_tokens)
        return set_tokens(im, value, in, s->trace);
    if (has_word(in->name, "mask")) {
        import_note(im, "input '%s' taken as all ones", in->name);
        interface_add_mask(im, in);
        value->from_mask = true;
        return set_interface(im, value, in, true, s->trace);
    }
    if (has_word(in->name, "position") && is_integer_type(in->type)) {
        import_note(im, "input '%s' taken as 0, 1, 2, ...", in->name);
        interface_add_positions(im, in);
        return set_interface(im, value, in, false, s->trace);
    }
    if (onnx_type_is_float(in->type) && in->rank >= 3) {
        interface_add_past(im, in);
        return set_cache(im, value, in, s->trace);
    }
    return status_fail(s->trace, UNSUPPORTED, "input '%s' (%s, %u axes) is not understood", in->name,
                       onnx_type_name(in->type), in->rank);
}

static enum status add_inputs(struct sorter *s)
{
    size_t tokens = 0;
    TRY(find_tokens(s, &tokens));
    for (size_t i = 0; i < s->graph->n_input; i++) {
        struct declared in;
        uint32_t known;
        TRY(read_declared(&in, s->graph->input[i], s->trace));
        bool is_stored =
            map_find_text(&s->im->names, str_from(in.name), &known) && s->im->values.items[known].data;
        if (!is_stored) /* before version 4 of the format, tensors are listed as inputs too */
            TRY(set_input(s, &in, i == tokens));
    }
    return OK;
}

static enum status add_nodes(struct sorter *s)
{
    for (uint32_t i = 0; i < s->graph->n_node; i++) {
        const Onnx__NodeProto *node = s->graph->node[i];
        uint32_t index;
        for (size_t o = 0; o < node->n_output; o++)
            if (*node->output[o])
                TRY(add_value(s, node->output[o], i, &index));
    }
    for (uint32_t i = 0; i < s->graph->n_node; i++) {
        const Onnx__NodeProto *node = s->graph->node[i];
        uint32_t index;
        for (size_t k = 0; k < node->n_input; k++) {
            if (!*node->input[k])
                continue;
            if (!map_find_text(&s->im->names, str_from(node->input[k]), &index))
                return status_fail(
                    s->trace, INVALID, "node '%s' (%s, number %u) reads '%s', which nothing defines",
                    onnx_node_name(node), node->op_type ? node->op_type : "", i, node->input[k]);
            s->missing[i] += s->maker.items[index] != NOT_MADE_BY_A_NODE;
        }
    }
    return OK;
}

/* The node that makes input `slot` of a node, or NOT_MADE_BY_A_NODE. */
static uint32_t maker_of(const struct sorter *s, const Onnx__NodeProto *node, size_t slot)
{
    uint32_t index;
    if (!map_find_text(&s->im->names, str_from(node->input[slot]), &index))
        return NOT_MADE_BY_A_NODE;
    return s->maker.items[index];
}

/* Some nodes are left that wait for each other: walks back until one comes again, and names those on the way.
 */
static enum status fail_cycle(const struct sorter *s, const bool *done)
{
    struct builder names = {0};
    uint32_t at = 0, count = (uint32_t)s->graph->n_node;
    while (done[at])
        at++;
    /* After `count` steps back the walk is inside a cycle. */
    for (uint32_t step = 0, printed = 0, start = 0; step < count + 8 && printed < 8; step++) {
        if (step == count)
            start = at;
        if (step >= count) {
            builder_printf(&names, "%s'%s'", printed++ ? ", " : "", onnx_node_name(s->graph->node[at]));
        }
        const Onnx__NodeProto *node = s->graph->node[at];
        for (size_t k = 0; k < node->n_input; k++) {
            uint32_t maker = maker_of(s, node, k);
            if (maker != NOT_MADE_BY_A_NODE && !done[maker]) {
                at = maker;
                break;
            }
        }
        if (step >= count && at == start)
            break;
    }
    enum status status =
        status_fail(s->trace, INVALID, "the graph has a cycle through the nodes %s", builder_text(&names));
    builder_release(&names);
    return status;
}

/* Kahn's algorithm; readers of each node are listed by counting sort. */
static enum status sort_nodes(struct sorter *s, uint32_t *order)
{
    struct arena *arena = s->im->arena;
    uint32_t count = (uint32_t)s->graph->n_node, done = 0, edges = 0;
    uint32_t *first = ARENA_ARRAY(arena, uint32_t, (size_t)count + 2);
    bool *placed = ARENA_ARRAY(arena, bool, (size_t)count + 1);
    for (uint32_t pass = 0; pass < 2; pass++) {
        uint32_t *readers = pass ? ARENA_ARRAY(arena, uint32_t, (size_t)edges + 1) : NULL;
        for (uint32_t i = 0; i < count; i++)
            for (size_t k = 0; k < s->graph->node[i]->n_input; k++) {
                uint32_t maker = maker_of(s, s->graph->node[i], k);
                if (maker == NOT_MADE_BY_A_NODE)
                    continue;
                if (pass)
                    readers[first[maker]++] = i;
                else
                    first[maker + 2]++, edges++;
            }
        if (!pass) {
            for (uint32_t i = 2; i < count + 2; i++)
                first[i] += first[i - 1];
            memmove(first, first + 1, ((size_t)count + 1) * sizeof *first);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
            if (s->missing[i] == 0)
                order[done++] = i;
        for (uint32_t at = 0; at < done; at++) {
            uint32_t node = order[at];
            placed[node] = true;
            for (uint32_t e = node > 0 ? first[node - 1] : 0; e < first[node]; e++)
                if (--s->missing[readers[e]] == 0)
                    order[done++] = readers[e];
        }
    }
    return done == count ? OK : fail_cycle(s, placed);
}

/* "logits", else the only output, else the first. */
static enum status find_logits(struct sorter *s)
{
    const Onnx__GraphProto *graph = s->graph;
    if (graph->n_output == 0)
        return status_fail(s->trace, INVALID, "the graph has no output");
    size_t chosen = 0;
    for (size_t i = 0; i < graph->n_output; i++)
        if (graph->output[i]->name && strcmp(graph->output[i]->name, "logits") == 0)
            chosen = i;
    const char *name = graph->output[chosen]->name ? graph->output[chosen]->name : "";
    if (!map_find_text(&s->im->names, str_from(name), &s->im->logits))
        return status_fail(s->trace, INVALID, "nothing defines the output '%s'", name);
    if (graph->n_output > 1)
        import_note(s->im, "took the output '%s' of %zu", name, graph->n_output);
    for (size_t i = 0; i < graph->n_output; i++)
        if (i != chosen && graph->output[i]->name)
            interface_add_output(s->im, graph->output[i]->name);
    return OK;
}

/* Walks back from the logits over the sorted nodes: what they do not need is dropped. */
static void keep_needed(struct sorter *s, const uint32_t *order)
{
    struct importer *im = s->im;
    uint32_t count = (uint32_t)s->graph->n_node, maker = s->maker.items[im->logits];
    if (maker != NOT_MADE_BY_A_NODE)
        s->needed[maker] = true;
    for (uint32_t i = count; i-- > 0;) {
        const Onnx__NodeProto *node = s->graph->node[order[i]];
        for (size_t k = 0; s->needed[order[i]] && k < node->n_input; k++)
            if ((maker = maker_of(s, node, k)) != NOT_MADE_BY_A_NODE)
                s->needed[maker] = true;
    }
    for (uint32_t i = 0; i < count; i++)
        if (s->needed[order[i]])
            im->order[im->order_count++] = order[i];
}

enum status import_order(struct importer *im, struct trace *trace)
{
    const Onnx__GraphProto *graph = im->file->proto->graph;
    im->interface = ARENA_NEW(im->arena, struct interface_parts);
    struct sorter s = {.im = im, .graph = graph, .trace = trace};
    s.missing = ARENA_ARRAY(im->arena, uint32_t, graph->n_node + 1);
    s.needed = ARENA_ARRAY(im->arena, bool, graph->n_node + 1);
    im->order = ARENA_ARRAY(im->arena, uint32_t, graph->n_node + 1);
    uint32_t *order = ARENA_ARRAY(im->arena, uint32_t, graph->n_node + 1);
    make_room(&s);
    TRY(add_tensors(&s));
    TRY(add_inputs(&s));
    TRY(add_nodes(&s));
    TRY(sort_nodes(&s, order));
    TRY(find_logits(&s));
    keep_needed(&s, order);
    return OK;
}
