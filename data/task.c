/* Reads records, has the task's form make items of them, and puts the examples before them. */
#include "data/task.h"
#include "base/file.h"
#include "data/csv.h"
#include "data/fields.h"
#include "data/task_forms.h"
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 28 };

static const struct {
    const char *name;
    task_form *form;
    enum task_metrics metrics;
} task_table[TASK_KIND_COUNT] = {
#define TASK(name, form, metrics, summary) {#name, task_form_##form, TASK_##metrics},
#include "data/task.def"
};

bool task_kind_from_name(struct str name, enum task_kind *out)
{
    for (enum task_kind kind = 0; kind < TASK_KIND_COUNT; kind++)
        if (str_is(name, task_table[kind].name)) {
            *out = kind;
            return true;
        }
    return false;
}

const char *task_name(enum task_kind kind)
{
    return task_table[kind].name;
}

enum task_metrics task_metrics_of(enum task_kind kind)
{
    return task_table[kind].metrics;
}

const char *task_names(void)
{
    static const char names[] =
#define TASK(name, form, metrics, summary) ", " #name
#include "data/task.def"
        ;
    return names + strlen(", ");
}

/* A file of records, read one after the other. */
struct reader {
    struct builder text, labels;
    struct csv csv;
    size_t at, label_at;
    uint64_t line;
    json_t *root; /* what the record read last lives in */
    struct str fields[CSV_MAX_FIELDS];
    char *subject;
};

