/* Lowering of attention and its gradients. Graphics processors run one fused kernel for each result, by
 * cooperative matrices under device numerics where there are any;
 * processors run kernels that hold rows of a head in the registers of lanes, or for wide heads products, over
 * panels, which are temporaries of bounded size: no tensor of sequence x sequence is ever stored. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/attention.h"
#include "shaders/scalar/scalar.h"

enum { TILE = 8, CHUNK = 128 }; /* rows and columns of a group, shaders/include/attention.glsl */
/* Of the panel kernels, shaders/include/panel.glsl: what causality leaves out goes by so many queries and
 * keys; columns of a group. */
enum { PANEL_TILE = 64, PANEL_WIDE = 16 };
enum { PANEL_ELEMENTS = 1 << 22 }; /* of one panel, at most */
/* Of the lane kernels, shaders/include/lane.glsl: lanes of a group; rows a lane, and for gradients; the
 * widest heads, since rows of a lane are unrolled, and drivers compile that long. */
enum { LANES = 8, LANE_ROWS_FORWARD = 8, LANE_ROWS_GRADIENT = 4, LANE_WIDTH = 32 };

/* Rows that each lane of the lane kernels has: fewer where they would not be filled or are long to compile. 0
 * where heads are too wide. */
static uint32_t lane_rows(const struct push_attention *p, uint32_t most)
{
    uint32_t width = p->key_width > p->value_width ? p->key_width : p->value_width;
    if (width > LANE_WIDTH)
        return 0;
    uint32_t rows = most / (width > LANE_WIDTH / 2 ? 2 : 1) / (p->sloped || p->softcap > 0 ? 2 : 1);
    while (rows > 1 && rows / 2 * LANES >= p->sequence)
        rows /= 2;
    return rows;
}

/* From q [b, s, n * h], k [b, s, g * h], v [b, s, g * e], the first operands of all. */
static struct push_attention shape_of(const struct step *s)
{
    float softcap = node_softcap(s->node);
    int64_t window = node_integer(s->node, ATTRIBUTE_window);
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
        .window = window > 0 ? (uint)window : UINT32_MAX,
        .softcap = softcap,
        .uncap = softcap > 0 ? gm_rcp(softcap) : 0,
        .sloped = op_constant_input(s->node->op) != UINT32_MAX,
    };
}

/* What a kernel that does not read them binds in their place: any operand. */
static struct span slopes_of(const struct step *s)
{
    uint32_t input = op_constant_input(s->node->op);
    return s->inputs[input == UINT32_MAX ? 0 : input].span;
}

static uint32_t operand_count(const struct step *s)
{
    uint32_t input = op_constant_input(s->node->op);
    return input == UINT32_MAX ? s->node->input_count : input; /* slopes come last */
}

/* Under device numerics, where there are matrices: shaders/device/attention_matrix.comp. */
enum { MATRIX_TILE = 32, MATRIX_SUBGROUPS = 4 };

static const struct {
    enum kernel plain, f16, bf16;
} matrix_kernels[] = {
    {KERNEL_attention, KERNEL_attention_matrix_f16, KERNEL_attention_matrix_bf16},
    {KERNEL_attention_grad_q, KERNEL_attention_matrix_grad_q_f16, KERNEL_attention_matrix_grad_q_bf16},
    {KERNEL_attention_grad_k, KERNEL_attention_matrix_grad_k_f16, KERNEL_attention_matrix_grad_k_bf16},
    {KERNEL_attention_grad_v, KERNEL_attention_matrix_grad_v_f16, KERNEL_attention_matrix_grad_v_bf16},
};

static enum kernel with_matrices(const struct lowering *l, enum kernel plain)
{
    size_t i = 0;
    while (matrix_kernels[i].plain != plain)
        i++;
    return l->tuning->arithmetic == ARITHMETIC_matrix_bf16 ? matrix_kernels[i].bf16 : matrix_kernels[i].f16;
}

/* The least columns of a group that hold a row of the result; wider ones are cut. */
static uint matrix_columns(uint width)
{
    return width <= 32 ? 32 : width <= 64 ? 64 : 128;
}

