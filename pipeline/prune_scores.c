/* Choosing among scores: NAME@BY goes before NAME. */
#include "pipeline/prune_scores.h"
#include "passes/classes.h"
#include "pipeline/run.h"
#include "shaders/scalar/scalar.h"
#include <inttypes.h>
#include <string.h>

enum axis { AXIS_WIDTH, AXIS_DEPTH };

static bool is_depth(struct str name)
{
    static const char blocks[] = "blocks.";
    return str_is(name, "layers") ||
           (name.length >= strlen(blocks) && memcmp(name.data, blocks, strlen(blocks)) == 0);
}

/* Copies NAME@by, of one axis, as NAME. Returns how many there were. */
static uint32_t take(struct scores *out, struct arena *arena, const struct scores *scores, const char *by,
                     enum axis axis)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < scores->items.count; i++) {
        const struct score *s = &scores->items.items[i];
        const char *at = memchr(s->name.data, '@', s->name.length);
        struct str name = {s->name.data, at ? (size_t)(at - s->name.data) : s->name.length};
        struct str of = {at ? at + 1 : "", at ? s->name.length - name.length - 1 : 0};
        if (!str_is(of, by) || is_depth(name) != (axis == AXIS_DEPTH))
            continue;
        scores_add(out, arena, arena_copy_string(arena, name.data, name.length), s->values, s->count);
        count++;
    }
    return count;
}

/* Uniform numbers of the counter RNG; `stream` tells scores apart. */
static void add_random(struct scores *out, struct arena *arena, const char *name, int64_t count,
                       uint64_t seed, uint32_t stream)
{
    float *values = ARENA_ARRAY(arena, float, (size_t)count + 1);
    for (int64_t i = 0; i < count; i++) {
        struct gm_words counter = {(uint)i, 2, stream, 0};
        values[i] = gm_uniform(gm_philox(counter, (uint)seed, (uint)(seed >> 32)).x);
    }
    scores_add(out, arena, name, values, (uint32_t)count);
}

static void add_random_widths(struct scores *out, struct arena *arena, const struct shape *shape,
                              uint64_t seed)
{
    add_random(out, arena, "hidden", shape->hidden, seed, 0);
    for (uint32_t l = 0; l < shape->layers; l++) {
        const char *name = arena_printf(arena, "layers.%" PRIu32 ".heads", l);
        add_random(out, arena, name, shape->heads[l], seed, 2 * l + 1);
        name = arena_printf(arena, "layers.%" PRIu32 ".ffn", l);
        add_random(out, arena, name, shape->ffn[l], seed, 2 * l + 2);
    }
}

static enum status choose(struct scores *out, struct stage_run *stage, const struct shape *shape,
                          const struct scores *scores, const char *key, enum axis axis, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    const char *by = settings_text(s, key);
    uint64_t seed = (uint64_t)settings_integer(s, "seed");
    if (strcmp(by, "random") == 0 && axis == AXIS_WIDTH)
        add_random_widths(out, &stage->arena, shape, seed);
    else if (strcmp(by, "random") == 0)
        add_random(out, &stage->arena, "layers", shape->layers, seed, UINT32_MAX);
    else if (*by && take(out, &stage->arena, scores, by, axis) == 0)
        return settings_fail(
            s, key, trace, "there are no such scores: the score stage must have made several, %s among them",
            by);
    return OK;
}

enum status prune_scores_choose(struct scores *out, struct stage_run *stage, const struct graph *model,
                                const struct scores *scores, struct trace *trace)
{
    struct classes classes;
    *out = (struct scores){0};
    TRY(classes_find(&classes, &stage->arena, model, trace));
    TRY(choose(out, stage, &classes.shape, scores, "by", AXIS_WIDTH, trace));
    TRY(choose(out, stage, &classes.shape, scores, "by_depth", AXIS_DEPTH, trace));
    for (uint32_t i = 0; i < scores->items.count; i++)
        *VEC_PUSH(&stage->arena, &out->items) = scores->items.items[i];
    return OK;
}
