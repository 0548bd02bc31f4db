/* Random decoders as ONNX files: projections apart or packed in any order, heads split and merged in any
 * order, value heads of their own size, parallel and sequential branches, and adversarial shuffles between
 * them; in half of them heads are rotated, in some they see a window of positions or their scores are capped.
 * For each, the import either gives a graph that computes what the file means (by the tracer's own
 * arithmetic, at a batch and length that the file does not know), or refuses with a reason; and every class
 * that analysis calls exact can be cut to random lists so that the rest computes what the graph computes with
 * the cut weights zeroed. */
#include "frontend/frontend.h"
#include "passes/pass.h"
#include "passes/plan.h"
#include "tests/frontend/traced.h"
#include "tests/support/evaluate.h"
#include "tests/support/mask.h"
#include <math.h>

enum { GRAPHS = 400, VOCABULARY = 11, MOST_TOKENS = 64, MOST_LISTED = 256 };

struct recipe {
    int64_t layers, hidden, kv_heads, each, size, value_size, ffn;
    int64_t heads;      /* kv_heads * each */
    int64_t neighbours; /* channels that rotate with the one beside them; 0: halves rotate, if anything */
    bool tied, parallel, adversarial, rotary;
    float head_cap; /* of the logits; 0: none */
};

struct decoder {
    struct tracer t;
    struct recipe recipe;
    int32_t tokens[MOST_TOKENS];
    struct traced logits;
};

static uint32_t draw(struct decoder *d, uint32_t limit)
{
    return random_below(&d->t.random, limit);
}

static bool toss(struct decoder *d)
{
    return draw(d, 2) == 1;
}

/* ---- linear layers ---- */

static struct traced weight_2(struct decoder *d, int64_t in, int64_t out)
{
    return traced_weight(&d->t, 2, (const int64_t[]){in, out});
}

static struct traced linear(struct decoder *d, struct traced x, int64_t out)
{
    struct tracer *t = &d->t;
    struct traced y = traced_matmul(t, x, weight_2(d, x.dims[x.rank - 1], out));
    if (draw(d, 3) > 0)
        return y;
    struct traced bias = traced_weight(t, 1, &out);
    return toss(d) ? traced_binary(t, "Add", y, bias) : traced_binary(t, "Add", bias, y);
}

/* Parts of one linear layer, stacked in random order and sliced apart. */
static void packed(struct decoder *d, struct traced x, uint32_t count, const int64_t *sizes,
                   struct traced *out)
{
    uint32_t order[3] = {0, 1, 2};
    int64_t total = 0, at = 0;
    for (uint32_t i = 0; i < count; i++)
        total += sizes[i];
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t k = draw(d, i + 1), swapped = order[i];
        order[i] = order[k];
        order[k] = swapped;
    }
    struct traced y = linear(d, x, total);
    for (uint32_t i = 0; i < count; at += sizes[order[i++]])
        out[order[i]] = traced_slice(&d->t, y, 2, at, at + sizes[order[i]]);
}

/* ---- attention ---- */

/* x [b, s, n*size] as [b, n, s, size]. */
static struct traced split_heads(struct decoder *d, struct traced x, int64_t n, int64_t size)
{
    const int64_t target[4] = {TRACED_BATCH, TRACED_LENGTH, n, toss(d) ? size : TRACED_REST};
    return traced_transpose(&d->t, traced_reshape(&d->t, x, 4, target), (const int64_t[]){0, 2, 1, 3});
}

