/* Learned positions: a concrete summand whose rows are neighbouring rows of a stored table, one a position.
 */
#include "frontend/interface.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Axes of the summand under those of x: it has a row for each position, at most repeated for the batch. */
static bool has_rows_of_positions(const struct array *array, const struct view *view, int64_t size,
                                  uint32_t probe)
{
    if (array->rank < 2 || array->rank > view->rank || array->dims[array->rank - 1] != size)
        return false;
    for (uint32_t i = 0; i + 1 < array->rank; i++) {
        uint32_t axis = i + view->rank - array->rank;
        bool is_position =
            view_axis_is(view, axis, ATOM_SEQUENCE) && array->dims[i] == probes[probe].sequence;
        bool is_batch = view_axis_is(view, axis, ATOM_BATCH) && array->dims[i] == probes[probe].batch;
        bool is_last = i + 2 == array->rank;
        if (is_last ? !is_position : !is_batch && array->dims[i] != 1)
            return false;
    }
    return true;
}

/* Do the summand's rows lie in the table from row `start` on, at every probe? */
static bool starts_at(const struct import_value *summand, const double *table, int64_t rows, int64_t size,
                      int64_t start)
{
    for (uint32_t p = 0; p < PROBES; p++) {
        const struct array *array = summand->at[p];
        int64_t length = probes[p].sequence;
        if (start + length > rows)
            return false;
        for (int64_t i = 0; i < array->count; i++) {
            int64_t row = start + i / size % length;
            if (!(table[row * size + i % size] == array->data[i]))
                return false;
        }
    }
    return true;
}

static enum status find_start(struct rule *rule, int64_t *start, const struct import_value *summand,
                              const struct onnx_data *data, int64_t size)
{
    double *table = malloc((size_t)data->count * sizeof *table);
    uint32_t found = 0;
    if (!table)
        BUG("out of memory");
    enum status status = onnx_data_decode(table, data, rule->trace);
    for (int64_t at = 0; status == OK && at < data->dims[0] && found < 2; at++)
        if (starts_at(summand, table, data->dims[0], size, at)) {
            *start = found == 0 ? at : *start;
            found++;
        }
    free(table);
    if (status == OK && found != 1)
        return rule_refuse(rule,
                           found == 0
                               ? "the rows that are added are not neighbouring rows of '%s', one a position"
                               : "the rows that are added lie in '%s' more than once",
                           data->name.data);
    return status;
}

enum status rule_add_positions(struct rule *rule, const struct import_value *x, uint32_t slot)
{
    int64_t size = rule_get(rule, x)->size, start = 0;
    struct import_value *summand = rule->inputs[slot];
    struct tensor_view view;
    TRY(import_materialise(rule->im, summand, rule->trace));
    const struct onnx_data *data = summand->at[0]->table;
    bool fits = data && data->rank == 2 && data->dims[1] == size && data->count > 0 &&
                data->count <= ARRAY_MAX_COUNT && view_has_rows(&x->view, size) &&
                onnx_data_view(&view, data);
    for (uint32_t p = 0; fits && p < PROBES; p++)
        fits = has_rows_of_positions(summand->at[p], &x->view, size, p);
    if (!fits)
        return rule_refuse(rule,
                           "%s plus a constant that is neither a number, nor a stored vector of its %" PRId64
                           " channels, nor rows of a stored table for the positions",
                           term_kind_name(rule_get(rule, x)->kind), size);
    TRY(find_start(rule, &start, summand, data, size));
    struct term term = {.kind = TERM_POSITIONS, .x = x->term, .size = size, .index = (uint32_t)start};
    term.weight = import_weight(rule->im, &view);
    interface_add_table(rule->im, summand->from_mask);
    rule_set(rule, 0, rule_term(rule, term), &x->view);
    return OK;
}
