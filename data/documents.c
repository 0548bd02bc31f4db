/* A line of JSON is parsed on its own; a text document is a part of the file. */
#include "data/documents.h"

#include "data/fields.h"
#include "data/utf8.h"
#include <string.h>

static enum status read_line(struct str *out, struct documents *d, struct str line, struct trace *trace)
{
    json_error_t error;
    json_decref(d->root);
    d->root = json_loadb(line.data, line.length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!d->root)
        return status_fail(trace, INVALID, "line %llu is not valid JSON, at column %d: %s",
                           (unsigned long long)d->line, error.column, error.text);
    if (!json_is_object(d->root))
        return status_fail(trace, INVALID, "line %llu: expected a JSON object, found %s",
                           (unsigned long long)d->line, fields_type_name(d->root));
    const json_t *text = json_object_get(d->root, d->field);
    if (!json_is_string(text))
        return status_fail(trace, INVALID, "line %llu: expected text in the member \"%s\", found %s",
                           (unsigned long long)d->line, d->field, fields_type_name(text));
    *out = fields_text(text);
    return OK;
}

static struct str trim(struct str line)
{
    while (line.length && strchr(" \t\r", line.data[line.length - 1]) && line.data[line.length - 1])
        line.length--;
    while (line.length && strchr(" \t\r", line.data[0]) && line.data[0]) {
        line.data++;
        line.length--;
    }
    return line;
}

static enum status read_json_lines(struct str *out, struct documents *d, struct trace *trace)
{
    while (out->length == 0 && d->at < d->file.length) {
        const char *start = d->file.data + d->at;
        const char *end = memchr(start, '\n', d->file.length - d->at);
        struct str line = {start, end ? (size_t)(end - start) : d->file.length - d->at};
        d->at += line.length + 1;
        d->line++;
        line = trim(line);
        if (line.length)
            TRY(read_line(out, d, line, trace));
    }
    return OK;
}

static void read_text(struct str *out, struct documents *d)
{
    while (out->length == 0 && d->at < d->file.length) {
        const char *start = d->file.data + d->at;
        size_t left = d->file.length - d->at;
        const char *end =
            d->delimiter.length ? memmem(start, left, d->delimiter.data, d->delimiter.length) : NULL;
        d->start = d->at;
        *out = (struct str){start, end ? (size_t)(end - start) : left};
        d->at += out->length + d->delimiter.length;
    }
}

enum status documents_read(struct str *out, struct documents *documents, struct trace *trace)
{
    *out = (struct str){"", 0};
    if (documents->field)
        return read_json_lines(out, documents, trace);
    read_text(out, documents);
    return OK;
}

void documents_trace(const struct documents *documents, struct trace *trace)
{
    if (documents->field)
        trace_add(trace, "in the text of line %llu", (unsigned long long)documents->line);
    else if (documents->start)
        trace_add(trace, "in the document that begins at offset %zu", documents->start);
}

void documents_release(struct documents *documents)
{
    json_decref(documents->root);
    *documents = (struct documents){0};
}
