/* A candidate is timed as the base pruned to its sizes; which elements stay makes no difference, so the first
 * do. */
#include "search/latency.h"
#include "base/log.h"
#include "ir/text.h"
#include "measure/latency.h"
#include "passes/prune.h"
#include "pipeline/forecast.h"
#include "pipeline/source.h"
#include "store/stage_lock.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct timer {
    struct arena arena;
    struct search *search;
    const struct run_options *options;
    struct latency_options passes;
    struct device_options device;
    const char *numerics; /* what its results depend on */
    struct store *store;
    struct executor *executor;
    struct imported_model model;
    struct hash128 structure; /* of the model, whatever its weights */
    struct scores scores;     /* all alike */
    struct progress progress;
};

static struct hash128 hash_structure(const struct graph *graph)
{
    struct graph *copy = graph_canonicalise(graph);
    for (uint32_t i = 0; i < copy->tensors.count; i++)
        copy->tensors.items[i].has_id = false;
    struct hash128 hash = graph_hash(copy);
    graph_destroy(copy);
    return hash;
}

static enum status open_timer(struct timer *t, struct trace *trace)
{
    const struct settings *s = &t->search->settings;
    t->passes = (struct latency_options){.rows = (uint32_t)settings_integer(s, "cost.batch"),
                                         .length = (uint32_t)settings_integer(s, "cost.timed"),
                                         .repeats = (uint32_t)settings_integer(s, "cost.repeats"),
                                         .stop = t->options->stop};
    TRY(model_import_input(&t->model, search_base_input(t->search), IMPORT_TO_RUN, trace));
    t->structure = hash_structure(t->model.graph);
    TRY(forecast_scores(&t->scores, &t->arena, t->model.graph, NULL, 0, trace));
    TRY(run_open_store(&t->store, t->search->pipeline.path, t->options, trace));
    t->device = t->options->device;
    t->device.numerics = t->search->pipeline.numerics;
    if (t->options->numerics)
        (void)numerics_find(&t->device.numerics, str_from(t->options->numerics));
    TRY(device_identity(&t->numerics, &t->device, &t->arena, trace));
    return device_select(&t->executor, &t->device, trace);
}

static void close_timer(struct timer *t)
{
    executor_destroy(t->executor);
    store_close(t->store);
    imported_model_release(&t->model);
    arena_release(&t->arena);
}

/* ---- records ---- */

static struct hash128 key_of(const struct timer *t, const struct candidate *c)
{
    struct builder text = {0};
    char hex[HASH128_HEX];
    hash128_to_hex(t->structure, hex);
    builder_printf(&text, "espalier-latency 2\nnumerics %s\nmodel %s\n", t->numerics, hex);
    for (int d = 0; d < SIZE_COUNT; d++)
        builder_printf(&text, "%s %" PRId64 "\n", dimension_names[d], c->sizes.of[d]);
    builder_printf(&text, "batch %" PRIu32 "\ntimed %" PRIu32 "\nrepeats %" PRIu32 "\ndevice %s\n",
                   t->passes.rows, t->passes.length, t->passes.repeats, t->executor->hardware);
    struct hash128 key = hash128_of(builder_text(&text), text.length);
    builder_release(&text);
    return key;
}

/* What was measured before; NaN where nothing was. */
static double read_record(const struct timer *t, struct hash128 key)
{
    struct builder text = {0};
    struct trace none = {0};
    double latency = (double)NAN;
    if (store_record_read(&text, t->store, key, &none) == OK) {
        json_t *record = json_loadb(builder_text(&text), text.length, 0, NULL);
        const json_t *value = json_object_get(record, "latency");
        latency = json_is_number(value) ? json_number_value(value) : (double)NAN;
        json_decref(record);
    }
    builder_release(&text);
    return latency;
}

static enum status write_record(const struct timer *t, struct hash128 key, const struct candidate *c,
                                const double *times, struct trace *trace)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < t->passes.repeats; i++)
        json_array_append_new(all, json_real(times[i]));
    json_t *record = json_pack("{s:s,s:s,s:s,s:f,s:o}", "kind", "latency", "candidate", c->label, "device",
                               t->executor->name, "latency", c->latency, "passes", all);
    char *text = json_dumps(record, JSON_SORT_KEYS | JSON_INDENT(1));
    if (!text)
        BUG("a record of latency cannot be written as JSON");
    enum status status = store_record_write(t->store, key, str_from(text), trace);
    free(text);
    json_decref(record);
    return status;
}

