/* search: the candidates of a search file, and which of them is best, as tables or as JSON lines. */
#include "cli/command.h"
#include "search/latency.h"
#include "search/rank.h"
#include "search/workers.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *sizes_json(const struct candidate *c)
{
    json_t *line = json_pack("{s:s}", "candidate", c->label);
    for (int d = 0; d < SIZE_COUNT; d++)
        json_object_set_new(line, dimension_names[d], json_integer((json_int_t)c->sizes.of[d]));
    for (int m = 0; m < COST_COUNT; m++)
        json_object_set_new(line, metric_names[m], json_integer((json_int_t)c->cost.of[m]));
    if (!isnan(c->latency))
        json_object_set_new(line, "latency", json_real(c->latency));
    return line;
}

static void print_candidates(const struct search *search)
{
    const struct candidates *all = &search->candidates;
    const struct circumstances *c = &search->space.circumstances;
    bool is_timed = latency_is_wanted(search);
    printf("%6s %7s %6s %8s %7s %15s %15s %11s %11s%s\n", "layers", "hidden", "heads", "kv_heads", "ffn",
           "parameters", "non-embedding", "memory MiB", "MFLOPs", is_timed ? "    ms/token" : "");
    for (uint32_t i = 0; i < all->items.count; i++) {
        const struct candidate *k = &all->items.items[i];
        for (int d = 0; d < SIZE_COUNT; d++)
            printf("%*lld ", (int[]){6, 7, 6, 8, 7}[d], (long long)k->sizes.of[d]);
        printf("%15lld %15lld %11.1f %11.1f", (long long)k->cost.of[COST_PARAMETERS],
               (long long)k->cost.of[COST_NON_EMBEDDING], (double)k->cost.of[COST_MEMORY] / 0x1p20,
               (double)k->cost.of[COST_FLOPS] / 1e6);
        if (is_timed)
            printf(" %11.4f", k->latency * 1e3);
        printf("\n");
    }
    printf(
        "\n%u candidates of %llu combinations; memory of weights in %lld bits and of keys and values of %lld x "
        "%lld tokens in %lld bits; FLOPs of one token that attends to %lld\n",
        all->items.count, (unsigned long long)all->combinations, (long long)c->weight_bits,
        (long long)c->batch, (long long)c->context, (long long)c->cache_bits, (long long)c->context);
}

/* ---- ranking ---- */

static void print_order_json(const struct search *search, const struct ranking *ranking,
                             const struct rank_point *point, uint32_t measure)
{
    const struct rank_measure *by = &ranking->measures.items[measure];
    const struct rank_order *order = &point->by[measure];
    for (uint32_t i = 0; i < order->count; i++) {
        const struct candidate *c = &search->candidates.items.items[order->order[i]];
        print_json(json_pack("{s:i, s:s, s:i, s:s, s:f}", "point", (int)point->step, "measure", by->name,
                             "rank", (int)i + 1, "candidate", c->label, by->quantity,
                             order->value[order->order[i]]));
    }
    json_t *line = json_pack("{s:i, s:s, s:i}", "point", (int)point->step, "measure", by->name, "candidates",
                             (int)order->count);
    if (!isnan(order->tau))
        json_object_set_new(line, "kendall_tau", json_real(order->tau));
    double concord =
        measure == ranking->decides ? (double)NAN : rank_concord(ranking, point, measure, ranking->decides);
    if (!isnan(concord))
        json_object_set_new(line, "kendall_tau_with_deciding", json_real(concord));
    print_json(line);
}

static void print_point_json(void *context, const struct search *search, const struct ranking *ranking,
                             const struct rank_point *point)
{
    (void)context;
    for (uint32_t m = 0; m < ranking->measures.count; m++)
        print_order_json(search, ranking, point, m);
}

static void print_order(const struct search *search, const struct ranking *ranking,
                        const struct rank_point *point, uint32_t measure)
{
    const struct rank_measure *by = &ranking->measures.items[measure];
    const struct rank_order *order = &point->by[measure];
    if (ranking->measures.count > 1)
        printf("  by %s of %s\n", by->quantity, by->name);
    for (uint32_t i = 0; i < order->count; i++)
        printf("%4" PRIu32 "  %-40s %10.4f\n", i + 1, search->candidates.items.items[order->order[i]].label,
               order->value[order->order[i]]);
    if (!isnan(order->tau))
        printf("      Kendall's tau with the point before: %.2f\n", order->tau);
    if (measure != ranking->decides)
        printf("      Kendall's tau with the order by %s of %s: %.2f\n",
               ranking->measures.items[ranking->decides].quantity,
               ranking->measures.items[ranking->decides].name,
               rank_concord(ranking, point, measure, ranking->decides));
}

/* A point as soon as it is there, so that a user sees it settle. */
static void print_point(void *context, const struct search *search, const struct ranking *ranking,
                        const struct rank_point *point)
{
    (void)context;
    printf(point->step == 0 ? "\nright after pruning:\n" : "\nafter %" PRIu32 " steps:\n", point->step);
    for (uint32_t m = 0; m < ranking->measures.count; m++)
        print_order(search, ranking, point, m);
    fflush(stdout);
}