static void launch_matrix(struct lowering *l, enum kernel plain, const struct span *spans,
                          struct push_attention push, uint heads, uint width)
{
    const struct matrices *matrices = &l->tuning->matrices;
    uint32_t out = matrix_columns(width), most = DEVICE_INVOCATIONS / matrices->subgroup;
    uint32_t subgroups = most < MATRIX_SUBGROUPS ? most : MATRIX_SUBGROUPS;
    push.chunks = (width + out - 1) / out;
    uint64_t tiles = (push.sequence + MATRIX_TILE - 1) / MATRIX_TILE;
    double cost =
        8.0 * push.batch * push.heads * push.sequence * push.sequence * (push.key_width + push.value_width);
    struct launch *launch = commands_add(l->commands, with_matrices(l, plain), spans, &push,
                                         push.batch * (uint64_t)heads * tiles * push.chunks, cost);
    launch->constants[ATTENTION_OUT] = out;
    launch->constants[ATTENTION_SUBGROUPS] = subgroups;
    matrix_specialise(launch->constants, l->tuning->arithmetic, matrices, subgroups);
}

static void launch_fused(struct lowering *l, enum kernel kernel, const struct span *spans,
                         struct push_attention push, uint heads, uint width)
{
    if (arithmetic_has_matrices(l->tuning->arithmetic)) {
        launch_matrix(l, kernel, spans, push, heads, width);
        return;
    }
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
    uint64_t most = l->temporary_limit / 4 < l->binding ? l->temporary_limit / 4 : l->binding;
    return most < PANEL_ELEMENTS ? most : PANEL_ELEMENTS;
}

/* Rows of a panel start at multiples of eight elements. */
static uint64_t panel_row(uint64_t columns)
{
    return (columns + 7) / 8 * 8;
}

static uint64_t panel_elements(const struct push_attention *p)
{
    return (uint64_t)p->planes * p->rows * panel_row(p->columns);
}

static bool is_by_four(struct span span, uint width)
{
    return span.first % 4 == 0 && width % 4 == 0;
}

static void launch_panel(struct lowering *l, enum kernel kernel, const struct span *spans,
                         const struct push_attention *p, uint64_t groups, bool is_four)
{
    struct launch *launch =
        commands_add(l->commands, kernel, spans, p, groups, 2.0 * (double)panel_elements(p) * p->width);
    launch->constants[PANEL_FOUR] = is_four;
}

/* panel = x . y, for q and k, or for do and v; by the tile that products do best with. */
static void launch_dots(struct lowering *l, struct push_attention p, struct span x, struct span y, uint width,
                        struct span panel)
{
    const struct variant_info *tile = &variant_table[l->tuning->lanes];
    struct span spans[] = {x, y, panel};
    p.width = width;
    launch_panel(l, KERNEL_attention_panel_dots, spans, &p,
                 p.planes * tiles(p.rows, tile->rows) * tiles(p.columns, tile->columns),
                 is_by_four(x, width) && is_by_four(y, width));
    struct launch *launch = &l->commands->launches.items[l->commands->launches.count - 1];
    launch->constants[PANEL_TALL] = tile->constants[WIDE_TALL];
    launch->constants[PANEL_QUADS] = tile->constants[WIDE_QUADS];
}

/* Rows of results from a panel with all keys; the factor is stats' z, or the scale. */
static void launch_apply(struct lowering *l, struct push_attention p, const struct span spans[4], uint width,
                         bool is_scaled)
{
    p.width = width;
    p.chunks = is_scaled;
    launch_panel(l, KERNEL_attention_panel_apply, spans, &p,
                 p.planes * tiles(p.rows, PANEL_TILE) * tiles(width, PANEL_WIDE),
                 is_by_four(spans[1], width));
}

/* Rows of dk or dv from a panel with all queries. */
static void launch_gather(struct lowering *l, struct push_attention p, struct span panel, struct span x,
                          struct span y, uint width, bool is_scaled)
{
    struct span spans[] = {panel, x, y};
    p.width = width;
    p.chunks = is_scaled;
    launch_panel(l, KERNEL_attention_panel_gather, spans, &p,
                 p.planes / p.share * tiles(p.columns, PANEL_TILE) * tiles(width, PANEL_WIDE),
                 is_by_four(x, width));
}

