/* Heat maps of letters: a row for each layer, a column for some neighbouring elements, darker for higher. */
#include "cli/scores_view.h"
#include "passes/score_families.h"
#include "passes/scores_compare.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 64, QUANTILES = 10 };
static const char shades[] = " .:-=+*#%@";

static char shade(const struct score_family *f, double value)
{
    double range = f->largest - f->least, place = range > 0 ? (value - f->least) / range : 0;
    int last = (int)sizeof shades - 2, at = place > 0 && place <= 1 ? (int)(place * (last + 1)) : 0;
    return shades[at > last ? last : at];
}

/* Means of neighbours as shades; NUL-terminated. */
static void draw(char line[COLUMNS + 1], const struct score_family *f, const float *values, uint32_t count)
{
    uint32_t columns = count < COLUMNS ? count : COLUMNS;
    for (uint32_t c = 0; c < columns; c++) {
        uint32_t first = (uint32_t)((uint64_t)count * c / columns),
                 end = (uint32_t)((uint64_t)count * (c + 1) / columns);
        double sum = 0;
        for (uint32_t i = first; i < end; i++)
            sum += (double)values[i];
        line[c] = shade(f, sum / (double)(end - first));
    }
    line[columns] = '\0';
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

static float *sorted(struct arena *arena, const struct score *s)
{
    float *values = ARENA_ARRAY(arena, float, s->count + 1);
    memcpy(values, s->values, s->count * sizeof *values);
    qsort(values, s->count, sizeof *values, descending);
    return values;
}

/* How many of the best make half of the sum; values are not negative. */
static uint32_t half_of_the_sum(const float *values, uint32_t count)
{
    double sum = 0, part = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (double)values[i];
    while (n < count && part < sum / 2)
        part += (double)values[n++];
    return n;
}

static void print_family(struct arena *arena, const struct score_family *f)
{
    char line[COLUMNS + 1];
    printf("%s: %" PRIu32 " x %" PRIu32 ", %.6g to %.6g\n", f->name, f->count, f->members[0]->count, f->least,
           f->largest);
    for (uint32_t i = 0; i < f->count; i++) {
        draw(line, f, f->members[i]->values, f->members[i]->count);
        printf("  %4" PRIu32 " |%s|\n", i, line);
    }
    printf("  sorted\n");
    for (uint32_t i = 0; i < f->count; i++) {
        const struct score *s = f->members[i];
        float *values = sorted(arena, s);
        draw(line, f, values, s->count);
        printf("  %4" PRIu32 " |%s|", i, line);
        if (f->least >= 0 && s->count > 1)
            printf(" half of the sum in the first %" PRIu32, half_of_the_sum(values, s->count));
        printf("\n");
    }
    printf("\n");
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *score_json(struct arena *arena, const struct score *s)
{
    float *values = sorted(arena, s);
    json_t *quantiles = json_array();
    double sum = 0;
    for (uint32_t i = 0; i < s->count; i++)
        sum += (double)values[i];
    for (uint32_t q = 0; q <= QUANTILES && s->count > 0; q++)
        json_array_append_new(quantiles,
                              number((double)values[(uint64_t)(s->count - 1) * (QUANTILES - q) / QUANTILES]));
    return json_pack("{s:s%,s:I,s:o,s:o}", "score", s->name.data, s->name.length, "count",
                     (json_int_t)s->count, "mean", number(s->count > 0 ? sum / s->count : 0.0), "quantiles",
                     quantiles);
}

void scores_view_print(const struct command *command, const struct scores *scores)
{
    struct arena arena = {0};
    uint32_t count;
    struct score_family *families = score_families(&count, &arena, scores);
    for (uint32_t i = 0; i < scores->items.count && command_is_json(command); i++)
        print_json(score_json(&arena, &scores->items.items[i]));
    if (!command_is_json(command))
        printf(
            "from \"%c\" (lowest) to \"%c\" (highest of all layers); a column is the mean of neighbours\n\n",
            shades[0], shades[sizeof shades - 2]);
    for (uint32_t i = 0; i < count && !command_is_json(command); i++)
        if (families[i].members[0]->count > 0)
            print_family(&arena, &families[i]);
    arena_release(&arena);
}

static bool has_nan(const struct score *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->values[i] != s->values[i])
            return true;
    return false;
}

static void print_unpaired(const struct command *command, const struct score *s, const char *why)
{
    if (command_is_json(command))
        print_json(json_pack("{s:s,s:s%,s:s}", "difference", "score", "score", s->name.data, s->name.length,
                             "why", why));
    else
        printf("%-36.*s %s\n", (int)s->name.length, s->name.data, why);
}

static void print_agreement(const struct command *command, const struct score *s,
                            const struct scores_agreement *agreement)
{
    double overlap = (double)agreement->both / agreement->kept;
    if (command_is_json(command))
        print_json(json_pack("{s:s%,s:I,s:f,s:I,s:I,s:f}", "score", s->name.data, s->name.length, "count",
                             (json_int_t)s->count, "rank_correlation", agreement->correlation, "kept",
                             (json_int_t)agreement->kept, "kept_by_both", (json_int_t)agreement->both,
                             "overlap", overlap));
    else
        printf("%-36.*s %8.4f %14" PRIu32 " of %-8" PRIu32 " %6.1f %%\n", (int)s->name.length, s->name.data,
               agreement->correlation, agreement->both, agreement->kept, 100 * overlap);
}

/* Whether the two differ. */
static bool compare(const struct command *command, const struct score *a, const struct score *b, double share)
{
    if (!b || a->count != b->count) {
        print_unpaired(command, a, b ? "has other elements in the second" : "is in the first only");
        return true;
    }
    if (a->count == 0)
        return false;
    if (has_nan(a) || has_nan(b)) {
        print_unpaired(command, a, "has values that are no numbers");
        return true;
    }
    struct scores_agreement agreement;
    scores_compare(&agreement, a, b, share);
    print_agreement(command, a, &agreement);
    return memcmp(a->values, b->values, a->count * sizeof *a->values) != 0;
}

static const struct score *find(const struct scores *scores, struct str name)
{
    for (uint32_t i = 0; i < scores->items.count; i++)
        if (str_equal(scores->items.items[i].name, name))
            return &scores->items.items[i];
    return NULL;
}

uint32_t scores_view_compare(const struct command *command, const struct scores *a, const struct scores *b,
                             double share)
{
    uint32_t differences = 0;
    if (!command_is_json(command))
        printf("%-36s %8s %s\n", "score", "rank", "       kept by both");
    for (uint32_t i = 0; i < a->items.count; i++)
        differences += compare(command, &a->items.items[i], find(b, a->items.items[i].name), share);
    for (uint32_t i = 0; i < b->items.count; i++) {
        if (find(a, b->items.items[i].name))
            continue;
        print_unpaired(command, &b->items.items[i], "is in the second only");
        differences++;
    }
    return differences;
}
