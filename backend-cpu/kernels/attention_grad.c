#include "backend-cpu/kernels/attention_grad.h"

/* q, k, v, do [b, s, g*r*e], stats [b, s, g*r, 2], delta [b, s, g*r] -> dq, dk, dv like q, k, v */
static void pull_back(struct kernel_call *call, const real *slopes)
{
    struct attention a = attention_of(call, slopes);
    struct attention_grad g = {.a = a,
                               .q = kernel_input(call, 0),
                               .k = kernel_input(call, 1),
                               .v = kernel_input(call, 2),
                               .output_gradient = kernel_input(call, 3),
                               .stats = kernel_input(call, 4),
                               .delta = kernel_input(call, 5),
                               .dq = kernel_result(call, 0),
                               .dk = kernel_result(call, 1),
                               .dv = kernel_result(call, 2)};
#define PACK(name, operand, heads, width, order) \
    g.packs[ATTENTION_##name##_##order] =        \
        (struct attention_pack){operand, heads, width, ATTENTION_TOKENS_##order, 0, NULL, 0}
    PACK(QUERIES, g.q, a.heads, a.key_width, ACROSS);
    PACK(QUERIES, g.q, a.heads, a.key_width, DOWN);
    PACK(GRADIENTS, g.output_gradient, a.heads, a.value_width, ACROSS);
    PACK(GRADIENTS, g.output_gradient, a.heads, a.value_width, DOWN);
    PACK(KEYS, g.k, a.groups, a.key_width, DOWN);
    PACK(KEYS, g.k, a.groups, a.key_width, ACROSS);
    PACK(VALUES, g.v, a.groups, a.value_width, ACROSS);
#undef PACK
    int64_t groups = a.batch * a.groups;
    if (attention_divides_by_group(&a)) {
        attention_pack_sizes(&a, g.packs, ATTENTION_WALK_PACKS);
        cpu_threads_for(a.threads, groups, 1, attention_groups, &g);
        return;
    }
    attention_pack_sizes(&a, g.packs, ATTENTION_GRAD_PACKS);
    attention_pack_all(&a, g.packs, ATTENTION_GRAD_PACKS);
    int64_t work = TILE_ROWS * a.length * (2 * (a.key_width + a.value_width) + 24) / 8;
    cpu_threads_for(a.threads, groups * a.tiles, kernel_grain(work * a.ratio), attention_key_tiles, &g);
    cpu_threads_for(a.threads, groups * a.ratio * a.tiles, kernel_grain(work), attention_query_tiles, &g);
}

void KERNEL(attention_grad)(struct kernel_call *call)
{
    pull_back(call, NULL);
}

/* slopes [g*r] */
void KERNEL(sloped_attention_grad)(struct kernel_call *call)
{
    pull_back(call, kernel_input(call, 6));
}
