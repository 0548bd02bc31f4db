/* The gradient of attention's queries alone, a tile of queries against all their keys. */
#include "backend-cpu/kernels/attention_grad.h"
#include "backend-cpu/kernels/row.h"

struct query {
    int64_t head, position;
    real m, z, delta;
};

/* Keys [begin, end) of one query. x: scores, d: F(products of do and v) -> t in x, 0 but for keys [first,
 * valid). `bent` is scratch like x. */
static void pull_back(const struct attention *a, real *x, const real *d, real *bent, struct query query,
                      int64_t begin, int64_t end, int64_t first, int64_t valid)
{
    attention_bend(a, x + begin, end - begin);
    if (a->softcap != 0)
        memcpy(bent + begin, x + begin, (size_t)(end - begin) * sizeof *x);
    attention_lean(a, x + begin, end - begin, query.head, query.position - begin, -1);
    row_exponentials(x + begin, x + begin, query.m, end - begin);
    ELEMENTWISE
    for (int64_t j = begin; j < end; j++)
        x[j] = r_flush(r_flush(x[j] * query.z) * r_flush(d[j] - query.delta));
    attention_unbend(a, x + begin, bent + begin, end - begin);
    for (int64_t j = begin; j < first; j++)
        x[j] = 0;
    for (int64_t j = valid; j < end; j++)
        x[j] = 0;
}

static void query_tile(const struct attention_grad *g, int64_t sequence, int64_t head, int64_t tile,
                       real *scratch)
{
    const struct attention *a = &g->a;
    int64_t first = tile * TILE_ROWS, group = head / a->ratio;
    int rows = (int)least(TILE_ROWS, a->length - first);
    int64_t keys = a->causal ? first + rows : a->length, panels = panels_count(keys, TILE_COLUMNS);
    int64_t begin = attention_first_key(a, first) / TILE_COLUMNS;
    int64_t q_step = a->heads * a->key_width, o_step = a->heads * a->value_width;
    int64_t token = sequence * a->length + first;
    real *x = scratch, *d = scratch + TILE_ROWS * a->stride;
    attention_strip(a, g->q + token * q_step + head * a->key_width, q_step, rows, a->key_width,
                    attention_panels(&g->packs[ATTENTION_KEYS_ACROSS], sequence, group), begin, panels, x,
                    TILE_LAST | TILE_SCALED);
    attention_strip(a, g->output_gradient + token * o_step + head * a->value_width, o_step, rows,
                    a->value_width, attention_panels(&g->packs[ATTENTION_VALUES_ACROSS], sequence, group),
                    begin, panels, d, TILE_LAST);
    for (int i = 0; i < rows; i++) {
        int64_t at = (token + i) * a->heads + head;
        const struct query query = {head, first + i, g->stats[2 * at], g->stats[2 * at + 1], g->delta[at]};
        pull_back(a, x + i * a->stride, d + i * a->stride, scratch + 2 * TILE_ROWS * a->stride, query,
                  begin * TILE_COLUMNS, panels * TILE_COLUMNS, attention_first_key(a, first + i),
                  a->causal ? first + i + 1 : keys);
    }
    real *dq = g->dq + token * q_step + head * a->key_width;
    attention_gather(a, x, rows, begin * TILE_COLUMNS, keys,
                     attention_panels(&g->packs[ATTENTION_KEYS_DOWN], sequence, group), a->key_width, dq,
                     q_step, TILE_LAST | TILE_SCALED);
}

void attention_query_tiles(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct attention_grad *g = payload;
    const struct attention *a = &g->a;
    real *scratch =
        cpu_threads_scratch(a->threads, thread, (size_t)((2 * TILE_ROWS + 1) * a->stride) * sizeof *scratch);
    for (int64_t i = first; i < end; i++)
        query_tile(g, i / a->tiles / a->heads, i / a->tiles % a->heads, i % a->tiles, scratch);
}
