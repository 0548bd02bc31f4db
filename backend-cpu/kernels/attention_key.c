/* The gradients of attention's keys and values. A tile of keys meets all queries of the heads of its group;
 * queries run along the lanes, so the scores come out transposed but each is the same sum as in attention: dv
 * = sum_i p_i do_i,  dk = scale sum_i t_i q_i,  with p and t as for the queries. */
#include "backend-cpu/kernels/attention.h"
#include "backend-cpu/kernels/row.h"

struct key_gradient {
    struct attention a;
    const real *k, *v, *stats, *delta;
    real *dk, *dv;
    struct attention_pack packs[4];
    real *rows; /* [b, heads, 3, stride]: m, z and delta of each query, gathered for the lanes */
};

enum { QUERIES_ACROSS, GRADIENTS_ACROSS, QUERIES_DOWN, GRADIENTS_DOWN };
enum { ROW_MAX, ROW_SHARE, ROW_DELTA, ROW_KINDS };

/* A thread's scratch; widths are those of a head. */
struct key_scratch {
    real *p, *t;        /* [TILE_ROWS, stride] */
    real *dv, *dv_head; /* [TILE_ROWS, e]: the sum over heads, the sum of one head */
    real *dk, *dk_head; /* [TILE_ROWS, h] */
};

static void gather_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct key_gradient *g = payload;
    const struct attention *a = &g->a;
    for (int64_t n = first; n < end; n++) {
        int64_t sequence = n / a->heads, head = n % a->heads;
        real *rows = g->rows + n * ROW_KINDS * a->stride;
        memset(rows, 0, (size_t)(ROW_KINDS * a->stride) * sizeof *rows);
        for (int64_t i = 0; i < a->length; i++) {
            int64_t at = (sequence * a->length + i) * a->heads + head;
            rows[ROW_MAX * a->stride + i] = g->stats[2 * at];
            rows[ROW_SHARE * a->stride + i] = g->stats[2 * at + 1];
            rows[ROW_DELTA * a->stride + i] = g->delta[at];
        }
    }
}

/* Queries [first, end) of one key: scores in p and products of do and v in t become p_i and t_i; 0 before
 * query `visible`. */
static void pull_back(const struct attention *a, real *p, real *t, const real *rows, int64_t first,
                      int64_t end, int64_t visible)
{
    const real *m = rows + ROW_MAX * a->stride, *z = rows + ROW_SHARE * a->stride;
    const real *delta = rows + ROW_DELTA * a->stride;
    row_exponentials_each(p + first, p + first, m + first, end - first);
    ELEMENTWISE
    for (int64_t i = first; i < end; i++) {
        p[i] = r_flush(p[i] * z[i]);
        t[i] = r_flush(p[i] * r_flush(t[i] - delta[i]));
    }
    for (int64_t i = first; i < visible; i++)
        p[i] = t[i] = 0;
}

static void add_all(real *sum, const real *term, int64_t count)
{
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++)
        sum[i] = sum[i] + term[i];
}

static void add_head(const struct key_gradient *g, int64_t sequence, int64_t head, int64_t first, int rows,
                     const struct key_scratch *s)
{
    const struct attention *a = &g->a;
    int64_t group = head / a->ratio, token = sequence * a->length + first;
    int64_t begin = a->causal ? first / TILE_COLUMNS : 0, end = panels_count(a->length, TILE_COLUMNS);
    int64_t k_step = a->groups * a->key_width, v_step = a->groups * a->value_width;
    attention_strip(a, g->k + token * k_step + group * a->key_width, k_step, rows, a->key_width,
                    attention_panels(&g->packs[QUERIES_ACROSS], sequence, head), begin, end, s->p,
                    TILE_LAST | TILE_SCALED);
    attention_strip(a, g->v + token * v_step + group * a->value_width, v_step, rows, a->value_width,
                    attention_panels(&g->packs[GRADIENTS_ACROSS], sequence, head), begin, end, s->t,
                    TILE_LAST);
    int64_t query = begin * TILE_COLUMNS;
    for (int j = 0; j < rows; j++)
        pull_back(a, s->p + j * a->stride, s->t + j * a->stride,
                  g->rows + (sequence * a->heads + head) * ROW_KINDS * a->stride, query, end * TILE_COLUMNS,
                  a->causal ? first + j : 0);
    attention_gather(a, s->p, rows, query, a->length,
                     attention_panels(&g->packs[GRADIENTS_DOWN], sequence, head), a->value_width, s->dv_head,
                     a->value_width, TILE_INNER);
    attention_gather(a, s->t, rows, query, a->length,
                     attention_panels(&g->packs[QUERIES_DOWN], sequence, head), a->key_width, s->dk_head,
                     a->key_width, TILE_INNER);
    add_all(s->dv, s->dv_head, rows * a->value_width);
    add_all(s->dk, s->dk_head, rows * a->key_width);
}

