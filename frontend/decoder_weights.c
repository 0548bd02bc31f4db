/* See frontend/decoder_weights.h. */
#include "frontend/decoder_weights.h"
#include <string.h>

const char *decoder_weight_name(struct decoder *d, enum weight_role role, int64_t layer,
                                enum weight_part part)
{
    return weight_name(d->im.arena, d->config->form->naming, role, layer, part) + d->prefix;
}

bool decoder_has_weight(struct decoder *d, enum weight_role role, int64_t layer)
{
    return weight_set_find(d->weights, str_from(decoder_weight_name(d, role, layer, PART_WEIGHT))) != NULL;
}

void decoder_find_prefix(struct decoder *d)
{
    const char *name = decoder_weight_name(d, ROLE_embed, 0, PART_WEIGHT), *dot = strchr(name, '.');
    if (decoder_has_weight(d, ROLE_embed, 0) ||
        strcmp(dot, ".weight") == 0) /* there, or nothing to leave out */
        return;
    d->prefix = (size_t)(dot + 1 - name);
    if (!decoder_has_weight(d, ROLE_embed, 0))
        d->prefix = 0;
}

static enum status take(struct decoder *d, struct tensor_view *view, enum weight_role role, int64_t layer,
                        enum weight_part part, uint32_t rank, const int64_t *dims)
{
    return weight_set_take(view, d->weights, decoder_weight_name(d, role, layer, part), rank, dims, d->trace);
}

/* The stored row of each row that is asked for. */
static uint32_t *list_rows(struct decoder *d, const struct decoder_rows *rows, uint32_t *count)
{
    int64_t size = d->config->head_dim, half = size / 2, total = rows->total / rows->head * rows->count;
    uint32_t *list = ARENA_ARRAY(d->im.arena, uint32_t, (size_t)total);
    for (int64_t i = 0; i < total; i++) {
        int64_t at = i / rows->count * rows->head + rows->first + i % rows->count, inside = at % size;
        if (rows->is_paired)
            at += inside % half * 2 + inside / half - inside;
        list[i] = (uint32_t)at;
    }
    *count = (uint32_t)total;
    return list;
}

enum status decoder_take_rows(struct decoder *d, uint32_t *weight, const struct decoder_rows *rows,
                              int64_t layer, enum weight_part part, int64_t columns)
{
    bool is_turned = d->config->form->is_transposed && !rows->is_table && part == PART_WEIGHT;
    int64_t dims[] = {is_turned ? columns : rows->total, is_turned ? rows->total : columns};
    struct tensor_view view;
    TRY(take(d, &view, rows->role, layer, part, part == PART_WEIGHT ? 2 : 1, dims));
    if (is_turned)
        view = tensor_view_transpose(&view);
    if (rows->is_paired || (rows->head != rows->total && rows->head != rows->count)) {
        uint32_t count, *list = list_rows(d, rows, &count);
        view = tensor_view_take(&view, &d->im.model->arena, 0, list, count);
    } else if (rows->head == rows->total) {
        view.offset += rows->first * view.strides[0];
        view.dims[0] = rows->count;
    }
    *weight = import_weight(&d->im, &view);
    return OK;
}

enum status decoder_take_vector(struct decoder *d, uint32_t *weight, enum weight_role role, int64_t layer,
                                enum weight_part part, int64_t size)
{
    struct tensor_view view;
    TRY(take(d, &view, role, layer, part, 1, &size));
    *weight = import_weight(&d->im, &view);
    return OK;
}

enum status decoder_take_norm(struct decoder *d, uint32_t *weight, enum weight_role role, int64_t layer,
                              int64_t size)
{
    struct tensor_view view;
    TRY(take(d, &view, role, layer, PART_WEIGHT, 1, &size));
    if (d->config->form->norms_add_one) {
        float *values = ARENA_ARRAY(&d->im.model->arena, float, (size_t)size);
        tensor_view_read_f32(&view, 0, size, values);
        for (int64_t i = 0; i < size; i++)
            values[i] += 1;
        TRY(tensor_view_dense(&view, NULL, (const uint8_t *)values, (size_t)size * sizeof *values, DTYPE_F32,
                              1, &size, d->trace));
    }
    *weight = import_weight(&d->im, &view);
    return OK;
}
