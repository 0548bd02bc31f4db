/* Lowering of attention and its gradients. Graphics processors run one fused kernel for each result;
 * processors run products over panels, which are temporaries of bounded size: no tensor of sequence x
 * sequence is ever stored. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/attention.h"

enum { TILE = 8, CHUNK = 128 }; /* rows and columns of a group, shaders/include/attention.glsl */
enum { TALL = 16, DOTS_WIDE = 128, WIDE = 32 }; /* of the panel kernels */
enum { PANEL_ELEMENTS = 1 << 22 };              /* of one panel, at most */

/* From q [b, s, n * h], k [b, s, g * h], v [b, s, g * e], the first operands of all. */
static struct push_attention shape_of(const struct step *s)
{
    uint heads = (uint)node_integer(s->node, ATTRIBUTE_heads),
         groups = (uint)node_integer(s->node, ATTRIBUTE_kv_heads);
    return (struct push_attention){
        .batch = (uint)s->inputs[0].dims[0],
        .sequence = (uint)s->inputs[0].dims[1],
        .heads = heads,
        .groups = groups,
        .share = heads / groups,
        .key_width = (uint)s->inputs[0].dims[2] / heads,
        .value_width = (uint)s->inputs[2].dims[2] / groups,
        .causal = node_integer(s->node, ATTRIBUTE_causal) ? 1 : 0,
        .scale = node_real(s->node, ATTRIBUTE_scale),
    };
}

static void launch_fused(struct lowering *l, enum kernel kernel, const struct span *spans,
                         struct push_attention push, uint heads, uint width)
{
    push.chunks = (width + CHUNK - 1) / CHUNK;
    uint64_t tiles = (push.sequence + TILE - 1) / TILE;
    double cost =
        8.0 * push.batch * push.heads * push.sequence * push.sequence * (push.key_width + push.value_width);
    commands_add(l->commands, kernel, spans, &push, push.batch * (uint64_t)heads * tiles * push.chunks, cost);
}

static uint64_t tiles(uint count, uint size)
{
    return (count + size - 1) / size;
}

static uint64_t panel_limit(const struct lowering *l)
{
    uint64_t quarter = l->temporary_limit / 4;
    return quarter < PANEL_ELEMENTS ? quarter : PANEL_ELEMENTS;
}

static uint64_t panel_elements(const struct push_attention *p)
{
    return (uint64_t)p->planes * p->rows * p->columns;
}

/* panel = scale * x . y, for q and k, or for do and v (scale 1). */
static void launch_dots(struct lowering *l, struct push_attention p, struct span x, struct span y, uint width,
                        float scale, struct span panel)
{
    struct span spans[] = {x, y, panel};
    p.width = width;
    p.scale = scale;
    commands_add(l->commands, KERNEL_attention_panel_dots, spans, &p,
                 p.planes * tiles(p.rows, TALL) * tiles(p.columns, DOTS_WIDE),
                 2.0 * panel_elements(&p) * width);
}

/* Rows of results from a panel with all keys; the factor is stats' z, or the scale. */
static void launch_apply(struct lowering *l, struct push_attention p, const struct span spans[4], uint width,
                         bool is_scaled)
{
    p.width = width;
    p.chunks = is_scaled;
    commands_add(l->commands, KERNEL_attention_panel_apply, spans, &p,
                 p.planes * tiles(p.rows, TALL) * tiles(width, WIDE), 2.0 * panel_elements(&p) * width);
}

/* Rows of dk or dv from a panel with all queries. */
static void launch_gather(struct lowering *l, struct push_attention p, struct span panel, struct span x,
                          struct span y, uint width, bool is_scaled)
{
    struct span spans[] = {panel, x, y};
    p.width = width;
    p.chunks = is_scaled;
    commands_add(l->commands, KERNEL_attention_panel_gather, spans, &p,
                 p.planes / p.share * tiles(p.columns, TALL) * tiles(width, WIDE),
                 2.0 * panel_elements(&p) * width);
}

/* Panels x of p and d of t, as the gradients need them. */
static bool launch_weights(struct lowering *l, const struct step *s, const struct push_attention *p,
                           struct span *x, struct span *d)
{
    uint64_t count = panel_elements(p);
    if (!lowering_temporary(l, count, x) || !lowering_temporary(l, count, d))
        return false;
    launch_dots(l, *p, s->inputs[0].span, s->inputs[1].span, p->key_width, p->scale, *x);
    launch_dots(l, *p, s->inputs[3].span, s->inputs[2].span, p->value_width, 1, *d);
    struct span spans[] = {*x, *d, s->inputs[4].span, s->inputs[5].span};
    commands_add(l->commands, KERNEL_attention_panel_weigh, spans, p, (uint64_t)p->planes * p->rows,
                 30.0 * count);
    return true;
}

