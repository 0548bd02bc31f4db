/* Finding the residual stream in one sweep over the nodes, in topological order. `reach` of a value is the
 * highest index of a stream value that it depends on, so a branch is known as one when its add is met. */
#include "passes/structure.h"
#include "ir/build.h"
#include "ir/text.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct finder {
    const struct graph *graph;
    struct arena *arena;
    uint32_t *reach;     /* value -> index into stream, or ID_NONE */
    uint32_t *consumers; /* value -> number of operands that it is */
    uint32_t *position;  /* value -> its own index in the stream, or ID_NONE */
    uint32_t *marks;     /* node -> number of the last search that met it */
    uint32_t searches;
    struct graph_copy copy; /* arrays that the copies of all branches share; `to` is each one's own */
    VEC(uint32_t) stream;
    VEC(struct branch) branches;
    VEC(struct layer) layers;
    uint32_t hidden;
};

static uint32_t last_axis(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return v->rank > 0 ? dims_find(&graph->dims, v->axes[v->rank - 1]) : DIM_NONE;
}

static uint32_t find_embed(const struct graph *graph)
{
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        if (graph->nodes.items[n].op == OP_embed &&
            graph_value(graph, graph->nodes.items[n].inputs[1])->origin == VALUE_INPUT)
            return n;
    return ID_NONE;
}

/* Puts `value` at the end of the stream, or in the place of s0 as long as no branch was met. */
static void extend_stream(struct finder *f, uint32_t value)
{
    if (f->branches.count == 0 && f->stream.count > 0)
        f->stream.count = 0;
    f->position[value] = f->reach[value] = f->stream.count;
    *VEC_PUSH(f->arena, &f->stream) = value;
}

static uint32_t node_reach(const struct finder *f, const struct node *node)
{
    uint32_t reach = ID_NONE;
    for (uint32_t i = 0; i < node->input_count; i++) {
        uint32_t r = f->reach[node->inputs[i]];
        if (r != ID_NONE && (reach == ID_NONE || r > reach))
            reach = r;
    }
    return reach;
}

/* add(head, f) with f from the stream: the head moves on, and f is a branch. */
static bool take_branch(struct finder *f, uint32_t index)
{
    const struct node *node = &f->graph->nodes.items[index];
    uint32_t head = VEC_LAST(&f->stream);
    if (node->op != OP_add || (node->inputs[0] != head && node->inputs[1] != head))
        return false;
    uint32_t other = node->inputs[node->inputs[0] == head];
    if (f->reach[other] == ID_NONE || other == head || last_axis(f->graph, other) != f->hidden ||
        graph_value(f->graph, other)->rank != graph_value(f->graph, head)->rank)
        return false;
    *VEC_PUSH(f->arena, &f->branches) = (struct branch){.kind = BRANCH_MLP,
                                                        .add = index,
                                                        .before = head,
                                                        .after = node->results[0],
                                                        .value = other,
                                                        .reads = f->reach[other],
                                                        .attention = ID_NONE};
    uint32_t value = node->results[0];
    f->position[value] = f->reach[value] = f->stream.count;
    *VEC_PUSH(f->arena, &f->stream) = value;
    return true;
}

/* Before the first branch: the only use of s0 makes the next s0 (position embedding, scaling, a norm). */
static bool moves_start(const struct finder *f, const struct node *node)
{
    uint32_t head = VEC_LAST(&f->stream);
    return f->branches.count == 0 && f->consumers[head] == 1 &&
           (node->inputs[0] == head || (node->input_count > 1 && node->inputs[1] == head)) &&
           graph_value(f->graph, node->results[0])->rank == graph_value(f->graph, head)->rank &&
           last_axis(f->graph, node->results[0]) == f->hidden;
}

static void sweep(struct finder *f)
{
    for (uint32_t n = 0; n < f->graph->nodes.count; n++) {
        const struct node *node = &f->graph->nodes.items[n];
        if (f->stream.count > 0 && take_branch(f, n))
            continue;
        uint32_t reach = node_reach(f, node);
        for (uint32_t r = 0; r < node->result_count && f->position[node->results[r]] == ID_NONE; r++)
            f->reach[node->results[r]] = reach;
        if (f->stream.count > 0 && moves_start(f, node))
            extend_stream(f, node->results[0]);
    }
}

