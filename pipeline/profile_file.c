#include "pipeline/profile_file.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/vec.h"
#include "data/utf8.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EVENTS = 1000000 }; /* of the device: some 250 MB; later ones enter the totals only */

struct total {
    const char *name;
    uint64_t count;
    double seconds;
    struct work work;
};

struct profile_file {
    struct profile base;
    struct arena arena;
    struct file_writer writer;
    VEC(struct total) totals; /* by op */
    double start;
    uint64_t events, left_out;
    enum status status; /* of writing; an error is told when the file is closed */
    struct trace trace;
};

static void add_text(struct profile_file *f, const char *text)
{
    if (f->status == OK)
        f->status = file_writer_add(&f->writer, text, strlen(text), &f->trace);
}

/* Takes the reference. */
static void add_event(struct profile_file *f, json_t *event)
{
    char *text = json_dumps(event, JSON_COMPACT);
    if (!event || !text)
        BUG("an event of a profile cannot be written as JSON");
    add_text(f, f->events++ ? ",\n" : "");
    add_text(f, text);
    free(text);
    json_decref(event);
}

static void name_lane(struct profile_file *f, enum profile_lane lane, const char *name)
{
    add_event(f, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", "thread_name", "ph", "M", "pid", 1, "tid",
                           (int)lane + 1, "args", "name", name));
}

/* JSON is UTF-8; names in a model may be any bytes. */
static json_t *text_of(const char *text)
{
    struct builder valid = {0};
    utf8_add_valid(&valid, str_from(text));
    json_t *json = json_string(builder_text(&valid));
    builder_release(&valid);
    return json;
}

static json_t *arguments(const struct profile_span *span)
{
    if (span->lane == PROFILE_HOST)
        return json_pack("{s:o}", "of", text_of(span->detail));
    return json_pack("{s:o, s:f, s:f}", "node", text_of(span->detail), "operations", span->work.operations,
                     "bytes", span->work.bytes);
}

static void add_total(struct profile_file *f, const struct profile_span *span)
{
    struct total *total = NULL;
    for (uint32_t i = 0; i < f->totals.count && !total; i++)
        if (strcmp(f->totals.items[i].name, span->name) == 0)
            total = &f->totals.items[i];
    if (!total) {
        total = VEC_PUSH(&f->arena, &f->totals);
        total->name = arena_printf(&f->arena, "%s", span->name);
    }
    total->count++;
    total->seconds += span->end - span->start;
    total->work.operations += span->work.operations;
    total->work.bytes += span->work.bytes;
}

static void add_span(struct profile *profile, const struct profile_span *span)
{
    struct profile_file *f = (struct profile_file *)profile;
    if (span->lane == PROFILE_DEVICE)
        add_total(f, span);
    if (f->events >= MOST_EVENTS && span->lane == PROFILE_DEVICE) {
        f->left_out++;
        return;
    }
    add_event(f, json_pack("{s:s, s:s, s:f, s:f, s:i, s:i, s:o}", "name", span->name, "ph", "X", "ts",
                           (span->start - f->start) * 1e6, "dur", (span->end - span->start) * 1e6, "pid", 1,
                           "tid", (int)span->lane + 1, "args", arguments(span)));
}

enum status profile_file_open(struct profile_file **out, const char *path, struct trace *trace)
{
    struct profile_file *f = calloc(1, sizeof *f);
    if (!f)
        BUG("out of memory: a profile");
    f->base.span = add_span;
    f->start = clock_seconds();
    enum status status = file_writer_open(&f->writer, path, trace);
    if (status != OK) {
        profile_file_discard(f);
        return status;
    }
    add_text(f, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n");
    name_lane(f, PROFILE_HOST, "host");
    name_lane(f, PROFILE_DEVICE, "device");
    *out = f;
    return OK;
}

struct profile *profile_file_profile(struct profile_file *file)
{
    return &file->base;
}

static int compare_totals(const void *a, const void *b)
{
    const struct total *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

void profile_file_print(const struct profile_file *file, FILE *to)
{
    uint32_t count = file->totals.count;
    struct total *totals = calloc(count ? count : 1, sizeof *totals);
    double all = 0;
    if (!totals)
        BUG("out of memory: %u totals", count);
    if (count)
        memcpy(totals, file->totals.items, count * sizeof *totals);
    qsort(totals, count, sizeof *totals, compare_totals);
    for (uint32_t i = 0; i < count; i++)
        all += totals[i].seconds;
    fprintf(to, "\n%-24s %9s %10s %6s %9s %8s\n", "op", "nodes", "seconds", "share", "GFLOP/s", "GB/s");
    for (uint32_t i = 0; i < count; i++) {
        const struct total *t = &totals[i];
        double seconds = t->seconds > 0 ? t->seconds : 1e-12;
        fprintf(to, "%-24s %9llu %10.4f %5.1f%% %9.2f %8.2f\n", t->name, (unsigned long long)t->count,
                t->seconds, all > 0 ? 100 * t->seconds / all : 0, 1e-9 * t->work.operations / seconds,
                1e-9 * t->work.bytes / seconds);
    }
    if (file->left_out)
        fprintf(to, "%llu nodes are in these totals but not in the file, which is long enough\n",
                (unsigned long long)file->left_out);
    free(totals);
}

enum status profile_file_close(struct profile_file *file, struct trace *trace)
{
    if (!file)
        return OK;
    add_text(file, "\n]}\n");
    enum status status = file->status == OK ? file_writer_commit(&file->writer, trace)
                                            : status_fail(trace, file->status, "%s", file->trace.text);
    profile_file_discard(file);
    return status;
}

void profile_file_discard(struct profile_file *file)
{
    if (!file)
        return;
    file_writer_release(&file->writer);
    arena_release(&file->arena);
    free(file);
}
