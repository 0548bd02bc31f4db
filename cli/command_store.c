/* store: ls, show, fsck, gc. */
#include "cli/command.h"
#include "store/fsck.h"
#include "store/gc.h"
#include "store/list.h"
#include "store/object.h"
#include <stdio.h>
#include <string.h>

static enum status list(const struct command *command, const struct store *store, struct trace *trace)
{
    struct arena arena = {0};
    struct store_listing listing = {0};
    enum status status = store_list(&listing, &arena, store, trace);
    for (uint32_t i = 0; status == OK && i < listing.entries.count; i++) {
        const struct store_entry *e = &listing.entries.items[i];
        char id[STORE_ID_TEXT];
        store_id_to_text(e->id, id);
        if (command_is_json(command))
            print_json(json_pack("{s:s,s:s,s:I,s:b}", "id", id, "kind", e->kind, "bytes", (json_int_t)e->size,
                                 "external", e->is_external));
        else
            printf("%s  %-12s %12llu%s\n", id, *e->kind ? e->kind : "damaged", (unsigned long long)e->size,
                   e->is_external ? "  in a file of yours" : "");
    }
    arena_release(&arena);
    return status;
}

static bool is_text(const char *kind)
{
    return strcmp(kind, "tensor") != 0 && strcmp(kind, "tokens") != 0;
}

static enum status show(const struct command *command, const struct store *store, struct trace *trace)
{
    if (command->argument_count < 2)
        return status_fail(trace, INVALID, "store show needs an object id");
    struct hash128 id;
    struct store_object object = {0};
    TRY(store_find_prefix(&id, store, str_from(command->arguments[1]), trace));
    TRY(store_open_object(&object, store, id, NULL, OBJECT_VERIFY, trace));
    if (is_text(object.kind))
        fwrite(object.data, 1, object.size, stdout);
    else
        printf("%s, %zu bytes\n", object.kind, object.size);
    store_object_release(&object);
    return OK;
}

static void print_problem(void *context, const struct fsck_problem *problem)
{
    if (*(const bool *)context)
        print_json(json_pack("{s:s,s:s,s:s}", "problem",
                             problem->what == FSCK_DAMAGED ? "damaged" : "missing", "subject",
                             problem->subject, "message", problem->message));
    else
        printf("%s %s: %s\n", problem->what == FSCK_DAMAGED ? "damaged" : "missing", problem->subject,
               problem->message);
}

static void print_report(const struct command *command, const struct fsck_report *r)
{
    if (command_is_json(command)) {
        print_json(json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "objects", (json_int_t)r->objects, "bytes",
                             (json_int_t)r->bytes, "problems", (json_int_t)r->problems, "set_aside",
                             (json_int_t)r->set_aside, "forgotten", (json_int_t)r->forgotten, "dropped",
                             (json_int_t)r->dropped));
        return;
    }
    printf("%llu objects (%llu bytes) read, %llu problems\n", (unsigned long long)r->objects,
           (unsigned long long)r->bytes, (unsigned long long)r->problems);
    if (r->set_aside + r->dropped > 0)
        printf("set aside: %llu damaged objects, %llu tensors in changed files of yours\n",
               (unsigned long long)r->set_aside, (unsigned long long)r->dropped);
    if (r->forgotten > 0)
        printf("forgot %llu results that were damaged or incomplete: the next run computes them again\n",
               (unsigned long long)r->forgotten);
}

static enum status check(const struct command *command, const struct store *store, struct trace *trace)
{
    struct fsck_report report = {0};
    bool json = command_is_json(command);
    enum fsck_mode mode = command_option(command, "repair") ? FSCK_REPAIR : FSCK_REPORT;
    enum status status = store_fsck(&report, store, mode, print_problem, &json, trace);
    if (status == OK || status == DIFFERS)
        print_report(command, &report);
    return status;
}

static enum status collect(const struct command *command, const struct store *store, struct trace *trace)
{
    bool dry = command_option(command, "dry-run") != NULL;
    struct gc_options options = {.keys =
                                     command_option(command, "unreferenced") ? GC_KEEP_REFS : GC_KEEP_KEYS,
                                 .mode = dry ? GC_COUNT : GC_REMOVE};
    struct gc_report report = {0};
    TRY(store_gc(&report, store, options, trace));
    if (command_is_json(command))
        print_json(json_pack("{s:b,s:I,s:I,s:I,s:I}", "dry_run", dry, "objects", (json_int_t)report.objects,
                             "bytes", (json_int_t)report.bytes, "results", (json_int_t)report.keys,
                             "checkpoints", (json_int_t)report.checkpoints));
    else
        printf("%s %llu objects (%llu bytes), %llu results, %llu checkpoints\n",
               dry ? "would remove" : "removed", (unsigned long long)report.objects,
               (unsigned long long)report.bytes, (unsigned long long)report.keys,
               (unsigned long long)report.checkpoints);
    return OK;
}

enum status command_store(struct command *command, struct trace *trace)
{
    static const struct {
        const char *name;
        enum status (*run)(const struct command *, const struct store *, struct trace *);
    } verbs[] = {{"ls", list}, {"show", show}, {"fsck", check}, {"gc", collect}};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, command->arguments[0]) != 0)
            continue;
        struct store *store = NULL;
        TRY(command_open_store(&store, command, trace));
        enum status status = verbs[i].run(command, store, trace);
        store_close(store);
        return status;
    }
    return status_fail(trace, INVALID, "store: expected ls, show, fsck or gc, found \"%s\"",
                       command->arguments[0]);
}
