/* A limit's ends are whole numbers, so that a candidate on the boundary is inside whatever the rounding of
 * target times tolerance. */
#include "search/space.h"
#include "passes/prune.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const grid_keys[SIZE_COUNT] = {"grid.layers", "grid.hidden", "grid.heads", "grid.kv_heads",
                                                  "grid.ffn"};

/* ---- grid ---- */

static int compare_integers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum status read_values(struct space *out, struct arena *arena, enum dimension d,
                               const struct settings *s, struct trace *trace)
{
    const struct setting *setting = settings_get(s, grid_keys[d]);
    int64_t base = out->bill.base.of[d];
    out->is_varied[d] = setting->is_given;
    if (!setting->is_given)
        *VEC_PUSH(arena, &out->values[d]) = base;
    for (uint32_t i = 0; i < setting->list_count; i++)
        *VEC_PUSH(arena, &out->values[d]) = setting->list[i];
    int64_t *values = out->values[d].items;
    uint32_t count = out->values[d].count;
    qsort(values, count, sizeof *values, compare_integers);
    for (uint32_t i = 0; i + 1 < count; i++)
        if (values[i] == values[i + 1])
            return settings_fail(s, grid_keys[d], trace, "%" PRId64 " stands twice", values[i]);
    if (values[count - 1] > base)
        return settings_fail(s, grid_keys[d], trace,
                             "%" PRId64 " is more than the base has (%" PRId64 "): pruning only removes",
                             values[count - 1], base);
    return OK;
}

static enum status read_expansions(struct space *out, struct arena *arena, const struct settings *s,
                                   struct trace *trace)
{
    const struct setting *setting = settings_get(s, "grid.expansion");
    if (!setting->is_given)
        return OK;
    if (out->is_varied[SIZE_FFN])
        return settings_fail(s, "grid.expansion", trace, "ffn is given too: give one of them");
    for (uint32_t i = 0; i < setting->list_count; i++)
        *VEC_PUSH(arena, &out->expansions) = setting->reals[i];
    double *values = out->expansions.items;
    qsort(values, out->expansions.count, sizeof *values, compare_reals);
    for (uint32_t i = 0; i + 1 < out->expansions.count; i++)
        if (!(values[i] < values[i + 1]))
            return settings_fail(s, "grid.expansion", trace, "%.17g stands twice", values[i]);
    out->is_varied[SIZE_FFN] = true;
    out->unit = settings_integer(s, "grid.align");
    if (out->unit == 0)
        out->unit = align_usual(out->bill.base.of[SIZE_FFN]);
    return OK;
}

static enum status count_combinations(const struct space *space, const struct settings *s,
                                      struct trace *trace)
{
    double count = space->expansions.count > 0 ? space->expansions.count : space->values[SIZE_FFN].count;
    for (int d = 0; d < SIZE_COUNT; d++)
        count *= d == SIZE_FFN ? 1 : space->values[d].count;
    if (count > SPACE_MAX_COMBINATIONS)
        return yaml_fail(trace, s->file, s->at, "grid: %.15g combinations, at most %d are searched", count,
                         SPACE_MAX_COMBINATIONS);
    return OK;
}

/* ---- limits ---- */

static const char *limit_key(struct arena *arena, enum metric m, const char *end)
{
    return arena_printf(arena, "budget.%s.%s", metric_names[m], end);
}

/* The least whole number that is not below x, and the largest that is not above; what a product of two
 * rounded numbers is off by counts for nothing. */
static int64_t round_up(double x, double slack)
{
    double y = ceil(x - slack);
    return y <= 0 ? 0 : y >= 0x1p62 ? INT64_MAX : (int64_t)y;
}

static int64_t round_down(double x, double slack)
{
    double y = floor(x + slack);
    return y <= 0 ? 0 : y >= 0x1p62 ? INT64_MAX : (int64_t)y;
}

static enum status read_limit(struct space *out, struct arena *arena, enum metric m, const struct settings *s,
                              struct trace *trace)
{
    const char *target = limit_key(arena, m, "target"), *tolerance = limit_key(arena, m, "tolerance");
    const char *low = limit_key(arena, m, "min"), *high = limit_key(arena, m, "max");
    bool has_ends = settings_has(s, low) || settings_has(s, high);
    struct limit limit = {.low = 0, .high = INT64_MAX};
    if (settings_has(s, target) && has_ends)
        return settings_fail(s, target, trace, "min or max is given too: give a target, or the ends");
    if (settings_has(s, tolerance) && !settings_has(s, target))
        return settings_fail(s, tolerance, trace, "a tolerance of what? give a target");
    if (settings_has(s, target)) {
        double middle = settings_real(s, target), slack = middle * 0x1p-50;
        double share = settings_has(s, tolerance) ? settings_real(s, tolerance) : 0.05;
        limit = (struct limit){true, round_up(middle - middle * share, slack),
                               round_down(middle + middle * share, slack)};
    }
    if (settings_has(s, low))
        limit.low = round_up(settings_real(s, low), 0);
    if (settings_has(s, high))
        limit.high = round_down(settings_real(s, high), 0);
    limit.is_set |= has_ends;
    if (limit.low > limit.high)
        return settings_fail(s, has_ends ? low : target, trace,
                             "no whole number lies in the range, %" PRId64 " to %" PRId64, limit.low,
                             limit.high);
    out->limits[m] = limit;
    return OK;
}

