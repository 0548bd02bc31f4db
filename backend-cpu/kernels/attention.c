/* Softmax attention with grouped heads (Vaswani et al. 2017; Ainslie et al. 2023): scores of a tile of
 * queries against all their keys, then the maximum, the weights, their sum and the values. Nothing is
 * rescaled on the way. */
#include "backend-cpu/kernels/attention.h"
#include "backend-cpu/kernels/row.h"
#include <math.h>

enum { FORWARD_PACKS = 2 };

struct forward {
    struct attention a;
    const real *q;
    real *o, *stats;
    struct attention_pack packs[FORWARD_PACKS]; /* keys across, values down */
};

/* Scores of one query, computed from key `begin` on, to its weights: keys before `first` and from `valid` on
 * get weight 0. Returns the maximum and F(rcp(sum)). */
static void weigh(real *x, int64_t begin, int64_t first, int64_t valid, int64_t width, real *max, real *share)
{
    int64_t lane = first / ROW_LANES * ROW_LANES; /* sums keep their lanes */
    *max = row_max(x + first, valid - first);
    for (int64_t j = lane; j < first; j++)
        x[j] = -INFINITY;
    *share = r_flush(r_rcp_normal(row_exponentials_sum(x + lane, x + lane, *max, valid - lane)));
    for (int64_t j = begin; j < lane; j++)
        x[j] = 0;
    for (int64_t j = valid; j < width; j++)
        x[j] = 0;
}

static void attend_tile(const struct forward *f, int64_t sequence, int64_t head, int64_t tile, real *scores)
{
    const struct attention *a = &f->a;
    int64_t first = tile * TILE_ROWS, group = head / a->ratio;
    int rows = (int)least(TILE_ROWS, a->length - first);
    int64_t keys = a->causal ? first + rows : a->length;
    int64_t begin = attention_first_key(a, first) / TILE_COLUMNS;
    int64_t panels = panels_count(keys, TILE_COLUMNS), q_step = a->heads * a->key_width;
    int64_t token = sequence * a->length + first;
    attention_strip(a, f->q + token * q_step + head * a->key_width, q_step, rows, a->key_width,
                    attention_panels(&f->packs[0], sequence, group), begin, panels, scores,
                    TILE_LAST | TILE_SCALED);
    real share[TILE_ROWS];
    for (int i = 0; i < rows; i++) {
        real *stats = f->stats + ((token + i) * a->heads + head) * 2, *x = scores + i * a->stride;
        attention_bend(a, x + begin * TILE_COLUMNS, (panels - begin) * TILE_COLUMNS);
        attention_lean(a, x + begin * TILE_COLUMNS, (panels - begin) * TILE_COLUMNS, head,
                       first + i - begin * TILE_COLUMNS, -1);
        weigh(x, begin * TILE_COLUMNS, attention_first_key(a, first + i), a->causal ? first + i + 1 : keys,
              panels * TILE_COLUMNS, &stats[0], &share[i]);
        stats[1] = share[i];
    }
    int64_t o_step = a->heads * a->value_width;
    real *o = f->o + token * o_step + head * a->value_width;
    attention_gather(a, scores, rows, begin * TILE_COLUMNS, keys,
                     attention_panels(&f->packs[1], sequence, group), a->value_width, o, o_step, TILE_LAST);
    for (int i = 0; i < rows; i++)
        for (int64_t c = 0; c < a->value_width; c++)
            o[i * o_step + c] = r_flush(o[i * o_step + c] * share[i]);
}

static int64_t scores_size(const struct attention *a)
{
    return TILE_ROWS * a->stride;
}

/* [b * g * r * tiles]; all is packed. */
static void attend_tiles(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct forward *f = payload;
    const struct attention *a = &f->a;
    real *scores = cpu_threads_scratch(a->threads, thread, (size_t)scores_size(a) * sizeof *scores);
    for (int64_t i = first; i < end; i++)
        attend_tile(f, i / a->tiles / a->heads, i / a->tiles % a->heads, i % a->tiles, scores);
}

/* [b * g] */
static void attend_groups(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    struct forward f = *(const struct forward *)payload;
    const struct attention *a = &f.a;
    int64_t packed = attention_group_size(a, f.packs, FORWARD_PACKS);
    real *room = cpu_threads_scratch(a->threads, thread, (size_t)(packed + scores_size(a)) * sizeof *room);
    for (int64_t i = first; i < end; i++) {
        int64_t sequence = i / a->groups, group = i % a->groups;
        attention_pack_group(a, f.packs, FORWARD_PACKS, sequence, group, room);
        for (int64_t head = group * a->ratio; head < (group + 1) * a->ratio; head++)
            for (int64_t tile = 0; tile < a->tiles; tile++)
                attend_tile(&f, sequence, head, tile, room + packed);
    }
}

/* q [b, s, g*r*h], k [b, s, g*h], v [b, s, g*e] -> o [b, s, g*r*e], stats [b, s, g*r, 2] */
static void attend(struct kernel_call *call, const real *slopes)
{
    struct attention a = attention_of(call, slopes);
    struct forward f = {.a = a,
                        .q = kernel_input(call, 0),
                        .o = kernel_result(call, 0),
                        .stats = kernel_result(call, 1),
                        .packs = {{.from = kernel_input(call, 1),
                                   .heads = a.groups,
                                   .width = a.key_width,
                                   .order = ATTENTION_TOKENS_ACROSS},
                                  {.from = kernel_input(call, 2),
                                   .heads = a.groups,
                                   .width = a.value_width,
                                   .order = ATTENTION_TOKENS_DOWN}}};
    attention_pack_sizes(&a, f.packs, FORWARD_PACKS);
    if (attention_divides_by_group(&a)) {
        cpu_threads_for(a.threads, a.batch * a.groups, 1, attend_groups, &f);
        return;
    }
    attention_pack_all(&a, f.packs, FORWARD_PACKS);
    int64_t work = TILE_ROWS * a.length * (a.key_width + a.value_width + 16) / 8;
    cpu_threads_for(a.threads, a.batch * a.heads * a.tiles, kernel_grain(work), attend_tiles, &f);
}

void KERNEL(attention)(struct kernel_call *call)
{
    attend(call, NULL);
}

/* slopes [g*r] */
void KERNEL(sloped_attention)(struct kernel_call *call)
{
    attend(call, kernel_input(call, 3));
}
