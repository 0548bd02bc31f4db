/* Parsing the command line against the tables. Options may stand anywhere; "--" ends them; --name=value and
 * --name value are the same. */
#include "cli/command.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option_info option_table[] = {
#define OPTION(command, name, value, summary) {#command, name, value, summary},
#include "cli/options.def"
};
const uint32_t option_count = sizeof option_table / sizeof *option_table;

const struct command_info command_table[] = {
#define COMMAND(name, arguments, least, most, summary) \
    {#name, arguments, least, most, command_##name, summary},
#include "cli/commands.def"
};
const uint32_t command_count = sizeof command_table / sizeof *command_table;

static const struct command_info *find_command(const char *name)
{
    for (uint32_t i = 0; i < command_count; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    return NULL;
}

static bool applies(const struct command *command, const struct option_info *option)
{
    return strcmp(option->command, "common") == 0 || strcmp(option->command, command->info->name) == 0;
}

static uint32_t find_option(const struct command *command, struct str name)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (str_is(name, option_table[i].name) && applies(command, &option_table[i]))
            return i;
    return option_count;
}

/* -h, -o, -q, -v stand for their long names. */
static struct str long_name(const char *word)
{
    static const struct {
        const char *letter, *name;
    } letters[] = {{"-h", "help"}, {"-o", "output"}, {"-q", "quiet"}, {"-v", "verbose"}};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (strcmp(word, letters[i].letter) == 0)
            return str_from(letters[i].name);
    size_t dashes = strncmp(word, "--", 2) == 0 ? 2 : 0;
    return dashes ? (struct str){word + 2, strcspn(word + 2, "=")} : (struct str){word, 0};
}

static enum status read_option(struct command *out, int argc, char **argv, int *at, struct trace *trace)
{
    const char *word = argv[*at];
    struct str name = long_name(word);
    uint32_t number = find_option(out, name);
    if (name.length == 0 || number == option_count)
        return status_fail(trace, INVALID, "%s has no option %s; see: espalier help %s", out->info->name,
                           word, out->info->name);
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const struct option_info *info = &option_table[number];
    if (!info->value && equals)
        return status_fail(trace, INVALID, "--%s takes no value, found \"%s\"", info->name, equals + 1);
    if (info->value && !equals && *at + 1 >= argc)
        return status_fail(trace, INVALID, "--%s needs a value: %s", info->name, info->value);
    out->values[number] = !info->value ? "" : equals ? equals + 1 : argv[++*at];
    if (strcmp(info->name, "device") != 0)
        return OK;
    if (out->device_count == MAX_DEVICES)
        return status_fail(trace, INVALID, "--device: expected at most %d devices", MAX_DEVICES);
    out->devices[out->device_count++] = out->values[number];
    return OK;
}

static enum status check_arguments(const struct command *out, struct trace *trace)
{
    if (out->argument_count < out->info->least || out->argument_count > out->info->most)
        return status_fail(trace, INVALID,
                           "espalier %s: expected %s, found %u arguments; see: espalier help %s",
                           out->info->name, *out->info->arguments ? out->info->arguments : "no arguments",
                           out->argument_count, out->info->name);
    enum numerics numerics;
    const char *word = command_option(out, "numerics");
    if (word && !numerics_find(&numerics, str_from(word)))
        return status_fail(trace, INVALID, "--numerics: expected " NUMERICS_NAMES ", found \"%s\"", word);
    for (uint32_t i = 0; i < out->device_count; i++)
        TRY(device_check_word(out->devices[i], trace));
    return out->device_count <= 1 || strcmp(out->info->name, "search") == 0
               ? OK
               : status_fail(trace, INVALID, "--device: %s runs on one device, found %u: \"%s\", \"%s\"%s",
                             out->info->name, out->device_count, out->devices[0], out->devices[1],
                             out->device_count > 2 ? ", ..." : "");
}

/* COMMAND --help is help COMMAND; help --help is help. */
static void turn_to_help(struct command *out)
{
    const char *name = out->info->name;
    out->info = find_command("help");
    if (strcmp(name, "help") == 0)
        return;
    out->arguments[0] = name;
    out->argument_count = 1;
}

enum status command_parse(struct command *out, int argc, char **argv, struct trace *trace)
{
    static_assert(sizeof option_table / sizeof *option_table <= MAX_OPTIONS, "raise MAX_OPTIONS");
    const char *name =
        argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ? "help" : argv[1];
    out->info = find_command(name);
    if (!out->info && *name == '-')
        return status_fail(trace, INVALID, "expected a command before its options, found \"%s\"", name);
    if (!out->info)
        return status_fail(trace, INVALID, "there is no command \"%s\"; see: espalier help", name);
    bool only_arguments = false;
    for (int i = 2; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && argv[i][0] == '-' && argv[i][1]) {
            TRY(read_option(out, argc, argv, &i, trace));
        } else {
            if (out->argument_count == MAX_ARGUMENTS)
                return status_fail(trace, INVALID, "too many arguments, at \"%s\"", argv[i]);
            out->arguments[out->argument_count++] = argv[i];
        }
    }
    if (command_option(out, "help")) {
        turn_to_help(out);
        return OK;
    }
    return check_arguments(out, trace);
}

