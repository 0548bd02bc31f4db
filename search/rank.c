/* The stages of all candidates make one pipeline, so that keys, locks, checkpoints and roots are those of any
 * pipeline; it is run point by point. */
#include "search/rank.h"
#include "base/log.h"
#include "search/kendall.h"
#include "store/object.h"
#include "store/stage_lock.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ranker {
    struct ranking *out;
    struct search *search;
    const struct settings *settings; /* of kind "search" */
    const struct setting *points;
    uint32_t shared; /* stages before prune */
    const struct stage_entry *prune, *training, *evaluation;
    uint32_t candidates;
    bool *dropped; /* by candidate */
};

static bool is_kind(const struct stage_entry *stage, const char *kind)
{
    return strcmp(stage->kind->name, kind) == 0;
}

static enum status stage_fail(const struct search *search, const struct stage_entry *stage,
                              struct trace *trace, const char *message)
{
    return status_fail(trace, INVALID, "%s:%" PRIu32 ":%" PRIu32 ": %s", search->pipeline.path, stage->line,
                       stage->column, message);
}

/* Copies: adding stages to the pipeline moves its own. */
static const struct stage_entry *keep_entry(struct ranker *r, uint32_t index)
{
    struct stage_entry *copy = ARENA_ARRAY(&r->out->arena, struct stage_entry, 1);
    *copy = r->search->pipeline.stages.items[index];
    return copy;
}

static enum status find_template(struct ranker *r, struct trace *trace)
{
    static const char *const given[] = {"hidden", "ffn", "heads", "kv_heads", "layers", "keep_layers"};
    const struct pipeline *p = &r->search->pipeline;
    const struct stage_entry *last = &p->stages.items[p->stages.count - 1];
    if (p->stages.count < 3)
        return stage_fail(r->search, last, trace,
                          "the stages of a search end with prune, train or distill, evaluate");
    r->shared = p->stages.count - 3;
    r->prune = keep_entry(r, r->shared);
    r->training = keep_entry(r, r->shared + 1);
    r->evaluation = keep_entry(r, r->shared + 2);
    bool trains = is_kind(r->training, "train") || is_kind(r->training, "distill");
    if (!is_kind(r->prune, "prune") || !trains || !is_kind(r->evaluation, "evaluate"))
        return stage_fail(r->search, r->prune, trace,
                          "the stages of a search end with prune, train or distill, evaluate");
    if (r->training->model != r->shared || r->evaluation->model != r->shared + 1)
        return stage_fail(r->search, r->training, trace,
                          "what is pruned is to be trained, and that evaluated");
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (settings_get(&r->prune->settings, given[i])->is_given)
            return settings_fail(&r->prune->settings, given[i], trace, "the search gives the sizes");
    if (settings_get(&r->training->settings, "stop")->is_given)
        return settings_fail(&r->training->settings, "stop", trace, "rank.points says where training stops");
    return OK;
}

static enum status check_points(const struct ranker *r, struct trace *trace)
{
    int64_t steps = settings_integer(&r->training->settings, "steps");
    for (uint32_t i = 0; i < r->points->list_count; i++) {
        int64_t point = r->points->list[i];
        if (point > steps)
            return settings_fail(r->settings, "rank.points", trace,
                                 "%" PRId64 " is after the last of the %" PRId64 " steps of \"%s\"", point,
                                 steps, r->training->name);
        if (i > 0 && point <= r->points->list[i - 1])
            return settings_fail(r->settings, "rank.points", trace,
                                 "expected ascending points, found %" PRId64 " after %" PRId64, point,
                                 r->points->list[i - 1]);
    }
    return OK;
}

static const char *name_of(struct ranker *r, const struct stage_entry *template, uint32_t candidate,
                           int64_t point)
{
    struct arena *arena = &r->search->pipeline.arena;
    const char *label = r->search->candidates.items.items[candidate].label;
    const char *name = arena_printf(arena, "%s-%s", template->name, label);
    return point < 0 ? name : arena_printf(arena, "%s-%" PRId64, name, point);
}

static struct stage_entry *add_stage(struct ranker *r, const struct stage_entry *template, const char *name)
{
    struct pipeline *p = &r->search->pipeline;
    struct stage_entry *stage = VEC_PUSH(&p->arena, &p->stages);
    *stage = *template;
    stage->name = name;
    stage->settings = settings_copy(&template->settings, &p->arena);
    return stage;
}

