/* help: the tables as text. */
#include "cli/command.h"
#include "pipeline/export_form.h"
#include <stdio.h>
#include <string.h>

static void print_options(const char *command)
{
    struct arena arena = {0};
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option_info *o = &option_table[i];
        char left[64];
        if (strcmp(o->command, command) != 0)
            continue;
        bool is_form = o->value && strcmp(o->value, "FORM") == 0;
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-22s %s%s%s\n", left, o->summary, is_form ? " " : "",
               is_form ? export_form_names(&arena, TAKES_NOTHING) : "");
    }
    arena_release(&arena);
}

static void print_all(void)
{
    printf("espalier prunes a trained language model to a shape and retrains it by distillation.\n\n");
    for (uint32_t i = 0; i < command_count; i++)
        printf("  espalier %-8s %-22s %s\n", command_table[i].name, command_table[i].arguments,
               command_table[i].summary);
    printf(
        "\nMODEL is an .onnx or .gguf file, a Hugging Face folder, an .ir file, FILE.yaml:STAGE, or an object id (unique prefix).\nAll commands take:\n");
    print_options("common");
    printf(
        "  --version\n\nExit status: 0 done, 1 a comparison failed, 2 the input or the command line is wrong,\n"
        "3 the machine is, 4 a bug in espalier, 130 interrupted.\n");
}

enum status command_help(struct command *command, struct trace *trace)
{
    if (command->argument_count == 0) {
        print_all();
        return OK;
    }
    for (uint32_t i = 0; i < command_count; i++) {
        const struct command_info *c = &command_table[i];
        if (strcmp(c->name, command->arguments[0]) != 0)
            continue;
        printf("espalier %s %s: %s\n\n", c->name, c->arguments, c->summary);
        print_options(c->name);
        print_options("common");
        return OK;
    }
    return status_fail(trace, INVALID, "there is no command \"%s\"; see: espalier help",
                       command->arguments[0]);
}
