/* See report.h. */
#include "report/report.h"
#include "report/flow.h"
#include "report/page.h"
#include "report/sections.h"
#include "store/object.h"

enum status section_json(json_t **out, const struct run *run, uint32_t stage, const char *output,
                         struct trace *trace)
{
    const struct store_output *found =
        run->done[stage] ? store_result_find(&run->results[stage], output) : NULL;
    struct store_object object = {0};
    *out = NULL;
    if (!found)
        return OK;
    TRY(store_open_object(&object, run->store, found->id, NULL, OBJECT_TRUST, trace));
    *out = json_loadb((const char *)object.data, object.size, 0, NULL);
    store_object_release(&object);
    return *out ? OK
                : status_fail(trace, CORRUPT, "output \"%s\" of stage \"%s\" is not JSON", output,
                              run->pipeline.stages.items[stage].name);
}

static void add_summary(struct builder *page, const struct run *run)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++)
        done += run->done[i];
    builder_add_text(page, "<p class=\"soft\">");
    page_add_text(page, str_from(run->pipeline.path));
    builder_printf(page, " &middot; %u of %u stages in the store &middot; numerics %s</p>\n", done,
                   run->pipeline.stages.count, numerics_identity(run->options.device.numerics));
}

enum status report_make(struct builder *page, const struct run *run, struct trace *trace)
{
    static section_function *const sections[] = {section_texts,    section_answers,  section_models,
                                                 section_rewrites, section_training, section_scores,
                                                 section_records};
    struct arena arena = {0};
    enum status status = OK;
    page_begin(page, run->pipeline.name && *run->pipeline.name ? run->pipeline.name : run->pipeline.path);
    add_summary(page, run);
    page_section(page, "flow", "Stages");
    flow_draw(page, run);
    for (size_t i = 0; status == OK && i < sizeof sections / sizeof *sections; i++)
        status = sections[i](page, run, &arena, trace);
    page_end(page);
    arena_release(&arena);
    return status;
}