/* Numbers of a candidate's stages: prune, then training and evaluation for each point (both the evaluation
 * where the point is 0). */
static uint32_t prune_of(const struct ranker *r, uint32_t candidate)
{
    return r->shared + candidate * (1 + 2 * r->points->list_count);
}

static uint32_t evaluation_of(const struct ranker *r, uint32_t candidate, uint32_t point)
{
    return prune_of(r, candidate) + 2 + 2 * point;
}

static void add_candidate(struct ranker *r, uint32_t candidate)
{
    struct pipeline *p = &r->search->pipeline;
    uint32_t pruned = p->stages.count;
    struct stage_entry *prune = add_stage(r, r->prune, name_of(r, r->prune, candidate, -1));
    const struct candidate *c = &r->search->candidates.items.items[candidate];
    for (int d = 0; d < SIZE_COUNT; d++)
        if (r->search->space.is_varied[d] && c->sizes.of[d] != r->search->space.bill.base.of[d])
            settings_set_integer(&prune->settings, &p->arena, dimension_names[d], c->sizes.of[d]);
    for (uint32_t i = 0; i < r->points->list_count; i++) {
        int64_t point = r->points->list[i], steps = settings_integer(&r->training->settings, "steps");
        uint32_t trained = p->stages.count;
        struct stage_entry *training = add_stage(r, r->training, name_of(r, r->training, candidate, point));
        training->model = pruned;
        settings_set_integer(&training->settings, &p->arena, "stop", point == steps ? 0 : point);
        struct stage_entry *evaluation =
            add_stage(r, r->evaluation, name_of(r, r->evaluation, candidate, point));
        evaluation->model = point == 0 ? pruned : trained;
    }
}

static enum status read_loss(double *out, const struct run *run, uint32_t stage, struct trace *trace)
{
    const struct store_output *output = store_result_find(&run->results[stage], "report");
    struct store_object object = {0};
    if (!output)
        BUG("an evaluation without a report");
    TRY(store_open_object(&object, run->store, output->id, NULL, OBJECT_TRUST, trace));
    json_t *json = json_loadb((const char *)object.data, object.size, 0, NULL);
    const json_t *loss = json_object_get(json, "loss");
    enum status status = json_is_number(loss) ? OK : status_fail(trace, CORRUPT, "a report without a loss");
    if (status == OK)
        *out = json_number_value(loss);
    json_decref(json);
    store_object_release(&object);
    return status;
}

static enum status measure(struct ranker *r, double *loss, uint32_t candidate, uint32_t point,
                           struct trace *trace)
{
    struct run *run = &r->out->run;
    uint32_t evaluation = evaluation_of(r, candidate, point);
    TRY(run_one_stage(run, prune_of(r, candidate), trace));
    if (r->points->list[point] > 0)
        TRY(run_one_stage(run, evaluation - 1, trace));
    TRY(run_one_stage(run, evaluation, trace));
    return read_loss(loss, run, evaluation, trace);
}

/* Insertion: the candidates are few, and equal ones stay in their order. */
static void sort_by_loss(struct rank_point *point, uint32_t *order, uint32_t candidates)
{
    for (uint32_t c = 0; c < candidates; c++) {
        if (isnan(point->loss[c]))
            continue;
        uint32_t at = point->count++;
        for (; at > 0 && point->loss[order[at - 1]] > point->loss[c]; at--)
            order[at] = order[at - 1];
        order[at] = c;
    }
    point->order = order;
}

/* Only training tells: the ranking right after pruning drops nobody. */
static void drop_the_worst(struct ranker *r, const struct rank_point *point)
{
    double kept = ceil(settings_real(r->settings, "rank.keep") * point->count);
    for (uint32_t i = 0; i < point->count && point->step > 0; i++)
        if (i >= kept)
            r->dropped[point->order[i]] = true;
}

/* Held while a candidate is measured at a point, so that searches of the same file, on other devices, take
 * other candidates. The key is no stage's; it stands for nothing in the store. */
static enum status claim(struct stage_lock *out, const struct ranker *r, uint32_t candidate, uint32_t point,
                         struct trace *trace)
{
    const struct run *run = &r->out->run;
    struct builder text = {0};
    builder_printf(&text, "espalier-search %s %s %" PRId64, run->pipeline.name,
                   r->search->candidates.items.items[candidate].label, r->points->list[point]);
    enum status status = stage_lock_try(out, run->store, hash128_of(builder_text(&text), text.length), trace);
    builder_release(&text);
    return status;
}