/* Queries, keys and values as [b, heads or groups, s, size]: apart, packed, or packed head by head. */
static void project(struct decoder *d, struct traced x, struct traced out[3])
{
    const struct recipe *r = &d->recipe;
    const int64_t counts[3] = {r->heads, r->kv_heads, r->kv_heads};
    const int64_t sizes[3] = {r->size, r->size, r->value_size};
    const int64_t widths[3] = {counts[0] * sizes[0], counts[1] * sizes[1], counts[2] * sizes[2]};
    struct traced flat[3];
    uint32_t form = draw(d, r->each == 1 ? 3 : 2);
    if (form == 2) { /* [b, s, heads, q + k + v], cut along the last axis */
        int64_t width = sizes[0] + sizes[1] + sizes[2], at = 0;
        const int64_t target[4] = {TRACED_BATCH, TRACED_LENGTH, r->heads, width};
        struct traced y = traced_reshape(&d->t, linear(d, x, r->heads * width), 4, target);
        for (int i = 0; i < 3; at += sizes[i++])
            out[i] = traced_transpose(&d->t, traced_slice(&d->t, y, 3, at, at + sizes[i]),
                                      (const int64_t[]){0, 2, 1, 3});
        return;
    }
    if (form == 1)
        packed(d, x, 3, widths, flat);
    for (int i = 0; i < 3; i++)
        out[i] = split_heads(d, form == 1 ? flat[i] : linear(d, x, widths[i]), counts[i], sizes[i]);
}

/* [b, groups, s, size] repeated to [b, heads, s, size]. */
static struct traced repeat(struct decoder *d, struct traced x)
{
    const struct recipe *r = &d->recipe;
    int64_t size = x.dims[3];
    if (r->each == 1)
        return x;
    const int64_t five[5] = {TRACED_BATCH, r->kv_heads, 1, TRACED_LENGTH, size};
    const int64_t four[4] = {TRACED_BATCH, r->heads, TRACED_LENGTH, size};
    struct traced wide = traced_expand(&d->t, traced_reshape(&d->t, x, 5, five), 2, r->each);
    return traced_reshape(&d->t, wide, 4, four);
}

/* [b, heads, s, size] as [b, s, heads*size]; adversarial: with the axes in another order. */
static struct traced merge_heads(struct decoder *d, struct traced x)
{
    const int64_t width = x.dims[1] * x.dims[3];
    const int64_t target[3] = {TRACED_BATCH, TRACED_LENGTH, toss(d) ? width : TRACED_REST};
    const int64_t usual[4] = {0, 2, 1, 3}, swapped[4] = {0, 2, 3, 1};
    bool is_usual = !d->recipe.adversarial || draw(d, 3) > 0;
    if (!is_usual && toss(d)) /* positions and heads mixed up */
        return traced_reshape(&d->t, x, 3, target);
    return traced_reshape(&d->t, traced_transpose(&d->t, x, is_usual ? usual : swapped), 3, target);
}

static struct traced shuffle(struct decoder *d, struct traced x);

static struct traced attention(struct decoder *d, struct traced x)
{
    struct tracer *t = &d->t;
    struct traced qkv[3], scores;
    project(d, x, qkv);
    for (int i = 0; i < 2 && d->recipe.rotary; i++)
        qkv[i] = d->recipe.neighbours ? traced_neighbours(t, qkv[i], d->recipe.neighbours, 100)
                                      : traced_rotary(t, qkv[i], 100);
    qkv[1] = repeat(d, qkv[1]);
    qkv[2] = repeat(d, qkv[2]);
    bool is_merged = draw(d, 4) == 0;
    for (int i = 0; i < 3 && is_merged; i++)
        qkv[i] = traced_reshape(t, qkv[i], 3, (const int64_t[]){TRACED_REST, TRACED_LENGTH, qkv[i].dims[3]});
    struct traced k = is_merged ? traced_transpose(t, qkv[1], (const int64_t[]){0, 2, 1})
                                : traced_transpose(t, qkv[1], (const int64_t[]){0, 1, 3, 2});
    double scale = 1 / sqrt((double)d->recipe.size);
    if (toss(d)) {
        scores = traced_matmul(t, qkv[0], k);
        scores = toss(d) ? traced_binary(t, "Mul", scores, traced_number(t, (float)scale))
                         : traced_binary(t, "Div", scores, traced_number(t, (float)(1 / scale)));
    } else {
        scores = traced_matmul(t, traced_binary(t, "Mul", qkv[0], traced_number(t, (float)scale)), k);
    }
    if (draw(d, 4) == 0)
        scores = traced_cap(t, scores, 0.5f + (float)draw(d, 4));
    int64_t window = draw(d, 4) == 0 ? 1 + draw(d, 4) : 0;
    struct traced mixed = traced_matmul(t, traced_causal_softmax(t, scores, window), qkv[2]);
    if (is_merged)
        mixed = traced_reshape(
            t, mixed, 4, (const int64_t[]){TRACED_BATCH, d->recipe.heads, TRACED_LENGTH, mixed.dims[2]});
    return linear(d, shuffle(d, merge_heads(d, mixed)), d->recipe.hidden);
}

