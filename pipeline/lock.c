/* Reading and writing locks, and verifying. */
#include "pipeline/lock.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOCK_LIMIT = 1 << 20 };

char *lock_path(const char *pipeline_path)
{
    const char *name = strrchr(pipeline_path, '/');
    const char *dot = strrchr(name ? name : pipeline_path, '.');
    size_t length = dot ? (size_t)(dot - pipeline_path) : strlen(pipeline_path);
    char *path = malloc(length + sizeof ".lock");
    if (!path)
        BUG("out of memory");
    memcpy(path, pipeline_path, length);
    memcpy(path + length, ".lock", sizeof ".lock");
    return path;
}

/* The next blank-separated word of a line. */
static struct str next_word(struct str *line)
{
    size_t length = 0;
    while (length < line->length && line->data[length] != ' ')
        length++;
    struct str word = {line->data, length};
    length += length < line->length;
    *line = (struct str){line->data + length, line->length - length};
    return word;
}

static bool read_sha256(struct str word, char out[SHA256_HEX])
{
    if (!str_starts_with(word, "sha256:") || word.length != 7 + SHA256_HEX - 1)
        return false;
    memcpy(out, word.data + 7, SHA256_HEX - 1);
    out[SHA256_HEX - 1] = '\0';
    return strspn(out, "0123456789abcdef") == SHA256_HEX - 1;
}

static enum status read_line(struct lock *lock, struct str line, const char *path, uint32_t number,
                             struct trace *trace)
{
    struct lock_entry entry;
    struct str rest = line, stage = next_word(&rest), id = next_word(&rest), sha256 = next_word(&rest);
    bool good = stage.length > 0 && str_starts_with(id, "xxh3:") && rest.length == 0 &&
                hash128_from_hex((struct str){id.data + 5, id.length - 5}, &entry.id) &&
                read_sha256(sha256, entry.sha256);
    if (!good)
        return status_fail(trace, INVALID,
                           "%s:%" PRIu32 ": expected \"STAGE xxh3:HEX sha256:HEX\", found \"" STR_FORMAT "\"",
                           path, number, STR_ARGUMENT(line));
    entry.stage = (struct str){arena_copy_string(&lock->arena, stage.data, stage.length), stage.length};
    *VEC_PUSH(&lock->arena, &lock->entries) = entry;
    return OK;
}

static enum status read_text(struct lock *lock, struct str text, const char *path, struct trace *trace)
{
    char head[64];
    snprintf(head, sizeof head, "espalier-lock 1 %s", numerics_identity(NUMERICS_GOLDEN));
    uint32_t number = 0;
    for (size_t at = 0; at < text.length;) {
        const char *end = memchr(text.data + at, '\n', text.length - at);
        struct str line = {text.data + at, end ? (size_t)(end - text.data) - at : text.length - at};
        at += line.length + 1;
        if (++number > 1)
            TRY(read_line(lock, line, path, number, trace));
        else if (!str_is(line, head))
            return status_fail(trace, INVALID, "%s:1: expected \"%s\", found \"" STR_FORMAT "\"", path, head,
                               STR_ARGUMENT(line));
    }
    return number > 0 ? OK : status_fail(trace, INVALID, "%s: the lock is empty", path);
}

enum status lock_read(struct lock *out, const char *path, struct trace *trace)
{
    struct builder text = {0};
    *out = (struct lock){0};
    enum status status = file_read(&text, path, LOCK_LIMIT, trace);
    if (status == OK)
        status = read_text(out, (struct str){text.data, text.length}, path, trace);
    builder_release(&text);
    if (status != OK)
        lock_release(out);
    return status;
}

void lock_release(struct lock *lock)
{
    arena_release(&lock->arena);
    *lock = (struct lock){0};
}

enum status lock_check_numerics(const struct run *run, struct trace *trace)
{
    enum numerics numerics = run->options.device.numerics;
    if (numerics == NUMERICS_GOLDEN)
        return OK;
    return status_fail(trace, INVALID, "%s: a lock holds golden results, found numerics %s",
                       run->pipeline.path, numerics_name(numerics));
}