static enum status read_latency(struct latency_limit *out, const struct settings *s, struct trace *trace)
{
    static const char target[] = "budget.latency.target", tolerance[] = "budget.latency.tolerance",
                      low[] = "budget.latency.min", high[] = "budget.latency.max";
    bool has_ends = settings_has(s, low) || settings_has(s, high), has_target = settings_has(s, target);
    *out = (struct latency_limit){.is_set = has_ends || has_target, .low = 0, .high = INFINITY};
    out->key = has_target ? target : settings_has(s, high) ? high : low;
    if (has_target && has_ends)
        return settings_fail(s, target, trace, "min or max is given too: give a target, or the ends");
    if (settings_has(s, tolerance) && !has_target)
        return settings_fail(s, tolerance, trace, "a tolerance of what? give a target");
    if (has_target) {
        double share = settings_has(s, tolerance) ? settings_real(s, tolerance) : 0.05;
        out->low = settings_real(s, target) * (1 - share);
        out->high = settings_real(s, target) * (1 + share);
    }
    if (settings_has(s, low))
        out->low = settings_real(s, low);
    if (settings_has(s, high))
        out->high = settings_real(s, high);
    if (out->low > out->high)
        return settings_fail(s, low, trace, "%.4g is above max, %.4g", out->low, out->high);
    if (out->is_set && !settings_has(s, "base.model"))
        return settings_fail(s, out->key, trace, "only a model can be timed: give base.model");
    return OK;
}

static int64_t bits_of(const struct settings *s, const char *key)
{
    static const struct {
        const char *name;
        int64_t bits;
    } types[] = {{"f32", 32}, {"bf16", 16}, {"f16", 16}, {"int8", 8}, {"int4", 4}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(settings_text(s, key), types[i].name) == 0)
            return types[i].bits;
    BUG("%s is in settings.def but has no size here", settings_text(s, key));
}

enum status space_read(struct space *out, struct arena *arena, const struct bill *bill,
                       const struct settings *s, struct trace *trace)
{
    *out = (struct space){.bill = *bill};
    out->circumstances = (struct circumstances){.batch = settings_integer(s, "cost.batch"),
                                                .context = settings_integer(s, "cost.context"),
                                                .weight_bits = bits_of(s, "cost.weights"),
                                                .cache_bits = bits_of(s, "cost.cache")};
    struct cost cost;
    if (!bill_total(&cost, bill, &bill->base, &out->circumstances))
        return yaml_fail(trace, s->file, s->at, "base: its size or its cost is more than 2^63");
    for (int d = 0; d < SIZE_COUNT; d++)
        TRY(read_values(out, arena, (enum dimension)d, s, trace));
    TRY(read_expansions(out, arena, s, trace));
    TRY(count_combinations(out, s, trace));
    for (int m = 0; m < COST_COUNT; m++)
        TRY(read_limit(out, arena, (enum metric)m, s, trace));
    return read_latency(&out->latency, s, trace);
}

/* ---- enumeration ---- */

struct enumerator {
    const struct space *space;
    const struct settings *settings;
    struct candidates *out;
    struct arena *arena;
    uint64_t possible;
};

static const char *make_label(const struct enumerator *e, const struct sizes *sizes)
{
    static const char letters[SIZE_COUNT] = {[SIZE_LAYERS] = 'l',
                                             [SIZE_HIDDEN] = 'd',
                                             [SIZE_HEADS] = 'h',
                                             [SIZE_KV_HEADS] = 'g',
                                             [SIZE_FFN] = 'f'};
    const char *label = "";
    for (int d = 0; d < SIZE_COUNT; d++)
        if (e->space->is_varied[d])
            label =
                arena_printf(e->arena, "%s%s%c%" PRId64, label, *label ? "-" : "", letters[d], sizes->of[d]);
    return *label ? label : "base";
}

static bool is_possible(const struct space *space, const struct sizes *sizes)
{
    const struct sizes *base = &space->bill.base;
    int64_t group = sizes->of[SIZE_HEADS] / sizes->of[SIZE_KV_HEADS];
    return sizes->of[SIZE_HEADS] % sizes->of[SIZE_KV_HEADS] == 0 &&
           group <= base->of[SIZE_HEADS] / base->of[SIZE_KV_HEADS] && sizes->of[SIZE_FFN] >= 1 &&
           sizes->of[SIZE_FFN] <= base->of[SIZE_FFN];
}

static void note_extremes(struct enumerator *e, const struct cost *cost)
{
    for (int m = 0; m < COST_COUNT; m++) {
        int64_t *least = &e->out->least.of[m], *most = &e->out->most.of[m];
        *least = e->possible == 0 || cost->of[m] < *least ? cost->of[m] : *least;
        *most = e->possible == 0 || cost->of[m] > *most ? cost->of[m] : *most;
    }
    e->possible++;
}