/* "dir/abstract_algebra_test.csv" -> "abstract algebra" */
static char *subject_of(struct arena *arena, const char *path)
{
    static const char *const endings[] = {"_test.csv", "_dev.csv", "_val.csv", ".csv"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (str_ends_with((struct str){name, length}, endings[i])) {
            length -= strlen(endings[i]);
            break;
        }
    char *subject = arena_copy_string(arena, name, length);
    for (char *c = subject; *c; c++)
        if (*c == '_')
            *c = ' ';
    return subject;
}

/* The next line that is not empty; length 0 at the end. */
static struct str next_line(const struct builder *text, size_t *at, uint64_t *line)
{
    while (*at < text->length) {
        const char *start = text->data + *at, *end = memchr(start, '\n', text->length - *at);
        size_t length = end ? (size_t)(end - start) : text->length - *at;
        *at += length + 1;
        *line += 1;
        if (length && start[length - 1] == '\r')
            length--;
        if (length)
            return (struct str){start, length};
    }
    return (struct str){"", 0};
}

static enum status read_object(struct task_record *out, struct reader *r, bool *found, struct trace *trace)
{
    struct str line = next_line(&r->text, &r->at, &r->line);
    *found = line.length > 0;
    if (!*found)
        return OK;
    json_error_t error;
    json_decref(r->root);
    r->root = json_loadb(line.data, line.length, JSON_REJECT_DUPLICATES, &error);
    if (!r->root)
        return status_fail(trace, INVALID, "not valid JSON, at column %d: %s", error.column, error.text);
    out->object = r->root;
    return fields_check_object(r->root, "", trace);
}

static enum status read_record(struct task_record *out, struct reader *r, bool is_csv, bool *found,
                               struct arena *arena, struct trace *trace)
{
    *out = (struct task_record){.fields = r->fields, .subject = r->subject};
    if (is_csv) {
        TRY(csv_read(r->fields, &out->field_count, &r->csv, arena, trace));
        *found = out->field_count > 0;
    } else
        TRY(read_object(out, r, found, trace));
    if (!*found || !r->labels.length)
        return OK;
    uint64_t line = 0;
    out->label = next_line(&r->labels, &r->label_at, &line);
    return out->label.length ? OK : status_fail(trace, INVALID, "there is no label for it");
}

static void close_reader(struct reader *r)
{
    json_decref(r->root);
    builder_release(&r->text);
    builder_release(&r->labels);
}

static enum status open_reader(struct reader *r, struct task *task, const char *path, const char *labels,
                               struct trace *trace)
{
    *r = (struct reader){.subject = subject_of(&task->arena, path)};
    TRY(file_read(&r->text, path, FILE_LIMIT, trace));
    r->csv = (struct csv){.text = {builder_text(&r->text), r->text.length}};
    return labels ? file_read(&r->labels, labels, FILE_LIMIT, trace) : OK;
}

static struct str joined(struct arena *arena, struct str a, struct str b)
{
    char *text = arena_alloc(arena, a.length + b.length + 1);
    if (a.length)
        memcpy(text, a.data, a.length);
    if (b.length)
        memcpy(text + a.length, b.data, b.length);
    return (struct str){text, a.length + b.length};
}

static uint32_t characters_of(struct str text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static void add_item(struct task *task, const struct task_draft *draft, struct str examples)
{
    struct arena *arena = &task->arena;
    struct str before = joined(arena, draft->description, examples);
    *VEC_PUSH(arena, &task->items) = (struct task_item){task->choices.count, draft->count, draft->gold};
    struct str shared = joined(arena, before, draft->contexts[0]);
    for (uint32_t i = 0; i < draft->count; i++)
        *VEC_PUSH(arena, &task->choices) = (struct task_choice){
            .context = draft->has_one_context ? shared : joined(arena, before, draft->contexts[i]),
            .continuation = joined(arena, STR(" "), draft->choices[i]),
            .characters = characters_of(draft->choices[i])};
}

/* Calls back for each record in order; stops after `limit`. */
typedef enum status draft_function(void *payload, const struct task_draft *draft, struct trace *trace);

static enum status each_draft(struct task *task, const char *path, const char *labels, uint64_t limit,
                              draft_function *function, void *payload, struct trace *trace)
{
    struct reader reader;
    bool is_csv = str_ends_with(str_from(path), ".csv"), found = true;
    if (is_csv != (task->kind == TASK_mmlu))
        return status_fail(trace, INVALID, "%s: expected %s for %s", path,
                           is_csv ? "JSON lines" : "a .csv file", task_name(task->kind));
    enum status status = open_reader(&reader, task, path, labels, trace);
    for (uint64_t i = 0; status == OK && (limit == 0 || i < limit); i++) {
        struct task_record record;
        struct task_draft draft = {0};
        status = read_record(&record, &reader, is_csv, &found, &task->arena, trace);
        if (status == OK && !found)
            break;
        if (status == OK)
            status = task_table[task->kind].form(&draft, &record, &task->arena, trace);
        if (status == OK)
            status = function(payload, &draft, trace);
        if (status != OK)
            trace_add(trace, "in line %llu", (unsigned long long)(is_csv ? reader.csv.line : reader.line));
    }
    close_reader(&reader);
    if (status != OK)
        trace_add(trace, "while reading %s as %s", path, task_name(task->kind));
    return status;
}

struct shots {
    struct builder text;
    uint32_t count;
};

static enum status add_shot(void *payload, const struct task_draft *draft, struct trace *trace)
{
    struct shots *shots = payload;
    struct str context = draft->contexts[draft->has_one_context ? 0 : draft->gold];
    if (!context.length)
        return status_fail(trace, UNSUPPORTED, "examples are for tasks whose choices follow a text");
    builder_printf(&shots->text, STR_FORMAT " " STR_FORMAT "\n\n", STR_ARGUMENT(context),
                   STR_ARGUMENT(draft->choices[draft->gold]));
    shots->count++;
    return OK;
}

struct items {
    struct task *task;
    struct str examples;
};

static enum status take_item(void *payload, const struct task_draft *draft, struct trace *trace)
{
    const struct items *items = payload;
    (void)trace;
    add_item(items->task, draft, items->examples);
    return OK;
}

static enum status read_all(struct task *task, const char *path, const struct task_options *options,
                            struct shots *shots, struct trace *trace)
{
    if (options->shots > 0)
        TRY(each_draft(task, options->examples, NULL, options->shots, add_shot, shots, trace));
    if (shots->count < options->shots)
        return status_fail(trace, INVALID, "%s: expected %u examples, found %u", options->examples,
                           options->shots, shots->count);
    struct items items = {task, {builder_text(&shots->text), shots->text.length}};
    TRY(each_draft(task, path, options->labels, options->limit, take_item, &items, trace));
    return task->items.count ? OK : status_fail(trace, INVALID, "%s: there are no items", path);
}

enum status task_open(struct task *out, enum task_kind kind, const char *path,
                      const struct task_options *options, struct trace *trace)
{
    struct shots shots = {0};
    *out = (struct task){.kind = kind, .metrics = task_table[kind].metrics};
    if (options->shots > 0 && !options->examples)
        return status_fail(trace, INVALID, "%u examples are asked for, but no file of examples is given",
                           options->shots);
    enum status status = read_all(out, path, options, &shots, trace);
    builder_release(&shots.text);
    if (status != OK)
        task_release(out);
    return status;
}

void task_release(struct task *task)
{
    arena_release(&task->arena);
    *task = (struct task){0};
}