/* ---- the rest ---- */

/* The last axis a*b as b*a, reversed, or its halves swapped. */
static struct traced shuffle(struct decoder *d, struct traced x)
{
    struct tracer *t = &d->t;
    int64_t width = x.dims[2], a = 2 + draw(d, 3);
    if (!d->recipe.adversarial || toss(d))
        return x;
    if (draw(d, 3) == 0)
        return traced_reverse(t, x, 2);
    if (toss(d))
        return traced_concat(t, traced_slice(t, x, 2, width / 2, width), traced_slice(t, x, 2, 0, width / 2),
                             2);
    if (width % a != 0)
        return x;
    const int64_t split[4] = {TRACED_BATCH, TRACED_LENGTH, a, width / a};
    const int64_t merged[3] = {TRACED_BATCH, TRACED_LENGTH, width};
    struct traced y = traced_transpose(t, traced_reshape(t, x, 4, split), (const int64_t[]){0, 1, 3, 2});
    return traced_reshape(t, y, 3, merged);
}

static struct traced mlp(struct decoder *d, struct traced x)
{
    struct tracer *t = &d->t;
    int64_t width = d->recipe.ffn;
    const int64_t both[2] = {width, width};
    struct traced parts[2];
    if (draw(d, 4) == 0) /* not gated */
        return linear(d, shuffle(d, traced_silu(t, linear(d, x, width))), d->recipe.hidden);
    if (toss(d)) {
        packed(d, x, 2, both, parts);
    } else {
        parts[0] = linear(d, x, width);
        parts[1] = linear(d, x, width);
    }
    struct traced gate = traced_silu(t, shuffle(d, parts[0])), h;
    h = toss(d) ? traced_binary(t, "Mul", gate, parts[1]) : traced_binary(t, "Mul", parts[1], gate);
    if (d->recipe.adversarial && draw(d, 4) == 0) /* two products side by side */
        h = traced_concat(t, h, traced_silu(t, linear(d, x, 3)), 2);
    return linear(d, shuffle(d, h), d->recipe.hidden);
}

static struct traced norm(struct decoder *d, struct traced x)
{
    return traced_norm(&d->t, x, traced_weight(&d->t, 1, &d->recipe.hidden));
}

static struct traced residual(struct decoder *d, struct traced x, struct traced y)
{
    return toss(d) ? traced_binary(&d->t, "Add", x, y) : traced_binary(&d->t, "Add", y, x);
}

static struct traced layer(struct decoder *d, struct traced x)
{
    if (d->recipe.parallel) {
        struct traced n = norm(d, x), a = attention(d, n);
        struct traced m = mlp(d, toss(d) ? n : norm(d, x));
        return toss(d) ? residual(d, residual(d, x, a), m)
                       : residual(d, x, traced_binary(&d->t, "Add", a, m));
    }
    x = residual(d, x, attention(d, norm(d, x)));
    return residual(d, x, mlp(d, norm(d, x)));
}

static struct recipe random_recipe(struct random *random)
{
    struct recipe r = {.layers = 1 + random_below(random, 2),
                       .hidden = 4 + random_below(random, 9),
                       .kv_heads = 1 + random_below(random, 3),
                       .each = 1 + random_below(random, 3),
                       .size = 1 + random_below(random, 4),
                       .ffn = 3 + random_below(random, 8)};
    r.rotary = random_below(random, 2);
    r.size += r.rotary && r.size % 2;
    if (r.rotary && random_below(random, 2)) {
        r.neighbours = 2 + 2 * random_below(random, 2);
        r.size += r.size < r.neighbours ? 2 : 0;
    }
    r.head_cap = random_below(random, 4) == 0 ? 1 + (float)random_below(random, 3) : 0;
    r.heads = r.kv_heads * r.each;
    r.value_size = random_below(random, 3) ? r.size : 1 + random_below(random, 5);
    r.tied = random_below(random, 2);
    r.parallel = random_below(random, 3) == 0;
    r.adversarial = random_below(random, 3) == 0;
    return r;
}