/* The first `operands` of the spans are rows of q, k, v, do; `count` heads of a tile go together. */
static void launch_lanes(struct lowering *l, enum kernel kernel, const struct span *spans, uint32_t operands,
                         const struct push_attention *p, uint32_t rows, uint count)
{
    bool is_four = p->key_width % 4 == 0 && p->value_width % 4 == 0;
    for (uint32_t i = 0; i < operands; i++)
        is_four = is_four && spans[i].first % 4 == 0;
    uint64_t groups = p->planes / count * tiles(p->rows, LANES * rows);
    double cost = 2.0 * operands * (double)panel_elements(p) * (p->key_width + p->value_width);
    struct launch *launch = commands_add(l->commands, kernel, spans, p, groups, cost);
    launch->constants[LANE_FOUR] = is_four;
    launch->constants[LANE_KEY_QUADS] = (p->key_width + 3) / 4;
    launch->constants[LANE_VALUE_QUADS] = (p->value_width + 3) / 4;
    launch->constants[LANE_ROWS] = rows;
    launch->constants[LANE_BENT] = p->sloped || p->softcap > 0;
}

/* Gradients of keys and values, and a panel d of t for that of the queries. */
static bool launch_lane_gradients(struct lowering *l, const struct step *s, const struct push_attention *p,
                                  uint32_t rows, struct span *d)
{
    enum { OPERANDS = 6, ROWS_OF = 4 }; /* q k v do stats delta: rows of heads are the first */
    struct span spans[OPERANDS + 4];
    if (!lowering_temporary(l, panel_elements(p), d))
        return false;
    for (uint32_t i = 0; i < OPERANDS; i++)
        spans[i] = s->inputs[i].span;
    spans[OPERANDS] = s->results[1].span;
    spans[OPERANDS + 1] = s->results[2].span;
    spans[OPERANDS + 2] = *d;
    spans[OPERANDS + 3] = slopes_of(s);
    launch_lanes(l, KERNEL_attention_lane_grad, spans, ROWS_OF, p, rows, p->share);
    return true;
}

/* A panel of queries, forward. Tiles have a part of the panel each. */
static bool launch_lane_forward(struct lowering *l, const struct step *s, const struct push_attention *p,
                                uint32_t rows)
{
    struct span panel;
    uint64_t count = p->planes * tiles(p->rows, LANES * rows) * LANES * rows * panel_row(p->columns);
    if (!lowering_temporary(l, count, &panel))
        return false;
    struct span spans[] = {s->inputs[0].span,
                           s->inputs[1].span,
                           s->inputs[2].span,
                           s->results[0].span,
                           s->results[1].span,
                           slopes_of(s),
                           panel};
    launch_lanes(l, KERNEL_attention_lane, spans, 3, p, rows, 1);
    return true;
}

/* Panels x of p and d of t, as the gradients need them. */
static bool launch_weights(struct lowering *l, const struct step *s, const struct push_attention *p,
                           struct span *x, struct span *d)
{
    uint64_t count = panel_elements(p);
    if (!lowering_temporary(l, count, x) || !lowering_temporary(l, count, d))
        return false;
    launch_dots(l, *p, s->inputs[0].span, s->inputs[1].span, p->key_width, *x);
    launch_dots(l, *p, s->inputs[3].span, s->inputs[2].span, p->value_width, *d);
    struct span spans[] = {*x, *d, s->inputs[4].span, s->inputs[5].span, slopes_of(s)};
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
    uint32_t rows = lane_rows(p, LANE_ROWS_FORWARD);
    if (rows)
        return launch_lane_forward(l, s, p, rows);
    if (!lowering_temporary(l, panel_elements(p), &x))
        return false;
    launch_dots(l, *p, s->inputs[0].span, s->inputs[1].span, p->key_width, x);
    struct span softmax[] = {x, s->results[1].span, slopes_of(s)};
    commands_add(l->commands, KERNEL_attention_panel_softmax, softmax, p, tiles(p->planes * p->rows, 8),
                 30.0 * panel_elements(p));
    struct span spans[] = {x, s->inputs[2].span, s->results[1].span, s->results[0].span};
    launch_apply(l, *p, spans, p->value_width, false);
    return true;
}