/* One panel of queries: forward, or the gradient of the queries. */
static bool lower_query_panel(struct lowering *l, const struct step *s, const struct push_attention *p)
{
    struct span x, d;
    if (s->kernel != KERNEL_attention) {
        if (!launch_weights(l, s, p, &x, &d))
            return false;
        struct span spans[] = {d, s->inputs[1].span, s->inputs[4].span, s->results[0].span};
        launch_apply(l, *p, spans, p->key_width, true);
        return true;
    }
    if (!lowering_temporary(l, panel_elements(p), &x))
        return false;
    launch_dots(l, *p, s->inputs[0].span, s->inputs[1].span, p->key_width, p->scale, x);
    struct span softmax[] = {x, s->results[1].span};
    commands_add(l->commands, KERNEL_attention_panel_softmax, softmax, p, tiles(p->planes * p->rows, 8),
                 30.0 * panel_elements(p));
    struct span spans[] = {x, s->inputs[2].span, s->results[1].span, s->results[0].span};
    launch_apply(l, *p, spans, p->value_width, false);
    return true;
}

/* All planes in panels: several planes at a time where they fit, else some queries of one. */
static bool lower_query_panels(struct lowering *l, const struct step *s, struct push_attention p)
{
    uint64_t limit = panel_limit(l), fit = limit / p.sequence / p.sequence, all = (uint64_t)p.batch * p.heads;
    uint64_t rows = fit ? p.sequence : limit / p.sequence / TALL * TALL, planes = fit ? fit : 1;
    if (rows == 0)
        return false;
    p.columns = p.sequence;
    for (uint64_t z = 0; z < all; z += planes)
        for (uint64_t i = 0; i < p.sequence; i += rows) {
            p.first_plane = (uint)z;
            p.planes = (uint)(all - z < planes ? all - z : planes);
            p.first_row = (uint)i;
            p.rows = (uint)(p.sequence - i < rows ? p.sequence - i : rows);
            if (!lower_query_panel(l, s, &p))
                return false;
        }
    return true;
}

/* The same for keys and values: a panel has all queries and whole groups of heads. */
static bool lower_key_panels(struct lowering *l, const struct step *s, struct push_attention p)
{
    uint64_t group = (uint64_t)p.share * p.sequence, limit = panel_limit(l), fit = limit / group / p.sequence;
    uint64_t columns = fit ? p.sequence : limit / group / TALL * TALL, groups = fit ? fit : 1;
    uint64_t all = (uint64_t)p.batch * p.groups;
    if (columns == 0)
        return false;
    p.rows = p.sequence;
    for (uint64_t g = 0; g < all; g += groups)
        for (uint64_t j = 0; j < p.sequence; j += columns) {
            struct span x, d;
            p.first_plane = (uint)(g * p.share);
            p.planes = (uint)((all - g < groups ? all - g : groups) * p.share);
            p.first_column = (uint)j;
            p.columns = (uint)(p.sequence - j < columns ? p.sequence - j : columns);
            if (!launch_weights(l, s, &p, &x, &d))
                return false;
            launch_gather(l, p, d, s->inputs[0].span, s->results[1].span, p.key_width, true);
            launch_gather(l, p, x, s->inputs[3].span, s->results[2].span, p.value_width, false);
        }
    return true;
}

enum status lower_attention(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_attention push = shape_of(s);
    if (l->matmul == VULKAN_MATMUL_WIDE && lower_query_panels(l, s, push))
        return OK;
    struct lower_spans all = lower_all_spans(s);
    launch_fused(l, KERNEL_attention, all.spans, push, push.heads, push.value_width);
    return OK;
}

enum status lower_attention_grad(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    enum { RESULT = 6 }; /* q k v do stats delta, then a result */
    struct push_attention push = shape_of(s);
    bool panels = l->matmul == VULKAN_MATMUL_WIDE;
    struct lower_spans all = lower_all_spans(s);
    if (!panels || !lower_query_panels(l, s, push))
        launch_fused(l, KERNEL_attention_grad_q, all.spans, push, push.heads, push.key_width);
    if (panels && lower_key_panels(l, s, push))
        return OK;
    all.spans[RESULT] = s->results[1].span;
    launch_fused(l, KERNEL_attention_grad_k, all.spans, push, push.groups, push.key_width);
    all.spans[RESULT] = s->results[2].span;
    launch_fused(l, KERNEL_attention_grad_v, all.spans, push, push.groups, push.value_width);
    return OK;
}