static void consider(struct enumerator *e, const struct sizes *sizes)
{
    struct cost cost;
    e->out->combinations++;
    if (!is_possible(e->space, sizes)) {
        e->out->impossible++;
        return;
    }
    if (!bill_total(&cost, &e->space->bill, sizes, &e->space->circumstances))
        BUG("a candidate costs more than the base");
    note_extremes(e, &cost);
    for (int m = 0; m < COST_COUNT; m++) {
        const struct limit *limit = &e->space->limits[m];
        if (limit->is_set && (cost.of[m] < limit->low || cost.of[m] > limit->high))
            return;
    }
    *VEC_PUSH(e->arena, &e->out->items) = (struct candidate){make_label(e, sizes), *sizes, cost, (double)NAN};
}

/* The width that the expansion gives, rounded to the nearest multiple of the unit; without one INVALID when
 * it is no whole number. */
static enum status expanded(int64_t *out, struct enumerator *e, double expansion, int64_t hidden,
                            struct trace *trace)
{
    double width = expansion * (double)hidden, whole = nearbyint(width);
    if (e->space->unit > 1 && whole != (double)e->space->bill.base.of[SIZE_FFN]) {
        int64_t multiples = (int64_t)nearbyint(width / (double)e->space->unit);
        *out = (multiples > 1 ? multiples : 1) * e->space->unit;
        return OK;
    }
    if (fabs(width - whole) > width * 0x1p-50)
        return settings_fail(e->settings, "grid.expansion", trace,
                             "%.17g times hidden (%" PRId64 ") is %.10g, no whole number: give ffn instead",
                             expansion, hidden, width);
    *out = (int64_t)whole;
    return OK;
}

static enum status enumerate_widths(struct enumerator *e, struct sizes *sizes, struct trace *trace)
{
    const struct space *s = e->space;
    int64_t before = 0;
    for (uint32_t i = 0; i < s->expansions.count; i++) {
        TRY(expanded(&sizes->of[SIZE_FFN], e, s->expansions.items[i], sizes->of[SIZE_HIDDEN], trace));
        if (sizes->of[SIZE_FFN] != before) /* two may round to one width */
            consider(e, sizes);
        before = sizes->of[SIZE_FFN];
    }
    for (uint32_t i = 0; s->expansions.count == 0 && i < s->values[SIZE_FFN].count; i++) {
        sizes->of[SIZE_FFN] = s->values[SIZE_FFN].items[i];
        consider(e, sizes);
    }
    return OK;
}

static enum status enumerate(struct enumerator *e, struct sizes *sizes, enum dimension d, struct trace *trace)
{
    if (d == SIZE_FFN)
        return enumerate_widths(e, sizes, trace);
    for (uint32_t i = 0; i < e->space->values[d].count; i++) {
        sizes->of[d] = e->space->values[d].items[i];
        TRY(enumerate(e, sizes, (enum dimension)(d + 1), trace));
    }
    return OK;
}

static int compare_candidates(const void *a, const void *b)
{
    static const enum dimension order[SIZE_COUNT] = {SIZE_LAYERS, SIZE_HEADS, SIZE_KV_HEADS, SIZE_FFN,
                                                     SIZE_HIDDEN};
    const struct candidate *x = a, *y = b;
    int result = compare_integers(&x->cost.of[COST_PARAMETERS], &y->cost.of[COST_PARAMETERS]);
    for (int i = 0; i < SIZE_COUNT && result == 0; i++)
        result = compare_integers(&x->sizes.of[order[i]], &y->sizes.of[order[i]]);
    return result;
}

/* What was asked for, and what there is. */
static enum status fail_empty(const struct enumerator *e, struct trace *trace)
{
    const struct settings *s = e->settings;
    struct builder text = {0};
    for (int m = 0; m < COST_COUNT; m++) {
        const struct limit *limit = &e->space->limits[m];
        if (limit->is_set && e->possible > 0)
            builder_printf(&text,
                           "\n  %s from %" PRId64 " to %" PRId64 " was asked for, there is %" PRId64
                           " to %" PRId64,
                           metric_names[m], limit->low, limit->high, e->out->least.of[m], e->out->most.of[m]);
    }
    enum status status = yaml_fail(
        trace, s->file, s->at,
        "no candidate: of %" PRIu64 " combinations %" PRIu64
        " are possible (heads a multiple of kv_heads, no size above the base's), and none is within the budget%s",
        e->out->combinations, e->possible, builder_text(&text));
    builder_release(&text);
    return status;
}

enum status space_enumerate(struct candidates *out, struct arena *arena, const struct space *space,
                            const struct settings *settings, struct trace *trace)
{
    *out = (struct candidates){0};
    struct enumerator e = {.space = space, .settings = settings, .out = out, .arena = arena};
    struct sizes sizes = {0};
    TRY(enumerate(&e, &sizes, SIZE_LAYERS, trace));
    if (out->items.count == 0)
        return fail_empty(&e, trace);
    qsort(out->items.items, out->items.count, sizeof *out->items.items, compare_candidates);
    return OK;
}
