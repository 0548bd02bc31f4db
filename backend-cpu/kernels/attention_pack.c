/* The products that attention and its gradients are made of, over packed operands. */
#include "backend-cpu/kernels/attention.h"
#include "backend-cpu/kernels/row.h"
#include "backend-cpu/kernels/transpose.h"

void attention_bend(const struct attention *a, real *x, int64_t n)
{
    if (a->softcap == 0)
        return;
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        x[i] = x[i] * a->uncap;
    row_tanhs(x, x, n);
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        x[i] = r_flush(x[i] * a->softcap);
}

void attention_unbend(const struct attention *a, real *t, const real *x, int64_t n)
{
    if (a->softcap == 0)
        return;
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++) {
        real y = r_flush(x[i] * a->uncap);
        t[i] = r_flush(t[i] * r_flush(R_CONST(GM_ONE) - r_flush(y * y)));
    }
}

void attention_lean(const struct attention *a, real *x, int64_t n, int64_t head, int64_t start, int step)
{
    if (!a->slopes)
        return;
    real slope = a->slopes[head];
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        x[i] = r_flush(x[i] - r_flush(slope * r_from_int((int)start + step * (int)i)));
}

struct packing {
    const struct attention *a;
    struct attention_pack *packs;
    uint32_t count;
};

static void pack_head(const struct attention *a, const struct attention_pack *pack, int64_t sequence,
                      int64_t head)
{
    int64_t step = pack->heads * pack->width;
    struct panels panels = {.from = pack->from + sequence * a->length * step + head * pack->width,
                            .to = pack->to + (sequence * pack->heads + head - pack->first) * pack->size};
    if (pack->order == ATTENTION_TOKENS_ACROSS) {
        panels.row = 1, panels.column = step;
        panels.depth = pack->width, panels.columns = a->length, panels.width = TILE_COLUMNS;
    } else {
        panels.row = step, panels.column = 1;
        panels.depth = a->length, panels.columns = pack->width, panels.width = panels_width(pack->width);
    }
    panels_pack(&panels, 0, panels_count(panels.columns, panels.width));
}

static void pack_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct packing *packing = payload;
    for (uint32_t p = 0; p < packing->count; p++) {
        const struct attention_pack *pack = &packing->packs[p];
        for (int64_t sequence = first; sequence < end; sequence++)
            for (int64_t head = 0; head < pack->heads; head++)
                pack_head(packing->a, pack, sequence, head);
    }
}

void attention_pack_sizes(const struct attention *a, struct attention_pack *packs, uint32_t count)
{
    for (uint32_t p = 0; p < count; p++)
        packs[p].size = packs[p].order == ATTENTION_TOKENS_ACROSS
                            ? panels_size(packs[p].width, a->length, TILE_COLUMNS)
                            : panels_size(a->length, packs[p].width, panels_width(packs[p].width));
}

void attention_pack_all(const struct attention *a, struct attention_pack *packs, uint32_t count)
{
    int64_t work = attention_group_size(a, packs, count) * a->groups;
    real *to = cpu_threads_scratch(a->threads, CPU_SCRATCH_SHARED, (size_t)(a->batch * work) * sizeof *to);
    for (uint32_t p = 0; p < count; p++) {
        packs[p].to = to;
        packs[p].first = 0;
        to += a->batch * packs[p].heads * packs[p].size;
    }
    struct packing packing = {a, packs, count};
    cpu_threads_for(a->threads, a->batch, kernel_grain(work), pack_range, &packing);
}

void attention_pack_group(const struct attention *a, struct attention_pack *packs, uint32_t count,
                          int64_t sequence, int64_t group, real *to)
{
    for (uint32_t p = 0; p < count; p++) {
        int64_t share = packs[p].heads / a->groups;
        packs[p].to = to;
        packs[p].first = sequence * packs[p].heads + group * share;
        for (int64_t head = 0; head < share; head++)
            pack_head(a, &packs[p], sequence, group * share + head);
        to += share * packs[p].size;
    }
}

/* The rows side by side are quicker to read than a stride apart, where they are read often enough to pay. */
enum { PACKED_WIDTH = 128, PACK_PANELS = 3 };

void attention_strip(const struct attention *a, const real *rows, int64_t row_step, int row_count,
                     int64_t width, const real *panels, int64_t first, int64_t end, real *out,
                     enum tile_blocks last)
{
    struct tile tile = {.a = rows,
                        .a_row = row_step,
                        .a_column = 1,
                        .b = panels + first * width * TILE_COLUMNS,
                        .b_row = TILE_COLUMNS,
                        .b_panel = width * TILE_COLUMNS,
                        .panels = end - first,
                        .c = out + first * TILE_COLUMNS,
                        .c_row = a->stride,
                        .rows = row_count,
                        .columns = TILE_COLUMNS,
                        .width = TILE_COLUMNS,
                        .scale = a->scale,
                        .least = a->least};
    real packed[TILE_ROWS * PACKED_WIDTH];
    if (width <= PACKED_WIDTH && end - first >= PACK_PANELS) {
        transpose(packed, TILE_ROWS, rows, row_step, row_count, width);
        tile.a = packed, tile.a_row = 1, tile.a_column = TILE_ROWS;
    }
    tile_contract(&tile, 0, width, last);
}

void attention_gather(const struct attention *a, const real *scores, int row_count, int64_t first,
                      int64_t end, const real *panels, int64_t width, real *out, int64_t out_step,
                      enum tile_blocks last)
{
    int64_t panel_width = panels_width(width);
    struct tile tile = {.a = scores,
                        .a_row = a->stride,
                        .a_column = 1,
                        .b_row = panel_width,
                        .c_row = out_step,
                        .rows = row_count,
                        .width = (int)panel_width,
                        .panels = 1,
                        .scale = a->scale,
                        .least = a->least};
    for (int64_t c = 0; c < width; c += panel_width) {
        tile.b = panels + c * a->length;
        tile.c = out + c;
        tile.columns = (int)least(panel_width, width - c);
        tile_contract(&tile, first, end, last);
    }
}
