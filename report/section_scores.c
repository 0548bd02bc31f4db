/* Scores as heat maps, layer by element, and sorted. */
#include "passes/score_families.h"
#include "pipeline/scores_object.h"
#include "report/chart.h"
#include "report/page.h"
#include "report/sections.h"
#include <stdlib.h>
#include <string.h>

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static void add_sorted(struct builder *page, const struct score_family *f, struct arena *arena)
{
    struct chart_series *series = ARENA_ARRAY(arena, struct chart_series, f->count);
    for (uint32_t m = 0; m < f->count; m++) {
        const struct score *s = f->members[m];
        double *values = ARENA_ARRAY(arena, double, s->count);
        for (uint32_t i = 0; i < s->count; i++)
            values[i] = (double)s->values[i];
        qsort(values, s->count, sizeof *values, descending);
        series[m] = (struct chart_series){arena_printf(arena, "layer %u", m), values, s->count};
    }
    chart_lines(page, "elements, best first", "score", series, f->count, "layers", CHART_LOW);
}

/* Means of channels and energies are no scores: they are for amending weights. */
static bool is_shown(const struct score_family *families, uint32_t count, uint32_t number)
{
    const struct score_family *f = &families[number];
    const char *at = strchr(f->name, '@');
    size_t length = strlen(f->name);
    if (at)
        return strcmp(at, "@means") != 0 && strcmp(at, "@energy") != 0;
    for (uint32_t i = 0; i < count; i++) /* NAME is the first of NAME@... */
        if (strncmp(families[i].name, f->name, length) == 0 && families[i].name[length] == '@' &&
            is_shown(families, count, i))
            return false;
    return true;
}

static void add_family(struct builder *page, const struct score_family *f, struct arena *arena)
{
    const float **rows = ARENA_ARRAY(arena, const float *, f->count);
    uint32_t *columns = ARENA_ARRAY(arena, uint32_t, f->count);
    for (uint32_t m = 0; m < f->count; m++) {
        rows[m] = f->members[m]->values;
        columns[m] = f->members[m]->count;
    }
    builder_add_text(page, "<h3>");
    page_add_text(page, str_from(f->name));
    builder_printf(page, " <span class=\"soft\">%.4g to %.4g</span></h3>\n", f->least, f->largest);
    page_pair_begin(page);
    chart_heat(page, rows, columns, f->count, f->least, f->largest);
    if (columns[0] > 1) {
        page_pair_next(page);
        add_sorted(page, f, arena);
    }
    page_pair_end(page);
}

enum status section_scores(struct builder *page, const struct run *run, struct arena *arena,
                           struct trace *trace)
{
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        const struct store_output *output =
            run->done[i] ? store_result_find(&run->results[i], "scores") : NULL;
        struct scores scores;
        uint32_t count;
        if (!output)
            continue;
        TRY(scores_open(&scores, arena, run->store, output->id, trace));
        if (!is_begun)
            page_section(page, "scores", "Scores");
        is_begun = true;
        builder_add_text(page, "<p class=\"soft\">Stage ");
        page_add_text(page, str_from(run->pipeline.stages.items[i].name));
        builder_add_text(
            page,
            ": a row for each layer, an element or a few neighbours a cell, stronger for higher; beside it "
            "the same, sorted. Of several of one kind the first ranks.</p>\n");
        const struct score_family *families = score_families(&count, arena, &scores);
        for (uint32_t f = 0; f < count; f++)
            if (is_shown(families, count, f))
                add_family(page, &families[f], arena);
    }
    return OK;
}
