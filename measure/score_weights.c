/* Sums of squares of weights, element by element of a class, straight from the stored weights, in double, in
 * the order in which they are stored. */
#include "measure/scorer.h"
#include "passes/elements.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_tensor(double *squares, const struct graph *model, const struct carrier *carrier,
                       const struct elements *elements)
{
    enum { PANEL = 1 << 16 };
    const struct tensor *t = &model->tensors.items[carrier->tensor];
    uint32_t axis = graph_value(model, t->value)->axes[carrier->axis];
    int64_t inner = 1, length = t->view.dims[carrier->axis], count = tensor_view_count(&t->view);
    for (uint32_t a = carrier->axis + 1; a < t->view.rank; a++)
        inner *= t->view.dims[a];
    int64_t *element = malloc((size_t)length * sizeof *element);
    float *panel = malloc(PANEL * sizeof *panel);
    if (!element || !panel)
        BUG("out of memory");
    for (int64_t i = 0; i < length; i++)
        element[i] = elements_at(&model->dims, axis, i, elements);
    for (int64_t first = 0; first < count; first += PANEL) {
        int64_t n = count - first < PANEL ? count - first : PANEL;
        tensor_view_read_f32(&t->view, first, n, panel);
        for (int64_t i = 0; i < n; i++) {
            int64_t to = element[(first + i) / inner % length];
            if (to >= 0)
                squares[to] += (double)panel[i] * (double)panel[i];
        }
        tensor_view_drop(&t->view, first, n);
    }
    free(panel);
    free(element);
}

void weights_squares(double *squares, uint32_t count, const struct graph *model,
                     const struct classes *classes, const char *name, uint32_t layer)
{
    const struct prunable *item = classes_get(classes, name), *groups = NULL;
    struct elements elements = {DIM_NONE, item ? item->leaf : DIM_NONE, item ? item->size : 1};
    if (strcmp(name, "hidden") != 0 && strstr(name, ".heads")) {
        groups = classes_get_layer(classes, layer, "kv_heads");
        elements.major = groups ? groups->leaf : DIM_NONE;
        item = item ? item : groups; /* a query head for each key-value head */
    }
    memset(squares, 0, count * sizeof *squares);
    for (uint32_t i = 0; item && i < item->carrier_count; i++)
        add_tensor(squares, model, &item->carriers[i], &elements);
}

void weights_column_squares(double *squares, const struct tensor *weight)
{
    int64_t rows = weight->view.dims[0], columns = weight->view.dims[1];
    float *row = malloc((size_t)columns * sizeof *row);
    if (!row)
        BUG("out of memory");
    memset(squares, 0, (size_t)columns * sizeof *squares);
    for (int64_t r = 0; r < rows; r++) {
        tensor_view_read_f32(&weight->view, r * columns, columns, row);
        for (int64_t c = 0; c < columns; c++)
            squares[c] += (double)row[c] * (double)row[c];
    }
    free(row);
}