/* ---- one candidate ---- */

static enum status prune(struct graph **out, const struct timer *t, const struct candidate *c,
                         struct trace *trace)
{
    const int64_t *of = c->sizes.of, *base = t->search->space.bill.base.of;
    struct pass_context context = {.scores = &t->scores};
    struct prune_request request = {.rounds = 1};
    if (of[SIZE_HIDDEN] != base[SIZE_HIDDEN])
        request.hidden = of[SIZE_HIDDEN];
    if (of[SIZE_LAYERS] != base[SIZE_LAYERS])
        request.layers = of[SIZE_LAYERS];
    if (of[SIZE_FFN] != base[SIZE_FFN])
        request.ffn = (struct prune_sizes){&of[SIZE_FFN], 1};
    if (of[SIZE_KV_HEADS] != base[SIZE_KV_HEADS])
        request.kv_heads = (struct prune_sizes){&of[SIZE_KV_HEADS], 1};
    if (of[SIZE_HEADS] != base[SIZE_HEADS])
        request.heads = (struct prune_sizes){&of[SIZE_HEADS], 1};
    enum status status = prune_to_shape(out, t->model.graph, &request, &context, trace);
    pass_context_release(&context);
    return status;
}

static enum status time_candidate(struct timer *t, struct candidate *c, struct hash128 key,
                                  struct trace *trace)
{
    struct graph *graph = NULL;
    struct arena scratch = {0};
    double *times = ARENA_ARRAY(&scratch, double, t->passes.repeats);
    enum status status = prune(&graph, t, c, trace);
    if (status == OK)
        status = measure_latency(times, t->executor, graph, &t->passes, trace);
    if (status == OK) {
        c->latency = times[t->passes.repeats / 2] / t->passes.length;
        status = write_record(t, key, c, times, trace);
    }
    graph_destroy(graph);
    arena_release(&scratch);
    return status;
}

/* Another search may be timing it; its number is ours. */
static enum status find_or_time(struct timer *t, struct candidate *c, struct trace *trace)
{
    struct stage_lock lock = {0};
    struct hash128 key = key_of(t, c);
    c->latency = read_record(t, key);
    if (!isnan(c->latency) || t->options->mode != RUN_ALL)
        return OK;
    enum status status = stage_lock_wait(&lock, t->store, key, t->options->stop, trace);
    if (status == OK)
        c->latency = read_record(t, key);
    if (status == OK && isnan(c->latency))
        status = time_candidate(t, c, key, trace);
    stage_lock_release(&lock);
    if (status != OK)
        trace_add(trace, "while timing %s", c->label);
    return status;
}

static enum status time_all(struct timer *t, struct trace *trace)
{
    struct candidates *all = &t->search->candidates;
    enum status status = OK;
    TRY(open_timer(t, trace));
    progress_start(&t->progress, "latency", "candidates", 0, all->items.count);
    for (uint32_t i = 0; i < all->items.count && status == OK; i++) {
        if (t->options->stop && *t->options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while timing candidates");
        else
            status = find_or_time(t, &all->items.items[i], trace);
        progress_update(&t->progress, i + 1, NULL);
    }
    progress_finish(&t->progress);
    return status;
}

/* ---- limits ---- */

static enum status drop(struct search *search, struct trace *trace)
{
    struct candidates *all = &search->candidates;
    const struct latency_limit *limit = &search->space.latency;
    double least = INFINITY, most = 0;
    uint32_t kept = 0, count = all->items.count;
    for (uint32_t i = 0; i < count; i++) {
        double latency = all->items.items[i].latency;
        least = latency < least ? latency : least;
        most = latency > most ? latency : most;
        if (isnan(latency) || (latency >= limit->low && latency <= limit->high))
            all->items.items[kept++] = all->items.items[i];
    }
    all->items.count = kept;
    return kept ? OK
                : settings_fail(&search->settings, limit->key, trace,
                                "no candidate: %.4g to %.4g seconds a token were asked for, the %" PRIu32
                                " candidates take %.4g to %.4g",
                                limit->low, limit->high, count, least, most);
}

enum status latency_limit(struct search *search, const struct run_options *options, struct trace *trace)
{
    struct timer timer = {.search = search, .options = options};
    enum status status = time_all(&timer, trace);
    close_timer(&timer);
    return status == OK ? drop(search, trace) : status;
}
