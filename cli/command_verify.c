/* verify: everything again in a fresh store, compared with the lock. */
#include "cli/report.h"
#include "pipeline/lock.h"

enum status command_verify(struct command *command, struct trace *trace)
{
    struct report report = {.json = command_is_json(command)};
    struct run_options options = {.numerics = command_option(command, "numerics"),
                                  .events = report_events(&report),
                                  .stop = command->stop};
    TRY(command_device(&options.device, command, trace));
    return verify_run(command->arguments[0], &options, trace);
}
