/* Who computed what, and how long it took: from the record of the last run of each stage. */
#include "report/page.h"
#include "report/sections.h"

static struct str member(struct arena *arena, const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    if (json_is_string(value))
        return str_from(arena_printf(arena, "%s", json_string_value(value)));
    if (json_is_integer(value))
        return str_from(arena_printf(arena, "%lld", (long long)json_integer_value(value)));
    return json_is_real(value) ? str_from(arena_printf(arena, "%.1f", json_real_value(value))) : STR("");
}

enum status section_records(struct builder *page, const struct run *run, struct arena *arena,
                            struct trace *trace)
{
    static const char *const headings[] = {"stage", "device", "seconds", "resumed from step",
                                           "result, SHA-256"};
    page_section(page, "records", "Runs");
    page_table_begin(page, headings, 5);
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        const struct store_output *output = run_output(run, i);
        struct builder text = {0};
        struct trace none = {0};
        bool has_record = run->done[i] && store_record_read(&text, run->store, run->keys[i], &none) == OK;
        json_t *record = has_record ? json_loadb(builder_text(&text), text.length, 0, NULL) : NULL;
        struct str cells[] = {str_from(run->pipeline.stages.items[i].name), member(arena, record, "device"),
                              member(arena, record, "seconds"), member(arena, record, "resumed_from"),
                              output ? str_from(arena_printf(arena, "%.16s", output->sha256))
                                     : STR("not run")};
        page_row(page, cells, 5);
        json_decref(record);
        builder_release(&text);
    }
    page_table_end(page);
    (void)trace;
    return OK;
}
