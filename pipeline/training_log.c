/* Lines are read back as they were written; the first that is none, cut off by a kill, ends the log. */
#include "pipeline/training_log.h"
#include "base/file.h"
#include "base/str.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LIMIT = 1 << 30, SCALARS_MAX = 64, TAG_SIZE = 96 };

static const char event_name[] = "events.out.tfevents.0.espalier";

/* The numbers of a line under tags: those of an object within it as "losses/forward_kl". */
static enum status add_event(struct event_file *events, const json_t *line, struct trace *trace)
{
    struct event_scalar scalars[SCALARS_MAX];
    char tags[SCALARS_MAX][TAG_SIZE];
    size_t count = 0;
    const char *key, *inner;
    json_t *value, *number;
    json_object_foreach((json_t *)line, key, value)
    {
        if (strcmp(key, "step") == 0 || strcmp(key, "time") == 0)
            continue;
        if (json_is_number(value) && count < SCALARS_MAX) {
            snprintf(tags[count], TAG_SIZE, "%s", key);
            scalars[count] = (struct event_scalar){tags[count], json_number_value(value)};
            count++;
        }
        json_object_foreach(value, inner, number)
        {
            if (count == SCALARS_MAX)
                break;
            snprintf(tags[count], TAG_SIZE, "%s/%s", key, inner);
            scalars[count] = (struct event_scalar){tags[count], json_number_value(number)};
            count++;
        }
    }
    return event_file_add(events, json_number_value(json_object_get(line, "time")),
                          json_integer_value(json_object_get(line, "step")), scalars, count, trace);
}

/* Copies what is kept of `old` to `kept`, and to the event file. */
static enum status keep_lines(struct training_log *log, struct builder *kept, const struct builder *old,
                              uint64_t done, struct trace *trace)
{
    const char *at = builder_text(old), *end = at + old->length, *stop;
    enum status status = OK;
    for (; status == OK && at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
        json_t *line = json_loadb(at, (size_t)(stop - at), 0, NULL);
        json_int_t step = json_integer_value(json_object_get(line, "step"));
        bool is_kept = step > 0 && (uint64_t)step <= done;
        if (is_kept) {
            builder_add(kept, at, (size_t)(stop + 1 - at));
            status = add_event(&log->events, line, trace);
        }
        json_decref(line);
        if (!is_kept)
            break;
    }
    return status;
}

static enum status open_events(struct training_log *log, const char *folder, struct trace *trace)
{
    if (!folder)
        return OK;
    TRY(directory_create(folder, trace));
    char *path = path_join(folder, event_name);
    enum status status = event_file_create(&log->events, path, trace);
    free(path);
    return status;
}

static enum status open_lines(struct training_log *log, const char *path, uint64_t done, struct trace *trace)
{
    struct builder old = {0}, kept = {0};
    enum status status = OK;
    if (done > 0 && file_exists(path))
        status = file_read(&old, path, LOG_LIMIT, trace);
    if (status == OK)
        status = keep_lines(log, &kept, &old, done, trace);
    if (status == OK)
        status = file_write(path, builder_text(&kept), kept.length, trace);
    builder_release(&old);
    builder_release(&kept);
    if (status != OK)
        return status;
    log->lines = fopen(path, "ab");
    return log->lines ? OK : status_fail(trace, IO, "cannot open %s: %s", path, strerror(errno));
}

enum status training_log_open(struct training_log *out, const char *path, const char *events, uint64_t done,
                              struct trace *trace)
{
    *out = (struct training_log){0};
    enum status status = open_events(out, events, trace);
    if (status == OK)
        status = open_lines(out, path, done, trace);
    if (status != OK)
        training_log_close(out);
    return status;
}

enum status training_log_add(struct training_log *log, json_t *line, struct trace *trace)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        BUG("a line of a training log cannot be written as JSON");
    bool is_good = fprintf(log->lines, "%s\n", text) > 0 && fflush(log->lines) == 0;
    enum status status = is_good ? OK : status_fail(trace, IO, "cannot write the log: %s", strerror(errno));
    if (status == OK)
        status = add_event(&log->events, line, trace);
    free(text);
    json_decref(line);
    return status;
}

void training_log_close(struct training_log *log)
{
    if (log->lines)
        fclose(log->lines);
    log->lines = NULL;
    event_file_close(&log->events);
}
