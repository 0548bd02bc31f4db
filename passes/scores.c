/* Scores by name, and ranking. */
#include "passes/scores.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void scores_add(struct scores *scores, struct arena *arena, const char *name, const float *values,
                uint32_t count)
{
    struct score score = {.count = count};
    score.name = str_from(arena_copy_string(arena, name, strlen(name)));
    float *copy = ARENA_ARRAY(arena, float, count + 1);
    memcpy(copy, values, count * sizeof *values);
    score.values = copy;
    *VEC_PUSH(arena, &scores->items) = score;
}

const struct score *scores_get(const struct scores *scores, const char *name)
{
    for (uint32_t i = 0; scores && i < scores->items.count; i++)
        if (str_is(scores->items.items[i].name, name))
            return &scores->items.items[i];
    return NULL;
}

enum status scores_need(const struct score **out, const struct scores *scores, const char *name,
                        uint32_t count, struct trace *trace)
{
    const struct score *score = scores_get(scores, name);
    if (!score)
        return status_fail(trace, INVALID,
                           "there is no score for %s: score the model first, or list what to keep", name);
    if (score->count != count)
        return status_fail(trace, INVALID,
                           "the score for %s has %" PRIu32 " numbers, the model has %" PRIu32
                           " elements; were the scores taken from this model?",
                           name, score->count, count);
    for (uint32_t i = 0; i < count; i++)
        if (score->values[i] != score->values[i])
            return status_fail(trace, INVALID, "the score for %s is not a number at %" PRIu32, name, i);
    *out = score;
    return OK;
}

struct ranked {
    float value;
    uint32_t index;
};

static int better_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void scores_rank(const float *values, uint32_t count, uint32_t keep, uint32_t *out)
{
    struct arena scratch = {0};
    struct ranked *order = ARENA_ARRAY(&scratch, struct ranked, count + 1);
    for (uint32_t i = 0; i < count; i++)
        order[i] = (struct ranked){values[i], i};
    qsort(order, count, sizeof *order, better_first);
    for (uint32_t i = 0; i < keep; i++)
        out[i] = order[i].index;
    qsort(out, keep, sizeof *out, ascending);
    arena_release(&scratch);
}
