/* report: the results of a pipeline, or of a search, as one HTML page. */
#include "base/file.h"
#include "cli/command.h"
#include "report/report.h"
#include "search/latency.h"

static enum status make_pipeline_page(struct builder *page, const char *path,
                                      const struct run_options *options, struct trace *trace)
{
    struct run run;
    TRY(run_open(&run, path, options, trace));
    enum status status = run_stages(&run, trace);
    if (status == OK)
        status = report_make(page, &run, trace);
    run_release(&run);
    return status;
}

static enum status make_search_page(struct builder *page, struct search *search,
                                    const struct run_options *options, struct trace *trace)
{
    struct ranking ranking = {0};
    bool ranks = rank_is_wanted(search);
    enum status status = latency_is_wanted(search) ? latency_limit(search, options, trace) : OK;
    if (status == OK && ranks)
        status = ranking_run(&ranking, search, options, NULL, trace);
    if (status == OK)
        status = report_make_search(page, search, ranks ? &ranking : NULL, trace);
    ranking_release(&ranking);
    return status;
}

/* A search file is a pipeline file with a part `search`. */
static enum status is_search_file(bool *out, const char *path, struct trace *trace)
{
    static const char *const also[] = {"search", NULL};
    struct pipeline pipeline;
    TRY(pipeline_read_with(&pipeline, path, &(struct pipeline_options){.also = also}, trace));
    *out = yaml_find(pipeline.root, "search") != NULL;
    pipeline_release(&pipeline);
    return OK;
}

static enum status make_page(struct builder *page, struct command *command, struct trace *trace)
{
    const char *path = command->arguments[0];
    struct run_options options = {.store = command_option(command, "store"),
                                  .numerics = command_option(command, "numerics"),
                                  .mode = RUN_LOOK,
                                  .stop = command->stop};
    struct search search;
    bool is_search;
    int64_t seed;
    TRY(command_seed(&options.seed, &seed, command, trace));
    TRY(is_search_file(&is_search, path, trace));
    if (!is_search)
        return make_pipeline_page(page, path, &options, trace);
    if (options.seed)
        return status_fail(trace, INVALID, "--seed: %s is a search file, whose seed is its own", path);
    TRY(search_read(&search, path, trace));
    enum status status = OK;
    if (latency_is_wanted(&search)) /* numbers are of a device */
        status = command_device(&options.device, command, trace);
    if (status == OK)
        status = make_search_page(page, &search, &options, trace);
    search_release(&search);
    return status;
}

enum status command_report(struct command *command, struct trace *trace)
{
    const char *out = command_option(command, "output");
    struct builder page = {0};
    if (!out)
        return status_fail(trace, INVALID, "report needs -o FILE.html");
    enum status status = make_page(&page, command, trace);
    if (status == OK)
        status = file_write(out, builder_text(&page), page.length, trace);
    builder_release(&page);
    return status;
}
