/* report: a pipeline's results as one HTML page. */
#include "base/file.h"
#include "cli/command.h"
#include "report/report.h"
#include <stdio.h>

enum status command_report(struct command *command, struct trace *trace)
{
    const char *out = command_option(command, "output");
    struct run_options options = {
        .store = command_option(command, "store"), .mode = RUN_DRY, .stop = command->stop};
    struct builder page = {0};
    struct run run;
    if (!out)
        return status_fail(trace, INVALID, "report needs -o FILE.html");
    int64_t seed;
    TRY(command_seed(&options.seed, &seed, command, trace));
    TRY(run_open(&run, command->arguments[0], &options, trace));
    enum status status = run_stages(&run, trace);
    if (status == OK)
        status = report_make(&page, &run, trace);
    if (status == OK)
        status = file_write(out, builder_text(&page), page.length, trace);
    builder_release(&page);
    run_release(&run);
    return status;
}