struct node_list {
    struct arena *arena;
    VEC(uint32_t) found;
};

/* The nodes that `value` needs, up to the stream, in no order; *lowest becomes the first stream value that is
 * met. */
static void find_needed(struct finder *f, uint32_t value, struct node_list *nodes, uint32_t *lowest)
{
    VEC(uint32_t) stack = {0};
    f->searches++;
    *VEC_PUSH(nodes->arena, &stack) = value;
    while (stack.count > 0) {
        uint32_t id = stack.items[--stack.count];
        const struct value *v = graph_value(f->graph, id);
        if (f->position[id] != ID_NONE) {
            *lowest = f->position[id] < *lowest ? f->position[id] : *lowest;
            continue;
        }
        if (v->origin != VALUE_NODE || f->reach[id] == ID_NONE || f->marks[v->source] == f->searches)
            continue;
        f->marks[v->source] = f->searches;
        *VEC_PUSH(nodes->arena, &nodes->found) = v->source;
        const struct node *node = &f->graph->nodes.items[v->source];
        for (uint32_t i = 0; i < node->input_count; i++)
            *VEC_PUSH(nodes->arena, &stack) = node->inputs[i];
    }
}

static void forget_branch(struct finder *f, const struct branch *branch)
{
    for (uint32_t n = 0; n < branch->node_count; n++) {
        const struct node *node = &f->graph->nodes.items[branch->nodes[n]];
        for (uint32_t i = 0; i < node->input_count; i++)
            graph_copy_forget(&f->copy, node->inputs[i]);
        for (uint32_t r = 0; r < node->result_count; r++)
            graph_copy_forget(&f->copy, node->results[r]);
    }
}

