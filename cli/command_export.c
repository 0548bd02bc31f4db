/* export: one model as files for other programs. */
#include "base/log.h"
#include "cli/command.h"
#include "pipeline/export_form.h"
#include <stdio.h>
#include <string.h>

static enum status write_files(struct emitted *files, const struct command *command,
                               const struct model_source *source, struct trace *trace)
{
    const char *name = command_option(command, "to"), *type = command_option(command, "type");
    const char *interface = command_option(command, "interface");
    struct arena arena = {0}; /* of messages */
    const struct export_form *form = export_form_find(name);
    enum emit_interface wanted = EMIT_INTERFACE_SOURCE;
    enum status status = OK;
    if (!form)
        status = status_fail(trace, INVALID, "--to: expected %s, found \"%s\"",
                             export_form_names(&arena, TAKES_NOTHING), name);
    else if (type && form->takes != TAKES_TYPE)
        status = status_fail(trace, INVALID, "--type: only %s has a choice, %s is written in f32",
                             export_form_names(&arena, TAKES_TYPE), name);
    else if (interface && form->takes != TAKES_INTERFACE)
        status = status_fail(trace, INVALID, "--interface: only %s has a choice, found --to %s",
                             export_form_names(&arena, TAKES_INTERFACE), name);
    else if (interface && !export_interface_from_name(interface, &wanted))
        status = status_fail(trace, INVALID, "--interface: expected source, tokens or cache, found \"%s\"",
                             interface);
    arena_release(&arena);
    if (status != OK)
        return status;
    struct tokenizer *tokenizer = NULL;
    TRY(model_source_tokenizer(&tokenizer, source, command_option(command, "tokenizer"), trace));
    struct export_request request = {command_option(command, "output"),
                                     source->graph,
                                     tokenizer,
                                     type,
                                     command_option(command, "fill") ? EMIT_FILLS_MISSING
                                                                     : EMIT_REFUSES_MISSING,
                                     wanted};
    status = form->write(files, &request, trace);
    tokenizer_close(tokenizer);
    return status;
}

enum status command_export(struct command *command, struct trace *trace)
{
    if (!command_option(command, "to") || !command_option(command, "output"))
        return status_fail(trace, INVALID,
                           "export needs --to FORM and --output OUT (-o); see: export --help");
    struct model_source source;
    struct source_options options = command_source(command);
    struct emitted files = {0};
    TRY(model_source_open(&source, command->arguments[0], &options, trace));
    enum status status = write_files(&files, command, &source, trace);
    for (uint32_t i = 0; i < files.notes.count; i++)
        log_note("note: " STR_FORMAT, STR_ARGUMENT(files.notes.items[i]));
    for (uint32_t i = 0; status == OK && i < files.files.count; i++) {
        const struct emitted_file *f = &files.files.items[i];
        if (command_is_json(command))
            print_json(json_pack("{s:s,s:I,s:s}", "file", f->name, "bytes", (json_int_t)f->bytes, "sha256",
                                 f->sha256));
        else
            printf("%s  %s\n", f->sha256, f->name);
    }
    emitted_release(&files);
    model_source_release(&source);
    return status;
}