/* All planes in panels: several planes at a time where they fit, else some queries of one. */
static bool lower_query_panels(struct lowering *l, const struct step *s, struct push_attention p)
{
    uint64_t limit = panel_limit(l), row = panel_row(p.sequence),
             tile = LANES * lane_rows(&p, LANE_ROWS_FORWARD);
    uint64_t fit = limit / (tile ? tiles(p.sequence, tile) * tile : p.sequence) / row;
    uint64_t rows = fit ? p.sequence : limit / row / PANEL_TILE * PANEL_TILE, planes = fit ? fit : 1;
    uint64_t all = (uint64_t)p.batch * p.heads;
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

/* The gradients of keys and values from a panel with all queries of whole groups of heads. */
static void lower_key_panel(struct lowering *l, const struct step *s, const struct push_attention *p,
                            struct span x, struct span d)
{
    launch_gather(l, *p, d, s->inputs[0].span, s->results[1].span, p->key_width, true);
    launch_gather(l, *p, x, s->inputs[3].span, s->results[2].span, p->value_width, false);
}

/* All gradients from panels with all queries and keys, whose weights are computed once. */
static bool lower_whole_panels(struct lowering *l, const struct step *s, struct push_attention p)
{
    uint64_t group = (uint64_t)p.share * p.sequence * panel_row(p.sequence),
             all = (uint64_t)p.batch * p.groups;
    uint64_t groups = panel_limit(l) / group;
    uint32_t lanes = lane_rows(&p, LANE_ROWS_GRADIENT);
    p.rows = p.columns = p.sequence;
    for (uint64_t g = 0; g < all && groups; g += groups) {
        struct span x, d;
        p.first_plane = (uint)(g * p.share);
        p.planes = (uint)((all - g < groups ? all - g : groups) * p.share);
        bool is_made = lanes ? launch_lane_gradients(l, s, &p, lanes, &d) : launch_weights(l, s, &p, &x, &d);
        if (!is_made)
            return false;
        struct span spans[] = {d, s->inputs[1].span, s->inputs[4].span, s->results[0].span};
        launch_apply(l, p, spans, p.key_width, true);
        if (!lanes)
            lower_key_panel(l, s, &p, x, d);
    }
    return groups > 0;
}

/* Where not all keys fit, some at a time. */
static bool lower_key_panels(struct lowering *l, const struct step *s, struct push_attention p)
{
    uint64_t group = (uint64_t)p.share * p.sequence, all = (uint64_t)p.batch * p.groups;
    uint64_t columns = panel_limit(l) / group / PANEL_TILE * PANEL_TILE;
    if (columns == 0)
        return false;
    p.rows = p.sequence;
    p.planes = p.share;
    for (uint64_t g = 0; g < all; g++)
        for (uint64_t j = 0; j < p.sequence; j += columns) {
            struct span x, d;
            p.first_plane = (uint)(g * p.share);
            p.first_column = (uint)j;
            p.columns = (uint)(p.sequence - j < columns ? p.sequence - j : columns);
            if (!launch_weights(l, s, &p, &x, &d))
                return false;
            lower_key_panel(l, s, &p, x, d);
        }
    return true;
}

static bool prefers_panels(const struct lowering *l)
{
    return l->tuning->prefers_lanes && !arithmetic_has_matrices(l->tuning->arithmetic);
}

/* The bindings are the operands and results; fixed rows are queries. */
static void lower_forward(struct lowering *l, const struct step *s, struct push_attention push)
{
    if (prefers_panels(l) && lower_query_panels(l, s, push))
        return;
    struct span spans[] = {s->inputs[0].span,  s->inputs[1].span,  s->inputs[2].span,
                           s->results[0].span, s->results[1].span, slopes_of(s)};
    launch_fused(l, KERNEL_attention, spans, push, push.heads, push.value_width);
}

static void lower_gradients(struct lowering *l, const struct step *s, struct push_attention push)
{
    enum { OPERANDS = 6 }; /* q k v do stats delta, then a result and slopes */
    bool panels = prefers_panels(l);
    struct span spans[OPERANDS + 2];
    for (uint32_t i = 0; i < OPERANDS; i++)
        spans[i] = s->inputs[i].span;
    spans[OPERANDS] = s->results[0].span;
    spans[OPERANDS + 1] = slopes_of(s);
    if (panels && lower_whole_panels(l, s, push))
        return;
    if (!panels || !lower_query_panels(l, s, push))
        launch_fused(l, KERNEL_attention_grad_q, spans, push, push.heads, push.key_width);
    if (panels && lower_key_panels(l, s, push))
        return;
    spans[OPERANDS] = s->results[1].span;
    launch_fused(l, KERNEL_attention_grad_k, spans, push, push.groups, push.key_width);
    spans[OPERANDS] = s->results[2].span;
    launch_fused(l, KERNEL_attention_grad_v, spans, push, push.groups, push.value_width);
}

typedef void lower_part(struct lowering *l, const struct step *s, struct push_attention push);

/* The columns of operand x that one group of heads in one sequence has. */
static struct lower_copy columns_of_group(const struct operand *x, const struct push_attention *p,
                                          uint64_t sequence, uint64_t group)
{
    uint64_t row = x->count / p->batch / p->sequence, columns = row / p->groups;
    uint64_t first = sequence * p->sequence * row + group * columns;
    return (struct lower_copy){.from = span_part(x->span, first, (p->sequence - 1) * row + columns),
                               .rows = p->sequence,
                               .columns = columns,
                               .padded = columns,
                               .from_row = row,
                               .from_column = 1,
                               .to_row = columns};
}

/* Attention of one group of heads in one sequence, on copies: heads share nothing but the shape. */
static enum status lower_group(struct lowering *l, const struct step *s, lower_part *lower,
                               struct push_attention push, uint64_t sequence, uint64_t group,
                               struct trace *trace)
{
    struct step part = *s;
    struct push_attention one = push;
    one.batch = one.groups = 1;
    one.heads = push.share;
    if (push.sloped)
        part.inputs[operand_count(s)].span = span_part(slopes_of(s), group * push.share, push.share);
    for (uint32_t i = 0; i < operand_count(s); i++) {
        struct lower_copy copy = columns_of_group(&s->inputs[i], &push, sequence, group);
        TRY(lowering_keep(l, copy.rows * copy.columns, &part.inputs[i].span, trace));
        copy.to = part.inputs[i].span;
        lower_add_copy(l, &copy);
    }
    for (uint32_t i = 0; i < s->node->result_count; i++) {
        struct lower_copy copy = columns_of_group(&s->results[i], &push, sequence, group);
        TRY(lowering_keep(l, copy.rows * copy.columns, &part.results[i].span, trace));
    }
    lower(l, &part, one);
    for (uint32_t i = 0; i < s->node->result_count; i++) {
        struct lower_copy copy = columns_of_group(&s->results[i], &push, sequence, group);
        copy.to = copy.from;
        copy.from = part.results[i].span;
        copy.to_row = copy.from_row;
        copy.from_row = copy.columns;
        lower_add_copy(l, &copy);
    }
    lowering_forget(l);
    return OK;
}

/* Some sequences of an operand. */
static struct span sequences(const struct operand *x, uint batch, uint64_t first, uint64_t count)
{
    return span_part(x->span, x->count / batch * first, x->count / batch * count);
}

/* As many sequences at a time as can be bound; where one cannot, it goes by groups of heads. */
static enum status lower_parts(struct lowering *l, const struct step *s, lower_part *lower,
                               struct trace *trace)
{
    struct push_attention push = shape_of(s);
    uint64_t batch = push.batch, largest = 1;
    for (uint32_t i = 0; i < operand_count(s); i++)
        largest = s->inputs[i].count > largest ? s->inputs[i].count : largest;
    for (uint32_t i = 0; i < s->node->result_count; i++)
        largest = s->results[i].count > largest ? s->results[i].count : largest;
    uint64_t most = l->binding / (largest / batch);
    for (uint64_t b = 0; most == 0 && b < batch; b++)
        for (uint64_t g = 0; g < push.groups; g++)
            TRY(lower_group(l, s, lower, push, b, g, trace));
    for (uint64_t b = 0; most > 0 && b < batch; b += most) {
        struct step part = *s;
        uint64_t n = batch - b < most ? batch - b : most;
        for (uint32_t i = 0; i < operand_count(s); i++)
            part.inputs[i].span = sequences(&s->inputs[i], push.batch, b, n);
        for (uint32_t i = 0; i < s->node->result_count; i++)
            part.results[i].span = sequences(&s->results[i], push.batch, b, n);
        struct push_attention some = push;
        some.batch = (uint)n;
        lower(l, &part, some);
    }
    return OK;
}

enum status lower_attention(struct lowering *l, const struct step *s, struct trace *trace)
{
    return lower_parts(l, s, lower_forward, trace);
}

enum status lower_attention_grad(struct lowering *l, const struct step *s, struct trace *trace)
{
    return lower_parts(l, s, lower_gradients, trace);
}
