/* What the probes cannot see of a mask: a window longer than they are. A number that positions are compared
 * with, or that is added to them, shows when it is made small: the mask must stay as it was, or become a
 * window that grows with the number, whose real size then is known. A stored triangle or band must be one in
 * every row. */
#include "frontend/importer.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_HIDDEN = 4 /* i - j <= 4 is always true at the last probe */ };

enum { MOST_VISITS = 200000000 };

/* The nodes that a mask is made of. One an import, used for one mask after the other. */
struct mask_history {
    struct importer *im;
    const Onnx__GraphProto *graph;
    bool *nodes;             /* of the graph */
    bool *needed;            /* values */
    uint32_t end;            /* in im->order: nodes before it have been interpreted */
    const struct array **by; /* of each value, with a number replaced; NULL: as it was */
    int64_t visits;          /* of nodes, for all masks: what a hostile file could make quadratic */
    struct trace scratch;
};

static struct import_value *value_of(const struct mask_history *h, const char *name, uint32_t *index)
{
    if (!*name || !map_find_text(&h->im->names, str_from(name), index))
        return NULL;
    return &h->im->values.items[*index];
}

static void mark_history(struct mask_history *h, uint32_t mask)
{
    struct importer *im = h->im;
    bool *needed = h->needed;
    memset(needed, 0, im->values.count * sizeof *needed);
    memset(h->nodes, 0, h->graph->n_node * sizeof *h->nodes);
    h->visits += h->end;
    needed[mask] = true;
    for (uint32_t n = h->end; n-- > 0;) {
        const Onnx__NodeProto *node = h->graph->node[im->order[n]];
        uint32_t index;
        for (size_t o = 0; o < node->n_output; o++)
            if (value_of(h, node->output[o], &index) && needed[index])
                h->nodes[im->order[n]] = true;
        for (size_t k = 0; h->nodes[im->order[n]] && k < node->n_input; k++) {
            const struct import_value *value = value_of(h, node->input[k], &index);
            if (value && value->kind == VALUE_CONCRETE)
                needed[index] = true;
        }
    }
}

/* Operators in which a number meets positions. */
static bool meets_positions(const char *op, size_t slot)
{
    static const char *const both[] = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "Add",
                                       "Sub",  "Min",         "Max"};
    static const char *const second[] = {"Trilu", "Mod", "Div"};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        if (strcmp(op, both[i]) == 0)
            return true;
    for (size_t i = 0; slot == 1 && i < sizeof second / sizeof *second; i++)
        if (strcmp(op, second[i]) == 0)
            return true;
    return false;
}

/* One number, the same at every probe, that is beyond what they show. */
static bool is_hidden_number(struct importer *im, struct import_value *value, double *number)
{
    if (value->kind != VALUE_CONCRETE || import_materialise(im, value, NULL) != OK)
        return false;
    for (uint32_t p = 0; p < PROBES; p++)
        if (value->at[p]->count != 1 || value->at[p]->data[0] != value->at[0]->data[0])
            return false;
    *number = value->at[0]->data[0];
    return fabs(*number) >= LEAST_HIDDEN && fabs(*number) < 0x1p31 && floor(*number) == *number;
}

static bool same_shape(const struct array *a, const struct array *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0;
}

static bool same_array(const struct array *a, const struct array *b)
{
    return a == b || (same_shape(a, b) && memcmp(a->data, b->data, (size_t)a->count * sizeof *a->data) == 0);
}

/* Carries a node out at the last probe with what was replaced; false when it cannot be. */
static bool evaluate_node(struct mask_history *h, const Onnx__NodeProto *node, const struct array *replaced,
                          size_t slot)
{
    struct importer *im = h->im;
    struct evaluation e = {.room = &im->room, .file = im->file, .node = node, .trace = &h->scratch};
    e.input_count = (uint32_t)node->n_input;
    e.output_count = (uint32_t)node->n_output;
    uint32_t index;
    for (size_t k = 0; k < node->n_input; k++) {
        const struct import_value *value = value_of(h, node->input[k], &index);
        if (value && (value->kind != VALUE_CONCRETE || !value->at[PROBES - 1]))
            return false;
        e.inputs[k] = !value ? NULL : h->by[index] ? h->by[index] : value->at[PROBES - 1];
        if (replaced && k == slot)
            e.inputs[k] = replaced;
    }
    if (import_evaluate(im, node, &e) != OK)
        return false;
    for (size_t o = 0; o < node->n_output; o++)
        if (value_of(h, node->output[o], &index) && e.outputs[o])
            h->by[index] = e.outputs[o];
    return true;
}

