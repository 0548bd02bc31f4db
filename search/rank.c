/* The stages of all candidates make one pipeline, so that keys, locks, checkpoints and roots are those of any
 * pipeline; it is run point by point. */
#include "search/rank.h"
#include "base/log.h"
#include "pipeline/training_plan.h"
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
    const struct stage_entry *prune, *training; /* training: NULL where there is none */
    VEC(const struct stage_entry *) measures;
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

static const char order_text[] =
    "the stages of a search end with prune, train, correct or distill, then evaluate or answer, one or several";

static bool is_measure(const struct stage_entry *stage)
{
    return is_kind(stage, "evaluate") || is_kind(stage, "answer");
}

/* From the last stage back: those that measure, the training, prune. */
static enum status find_template(struct ranker *r, struct trace *trace)
{
    const struct pipeline *p = &r->search->pipeline;
    uint32_t count = p->stages.count, first = count;
    while (first > 0 && is_measure(&p->stages.items[first - 1]))
        first--;
    const struct stage_entry *last = &p->stages.items[count - 1];
    if (first == count || first == 0)
        return stage_fail(r->search, last, trace, order_text);
    bool trains = training_plan_is_for(&p->stages.items[first - 1]);
    if (first < 1u + trains || !is_kind(&p->stages.items[first - 1 - trains], "prune"))
        return stage_fail(r->search, last, trace, order_text);
    r->out->layout.shared = first - 1 - trains;
    r->out->layout.trains = trains;
    r->prune = keep_entry(r, first - 1 - trains);
    r->training = trains ? keep_entry(r, first - 1) : NULL;
    for (uint32_t i = first; i < count; i++)
        *VEC_PUSH(&r->out->arena, &r->measures) = keep_entry(r, i);
    return OK;
}

/* Teachers stand before what is pruned: all candidates share them. */
static enum status check_teachers(const struct ranker *r, const struct stage_entry *stage,
                                  struct trace *trace)
{
    for (uint32_t t = 0; t < stage->teacher_count; t++)
        if (stage->teachers[t].stage >= r->out->layout.shared)
            return stage_fail(r->search, stage, trace, "a teacher is to stand before prune in a search");
    return OK;
}

static enum status check_template(const struct ranker *r, struct trace *trace)
{
    static const char *const given[] = {"hidden", "ffn", "heads", "kv_heads", "layers", "keep_layers"};
    uint32_t pruned = r->out->layout.shared;
    if (r->training && r->training->model != pruned)
        return stage_fail(r->search, r->training, trace, "what is pruned is to be trained");
    for (uint32_t i = 0; i < r->measures.count; i++)
        if (r->measures.items[i]->model != pruned + (r->training != NULL))
            return stage_fail(r->search, r->measures.items[i], trace,
                              r->training ? "what was trained is to be measured"
                                          : "what was pruned is to be measured");
    if (r->training)
        TRY(check_teachers(r, r->training, trace));
    for (uint32_t i = 0; i < r->measures.count; i++)
        TRY(check_teachers(r, r->measures.items[i], trace));
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (settings_get(&r->prune->settings, given[i])->is_given)
            return settings_fail(&r->prune->settings, given[i], trace, "the search gives the sizes");
    if (r->training && settings_get(&r->training->settings, "stop")->is_given)
        return settings_fail(&r->training->settings, "stop", trace, "rank.points says where training stops");
    return OK;
}

static enum status choose_measures(struct ranker *r, struct trace *trace)
{
    const char *by = settings_text(r->settings, "rank.by");
    bool is_found = !*by;
    for (uint32_t i = 0; i < r->measures.count; i++) {
        const struct stage_entry *stage = r->measures.items[i];
        bool answers = is_kind(stage, "answer");
        *VEC_PUSH(&r->out->arena, &r->out->measures) =
            (struct rank_measure){stage->name, answers ? "accuracy" : "loss", answers};
        if (strcmp(stage->name, by) == 0) {
            r->out->decides = i;
            is_found = true;
        }
    }
    return is_found
               ? OK
               : settings_fail(r->settings, "rank.by", trace, "no stage that measures is called \"%s\"", by);
}