/* The whole model; the same bytes for every batch and length. */
static void decoder_create(struct decoder *d, uint64_t seed, int64_t batch, int64_t length)
{
    struct random random = {seed};
    tracer_begin(&d->t, seed, batch, length);
    d->recipe = random_recipe(&random);
    for (int64_t i = 0; i < batch * length; i++)
        d->tokens[i] = (int32_t)random_below(&random, VOCABULARY);
    struct traced table = traced_weight(&d->t, 2, (const int64_t[]){VOCABULARY, d->recipe.hidden});
    struct traced x = traced_embed(&d->t, &table, d->tokens);
    for (int64_t i = 0; i < d->recipe.layers; i++)
        x = layer(d, x);
    x = norm(d, x);
    struct traced head = d->recipe.tied ? traced_transpose(&d->t, table, (const int64_t[]){1, 0})
                                        : weight_2(d, d->recipe.hidden, VOCABULARY);
    d->logits = traced_matmul(&d->t, x, head);
    if (d->recipe.head_cap > 0)
        d->logits = traced_cap(&d->t, d->logits, d->recipe.head_cap);
    onnx_output(&d->t.writer, d->logits.name);
}

/* ---- comparing ---- */

static double distance(const double *x, const double *y, int64_t count)
{
    double scale = 1, worst = 0;
    for (int64_t i = 0; i < count; i++)
        scale = fmax(scale, fabs(x[i]));
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(x[i] - y[i]) / scale);
    return isnan(worst) ? INFINITY : worst;
}

static double distance_of(const struct graph *a, const struct graph *b, const struct decoder *d)
{
    double *x = evaluate(a, EVALUATE_DOUBLE, d->t.batch, d->t.length, d->tokens);
    double *y = evaluate(b, EVALUATE_DOUBLE, d->t.batch, d->t.length, d->tokens);
    double worst = distance(x, y, d->t.batch * d->t.length * VOCABULARY);
    free(x), free(y);
    return worst;
}

/* ---- cutting ---- */

/* For each position of `term`, in order, the position of `leaf` it stands for; -1: it does not mention it. */
static void trace_leaf(const struct dims *dims, uint32_t term, uint32_t leaf, int64_t inherited,
                       int64_t **out)
{
    uint32_t parts[DIM_MAX_FACTORS];
    uint32_t count = dims_parts(dims, term, parts);
    if (count > 1) {
        for (uint32_t i = 0; i < count; i++)
            trace_leaf(dims, parts[i], leaf, inherited, out);
        return;
    }
    count = dims_factors(dims, term, parts);
    if (count == 1) {
        for (int64_t i = 0; i < dims_size(dims, parts[0]); i++)
            *(*out)++ = parts[0] == leaf ? i : inherited;
        return;
    }
    uint32_t rest = count > 2 ? DIM_NONE : parts[1];
    if (rest == DIM_NONE) { /* the minor factors as a term of their own */
        struct dims *writable = (struct dims *)(uintptr_t)dims;
        rest = dims_product(writable, parts + 1, count - 1);
    }
    uint32_t inner[DIM_MAX_FACTORS];
    bool is_sum = dims_parts(dims, parts[0], inner) > 1;
    assert_false(is_sum && parts[0] == leaf);
    int64_t *major = calloc((size_t)dims_size(dims, parts[0]), sizeof *major), *end = major;
    trace_leaf(dims, parts[0], leaf, inherited, &end);
    for (int64_t *m = major; m < end; m++)
        trace_leaf(dims, rest, leaf, *m, out);
    free(major);
}