static bool reads_replaced(const struct mask_history *h, const Onnx__NodeProto *node)
{
    uint32_t index;
    for (size_t k = 0; k < node->n_input; k++)
        if (value_of(h, node->input[k], &index) && h->by[index])
            return true;
    return false;
}

/* Does the mask change when input `slot` of node `start` (a place in the order) is `number`? *out is what it
 * becomes; NULL when that is not known. */
static bool changes_mask(struct mask_history *h, const struct array **out, uint32_t mask, uint32_t start,
                         size_t slot, double number)
{
    *out = NULL;
    struct importer *im = h->im;
    const Onnx__NodeProto *node = h->graph->node[im->order[start]];
    uint32_t index;
    struct array *small;
    const struct array *usual = value_of(h, node->input[slot], &index)->at[PROBES - 1];
    if (array_create(&small, &im->room, usual->type, usual->rank, usual->dims, &h->scratch) != OK)
        return true;
    small->data[0] = number;
    memset(h->by, 0, im->values.count * sizeof *h->by);
    h->visits += h->end - start;
    if (!evaluate_node(h, node, small, slot))
        return false; /* a size: with another one the graph contradicts itself */
    for (uint32_t n = start + 1; n < h->end; n++) {
        const Onnx__NodeProto *next = h->graph->node[im->order[n]];
        if (h->nodes[im->order[n]] && reads_replaced(h, next) && !evaluate_node(h, next, NULL, 0))
            return false;
    }
    const struct array *usual_mask = im->values.items[mask].at[PROBES - 1];
    *out = h->by[mask] ? h->by[mask] : usual_mask;
    return same_shape(*out, usual_mask) &&
           !same_array(*out, usual_mask); /* else it does not fit the scores */
}

/* How many positions each row of [.., n, n] shows: element (i, j) is as (0, 0) where i - j is less, and j <=
 * i when (0, 1) is not as (0, 0); n when all are shown, 0 when the elements say something else. */
static int64_t band_of(const double *values, int64_t count, int64_t rows, int64_t columns)
{
    const double *last = values + (rows - 1) * columns;
    double shown = values[0];
    bool is_causal = columns > 1 && values[1] != shown;
    int64_t width = 0;
    while (width < rows && rows - 1 - width < columns && last[rows - 1 - width] == shown)
        width++;
    for (int64_t at = 0; at < count; at++) {
        int64_t i = at / columns % rows, j = at % columns;
        bool is_shown = i - j < width && (j <= i || !is_causal);
        if (is_shown != (values[at] == shown))
            return 0;
    }
    return width;
}

static int64_t band_of_array(const struct array *a)
{
    int64_t rows = a && a->rank >= 2 ? a->dims[a->rank - 2] : 0;
    if (rows < 2 || a->dims[a->rank - 1] != rows || a->count <= 0)
        return 0;
    return band_of(a->data, a->count, rows, rows);
}

/* Keeps a window that was found; two of them must agree. */
static bool keep_window(int64_t *window, int64_t found)
{
    if (*window != 0 && *window != found)
        return false;
    *window = found;
    return found > 0;
}

/* The window that a number of `size` stands for, from the masks that 1, 2 and 3 in its place give; 0: it is
 * none. */
static int64_t window_of(const struct array *const small[3], int64_t size)
{
    int64_t length = probes[PROBES - 1].sequence, second = band_of_array(small[1]), more = second - 2;
    if (second < 1 || second >= length || band_of_array(small[2]) != (3 + more < length ? 3 + more : length))
        return 0;
    if (1 + more > 0 && band_of_array(small[0]) != 1 + more)
        return 0;
    return size + more;
}

static enum status check_numbers(struct mask_history *h, struct rule *rule, uint32_t mask, int64_t *window)
{
    for (uint32_t n = 0; n < h->end; n++) {
        const Onnx__NodeProto *node = h->graph->node[h->im->order[n]];
        for (size_t k = 0; h->nodes[h->im->order[n]] && k < node->n_input && k < EVALUATE_MAX_INPUTS; k++) {
            uint32_t index;
            double number;
            struct import_value *value = value_of(h, node->input[k], &index);
            if (!value || !meets_positions(node->op_type, k) || !is_hidden_number(h->im, value, &number))
                continue;
            const struct array *small[3];
            bool changes = false;
            for (uint32_t s = 0; s < 3; s++)
                changes |= changes_mask(h, &small[s], mask, n, k, number < 0 ? -1. - s : 1. + s);
            if (changes && !keep_window(window, window_of(small, (int64_t)fabs(number))))
                return rule_refuse(
                    rule,
                    "attention mask is not causal: it depends on the number %.9g in node '%s' (%s), and not as one "
                    "window of positions does",
                    number, onnx_node_name(node), node->op_type);
        }
    }
    return OK;
}