static void print_summary(const struct ranking *ranking)
{
    const struct rank_point *points = ranking->points.items;
    uint32_t last = ranking->points.count - 1;
    for (uint32_t m = 0; m < ranking->measures.count && last > 0; m++) {
        printf("\nKendall's tau with the last point%s%s:", ranking->measures.count > 1 ? ", by " : "",
               ranking->measures.count > 1 ? ranking->measures.items[m].name : "");
        for (uint32_t i = 0; i < last; i++)
            printf("%s step %" PRIu32 ": %.2f", i ? "," : "", points[i].step,
                   rank_agreement(ranking, m, &points[i], &points[last]));
    }
    printf(last > 0 ? "\n" : "");
    if (ranking->is_settled)
        printf("The ranking has settled at step %" PRIu32 ".\n", points[last].step);
}

static enum status rank_candidates(struct command *command, struct search *search,
                                   const struct run_options *options, struct trace *trace)
{
    struct ranking ranking = {0};
    bool is_json = command_is_json(command);
    struct rank_events events = {.point = is_json ? print_point_json : print_point};
    enum status status = ranking_run(&ranking, search, options, &events, trace);
    if (status == OK && !is_json)
        print_summary(&ranking);
    ranking_release(&ranking);
    return status;
}

static struct run_options options_of(const struct command *command)
{
    return (struct run_options){.store = command_option(command, "store"),
                                .numerics = command_option(command, "numerics"),
                                .exports = EXPORT_NOTHING,
                                .stop = command->stop};
}

/* All devices are there, and what one makes the others can use: under device numerics, only those of one
 * kind. */
static enum status check_devices(const struct command *command, const struct search *search,
                                 struct trace *trace)
{
    struct arena arena = {0};
    const char *identities[2] = {NULL, NULL}; /* of the first, of another */
    enum status status = OK;
    for (uint32_t i = 0; i < command->device_count && status == OK; i++) {
        struct device_options device;
        status = command_device_at(&device, command, i, trace);
        if (!command_option(command, "numerics"))
            device.numerics = search->pipeline.numerics;
        if (status == OK)
            status = device_identity(&identities[i > 0], &device, &arena, trace);
        if (status == OK && i > 0 && strcmp(identities[0], identities[1]) != 0)
            status = status_fail(trace, INVALID,
                                 "--device: under numerics device expected devices with one driver whose "
                                 "bytes are the same, found \"%s\" and \"%s\", which could share no work",
                                 command->devices[0], command->devices[i]);
    }
    arena_release(&arena);
    return status;
}

/* What it takes before the candidates are known; with the first device. */
static enum status list_candidates(struct command *command, struct search *search,
                                   struct run_options *options, bool ranks, struct trace *trace)
{
    if (ranks || latency_is_wanted(search))
        TRY(command_device_at(&options->device, command, 0, trace));
    if (ranks && command->device_count > 1)
        TRY(check_devices(command, search, trace));
    if (latency_is_wanted(search))
        TRY(latency_limit(search, options, trace));
    for (uint32_t i = 0; i < search->candidates.items.count && command_is_json(command); i++)
        print_json(sizes_json(&search->candidates.items.items[i]));
    if (!command_is_json(command))
        print_candidates(search);
    fflush(stdout);
    return OK;
}

/* Prints nothing: what it makes is in the store. Being told to stop is no mistake of a worker. */
static enum status work(struct command *command, struct search *search, struct workers *workers,
                        struct trace *trace)
{
    struct run_options options = options_of(command);
    struct ranking ranking = {0};
    if (!workers_wait(workers, search))
        return OK;
    enum status status = command_device_at(&options.device, command, workers->number, trace);
    if (status == OK)
        status = ranking_run(&ranking, search, &options, NULL, trace);
    ranking_release(&ranking);
    if (status != OK)
        trace_add(trace, "while searching on %s", command->devices[workers->number]);
    return status == INTERRUPTED ? OK : status;
}

static enum status list_and_rank(struct command *command, struct search *search, struct trace *trace)
{
    struct run_options options = options_of(command);
    struct workers workers = {0};
    bool ranks = rank_is_wanted(search) && !command_option(command, "list");
    fflush(stdout); /* nothing is to be printed twice */
    if (ranks && command->device_count > 1)
        TRY(workers_start(&workers, command->device_count - 1, trace));
    if (workers.number > 0)
        return work(command, search, &workers, trace);
    enum status status = list_candidates(command, search, &options, ranks, trace);
    if (status == OK && ranks) {
        workers_begin(&workers, search);
        status = rank_candidates(command, search, &options, trace);
    }
    workers_finish(&workers, status, command->devices);
    return status;
}

enum status command_search(struct command *command, struct trace *trace)
{
    struct search search;
    TRY(search_read(&search, command->arguments[0], trace));
    enum status status = list_and_rank(command, &search, trace);
    search_release(&search);
    return status;
}