const char *command_option(const struct command *command, const char *name)
{
    uint32_t number = find_option(command, str_from(name));
    return number == option_count ? NULL : command->values[number];
}

enum status command_integer(const struct command *command, const char *name, int64_t fallback, int64_t least,
                            int64_t *out, struct trace *trace)
{
    const char *text = command_option(command, name);
    *out = fallback;
    if (text && (!str_to_i64(str_from(text), out) || *out < least || *out > INT32_MAX))
        return status_fail(trace, INVALID, "--%s: expected an integer from %lld to %d, found \"%s\"", name,
                           (long long)least, INT32_MAX, text);
    return OK;
}

enum status command_seed(const int64_t **out, int64_t *number, const struct command *command,
                         struct trace *trace)
{
    *out = command_option(command, "seed") ? number : NULL;
    return command_integer(command, "seed", 0, 0, number, trace);
}

bool command_is_json(const struct command *command)
{
    return command_option(command, "json") != NULL;
}

enum status command_device(struct device_options *out, const struct command *command, struct trace *trace)
{
    return command_device_at(out, command, 0, trace);
}

enum status command_device_at(struct device_options *out, const struct command *command, uint32_t index,
                              struct trace *trace)
{
    int64_t threads;
    TRY(command_integer(command, "threads", 0, 1, &threads, trace));
    *out = (struct device_options){.device = index < command->device_count ? command->devices[index] : NULL,
                                   .threads = (uint32_t)threads};
    const char *numerics = command_option(command, "numerics");
    if (numerics)
        (void)numerics_find(&out->numerics, str_from(numerics)); /* command_parse() has checked the word */
    return device_check(out, trace);
}

struct source_options command_source(const struct command *command)
{
    return (struct source_options){.store = command_option(command, "store"),
                                   .numerics = command_option(command, "numerics"),
                                   .device = command_option(command, "device"),
                                   .trust = command_option(command, "untrusted") ? IMPORT_UNTRUSTED
                                                                                 : IMPORT_TRUSTED};
}

enum status command_open_store(struct store **out, const struct command *command, struct trace *trace)
{
    const char *path = command_option(command, "store");
    return store_open(out, path ? path : ".espalier", STORE_EXISTING, trace);
}

void print_json(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
    printf("%s\n", text ? text : "{}");
    fflush(stdout);
    free(text);
    json_decref(json);
}

enum status command_tokenizer(struct tokenizer **out, const struct command *command,
                              const struct model_source *source, struct trace *trace)
{
    TRY(model_source_tokenizer(out, source, command_option(command, "tokenizer"), trace));
    return *out ? OK
                : status_fail(trace, INVALID, "%s has no tokenizer: give --tokenizer FILE or bytes",
                              command->arguments[0]);
}

enum status command_check_vocabulary(const struct graph *graph, const struct tokenizer *tokenizer,
                                     const char *name, struct trace *trace)
{
    uint32_t logits = graph_find_output(graph, "logits");
    if (logits == ID_NONE)
        return status_fail(trace, INVALID, "%s has no output \"logits\"", name);
    const struct value *v = graph_value(graph, logits);
    return tokenizer_check_model(tokenizer, (uint64_t)dims_size(&graph->dims, v->axes[v->rank - 1]), name,
                                 trace);
}
