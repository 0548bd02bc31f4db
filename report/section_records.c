/* What went in; who computed what, and how long it took: from the record of the last run of each stage. */
#include "report/page.h"
#include "report/sections.h"
#include "store/input.h"

static struct str member(struct arena *arena, const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    if (json_is_string(value))
        return str_from(arena_printf(arena, "%s", json_string_value(value)));
    if (json_is_integer(value))
        return str_from(arena_printf(arena, "%lld", (long long)json_integer_value(value)));
    return json_is_real(value) ? str_from(arena_printf(arena, "%.1f", json_real_value(value))) : STR("");
}

/* The file that an input is, and what it is. */
static const char *file_of(const struct input_entry *input, const char **what)
{
    static const char *const keys[][2] = {{"model", "model"}, {"text", "text"}, {"items", "task"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (settings_has(&input->settings, keys[i][0])) {
            *what = keys[i][1];
            return settings_text(&input->settings, keys[i][0]);
        }
    *what = "";
    return "";
}

enum status section_inputs(struct builder *page, const struct run *run, struct arena *arena,
                           struct trace *trace)
{
    static const char *const headings[] = {"input", "what", "file", "bytes", "SHA-256"};
    (void)trace;
    if (run->pipeline.inputs.count == 0)
        return OK;
    page_section(page, "inputs", "Inputs");
    page_table_begin(page, headings, 5);
    for (uint32_t i = 0; i < run->pipeline.inputs.count; i++) {
        const struct input_entry *input = &run->pipeline.inputs.items[i];
        struct store_input found;
        struct trace none = {0};
        char bytes[PAGE_NUMBER_SIZE];
        const char *what, *file = file_of(input, &what);
        bool is_file = store_input_hash(&found, run->store, file, INPUT_REMEMBERED, &none) == OK;
        struct str cells[] = {str_from(input->name), str_from(what), str_from(file),
                              is_file ? str_from(page_number(bytes, (int64_t)found.size)) : STR(""),
                              is_file ? str_from(arena_printf(arena, "%.16s", found.sha256)) : STR("")};
        page_row(page, cells, 5);
    }
    page_table_end(page);
    return OK;
}

enum { RECORD_CELLS = 9 };

enum status section_records(struct builder *page, const struct run *run, struct arena *arena,
                            struct trace *trace)
{
    static const char *const headings[RECORD_CELLS] = {
        "stage",           "device",          "seconds",           "resumed from step",
        "kernel launches", "nodes on device", "nodes on the host", "numerics",
        "result, SHA-256"};
    page_section(page, "records", "Runs");
    page_table_begin(page, headings, RECORD_CELLS);
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        const struct store_output *output = run_output(run, i);
        struct builder text = {0};
        struct trace none = {0};
        bool has_record = run->done[i] && store_record_read(&text, run->store, run->keys[i], &none) == OK;
        json_t *record = has_record ? json_loadb(builder_text(&text), text.length, 0, NULL) : NULL;
        struct str cells[] = {str_from(run->pipeline.stages.items[i].name),
                              member(arena, record, "device"),
                              member(arena, record, "seconds"),
                              member(arena, record, "resumed_from"),
                              member(arena, record, "dispatches"),
                              member(arena, record, "device_nodes"),
                              member(arena, record, "host_nodes"),
                              member(arena, record, "numerics"),
                              output ? str_from(arena_printf(arena, "%.16s", output->sha256))
                                     : STR("not run")};
        page_row(page, cells, RECORD_CELLS);
        json_decref(record);
        builder_release(&text);
    }
    page_table_end(page);
    (void)trace;
    return OK;
}