/* What nobody else has claimed first; then the others, whose results are there or are waited for. */
static enum status measure_all(struct ranker *r, double *loss, uint32_t point, struct trace *trace)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t c = 0; c < r->candidates; c++) {
            struct stage_lock lock = {0};
            if (r->dropped[c] || !isnan(loss[c]))
                continue;
            TRY(claim(&lock, r, c, point, trace));
            enum status status = lock.is_held || pass > 0 ? measure(r, &loss[c], c, point, trace) : OK;
            stage_lock_release(&lock);
            if (status != OK)
                trace_add(trace, "while ranking %s at step %" PRId64,
                          r->search->candidates.items.items[c].label, r->points->list[point]);
            TRY(status);
        }
    return OK;
}

static enum status run_point(struct ranker *r, uint32_t index, struct trace *trace)
{
    struct arena *arena = &r->out->arena;
    double *loss = ARENA_ARRAY(arena, double, r->candidates);
    uint32_t *order = ARENA_ARRAY(arena, uint32_t, r->candidates);
    for (uint32_t c = 0; c < r->candidates; c++)
        loss[c] = NAN;
    TRY(measure_all(r, loss, index, trace));
    struct rank_point *point = VEC_PUSH(arena, &r->out->points);
    *point = (struct rank_point){.step = (uint32_t)r->points->list[index], .loss = loss, .tau = NAN};
    sort_by_loss(point, order, r->candidates);
    if (index > 0)
        point->tau = rank_agreement(&r->out->points.items[index - 1], point, r->candidates);
    drop_the_worst(r, point);
    return OK;
}

/* Two points of training in a row that agree; right after pruning is none. */
static bool has_settled(const struct ranker *r, uint32_t index)
{
    const struct rank_point *points = r->out->points.items;
    return index > 0 && points[index - 1].step > 0 &&
           points[index].tau >= settings_real(r->settings, "rank.settled");
}

static enum status rank(struct ranker *r, const struct run_options *options, const struct rank_events *events,
                        struct trace *trace)
{
    TRY(find_template(r, trace));
    TRY(check_points(r, trace));
    r->search->pipeline.stages.count = r->shared;
    for (uint32_t c = 0; c < r->candidates; c++)
        add_candidate(r, c);
    TRY(run_open_pipeline(&r->out->run, &r->search->pipeline, options, trace));
    for (uint32_t i = 0; i < r->shared; i++)
        TRY(run_one_stage(&r->out->run, i, trace));
    for (uint32_t i = 0; i < r->points->list_count && !r->out->is_settled; i++) {
        TRY(run_point(r, i, trace));
        if (events->point)
            events->point(events->context, r->search, &r->out->points.items[i]);
        r->out->is_settled = i + 1 < r->points->list_count && has_settled(r, i);
    }
    return OK;
}

enum status ranking_run(struct ranking *out, struct search *search, const struct run_options *options,
                        const struct rank_events *events, struct trace *trace)
{
    *out = (struct ranking){0};
    struct ranker ranker = {.out = out,
                            .search = search,
                            .settings = &search->settings,
                            .points = settings_get(&search->settings, "rank.points"),
                            .candidates = search->candidates.items.count};
    ranker.dropped = ARENA_ARRAY(&out->arena, bool, ranker.candidates);
    return rank(&ranker, options, events, trace);
}

void ranking_release(struct ranking *ranking)
{
    run_release(&ranking->run);
    arena_release(&ranking->arena);
    *ranking = (struct ranking){0};
}

double rank_agreement(const struct rank_point *a, const struct rank_point *b, uint32_t candidates)
{
    double *x = calloc(2 * (size_t)candidates + 1, sizeof *x), *y = x + candidates;
    uint32_t count = 0;
    if (!x)
        BUG("out of memory");
    for (uint32_t c = 0; c < candidates; c++)
        if (!isnan(a->loss[c]) && !isnan(b->loss[c])) {
            x[count] = a->loss[c];
            y[count++] = b->loss[c];
        }
    double tau = kendall_tau(x, y, count);
    free(x);
    return tau;
}
