/* The gradients of attention's keys and values, and of the queries on the way. A tile of keys meets all
 * queries of the heads of its group; queries run along the lanes, so the scores come out transposed but each
 * is the same sum as in attention: dv = sum_i p_i do_i,  dk = scale sum_i t_i q_i, with p and t as for the
 * queries. Tiles that follow each other can also carry dq_i = scale sum_j t_j k_j on, a sum over ascending
 * keys. */
#include "backend-cpu/kernels/attention_grad.h"
#include "backend-cpu/kernels/row.h"

enum { ROW_MAX, ROW_SHARE, ROW_DELTA, ROW_BENT, ROW_KINDS };

/* A thread's scratch; widths are those of a head. */
struct key_scratch {
    real *rows;  /* [4, stride]: m, z and delta of each query of a head, for the lanes; bent scores */
    real *p, *t; /* [TILE_ROWS, stride] */
    real *dv_head, *dk_head; /* [TILE_ROWS, e], [TILE_ROWS, h]: sums of one head */
    real *block, *total; /* [length, panels of h]: sums for dq in this block of keys, and of those before */
};

static void gather_rows(const struct attention_grad *g, int64_t sequence, int64_t head, real *rows)
{
    const struct attention *a = &g->a;
    real *m = rows + ROW_MAX * a->stride, *z = rows + ROW_SHARE * a->stride,
         *delta = rows + ROW_DELTA * a->stride;
    for (int64_t i = 0; i < a->length; i++) {
        int64_t at = (sequence * a->length + i) * a->heads + head;
        m[i] = g->stats[2 * at];
        z[i] = g->stats[2 * at + 1];
        delta[i] = g->delta[at];
    }
    for (int64_t i = a->length; i < a->stride; i++)
        m[i] = z[i] = delta[i] = 0;
}

/* Queries [first, end) of one key: scores in p and products of do and v in t become p_i and t_i; 0 but for
 * the queries that see `key`. */
static void pull_back(const struct attention *a, real *p, real *t, real *rows, int64_t head, int64_t first,
                      int64_t end, int64_t key)
{
    const real *m = rows + ROW_MAX * a->stride, *z = rows + ROW_SHARE * a->stride;
    const real *delta = rows + ROW_DELTA * a->stride;
    real *bent = rows + ROW_BENT * a->stride;
    attention_bend(a, p + first, end - first);
    if (a->softcap != 0)
        memcpy(bent + first, p + first, (size_t)(end - first) * sizeof *p);
    attention_lean(a, p + first, end - first, head, first - key, 1);
    row_pull_back(p + first, t + first, m + first, z + first, delta + first, end - first);
    attention_unbend(a, t + first, bent + first, end - first);
    for (int64_t i = first; a->causal && i < key; i++)
        p[i] = t[i] = 0;
    for (int64_t i = attention_end_query(a, key); i < end; i++)
        p[i] = t[i] = 0;
}

static void add_all(real *sum, int64_t sum_step, const real *term, int64_t rows, int64_t width)
{
    for (int64_t j = 0; j < rows; j++)
        ELEMENTWISE
    for (int64_t c = 0; c < width; c++)
        sum[j * sum_step + c] = sum[j * sum_step + c] + term[j * width + c];
}

static int64_t sums_width(const struct attention *a)
{
    return round_up(a->key_width, panels_width(a->key_width));
}

/* Keys [first, end), of one block of 512, to the sums of the queries [query, seen). t [end - first, stride]
 */
static void add_to_queries(const struct attention_grad *g, int64_t sequence, int64_t group, int64_t first,
                           int64_t end, int64_t query, int64_t seen, const real *t, real *block)
{
    const struct attention *a = &g->a;
    int64_t width = panels_width(a->key_width), step = sums_width(a);
    const real *keys = attention_panels(&g->packs[ATTENTION_KEYS_DOWN], sequence, group);
    struct tile tile = {.a_row = 1,
                        .a_column = a->stride,
                        .b_row = width,
                        .depth = end - first,
                        .panels = step / width,
                        .b_panel = a->length * width,
                        .b = keys + first * width,
                        .c_row = step,
                        .columns = (int)width,
                        .width = (int)width,
                        .blocks = TILE_FIRST | TILE_CONTINUED};
    for (int64_t i = query; i < seen; i += TILE_ROWS) {
        tile.a = t + i;
        tile.c = block + i * step;
        tile.rows = (int)least(TILE_ROWS, seen - i);
        tile_block(&tile);
    }
}

