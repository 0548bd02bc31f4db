/* See csv.h. */
#include "data/csv.h"
#include <string.h>

static bool at_end(const struct csv *csv)
{
    return csv->at == csv->text.length;
}

static char peek(const struct csv *csv)
{
    return at_end(csv) ? '\0' : csv->text.data[csv->at];
}

static bool ends_field(const struct csv *csv)
{
    return at_end(csv) || strchr(",\n\r", peek(csv));
}

/* From behind the opening quote to behind the closing one; a doubled quote stands for one. */
static enum status read_quoted(struct str *out, struct csv *csv, struct arena *arena, struct trace *trace)
{
    size_t end = csv->at, length = 0; /* of the field, quotes included */
    while (end < csv->text.length &&
           (csv->text.data[end] != '"' || (end + 1 < csv->text.length && csv->text.data[end + 1] == '"')))
        end += csv->text.data[end] == '"' ? 2 : 1;
    char *to = arena_alloc(arena, end - csv->at + 1);
    for (;; csv->at++) {
        if (at_end(csv))
            return status_fail(trace, INVALID, "line %llu: a quote is not closed",
                               (unsigned long long)csv->line);
        char c = peek(csv);
        if (c == '"') {
            csv->at++;
            if (peek(csv) != '"' || at_end(csv))
                break;
        }
        csv->lines += c == '\n';
        to[length++] = c;
    }
    *out = (struct str){to, length};
    return ends_field(csv) ? OK
                           : status_fail(trace, INVALID, "line %llu: expected a comma after a quote",
                                         (unsigned long long)(csv->lines + 1));
}

static enum status read_field(struct str *out, struct csv *csv, struct arena *arena, struct trace *trace)
{
    if (peek(csv) == '"') {
        csv->at++;
        return read_quoted(out, csv, arena, trace);
    }
    size_t start = csv->at;
    while (!ends_field(csv))
        csv->at++;
    *out = (struct str){arena_copy_string(arena, csv->text.data + start, csv->at - start), csv->at - start};
    return OK;
}

/* Past a line end; false when there is none. */
static bool skip_line_end(struct csv *csv)
{
    size_t start = csv->at;
    if (peek(csv) == '\r')
        csv->at++;
    if (peek(csv) == '\n')
        csv->at++;
    csv->lines += csv->at > start;
    return csv->at > start;
}

enum status csv_read(struct str fields[CSV_MAX_FIELDS], uint32_t *count, struct csv *csv, struct arena *arena,
                     struct trace *trace)
{
    *count = 0;
    while (skip_line_end(csv))
        ;
    csv->line = csv->lines + 1;
    if (at_end(csv))
        return OK;
    for (;;) {
        if (*count == CSV_MAX_FIELDS)
            return status_fail(trace, INVALID, "line %llu: more than %d fields",
                               (unsigned long long)csv->line, CSV_MAX_FIELDS);
        TRY(read_field(&fields[(*count)++], csv, arena, trace));
        if (peek(csv) != ',' || at_end(csv))
            break;
        csv->at++;
    }
    skip_line_end(csv);
    return OK;
}
