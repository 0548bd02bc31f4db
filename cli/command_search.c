/* search: the candidates of a search file, as a table or as JSON lines. */
#include "cli/command.h"
#include "search/search.h"
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

enum status command_search(struct command *command, struct trace *trace)
{
    struct search search;
    TRY(search_read(&search, command->arguments[0], trace));
    if (command_is_json(command))
        for (uint32_t i = 0; i < search.candidates.items.count; i++)
            print_json(sizes_json(&search.candidates.items.items[i]));
    else
        print_candidates(&search);
    search_release(&search);
    return OK;
}