/* The block of keys is complete. */
static void close_block(const struct attention *a, const struct key_scratch *s)
{
    int64_t count = a->length * sums_width(a);
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++) {
        s->total[i] = s->total[i] + s->block[i];
        s->block[i] = 0;
    }
}

/* The tile's keys reach across at most one border of blocks. */
static void carry_queries_on(const struct attention_grad *g, int64_t sequence, int64_t group, int64_t first,
                             int rows, int64_t query, int64_t seen, const struct key_scratch *s)
{
    const struct attention *a = &g->a;
    int64_t border = least(round_up(first + 1, PRODUCT_BLOCK), first + rows);
    add_to_queries(g, sequence, group, first, border, query, seen, s->t, s->block);
    if (border % PRODUCT_BLOCK == 0)
        close_block(a, s);
    if (border < first + rows)
        add_to_queries(g, sequence, group, border, first + rows, query, seen,
                       s->t + (border - first) * a->stride, s->block);
}

/* One head's part of the sums of a tile of keys. */
static void add_head(const struct attention_grad *g, int64_t sequence, int64_t head, int64_t tile,
                     const struct key_scratch *s)
{
    const struct attention *a = &g->a;
    int64_t first = tile * TILE_ROWS, group = head / a->ratio, token = sequence * a->length + first;
    int rows = (int)least(TILE_ROWS, a->length - first);
    int64_t begin = a->causal ? first / TILE_COLUMNS : 0, seen = attention_end_query(a, first + rows - 1);
    int64_t end = panels_count(seen, TILE_COLUMNS);
    int64_t k_step = a->groups * a->key_width, v_step = a->groups * a->value_width;
    int64_t k_at = token * k_step + group * a->key_width, v_at = token * v_step + group * a->value_width;
    attention_strip(a, g->k + k_at, k_step, rows, a->key_width,
                    attention_panels(&g->packs[ATTENTION_QUERIES_ACROSS], sequence, head), begin, end, s->p,
                    TILE_LAST | TILE_SCALED);
    attention_strip(a, g->v + v_at, v_step, rows, a->value_width,
                    attention_panels(&g->packs[ATTENTION_GRADIENTS_ACROSS], sequence, head), begin, end, s->t,
                    TILE_LAST);
    int64_t query = begin * TILE_COLUMNS;
    for (int j = 0; j < rows; j++)
        pull_back(a, s->p + j * a->stride, s->t + j * a->stride, s->rows, head, query, end * TILE_COLUMNS,
                  first + j);
    attention_gather(a, s->p, rows, query, seen,
                     attention_panels(&g->packs[ATTENTION_GRADIENTS_DOWN], sequence, head), a->value_width,
                     s->dv_head, a->value_width, TILE_INNER);
    attention_gather(a, s->t, rows, query, seen,
                     attention_panels(&g->packs[ATTENTION_QUERIES_DOWN], sequence, head), a->key_width,
                     s->dk_head, a->key_width, TILE_INNER);
    add_all(g->dv + v_at, v_step, s->dv_head, rows, a->value_width);
    add_all(g->dk + k_at, k_step, s->dk_head, rows, a->key_width);
    if (s->block)
        carry_queries_on(g, sequence, group, first, rows, query, seen, s);
}

/* Sums of a group's tile of keys: to zero, and to what is stored. */
static void clear_tile(const struct attention_grad *g, int64_t sequence, int64_t group, int64_t tile)
{
    const struct attention *a = &g->a;
    for (int64_t j = tile * TILE_ROWS; j < least((tile + 1) * TILE_ROWS, a->length); j++) {
        int64_t at = (sequence * a->length + j) * a->groups + group;
        memset(g->dk + at * a->key_width, 0, (size_t)a->key_width * sizeof(real));
        memset(g->dv + at * a->value_width, 0, (size_t)a->value_width * sizeof(real));
    }
}