enum status lock_write(const struct run *run, const char *path, struct trace *trace)
{
    struct builder text = {0};
    TRY(lock_check_numerics(run, trace));
    builder_printf(&text, "espalier-lock 1 %s\n", numerics_identity(NUMERICS_GOLDEN));
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        const struct store_output *output = run_output(run, i);
        char hex[HASH128_HEX];
        if (!output)
            BUG("stage %u is not done", i);
        hash128_to_hex(output->id, hex);
        builder_printf(&text, "%s xxh3:%s sha256:%s\n", run->pipeline.stages.items[i].name, hex,
                       output->sha256);
    }
    enum status status = file_write(path, text.data, text.length, trace);
    builder_release(&text);
    return status;
}

/* ---- verify ---- */

struct comparison {
    const struct lock *lock;
    const struct run_events *events;
    uint32_t differences;
};

static const struct lock_entry *find(const struct lock *lock, const char *stage)
{
    for (uint32_t i = 0; i < lock->entries.count; i++)
        if (str_is(lock->entries.items[i].stage, stage))
            return &lock->entries.items[i];
    return NULL;
}

static void compare(void *context, const struct stage_event *event)
{
    struct comparison *c = context;
    const struct lock_entry *entry = find(c->lock, event->entry->name);
    struct stage_event judged = *event;
    bool same = entry && event->has_id && hash128_equal(entry->id, event->id) &&
                strcmp(entry->sha256, event->sha256) == 0;
    judged.status = !entry ? STAGE_MISSING : same ? STAGE_SAME : STAGE_DIFFERS;
    c->differences += !same;
    if (c->events->stage)
        c->events->stage(c->events->context, &judged);
}

static void forward_step(void *context, const struct step_event *event)
{
    struct comparison *c = context;
    if (c->events->step)
        c->events->step(c->events->context, event);
}

/* A lock that names stages the file no longer has is as wrong as one that lacks some. */
static uint32_t count_unknown(const struct lock *lock, const struct pipeline *pipeline)
{
    uint32_t unknown = 0;
    for (uint32_t i = 0; i < lock->entries.count; i++) {
        bool known = false;
        for (uint32_t s = 0; s < pipeline->stages.count; s++)
            known = known || str_is(lock->entries.items[i].stage, pipeline->stages.items[s].name);
        unknown += !known;
    }
    return unknown;
}

static enum status verify_in(const char *path, const char *directory, const struct lock *lock,
                             const struct run_options *options, struct trace *trace)
{
    struct comparison comparison = {.lock = lock, .events = &options->events};
    struct run_options fresh = *options;
    fresh.store = directory;
    fresh.exports = EXPORT_NOTHING;
    fresh.events = (struct run_events){compare, forward_step, &comparison};
    struct run run;
    TRY(run_open(&run, path, &fresh, trace));
    enum status status = lock_check_numerics(&run, trace);
    if (status == OK)
        status = run_stages(&run, trace);
    uint32_t unknown = count_unknown(lock, &run.pipeline);
    run_release(&run);
    if (status == OK && comparison.differences + unknown > 0)
        status =
            status_fail(trace, DIFFERS,
                        "%s: %" PRIu32 " of its stages differ from the lock or are missing there, %" PRIu32
                        " stages of the lock are not in the file",
                        path, comparison.differences, unknown);
    return status;
}

enum status verify_run(const char *path, const struct run_options *options, struct trace *trace)
{
    const char *parent = getenv("TMPDIR");
    char directory[4096];
    struct lock lock = {0};
    char *file = lock_path(path);
    enum status status = lock_read(&lock, file, trace);
    free(file);
    if (status == NOT_FOUND && file_exists(path))
        trace_add(trace, "expected the lock of %s; to write it: espalier run %s --lock", path, path);
    else if (status == NOT_FOUND)
        status = status_fail(trace, NOT_FOUND, "there is no pipeline file %s, nor a lock of it", path);
    if (status != OK)
        return status;
    snprintf(directory, sizeof directory, "%s/espalier-verify-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(directory)) {
        lock_release(&lock);
        return status_fail(trace, IO, "cannot create a temporary store in %s", directory);
    }
    status = verify_in(path, directory, &lock, options, trace);
    struct trace ignored = {0};
    if (directory_remove(directory, &ignored) != OK && status == OK)
        status = status_fail(trace, IO, "%s", ignored.text);
    lock_release(&lock);
    return status;
}
