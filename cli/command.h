/* A parsed command line, and what every command does with it. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/status.h"
#include "pipeline/device_select.h"
#include "pipeline/run.h"
#include "pipeline/source.h"
#include <jansson.h>
#include <signal.h>

enum { MAX_ARGUMENTS = 8, MAX_OPTIONS = 64, MAX_DEVICES = 16 };

struct option_info {
    const char *command, *name, *value, *summary;
};
extern const struct option_info option_table[];
extern const uint32_t option_count;

struct command;
struct command_info {
    const char *name, *arguments;
    uint32_t least, most;
    enum status (*run)(struct command *command, struct trace *trace);
    const char *summary;
};
extern const struct command_info command_table[];
extern const uint32_t command_count;

struct command {
    const struct command_info *info;
    const char *arguments[MAX_ARGUMENTS];
    uint32_t argument_count;
    const char *values[MAX_OPTIONS];  /* one per row of option_table: NULL when not given, "" for a switch */
    const char *devices[MAX_DEVICES]; /* every --device, in order */
    uint32_t device_count;
    const volatile sig_atomic_t *stop;
};

#define COMMAND(name, ...) \
    enum status command_##name(struct command *command, struct trace *trace) MUST_CHECK;
#include "cli/commands.def"

/* INVALID: no such command or option, a value missing, too few or too many arguments. */
enum status command_parse(struct command *out, int argc, char **argv, struct trace *trace) MUST_CHECK;
const char *command_option(const struct command *command, const char *name); /* NULL when not given */
enum status command_integer(const struct command *command, const char *name, int64_t fallback, int64_t least,
                            int64_t *out, struct trace *trace) MUST_CHECK;
/* --seed of a pipeline: *out points to *number, or is NULL when it is not given. */
enum status command_seed(const int64_t **out, int64_t *number, const struct command *command,
                         struct trace *trace) MUST_CHECK;
bool command_is_json(const struct command *command);

/* INVALID or DEVICE when --device names what is not there: before anything runs. */
enum status command_device(struct device_options *out, const struct command *command,
                           struct trace *trace) MUST_CHECK;
/* The same of a command that takes several devices, of the one at `index`. */
enum status command_device_at(struct device_options *out, const struct command *command, uint32_t index,
                              struct trace *trace) MUST_CHECK;
struct source_options command_source(const struct command *command);
/* The store that --store names, or .espalier here. */
enum status command_open_store(struct store **out, const struct command *command,
                               struct trace *trace) MUST_CHECK;

/* The tokenizer that --tokenizer names, else the model's own; INVALID when there is none. */
enum status command_tokenizer(struct tokenizer **out, const struct command *command,
                              const struct model_source *source, struct trace *trace) MUST_CHECK;
/* INVALID unless the tokenizer can be that of the model `name`, which yields "logits". */
enum status command_check_vocabulary(const struct graph *graph, const struct tokenizer *tokenizer,
                                     const char *name, struct trace *trace) MUST_CHECK;

/* One JSON object on one line of standard output; takes the reference. */
void print_json(json_t *json);

#endif