static void finish_tile(const struct attention_grad *g, int64_t sequence, int64_t group, int64_t tile)
{
    const struct attention *a = &g->a;
    for (int64_t j = tile * TILE_ROWS; j < least((tile + 1) * TILE_ROWS, a->length); j++) {
        int64_t at = (sequence * a->length + j) * a->groups + group;
        real *dk = g->dk + at * a->key_width, *dv = g->dv + at * a->value_width;
        for (int64_t c = 0; c < a->key_width; c++)
            dk[c] = r_flush(r_flush(dk[c]) * a->scale);
        for (int64_t c = 0; c < a->value_width; c++)
            dv[c] = r_flush(dv[c]);
    }
}

static void finish_queries(const struct attention_grad *g, int64_t sequence, int64_t head,
                           const struct key_scratch *s)
{
    const struct attention *a = &g->a;
    int64_t step = sums_width(a);
    for (int64_t i = 0; i < a->length; i++) {
        const real *total = s->total + i * step, *block = s->block + i * step;
        real *dq = g->dq + ((sequence * a->length + i) * a->heads + head) * a->key_width;
        for (int64_t c = 0; c < a->key_width; c++)
            dq[c] = r_flush(r_flush(total[c] + block[c]) * a->scale);
    }
}

static int64_t scratch_size(const struct attention *a)
{
    return ROW_KINDS * a->stride + TILE_ROWS * (2 * a->stride + a->value_width + a->key_width);
}

static struct key_scratch scratch_at(const struct attention *a, real *room)
{
    struct key_scratch s = {.rows = room, .p = room + ROW_KINDS * a->stride};
    s.t = s.p + TILE_ROWS * a->stride;
    s.dv_head = s.t + TILE_ROWS * a->stride;
    s.dk_head = s.dv_head + TILE_ROWS * a->value_width;
    return s;
}

void attention_key_tiles(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct attention_grad *g = payload;
    const struct attention *a = &g->a;
    struct key_scratch s =
        scratch_at(a, cpu_threads_scratch(a->threads, thread, (size_t)scratch_size(a) * sizeof(real)));
    for (int64_t i = first; i < end; i++) {
        int64_t sequence = i / a->tiles / a->groups, group = i / a->tiles % a->groups, tile = i % a->tiles;
        clear_tile(g, sequence, group, tile);
        for (int64_t head = group * a->ratio; head < (group + 1) * a->ratio; head++) {
            gather_rows(g, sequence, head, s.rows);
            add_head(g, sequence, head, tile, &s);
        }
        finish_tile(g, sequence, group, tile);
    }
}

void attention_groups(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    struct attention_grad g = *(const struct attention_grad *)payload;
    const struct attention *a = &g.a;
    int64_t sums = a->length * sums_width(a), packed = attention_group_size(a, g.packs, ATTENTION_WALK_PACKS);
    real *room =
        cpu_threads_scratch(a->threads, thread, (size_t)(scratch_size(a) + 2 * sums + packed) * sizeof *room);
    struct key_scratch s = scratch_at(a, room);
    s.block = room + scratch_size(a), s.total = s.block + sums;
    for (int64_t i = first; i < end; i++) {
        int64_t sequence = i / a->groups, group = i % a->groups;
        attention_pack_group(a, g.packs, ATTENTION_WALK_PACKS, sequence, group, s.total + sums);
        for (int64_t tile = 0; tile < a->tiles; tile++)
            clear_tile(&g, sequence, group, tile);
        for (int64_t head = group * a->ratio; head < (group + 1) * a->ratio; head++) {
            memset(s.block, 0, (size_t)(2 * sums) * sizeof *s.block);
            gather_rows(&g, sequence, head, s.rows);
            for (int64_t tile = 0; tile < a->tiles; tile++)
                add_head(&g, sequence, head, tile, &s);
            finish_queries(&g, sequence, head, &s);
        }
        for (int64_t tile = 0; tile < a->tiles; tile++)
            finish_tile(&g, sequence, group, tile);
    }
}