/* Random lists of a class: one, or one for each position of its parent. */
struct lists {
    uint32_t groups, size, count;
    bool kept[MOST_LISTED];
    uint32_t items[MOST_LISTED]; /* [groups][count] */
};

static void draw_lists(struct lists *l, const struct graph *graph, const struct prunable *item,
                       struct random *random)
{
    *l = (struct lists){.groups =
                            item->parent == DIM_NONE ? 1 : (uint32_t)dims_size(&graph->dims, item->parent),
                        .size = (uint32_t)item->size};
    assert_true(l->groups * l->size <= MOST_LISTED);
    l->count = 1 + random_below(random, l->size);
    for (uint32_t g = 0; g < l->groups; g++) {
        uint32_t *list = l->items + g * l->count;
        random_subset(random, l->size, l->count, list);
        for (uint32_t i = 0; i < l->count; i++)
            l->kept[g * l->size + list[i]] = true;
    }
}

/* For each position of an axis, that of `leaf`; -1 where it does not mention it. Heap. */
static int64_t *trace_axis(const struct graph *graph, uint32_t term, uint32_t leaf, int64_t size)
{
    int64_t *positions = calloc((size_t)size, sizeof *positions), *end = positions;
    trace_leaf(&graph->dims, term, leaf, -1, &end);
    assert_int_equal(end - positions, size);
    return positions;
}

/* Zeroes what a weight of `graph` has at the dropped positions of the class of `original`. */
static void zero_axis(struct graph *graph, const struct graph *original, const struct prunable *item,
                      const struct carrier *carrier, const struct lists *lists)
{
    const struct value *v = graph_value(original, original->tensors.items[carrier->tensor].value);
    struct tensor_view *view = &graph->tensors.items[carrier->tensor].view;
    int64_t size = view->dims[carrier->axis], count = tensor_view_count(view), inner = 1;
    int64_t *positions = trace_axis(original, v->axes[carrier->axis], item->leaf, size);
    int64_t *groups =
        lists->groups > 1 ? trace_axis(original, v->axes[carrier->axis], item->parent, size) : NULL;
    for (uint32_t a = carrier->axis + 1; a < view->rank; a++)
        inner *= view->dims[a];
    float *data = ARENA_ARRAY(&graph->arena, float, (size_t)count);
    tensor_view_read_f32(view, 0, count, data);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i / inner % size, position = positions[at];
        if (position >= 0 && !lists->kept[(groups ? groups[at] : 0) * (int64_t)lists->size + position])
            data[i] = 0;
    }
    struct trace trace = {0};
    struct tensor_view dense;
    assert_ok(tensor_view_dense(&dense, NULL, (const uint8_t *)data, (size_t)count * sizeof *data, DTYPE_F32,
                                view->rank, view->dims, &trace),
              &trace);
    *view = dense;
    free(positions);
    free(groups);
}

static struct graph *zeroed(const struct graph *graph, const struct prunable *item, const struct lists *lists)
{
    struct graph *masked = mask_copy(graph, NULL, 0);
    for (uint32_t c = 0; c < item->carrier_count; c++)
        zero_axis(masked, graph, item, &item->carriers[c], lists);
    return masked;
}

static void cut_class(const struct decoder *d, const struct graph *graph, const char *name,
                      struct random *random)
{
    struct trace trace = {0};
    struct pass_context context = {0};
    struct plan plan;
    struct graph *cut = NULL;
    struct lists lists;
    assert_ok(plan_begin(&plan, graph, &context, &trace), &trace);
    const struct prunable *item = classes_get(&plan.classes, name);
    assert_non_null(item);
    draw_lists(&lists, graph, item, random);
    plan_add(&plan, item, lists.count, lists.items);
    assert_ok(plan_apply(&cut, &plan, &trace), &trace);
    assert_ok(pass_finish(&cut, &context, &trace), &trace);
    struct graph *masked = zeroed(graph, item, &lists);
    double worst = distance_of(cut, masked, d);
    if (worst > 1e-11)
        fail_msg("%s cut from %d to %u, %u lists: differs by %g", name, (int)item->size, lists.count,
                 lists.groups, worst);
    graph_destroy(masked);
    graph_destroy(cut);
    plan_release(&plan);
    pass_context_release(&context);
}

