/* Words become what passes call them. */
#include "pipeline/prune_request.h"
#include <string.h>

static struct prune_sizes sizes_of(const struct settings *s, const char *key)
{
    const struct setting *setting = settings_get(s, key);
    return (struct prune_sizes){setting->list, setting->list_count};
}

static bool says(const struct settings *s, const char *key, const char *word)
{
    return strcmp(settings_text(s, key), word) == 0;
}

static int64_t align_of(const struct settings *s, const char *key)
{
    int64_t align = settings_integer(s, key);
    return align == 0 ? ALIGN_USUAL : align;
}

struct prune_request prune_request_read(struct arena *arena, const struct settings *s)
{
    struct prune_request request = {.hidden = settings_integer(s, "hidden"),
                                    .ffn = sizes_of(s, "ffn"),
                                    .heads = sizes_of(s, "heads"),
                                    .kv_heads = sizes_of(s, "kv_heads"),
                                    .layers = settings_integer(s, "layers"),
                                    .rounds = (uint32_t)settings_integer(s, "rounds_left"),
                                    .drop_run = says(s, "drop", "run"),
                                    .align = {.hidden = align_of(s, "align.hidden"),
                                              .ffn = align_of(s, "align.ffn"),
                                              .heads = settings_integer(s, "align.heads"),
                                              .kv_heads = settings_integer(s, "align.kv_heads"),
                                              .vocab = align_of(s, "align.vocab")}};
    if (says(s, "rank_heads", "global"))
        request.ranking = HEADS_GLOBAL;
    request.amend.rule = says(s, "residual", "paper")  ? RESIDUAL_PAPER
                         : says(s, "residual", "laco") ? RESIDUAL_LACO
                                                       : RESIDUAL_NONE;
    if (says(s, "residual_pairs", "global"))
        request.amend.pairs = PAIRS_GLOBAL;
    request.amend.compensate = says(s, "compensate", "flap");
    request.amend.rescale = settings_integer(s, "rescale_norms") != 0;
    const struct setting *keep = settings_get(s, "keep_layers");
    uint32_t *layers = ARENA_ARRAY(arena, uint32_t, keep->list_count + 1);
    for (uint32_t i = 0; i < keep->list_count; i++)
        layers[i] = (uint32_t)keep->list[i];
    request.keep_layers = keep->list_count ? layers : NULL;
    request.keep_layer_count = keep->list_count;
    return request;
}