static enum status check_points(const struct ranker *r, struct trace *trace)
{
    int64_t steps = r->training ? settings_integer(&r->training->settings, "steps") : 0;
    for (uint32_t i = 0; i < r->points->list_count; i++) {
        int64_t point = r->points->list[i];
        if (point > 0 && !r->training)
            return settings_fail(r->settings, "rank.points", trace,
                                 "%" PRId64 ": no stage trains what was pruned, so there is only point 0",
                                 point);
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

/* A candidate's stages: prune; then for each point the training, where there is one (not run at point 0), and
 * those that measure. */
static uint32_t stages_of_point(const struct ranking *r)
{
    return r->layout.trains + r->measures.count;
}

uint32_t rank_stage_of_pruning(const struct ranking *r, uint32_t candidate)
{
    return r->layout.shared + candidate * (1 + r->layout.points * stages_of_point(r));
}

uint32_t rank_stage_of_training(const struct ranking *r, uint32_t candidate, uint32_t point)
{
    bool is_trained = r->layout.trains && (point > 0 || !r->layout.is_first_untrained);
    return is_trained ? rank_stage_of_pruning(r, candidate) + 1 + point * stages_of_point(r) : STAGE_NONE;
}

uint32_t rank_stage_of_measure(const struct ranking *r, uint32_t candidate, uint32_t point, uint32_t measure)
{
    return rank_stage_of_pruning(r, candidate) + 1 + point * stages_of_point(r) + r->layout.trains + measure;
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
        int64_t point = r->points->list[i];
        uint32_t trained = p->stages.count;
        if (r->training) {
            int64_t steps = settings_integer(&r->training->settings, "steps");
            struct stage_entry *training =
                add_stage(r, r->training, name_of(r, r->training, candidate, point));
            training->model = pruned;
            settings_set_integer(&training->settings, &p->arena, "stop", point == steps ? 0 : point);
        }
        for (uint32_t m = 0; m < r->measures.count; m++) {
            const struct stage_entry *measure = r->measures.items[m];
            add_stage(r, measure, name_of(r, measure, candidate, point))->model =
                point == 0 ? pruned : trained;
        }
    }
}

static enum status read_value(double *out, const struct run *run, uint32_t stage, const char *quantity,
                              struct trace *trace)
{
    const struct store_output *output = store_result_find(&run->results[stage], "report");
    struct store_object object = {0};
    if (!output)
        BUG("a stage that measures without a report");
    TRY(store_open_object(&object, run->store, output->id, NULL, OBJECT_TRUST, trace));
    json_t *json = json_loadb((const char *)object.data, object.size, 0, NULL);
    const json_t *value = json_object_get(json, quantity);
    enum status status =
        json_is_number(value) ? OK : status_fail(trace, CORRUPT, "a report without \"%s\"", quantity);
    if (status == OK)
        *out = json_number_value(value);
    json_decref(json);
    store_object_release(&object);
    return status;
}

/* Values stay NaN where a dry run finds none. */
static enum status measure(struct ranker *r, const struct rank_order *by, uint32_t candidate, uint32_t point,
                           struct trace *trace)
{
    struct run *run = &r->out->run;
    uint32_t training = rank_stage_of_training(r->out, candidate, point);
    TRY(run_one_stage(run, rank_stage_of_pruning(r->out, candidate), trace));
    if (training != STAGE_NONE)
        TRY(run_one_stage(run, training, trace));
    for (uint32_t m = 0; m < r->measures.count; m++) {
        uint32_t stage = rank_stage_of_measure(r->out, candidate, point, m);
        TRY(run_one_stage(run, stage, trace));
        if (run->done[stage])
            TRY(read_value(&by[m].value[candidate], run, stage, r->out->measures.items[m].quantity, trace));
    }
    return OK;
}

/* Lower is better. */
static double badness(const struct ranking *ranking, uint32_t measure, double value)
{
    return ranking->measures.items[measure].is_high_best ? -value : value;
}

/* Insertion: the candidates are few, and equal ones stay in their order. */
static void sort(const struct ranking *ranking, struct rank_order *by, uint32_t measure, uint32_t *order)
{
    for (uint32_t c = 0; c < ranking->candidates; c++) {
        if (isnan(by->value[c]))
            continue;
        uint32_t at = by->count++;
        double bad = badness(ranking, measure, by->value[c]);
        for (; at > 0 && badness(ranking, measure, by->value[order[at - 1]]) > bad; at--)
            order[at] = order[at - 1];
        order[at] = c;
    }
    by->order = order;
}

/* Only training tells: the ranking right after pruning drops nobody. */
static void drop_the_worst(struct ranker *r, const struct rank_point *point)
{
    const struct rank_order *by = &point->by[r->out->decides];
    double kept = ceil(settings_real(r->settings, "rank.keep") * by->count);
    for (uint32_t i = 0; i < by->count && point->step > 0; i++)
        if (i >= kept)
            r->dropped[by->order[i]] = true;
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

static enum status measure_claimed(struct ranker *r, const struct rank_order *by, uint32_t candidate,
                                   uint32_t point, int pass, struct trace *trace)
{
    struct stage_lock lock = {0};
    bool looks = r->out->run.options.mode != RUN_ALL;
    if (!looks)
        TRY(claim(&lock, r, candidate, point, trace));
    enum status status = looks || lock.is_held || pass > 0 ? measure(r, by, candidate, point, trace) : OK;
    stage_lock_release(&lock);
    if (status != OK)
        trace_add(trace, "while ranking %s at step %" PRId64,
                  r->search->candidates.items.items[candidate].label, r->points->list[point]);
    return status;
}

/* What nobody else has claimed first; then the others, whose results are there or are waited for. */
static enum status measure_all(struct ranker *r, const struct rank_order *by, uint32_t point,
                               struct trace *trace)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t c = 0; c < r->out->candidates; c++)
            if (!r->dropped[c] && isnan(by->value[c]))
                TRY(measure_claimed(r, by, c, point, pass, trace));
    return OK;
}

