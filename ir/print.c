/* Printing a graph. Values are numbered in order of appearance, dimension leaves d0, d1, ... likewise, so
 * equal graphs print equally whatever ids they have. A leaf's size stands where it first appears. */
#include "ir/text.h"
#include <inttypes.h>
#include <stdio.h>

struct printer {
    const struct graph *graph;
    enum text_form form;
    struct builder *out;
    uint32_t *values; /* value id -> printed number + 1 */
    uint32_t *leaves; /* leaf -> printed number + 1 */
    uint32_t value_count, leaf_count;
};

static void print_term(struct printer *p, uint32_t term)
{
    const struct dims *dims = &p->graph->dims;
    uint32_t id = dims_find(dims, term);
    const struct dim_term *t = &dims->terms.items[id];
    if (t->kind == DIM_LEAF) {
        if (t->symbol.length > 0) {
            builder_add(p->out, t->symbol.data, t->symbol.length);
        } else if (t->size == 1) {
            builder_add_text(p->out, "1");
        } else if (p->leaves[id] > 0) {
            builder_printf(p->out, "d%" PRIu32, p->leaves[id] - 1);
        } else {
            p->leaves[id] = ++p->leaf_count;
            builder_printf(p->out, "d%" PRIu32 ":%" PRId64, p->leaf_count - 1, t->size);
        }
        return;
    }
    uint32_t items[DIM_MAX_FACTORS];
    uint32_t count = t->kind == DIM_PRODUCT ? dims_factors(dims, id, items) : dims_parts(dims, id, items);
    for (uint32_t i = 0; i < count; i++) {
        builder_add_text(p->out, i == 0 ? "(" : t->kind == DIM_PRODUCT ? "*" : "+");
        print_term(p, items[i]);
    }
    builder_add_text(p->out, ")");
}

/* "%3: f32[b, s, d1]" */
static void print_value(struct printer *p, uint32_t id)
{
    const struct value *v = graph_value(p->graph, id);
    p->values[id] = ++p->value_count;
    builder_printf(p->out, "%%%" PRIu32 ": %s[", p->value_count - 1, dtype_name(v->dtype));
    for (uint32_t i = 0; i < v->rank; i++) {
        builder_add_text(p->out, i == 0 ? "" : ", ");
        print_term(p, v->axes[i]);
    }
    builder_add_text(p->out, "]");
}

static void end_line(struct printer *p, struct str note)
{
    if (p->form == TEXT_READABLE && note.length > 0) {
        builder_add_text(p->out, "  # ");
        for (size_t i = 0; i < note.length; i++)
            builder_add(p->out, (unsigned char)note.data[i] < ' ' ? "?" : &note.data[i], 1);
    }
    builder_add_text(p->out, "\n");
}

static void print_tensor(struct printer *p, const struct tensor *tensor)
{
    char hex[HASH128_HEX];
    builder_add_text(p->out, "tensor ");
    print_value(p, tensor->value);
    if (tensor->view.dtype != graph_value(p->graph, tensor->value)->dtype)
        builder_printf(p->out, " stored %s", dtype_name(tensor->view.dtype));
    hash128_to_hex(tensor->id, hex);
    builder_printf(p->out, " %s%s", tensor->has_id ? "xxh3:" : "-", tensor->has_id ? hex : "");
    end_line(p, tensor->name);
}

static void print_node(struct printer *p, const struct node *node)
{
    for (uint32_t r = 0; r < node->result_count; r++) {
        builder_add_text(p->out, r == 0 ? "" : ", ");
        print_value(p, node->results[r]);
    }
    builder_printf(p->out, " = %s", op_table[node->op].name);
    for (uint32_t i = 0; i < node->input_count; i++)
        builder_printf(p->out, " %%%" PRIu32, p->values[node->inputs[i]] - 1);
    for (uint32_t i = 0; i < node->attribute_count; i++) {
        const struct attribute *a = &node->attributes[i];
        bool is_integer = attribute_is_integer(a->key);
        if (attribute_is_option(a->key) && (is_integer ? a->integer == 0 : a->real == 0))
            continue;
        if (is_integer)
            builder_printf(p->out, " %s=%" PRId64, attribute_table[a->key].name, a->integer);
        else
            builder_printf(p->out, " %s=%.9g", attribute_table[a->key].name, (double)a->real);
    }
    end_line(p, node->origin);
}

void graph_print(const struct graph *graph, enum text_form form, struct builder *out)
{
    struct arena scratch = {0};
    struct printer p = {.graph = graph, .form = form, .out = out};
    p.values = ARENA_ARRAY(&scratch, uint32_t, graph->values.count + 1);
    p.leaves = ARENA_ARRAY(&scratch, uint32_t, graph->dims.terms.count + 1);
    builder_add_text(out, "espalier-ir 1\n");
    interface_print(&graph->interface, out);
    for (uint32_t i = 0; i < graph->inputs.count; i++) {
        builder_add_text(out, "input ");
        print_value(&p, graph->inputs.items[i].value);
        builder_printf(out, " " STR_FORMAT "\n", STR_ARGUMENT(graph->inputs.items[i].name));
    }
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        print_tensor(&p, &graph->tensors.items[i]);
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        print_node(&p, &graph->nodes.items[i]);
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        builder_printf(out, "output %%%" PRIu32 " " STR_FORMAT "\n",
                       p.values[graph->outputs.items[i].value] - 1,
                       STR_ARGUMENT(graph->outputs.items[i].name));
    arena_release(&scratch);
}

struct hash128 graph_hash(const struct graph *graph)
{
    struct builder text = {0};
    graph_print(graph, TEXT_CANONICAL, &text);
    struct hash128 hash = hash128_of(text.data, text.length);
    builder_release(&text);
    return hash;
}