/* Each row of a table with one row a head is a straight line, as far as bfloat16 is one. */
static bool is_straight(const double *values, int64_t count, int64_t columns)
{
    for (int64_t i = 0; i < count; i++) {
        const double *row = values + i / columns * columns;
        double step = row[1] - row[0], error = row[i % columns] - row[0] - step * (double)(i % columns);
        if (!(fabs(error) <= fabs(step) * 0x1p-6 * (double)(i % columns + 1)))
            return false;
    }
    return true;
}

/* A stored [.., rows, columns] is the same band everywhere; [.., 1, columns], of more positions than the
 * probes show, straight. */
static enum status check_stored(struct rule *rule, const struct onnx_data *data, int64_t *window)
{
    int64_t columns = data->rank >= 2 ? data->dims[data->rank - 1] : 0,
            rows = data->rank >= 2 ? data->dims[data->rank - 2] : 0;
    bool is_line = data->rank >= 3 && rows == 1 && columns > probes[PROBES - 1].sequence;
    if ((rows < 2 && !is_line) || columns < 2 || data->count <= 0 || data->count > ARRAY_MAX_COUNT)
        return OK;
    double *values = malloc((size_t)data->count * sizeof *values);
    if (!values)
        BUG("out of memory");
    enum status status = onnx_data_decode(values, data, rule->trace);
    if (status == OK && is_line && !is_straight(values, data->count, columns))
        status = rule_refuse(
            rule, "the stored tensor '%s', which is added to scores, is no straight line of positions",
            data->name.data);
    int64_t width = status == OK && !is_line ? band_of(values, data->count, rows, columns) : 1;
    if (status == OK && !is_line && (width == 0 || (width < rows && !keep_window(window, width))))
        status = rule_refuse(
            rule, "attention mask is not causal: the stored tensor '%s' is neither a triangle nor one band",
            data->name.data);
    free(values);
    return status;
}

static enum status check_tables(struct mask_history *h, struct rule *rule, int64_t *window)
{
    for (uint32_t n = 0; n < h->end; n++) {
        const Onnx__NodeProto *node = h->graph->node[h->im->order[n]];
        for (size_t k = 0; h->nodes[h->im->order[n]] && k < node->n_input; k++) {
            uint32_t index;
            const struct import_value *value = value_of(h, node->input[k], &index);
            if (value && value->kind == VALUE_CONCRETE && value->data)
                TRY(check_stored(rule, value->data, window));
        }
    }
    return OK;
}

static struct mask_history *history_of(struct importer *im)
{
    if (im->mask_history)
        return im->mask_history;
    struct mask_history *h = ARENA_NEW(im->arena, struct mask_history);
    *h = (struct mask_history){.im = im, .graph = im->file->proto->graph};
    h->nodes = ARENA_ARRAY(im->arena, bool, h->graph->n_node + 1);
    h->needed = ARENA_ARRAY(im->arena, bool, im->values.count);
    h->by = ARENA_ARRAY(im->arena, const struct array *, im->values.count);
    im->mask_history = h;
    return h;
}

enum status mask_check_limits(struct rule *rule, const struct import_value *value, int64_t *window)
{
    struct importer *im = rule->im;
    uint32_t mask = (uint32_t)(value - im->values.items);
    *window = 0;
    if (value < im->values.items || mask >= im->values.count)
        return OK; /* made by a rule: the triangle of an operator */
    for (uint32_t i = 0; i < im->checked_masks.count; i++)
        if (im->checked_masks.items[i].value == mask) {
            *window = im->checked_masks.items[i].window;
            return OK;
        }
    struct mask_history *h = history_of(im);
    h->end = 0;
    while (h->end < im->order_count && im->order[h->end] != im->node)
        h->end++;
    mark_history(h, mask);
    TRY(check_tables(h, rule, window));
    TRY(check_numbers(h, rule, mask, window));
    if (h->visits > MOST_VISITS)
        return rule_refuse(rule, "attention masks of too many kinds");
    if (value->data)
        TRY(check_stored(rule, value->data, window));
    *VEC_PUSH(im->arena, &im->checked_masks) = (struct checked_mask){mask, *window};
    return OK;
}