static enum status run_point(struct ranker *r, uint32_t index, struct trace *trace)
{
    struct arena *arena = &r->out->arena;
    uint32_t candidates = r->out->candidates, measures = r->measures.count;
    struct rank_order *by = ARENA_ARRAY(arena, struct rank_order, measures);
    for (uint32_t m = 0; m < measures; m++) {
        by[m] = (struct rank_order){.value = ARENA_ARRAY(arena, double, candidates), .tau = NAN};
        for (uint32_t c = 0; c < candidates; c++)
            by[m].value[c] = NAN;
    }
    TRY(measure_all(r, by, index, trace));
    struct rank_point *point = VEC_PUSH(arena, &r->out->points);
    *point = (struct rank_point){.step = (uint32_t)r->points->list[index], .by = by};
    for (uint32_t m = 0; m < measures; m++) {
        sort(r->out, &by[m], m, ARENA_ARRAY(arena, uint32_t, candidates));
        if (index > 0)
            by[m].tau = rank_agreement(r->out, m, &r->out->points.items[index - 1], point);
    }
    return OK;
}

/* Two points of training in a row that agree; right after pruning is none. */
static bool has_settled(const struct ranker *r, uint32_t index)
{
    const struct rank_point *points = r->out->points.items;
    return index > 0 && points[index - 1].step > 0 &&
           points[index].by[r->out->decides].tau >= settings_real(r->settings, "rank.settled");
}

/* Whether a dry run has found every candidate that is left. */
static bool is_complete(const struct ranker *r, const struct rank_point *point)
{
    for (uint32_t m = 0; m < r->measures.count; m++)
        for (uint32_t c = 0; c < r->out->candidates; c++)
            if (!r->dropped[c] && isnan(point->by[m].value[c]))
                return false;
    return true;
}

static enum status run_points(struct ranker *r, const struct rank_events *events, struct trace *trace)
{
    bool is_open = true;
    for (uint32_t i = 0; i < r->points->list_count && is_open; i++) {
        TRY(run_point(r, i, trace));
        const struct rank_point *point = &r->out->points.items[i];
        is_open = is_complete(r, point);
        if (is_open)
            drop_the_worst(r, point);
        if (events && events->point)
            events->point(events->context, r->search, r->out, point);
        r->out->is_settled = is_open && i + 1 < r->points->list_count && has_settled(r, i);
        is_open = is_open && !r->out->is_settled;
    }
    return OK;
}

static enum status rank(struct ranker *r, const struct run_options *options, const struct rank_events *events,
                        struct trace *trace)
{
    TRY(find_template(r, trace));
    TRY(check_template(r, trace));
    TRY(choose_measures(r, trace));
    TRY(check_points(r, trace));
    r->out->layout.points = r->points->list_count;
    r->out->layout.is_first_untrained = r->points->list[0] == 0;
    r->search->pipeline.stages.count = r->out->layout.shared;
    for (uint32_t c = 0; c < r->out->candidates; c++)
        add_candidate(r, c);
    TRY(run_open_pipeline(&r->out->run, &r->search->pipeline, options, trace));
    for (uint32_t i = 0; i < r->out->layout.shared; i++)
        TRY(run_one_stage(&r->out->run, i, trace));
    return run_points(r, events, trace);
}

enum status ranking_run(struct ranking *out, struct search *search, const struct run_options *options,
                        const struct rank_events *events, struct trace *trace)
{
    *out = (struct ranking){0};
    struct ranker ranker = {.out = out,
                            .search = search,
                            .settings = &search->settings,
                            .points = settings_get(&search->settings, "rank.points")};
    out->candidates = search->candidates.items.count;
    ranker.dropped = ARENA_ARRAY(&out->arena, bool, out->candidates);
    return rank(&ranker, options, events, trace);
}

void ranking_release(struct ranking *ranking)
{
    run_release(&ranking->run);
    arena_release(&ranking->arena);
    *ranking = (struct ranking){0};
}

/* Of what is not NaN in either. */
static double agreement(const struct ranking *ranking, const double *a, uint32_t measure_a, const double *b,
                        uint32_t measure_b)
{
    double *x = calloc(2 * (size_t)ranking->candidates + 1, sizeof *x), *y = x + ranking->candidates;
    uint32_t count = 0;
    if (!x)
        BUG("out of memory");
    for (uint32_t c = 0; c < ranking->candidates; c++)
        if (!isnan(a[c]) && !isnan(b[c])) {
            x[count] = badness(ranking, measure_a, a[c]);
            y[count++] = badness(ranking, measure_b, b[c]);
        }
    double tau = kendall_tau(x, y, count);
    free(x);
    return tau;
}

double rank_agreement(const struct ranking *ranking, uint32_t measure, const struct rank_point *a,
                      const struct rank_point *b)
{
    return agreement(ranking, a->by[measure].value, measure, b->by[measure].value, measure);
}

double rank_concord(const struct ranking *ranking, const struct rank_point *point, uint32_t a, uint32_t b)
{
    return agreement(ranking, point->by[a].value, a, point->by[b].value, b);
}
