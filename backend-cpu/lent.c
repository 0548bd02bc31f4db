/* Panels of rows for linear layers, single rows for embeddings, whole weights for the rest. */
#include "backend-cpu/lent.h"
#include "ir/executor.h"
#include <stdlib.h>
#include <string.h>

enum { PANEL_BYTES = 16 << 20, GRAIN_BYTES = 1 << 18 };

static enum status grow(real **memory, size_t *size, int64_t count, struct trace *trace)
{
    size_t bytes = (size_t)count * sizeof(real);
    if (*size >= bytes)
        return OK;
    free(*memory);
    *size = (bytes + 63) / 64 * 64;
    *memory = aligned_alloc(64, *size);
    if (*memory)
        return OK;
    *size = 0;
    return status_fail(trace, DEVICE, "out of memory: %zu bytes for a piece of a weight", bytes);
}

void lent_room_release(struct lent_room *room)
{
    free(room->weight);
    free(room->result);
    *room = (struct lent_room){0};
}

/* Elements of a view, as an executor holds them. */
static void read_elements(real *out, const struct tensor_view *view, int64_t first, int64_t count)
{
#ifdef ESPALIER_DOUBLE
    enum { PIECE = 256 };
    float piece[PIECE];
    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        executor_read_weight(view, first + at, n, piece);
        for (int64_t i = 0; i < n; i++)
            out[at + i] = (real)piece[i];
    }
#else
    executor_read_weight(view, first, count, out);
#endif
}

struct reading {
    const struct tensor_view *view;
    int64_t first, width; /* elements */
    real *out;
};

static void read_rows_task(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct reading *r = payload;
    read_elements(r->out + first * r->width, r->view, r->first + first * r->width, (end - first) * r->width);
}

/* `rows` rows of `width` elements from element `first` on, by all threads */
static enum status read_rows(real *out, struct cpu_threads *threads, const struct tensor_view *view,
                             int64_t first, int64_t rows, int64_t width, struct trace *trace)
{
    if (view->mapping)
        TRY(mapping_check(view->mapping, "weights", trace));
    int64_t grain = GRAIN_BYTES / (int64_t)sizeof(real) / width + 1;
    struct reading reading = {view, first, width, out};
    if (tensor_view_is_across(view)) /* every range of rows would read the whole source */
        grain = rows;
    cpu_threads_for(threads, rows, grain, read_rows_task, &reading);
    tensor_view_drop(view, first, rows * width);
    return OK;
}

/* piece [rows, width] -> columns [first, first + width) of y [rows, columns] */
static void place_columns(real *y, int64_t columns, int64_t first, const real *piece, int64_t rows,
                          int64_t width)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(y + i * columns + first, piece + i * width, (size_t)width * sizeof *y);
}

/* x [..., k], w [n, k] lent -> y [..., n], by panels of rows of w */
static enum status run_linear(kernel_function *kernel, struct kernel_call *call, const struct lent *lent,
                              struct lent_room *room, struct trace *trace)
{
    const struct tensor_view *view = lent->views[1];
    const struct kernel_operand *y = &call->results[0];
    int64_t n = call->inputs[1].dims[0], k = call->inputs[1].dims[1], rows = y->count / n;
    int64_t most = PANEL_BYTES / (int64_t)sizeof(real) / k;
    most = most < 1 ? 1 : most < n ? most : n;
    TRY(grow(&room->weight, &room->weight_size, most * k, trace));
    TRY(grow(&room->result, &room->result_size, most < n ? most * rows : 0, trace));
    for (int64_t at = 0; at < n; at += most) {
        int64_t width = n - at < most ? n - at : most;
        struct kernel_call part = *call;
        part.inputs[1].data = room->weight;
        part.inputs[1].dims[0] = width;
        part.inputs[1].count = width * k;
        part.results[0].dims[y->rank - 1] = width;
        part.results[0].count = rows * width;
        if (width < n)
            part.results[0].data = room->result;
        TRY(read_rows(room->weight, call->threads, view, lent->first[1] + at * k, width, k, trace));
        kernel(&part);
        if (width < n)
            place_columns(y->data, n, at, room->result, rows, width);
    }
    tensor_view_drop_source(view);
    return OK;
}

/* table [v, d] lent, ids [T] -> y [T, d]: only the rows that are asked for */
static enum status run_embed(kernel_function *kernel, struct kernel_call *call, const struct lent *lent,
                             struct lent_room *room, struct trace *trace)
{
    const struct tensor_view *view = lent->views[0];
    const struct kernel_operand *ids = &call->inputs[1];
    int64_t v = call->inputs[0].dims[0], d = call->inputs[0].dims[1];
    const int32_t *id = ids->data;
    TRY(grow(&room->weight, &room->weight_size, ids->count * d, trace));
    TRY(grow(&room->result, &room->result_size, ids->count, trace));
    int32_t *numbers = (int32_t *)room->result;
    for (int64_t t = 0; t < ids->count; t++) {
        if (id[t] < 0 || id[t] >= v) {
            call->fault = (struct kernel_fault){true, t, id[t], v};
            return OK;
        }
        numbers[t] = (int32_t)t;
        TRY(read_rows(room->weight + t * d, call->threads, view, lent->first[0] + id[t] * d, 1, d, trace));
        tensor_view_drop_source(view);
    }
    struct kernel_call part = *call;
    part.inputs[0].data = room->weight;
    part.inputs[0].dims[0] = ids->count;
    part.inputs[0].count = ids->count * d;
    part.inputs[1].data = numbers;
    kernel(&part);
    return OK;
}

static int64_t last_dim(const struct kernel_operand *operand)
{
    return operand->rank ? operand->dims[operand->rank - 1] : 1;
}

/* Any op: each lent weight whole, from a multiple of 64 bytes on */
static enum status run_whole(kernel_function *kernel, struct kernel_call *call, const struct lent *lent,
                             struct lent_room *room, struct trace *trace)
{
    struct kernel_call whole = *call;
    int64_t total = 0, at = 0;
    for (uint32_t i = 0; i < call->input_count; i++)
        if (lent->views[i])
            total += (call->inputs[i].count + 15) / 16 * 16;
    TRY(grow(&room->weight, &room->weight_size, total, trace));
    for (uint32_t i = 0; i < call->input_count; i++) {
        if (!lent->views[i])
            continue;
        int64_t count = call->inputs[i].count, width = last_dim(&call->inputs[i]);
        whole.inputs[i].data = room->weight + at;
        TRY(read_rows(room->weight + at, call->threads, lent->views[i], lent->first[i], count / width, width,
                      trace));
        tensor_view_drop_source(lent->views[i]);
        at += (count + 15) / 16 * 16;
    }
    kernel(&whole);
    call->fault = whole.fault;
    return OK;
}

enum status lent_run(kernel_function *kernel, struct kernel_call *call, const struct lent *lent,
                     struct lent_room *room, struct trace *trace)
{
    if (lent->op == OP_matmul_nt && !lent->views[0])
        return run_linear(kernel, call, lent, room, trace);
    if (lent->op == OP_embed && !lent->views[1])
        return run_embed(kernel, call, lent, room, trace);
    return run_whole(kernel, call, lent, room, trace);
}
