/* Curves of training stages: the loss of every step from the result, the learning rate from the log. */
#include "base/file.h"
#include "pipeline/key.h"
#include "report/chart.h"
#include "report/page.h"
#include "report/sections.h"
#include "store/object.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LIMIT = 1 << 30, MOST_CURVES = 64 };

/* One number a line. */
static enum status read_curve(struct chart_series *out, const struct run *run, uint32_t stage,
                              struct arena *arena, struct trace *trace)
{
    const struct store_output *output =
        run->done[stage] ? store_result_find(&run->results[stage], "curve") : NULL;
    struct store_object object = {0};
    *out = (struct chart_series){.name = run->pipeline.stages.items[stage].name};
    if (!output)
        return OK;
    TRY(store_open_object(&object, run->store, output->id, "curve", OBJECT_TRUST, trace));
    struct str text = store_object_text(&object);
    uint32_t lines = 0;
    for (size_t i = 0; i < text.length; i++)
        lines += text.data[i] == '\n';
    double *values = ARENA_ARRAY(arena, double, lines + 1);
    char *copy = arena_copy_string(arena, text.data, text.length), *at = copy;
    for (uint32_t i = 0; i < lines; i++)
        values[i] = strtod(at, &at);
    out->values = values;
    out->count = lines;
    store_object_release(&object);
    return OK;
}

/* The rate of every step in the log; none where there is no log. */
static enum status read_rates(struct chart_series *out, const struct run *run, uint32_t stage, uint32_t steps,
                              struct arena *arena, struct trace *trace)
{
    char *path;
    struct builder log = {0};
    double *values = ARENA_ARRAY(arena, double, steps + 1);
    const struct stage_entry *e = &run->pipeline.stages.items[stage];
    struct hash128 key = run->keys[stage];
    *out = (struct chart_series){.name = e->name, .values = values};
    if (settings_integer(&e->settings, "stop") > 0)
        TRY(key_make_unstopped(&key, run, stage, trace));
    TRY(store_steps_path(&path, arena, run->store, key, trace));
    if (!file_exists(path))
        return OK;
    TRY(file_read(&log, path, LOG_LIMIT, trace));
    const char *at = builder_text(&log), *end = at + log.length, *stop;
    for (; out->count < steps && at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
        json_t *line = json_loadb(at, (size_t)(stop - at), 0, NULL);
        const json_t *rate = json_object_get(line, "rate");
        values[out->count++] = json_is_number(rate) ? json_number_value(rate) : (double)NAN;
        json_decref(line);
    }
    builder_release(&log);
    return OK;
}

enum status section_training(struct builder *page, const struct run *run, struct arena *arena,
                             struct trace *trace)
{
    struct chart_series losses[MOST_CURVES], rates[MOST_CURVES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->pipeline.stages.count && count < MOST_CURVES; i++) {
        TRY(read_curve(&losses[count], run, i, arena, trace));
        if (losses[count].count == 0)
            continue;
        TRY(read_rates(&rates[count], run, i, losses[count].count, arena, trace));
        count++;
    }
    if (count == 0)
        return OK;
    page_section(page, "training", "Training");
    page_pair_begin(page);
    for (uint32_t c = 0; c < count; c++) {
        builder_add_text(page, "<h3>Loss of ");
        page_add_text(page, str_from(losses[c].name));
        builder_add_text(page, "</h3>\n");
        chart_lines(page, "step", "loss", &losses[c], 1, "stages", CHART_HIGH);
        page_pair_next(page);
    }
    bool has_rates = false;
    for (uint32_t c = 0; c < count; c++)
        has_rates = has_rates || rates[c].count > 0;
    if (has_rates)
        builder_add_text(page, "<h3>Learning rate</h3>\n");
    chart_lines(page, "step", "rate", rates, count, "stages", CHART_HIGH);
    page_pair_end(page);
    return OK;
}