static struct hash128 branch_hash(struct finder *f, const struct branch *branch)
{
    const struct graph *graph = f->graph;
    struct graph *to = graph_create();
    struct graph_copy copy = f->copy;
    struct trace trace = {0};
    copy.to = to;
    for (uint32_t n = 0; n < branch->node_count; n++) {
        const struct node *node = &graph->nodes.items[branch->nodes[n]];
        for (uint32_t i = 0; i < node->input_count; i++) {
            uint32_t id = node->inputs[i], axes[VALUE_MAX_RANK];
            const struct value *v = graph_value(graph, id);
            if (copy.values[id] != ID_NONE)
                continue;
            if (v->origin == VALUE_TENSOR) {
                graph_copy_tensor(&copy, v->source);
                VEC_LAST(&to->tensors).has_id = false;
                continue;
            }
            for (uint32_t a = 0; a < v->rank; a++)
                axes[a] = graph_copy_term(&copy, v->axes[a]);
            copy.values[id] = build_input(to, "x", v->dtype, v->rank, axes);
        }
        if (graph_copy_node(&copy, node, &trace) != OK)
            BUG("a branch cannot be copied: %s", trace.text);
    }
    if (copy.values[branch->value] != ID_NONE)
        build_output(to, "y", copy.values[branch->value]);
    struct graph *canonical = graph_canonicalise(to);
    struct hash128 hash = graph_hash(canonical);
    forget_branch(f, branch);
    graph_destroy(canonical);
    graph_destroy(to);
    return hash;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void describe_branch(struct finder *f, struct branch *branch)
{
    struct arena scratch = {0};
    struct node_list needed = {.arena = &scratch};
    uint32_t lowest = UINT32_MAX;
    find_needed(f, branch->value, &needed, &lowest);
    branch->node_count = needed.found.count;
    uint32_t *nodes = ARENA_ARRAY(f->arena, uint32_t, branch->node_count + 1);
    if (branch->node_count > 0) {
        qsort(needed.found.items, branch->node_count, sizeof *nodes, compare_numbers);
        memcpy(nodes, needed.found.items, branch->node_count * sizeof *nodes);
    }
    for (uint32_t n = 0; n < branch->node_count && branch->attention == ID_NONE; n++) {
        if (op_is_attention(f->graph->nodes.items[nodes[n]].op)) {
            branch->attention = nodes[n];
            branch->kind = BRANCH_ATTENTION;
        }
    }
    branch->nodes = nodes;
    branch->hash = branch_hash(f, branch);
    arena_release(&scratch);
}

static void group_layers(struct finder *f)
{
    for (uint32_t b = 0; b < f->branches.count; b++) {
        struct branch *branch = &f->branches.items[b];
        if (branch->kind == BRANCH_ATTENTION)
            *VEC_PUSH(f->arena, &f->layers) = (struct layer){b, ID_NONE};
        else if (f->layers.count > 0 && VEC_LAST(&f->layers).mlp == ID_NONE)
            VEC_LAST(&f->layers).mlp = b;
        else
            *VEC_PUSH(f->arena, &f->layers) = (struct layer){ID_NONE, b};
        branch->layer = f->layers.count - 1;
    }
}

static bool same_branch(const struct finder *f, uint32_t a, uint32_t b)
{
    if (a == ID_NONE || b == ID_NONE)
        return a == b;
    return hash128_equal(f->branches.items[a].hash, f->branches.items[b].hash);
}

static uint32_t find_period(const struct finder *f)
{
    uint32_t count = f->layers.count;
    for (uint32_t period = 1; period == 1 || period <= count / 2; period++) {
        bool repeats = true;
        for (uint32_t i = period; repeats && i < count; i++)
            repeats = same_branch(f, f->layers.items[i].attention, f->layers.items[i - period].attention) &&
                      same_branch(f, f->layers.items[i].mlp, f->layers.items[i - period].mlp);
        if (repeats)
            return period;
    }
    return 0;
}

/* Outputs must see the end of the stream only, or the chain is not what makes them. */
static enum status check_outputs(struct finder *f, struct trace *trace)
{
    struct arena scratch = {0};
    struct node_list needed = {.arena = &scratch};
    uint32_t logits = graph_find_output(f->graph, "logits"), lowest = UINT32_MAX;
    if (logits != ID_NONE)
        find_needed(f, logits, &needed, &lowest);
    arena_release(&scratch);
    if (lowest != UINT32_MAX && lowest + 1 != f->stream.count)
        return status_fail(trace, UNSUPPORTED,
                           "the graph has no single residual stream: the logits see the stream after %" PRIu32
                           " of %" PRIu32 " branches directly",
                           lowest, f->branches.count);
    return OK;
}

static void begin(struct finder *f, const struct graph *graph, struct arena *arena, struct arena *scratch,
                  struct graph *shared)
{
    *f = (struct finder){.graph = graph, .arena = arena};
    uint32_t count = graph->values.count + 1;
    f->reach = ARENA_ARRAY(scratch, uint32_t, count);
    f->position = ARENA_ARRAY(scratch, uint32_t, count);
    f->consumers = ARENA_ARRAY(scratch, uint32_t, count);
    f->marks = ARENA_ARRAY(scratch, uint32_t, graph->nodes.count);
    f->copy = graph_copy_begin(shared, graph);
    memset(f->reach, 0xff, count * sizeof *f->reach);
    memset(f->position, 0xff, count * sizeof *f->position);
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        for (uint32_t i = 0; i < graph->nodes.items[n].input_count; i++)
            f->consumers[graph->nodes.items[n].inputs[i]]++;
}

enum status structure_find(struct structure *out, struct arena *arena, const struct graph *graph,
                           struct trace *trace)
{
    *out = (struct structure){.embed = find_embed(graph)};
    if (out->embed == ID_NONE)
        return status_fail(trace, UNSUPPORTED,
                           "no embedding of an integer input was found, so there is no residual stream");
    struct arena scratch = {0};
    struct finder f;
    struct graph *shared = graph_create(); /* whose arena holds what the copies share */
    begin(&f, graph, arena, &scratch, shared);
    uint32_t start = graph->nodes.items[out->embed].results[0];
    out->hidden = f.hidden = last_axis(graph, start);
    extend_stream(&f, start);
    sweep(&f);
    enum status status = check_outputs(&f, trace);
    for (uint32_t b = 0; b < f.branches.count && status == OK; b++)
        describe_branch(&f, &f.branches.items[b]);
    group_layers(&f);
    out->stream = f.stream.items;
    out->branches = f.branches.items;
    out->branch_count = f.branches.count;
    out->layers = f.layers.items;
    out->layer_count = f.layers.count;
    out->period = status == OK ? find_period(&f) : 0;
    graph_destroy(shared);
    arena_release(&scratch);
    return status;
}