/* Every exact class; how many. */
static uint32_t cut_all(const struct decoder *d, const struct graph *graph, uint64_t seed)
{
    struct trace trace = {0};
    struct arena arena = {0};
    struct classes classes;
    struct random random = {seed};
    uint32_t count = 0;
    assert_ok(classes_find(&classes, &arena, graph, &trace), &trace);
    for (uint32_t i = 0; i < classes.count; i++)
        if (classes.items[i].exactness == EXACT) {
            cut_class(d, graph, classes.items[i].name, &random);
            count++;
        }
    arena_release(&arena);
    return count;
}

/* ---- the tests ---- */

struct tally {
    uint32_t imported, refused, adversarial_imported, adversarial_refused, cuts;
};

static void write_file(const char *path, const struct builder *bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->data, 1, bytes->length, file), bytes->length);
    assert_int_equal(fclose(file), 0);
}

static void expect_logits(const struct graph *graph, uint64_t seed, int64_t batch, int64_t length)
{
    struct decoder d = {0};
    decoder_create(&d, seed, batch, length);
    double *logits = evaluate(graph, EVALUATE_DOUBLE, batch, length, d.tokens);
    double worst = distance(d.logits.data, logits, batch * length * VOCABULARY);
    if (worst > 1e-6) /* constants of the file are floats */
        fail_msg("seed %llu, %d x %d: the logits differ by %g", (unsigned long long)seed, (int)batch,
                 (int)length, worst);
    free(logits);
    tracer_release(&d.t);
}

static void try_seed(uint64_t seed, const char *path, struct tally *tally)
{
    struct decoder d = {0};
    struct builder bytes = {0};
    struct imported_model model = {0};
    struct trace trace = {0};
    decoder_create(&d, seed, 2, 6);
    onnx_finish(&d.t.writer, &bytes);
    write_file(path, &bytes);
    enum status status = frontend_import_onnx(&model, path, NULL, &trace);
    bool is_adversarial = d.recipe.adversarial;
    if (status == OK) {
        expect_logits(model.graph, seed, 1, 5);
        expect_logits(model.graph, seed, 3, 2);
        expect_logits(model.graph, seed, 1, 9);
        tally->cuts += cut_all(&d, model.graph, seed);
        *(is_adversarial ? &tally->adversarial_imported : &tally->imported) += 1;
    } else {
        if (status != UNSUPPORTED || !strstr(trace.text, "node"))
            fail_msg("seed %llu: refused without a place: %s", (unsigned long long)seed, trace.text);
        *(is_adversarial ? &tally->adversarial_refused : &tally->refused) += 1;
        if (getenv("RANDOM_GRAPHS_TALK"))
            printf("seed %llu%s, %d groups of %d heads of %d, %d: %s\n", (unsigned long long)seed,
                   is_adversarial ? " (adversarial)" : "", (int)d.recipe.kv_heads, (int)d.recipe.each,
                   (int)d.recipe.size, (int)d.recipe.value_size, trace.text);
    }
    imported_model_release(&model);
    builder_release(&bytes);
    tracer_release(&d.t);
}

static void imports_or_refuses_and_cuts_what_it_calls_exact(void **state)
{
    (void)state;
    struct tally tally = {0};
    const char *more = getenv("RANDOM_GRAPHS"); /* how many instead */
    uint64_t graphs = more ? strtoull(more, NULL, 10) : GRAPHS;
    char *directory = test_directory_create(), *path = path_join(directory, "model.onnx");
    for (uint64_t seed = 1; seed <= graphs; seed++)
        try_seed(seed, path, &tally);
    printf("%u imported, %u refused; adversarial: %u imported, %u refused; %u cuts\n", tally.imported,
           tally.refused, tally.adversarial_imported, tally.adversarial_refused, tally.cuts);
    /* The test must not come to nothing. */
    assert_true(tally.imported > tally.refused);
    assert_true(tally.cuts > graphs);
    test_directory_remove(directory);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_or_refuses_and_cuts_what_it_calls_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