static void key_tile(const struct key_gradient *g, int64_t sequence, int64_t group, int64_t tile,
                     const struct key_scratch *s)
{
    const struct attention *a = &g->a;
    int64_t first = tile * TILE_ROWS, token = sequence * a->length + first;
    int rows = (int)least(TILE_ROWS, a->length - first);
    memset(s->dv, 0, (size_t)(TILE_ROWS * a->value_width) * sizeof(real));
    memset(s->dk, 0, (size_t)(TILE_ROWS * a->key_width) * sizeof(real));
    for (int64_t head = group * a->ratio; head < (group + 1) * a->ratio; head++)
        add_head(g, sequence, head, first, rows, s);
    for (int j = 0; j < rows; j++) {
        real *dk = g->dk + ((token + j) * a->groups + group) * a->key_width;
        real *dv = g->dv + ((token + j) * a->groups + group) * a->value_width;
        for (int64_t c = 0; c < a->key_width; c++)
            dk[c] = r_flush(r_flush(s->dk[j * a->key_width + c]) * a->scale);
        for (int64_t c = 0; c < a->value_width; c++)
            dv[c] = r_flush(s->dv[j * a->value_width + c]);
    }
}

static void key_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct key_gradient *g = payload;
    const struct attention *a = &g->a;
    int64_t scores = TILE_ROWS * a->stride, dv = TILE_ROWS * a->value_width, dk = TILE_ROWS * a->key_width;
    real *room = cpu_threads_scratch(a->threads, thread, (size_t)(2 * (scores + dv + dk)) * sizeof *room);
    struct key_scratch s = {.p = room, .t = room + scores, .dv = room + 2 * scores};
    s.dv_head = s.dv + dv;
    s.dk = s.dv_head + dv;
    s.dk_head = s.dk + dk;
    for (int64_t i = first; i < end; i++)
        key_tile(g, i / a->tiles / a->groups, i / a->tiles % a->groups, i % a->tiles, &s);
}

/* q, k, v, do [b, s, g*r*e], stats [b, s, g*r, 2], delta [b, s, g*r] -> dk like k, dv like v */
void KERNEL(attention_grad_kv)(struct kernel_call *call)
{
    struct attention a = attention_of(call);
    const real *q = kernel_input(call, 0), *output_gradient = kernel_input(call, 3);
    struct key_gradient g = {
        .a = a,
        .k = kernel_input(call, 1),
        .v = kernel_input(call, 2),
        .stats = kernel_input(call, 4),
        .delta = kernel_input(call, 5),
        .dk = kernel_result(call, 0),
        .dv = kernel_result(call, 1),
        .packs = {{q, a.heads, a.key_width, ATTENTION_TOKENS_ACROSS, 0, NULL},
                  {output_gradient, a.heads, a.value_width, ATTENTION_TOKENS_ACROSS, 0, NULL},
                  {q, a.heads, a.key_width, ATTENTION_TOKENS_DOWN, 0, NULL},
                  {output_gradient, a.heads, a.value_width, ATTENTION_TOKENS_DOWN, 0, NULL}}};
    g.rows = attention_pack_all(&a, g.packs, 4, a.batch * a.heads * ROW_KINDS * a.stride);
    cpu_threads_for(a.threads, a.batch * a.heads, kernel_grain(8 * a.length), gather_rows, &g);
    int64_t work = TILE_ROWS * a.length * a.ratio * (2 * (a.key_width + a.value_width) + 24) / 8;
    cpu_threads_for(a.threads, a.batch * a.groups * a.tiles, kernel_grain(work), key_range, &g);
}
