/* search: the candidates of a search file, and which of them is best, as tables or as JSON lines. */
#include "cli/command.h"
#include "search/rank.h"
#include "search/search.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static json_t *sizes_json(const struct candidate *c)
{
    json_t *line = json_pack("{s:s}", "candidate", c->label);
    for (int d = 0; d < SIZE_COUNT; d++)
        json_object_set_new(line, dimension_names[d], json_integer((json_int_t)c->sizes.of[d]));
    for (int m = 0; m < COST_COUNT; m++)
        json_object_set_new(line, metric_names[m], json_integer((json_int_t)c->cost.of[m]));
    return line;
}

static void print_candidates(const struct search *search)
{
    const struct candidates *all = &search->candidates;
    const struct circumstances *c = &search->space.circumstances;
    printf("%6s %7s %6s %8s %7s %15s %15s %11s %11s\n", "layers", "hidden", "heads", "kv_heads", "ffn",
           "parameters", "non-embedding", "memory MiB", "MFLOPs");
    for (uint32_t i = 0; i < all->items.count; i++) {
        const struct candidate *k = &all->items.items[i];
        for (int d = 0; d < SIZE_COUNT; d++)
            printf("%*lld ", (int[]){6, 7, 6, 8, 7}[d], (long long)k->sizes.of[d]);
        printf("%15lld %15lld %11.1f %11.1f\n", (long long)k->cost.of[COST_PARAMETERS],
               (long long)k->cost.of[COST_NON_EMBEDDING], (double)k->cost.of[COST_MEMORY] / 0x1p20,
               (double)k->cost.of[COST_FLOPS] / 1e6);
    }
    printf(
        "\n%u candidates of %llu combinations; memory of weights in %lld bits and of keys and values of %lld x "
        "%lld tokens in %lld bits; FLOPs of one token that attends to %lld\n",
        all->items.count, (unsigned long long)all->combinations, (long long)c->weight_bits,
        (long long)c->batch, (long long)c->context, (long long)c->cache_bits, (long long)c->context);
}

/* ---- ranking ---- */

static void print_point_json(void *context, const struct search *search, const struct rank_point *point)
{
    (void)context;
    for (uint32_t i = 0; i < point->count; i++) {
        const struct candidate *c = &search->candidates.items.items[point->order[i]];
        print_json(json_pack("{s:i, s:i, s:s, s:f}", "point", (int)point->step, "rank", (int)i + 1,
                             "candidate", c->label, "loss", point->loss[point->order[i]]));
    }
    json_t *line = json_pack("{s:i, s:i}", "point", (int)point->step, "candidates", (int)point->count);
    if (!isnan(point->tau))
        json_object_set_new(line, "kendall_tau", json_real(point->tau));
    print_json(line);
}

/* A point as soon as it is there, so that a user sees it settle. */
static void print_point(void *context, const struct search *search, const struct rank_point *point)
{
    (void)context;
    printf(point->step == 0 ? "\nright after pruning:\n" : "\nafter %" PRIu32 " steps:\n", point->step);
    for (uint32_t i = 0; i < point->count; i++)
        printf("%4" PRIu32 "  %-40s %10.4f\n", i + 1, search->candidates.items.items[point->order[i]].label,
               point->loss[point->order[i]]);
    if (!isnan(point->tau))
        printf("      Kendall's tau with the point before: %.2f\n", point->tau);
    fflush(stdout);
}

static void print_summary(const struct ranking *ranking, uint32_t candidates)
{
    const struct rank_point *points = ranking->points.items;
    uint32_t last = ranking->points.count - 1;
    if (last > 0)
        printf("\nKendall's tau with the last point:");
    for (uint32_t i = 0; i < last; i++)
        printf("%s step %" PRIu32 ": %.2f", i ? "," : "", points[i].step,
               rank_agreement(&points[i], &points[last], candidates));
    printf(last > 0 ? "\n" : "");
    if (ranking->is_settled)
        printf("The ranking has settled at step %" PRIu32 ".\n", points[last].step);
}

static enum status rank_candidates(struct command *command, struct search *search, struct trace *trace)
{
    struct ranking ranking = {0};
    uint32_t candidates = search->candidates.items.count;
    struct run_options options = {.store = command_option(command, "store"),
                                  .numerics = command_option(command, "numerics"),
                                  .exports = EXPORT_NOTHING,
                                  .stop = command->stop};
    bool is_json = command_is_json(command);
    struct rank_events events = {.point = is_json ? print_point_json : print_point};
    TRY(command_device(&options.device, command, trace));
    enum status status = ranking_run(&ranking, search, &options, &events, trace);
    if (status == OK && !is_json)
        print_summary(&ranking, candidates);
    ranking_release(&ranking);
    return status;
}

enum status command_search(struct command *command, struct trace *trace)
{
    struct search search;
    TRY(search_read(&search, command->arguments[0], trace));
    if (command_is_json(command))
        for (uint32_t i = 0; i < search.candidates.items.count; i++)
            print_json(sizes_json(&search.candidates.items.items[i]));
    else
        print_candidates(&search);
    fflush(stdout);
    enum status status = OK;
    if (rank_is_wanted(&search) && !command_option(command, "list"))
        status = rank_candidates(command, &search, trace);
    search_release(&search);
    return status;
}
