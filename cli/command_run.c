/* run: a pipeline file, stage by stage. */
#include "cli/report.h"
#include "pipeline/lock.h"
#include "pipeline/profile_file.h"
#include <stdio.h>
#include <stdlib.h>

static enum status write_lock(const struct run *run, const char *path, struct trace *trace)
{
    char *file = lock_path(path);
    enum status status = lock_write(run, file, trace);
    if (status == OK)
        fprintf(stderr, "wrote %s\n", file);
    free(file);
    return status;
}

static enum status run_all(const struct run_options *options, const char *path, bool lock,
                           const struct report *report, struct trace *trace)
{
    struct run run;
    TRY(run_open(&run, path, options, trace));
    enum status status = lock ? lock_check_numerics(&run, trace) : OK; /* before the work is done */
    if (status == OK)
        status = run_stages(&run, trace);
    if (status == OK)
        report_print_tables(report);
    if (status == OK && lock)
        status = write_lock(&run, path, trace);
    run_release(&run);
    return status;
}

/* A run that fails leaves the profile of what it did. */
static enum status run_profiled(struct run_options *options, const char *profile, const char *path, bool lock,
                                const struct report *report, struct trace *trace)
{
    struct profile_file *file = NULL;
    if (!profile)
        return run_all(options, path, lock, report, trace);
    TRY(profile_file_open(&file, profile, trace));
    options->profile = profile_file_profile(file);
    enum status status = run_all(options, path, lock, report, trace);
    if (status == OK)
        profile_file_print(file, stderr);
    struct trace second = {0};
    enum status closed = profile_file_close(file, status == OK ? trace : &second);
    return status == OK ? closed : status;
}

enum status command_run(struct command *command, struct trace *trace)
{
    const char *path = command->arguments[0];
    bool lock = command_option(command, "lock") != NULL, dry = command_option(command, "dry-run") != NULL;
    struct report report = {.json = command_is_json(command)};
    struct run_options options = {.store = command_option(command, "store"),
                                  .numerics = command_option(command, "numerics"),
                                  .until = command_option(command, "until"),
                                  .events_folder = command_option(command, "tensorboard"),
                                  .mode = dry ? RUN_DRY : RUN_ALL,
                                  .events = report_events(&report),
                                  .stop = command->stop};
    if (lock && (dry || options.until))
        return status_fail(trace, INVALID, "--lock needs all stages: not with --dry-run or --until");
    int64_t seed;
    TRY(command_seed(&options.seed, &seed, command, trace));
    if (lock && options.seed)
        return status_fail(trace, INVALID, "--lock is of the file as it is: not with --seed");
    TRY(command_device(&options.device, command, trace));
    return run_profiled(&options, command_option(command, "profile"), path, lock, &report, trace);
}
