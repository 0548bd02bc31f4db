/* Printing and parsing scores. */
#include "pipeline/scores_object.h"
#include "store/object.h"
#include <inttypes.h>
#include <string.h>

void scores_print(const struct scores *scores, struct builder *out)
{
    builder_add_text(out, "espalier-scores 1\n");
    for (uint32_t i = 0; i < scores->items.count; i++) {
        const struct score *s = &scores->items.items[i];
        builder_printf(out, STR_FORMAT " %" PRIu32 "\n", STR_ARGUMENT(s->name), s->count);
        for (uint32_t v = 0; v < s->count; v++)
            builder_printf(out, "%.9g\n", (double)s->values[v]);
    }
}

static struct str next_line(struct str text, size_t *at)
{
    const char *end = memchr(text.data + *at, '\n', text.length - *at);
    struct str line = {text.data + *at, end ? (size_t)(end - text.data) - *at : text.length - *at};
    *at += line.length + (end != NULL);
    return line;
}

static enum status parse(struct scores *out, struct arena *arena, struct str text, struct trace *trace)
{
    size_t at = 0;
    if (!str_is(next_line(text, &at), "espalier-scores 1"))
        return status_fail(trace, INVALID, "expected scores of version 1");
    while (at < text.length) {
        struct str head = next_line(text, &at);
        const char *blank = memchr(head.data, ' ', head.length);
        size_t length = blank ? (size_t)(blank - head.data) : 0;
        uint64_t count;
        if (!blank || !str_to_u64((struct str){blank + 1, head.length - length - 1}, &count) ||
            count > text.length)
            return status_fail(trace, INVALID, "scores: expected \"NAME COUNT\", found \"" STR_FORMAT "\"",
                               STR_ARGUMENT(head));
        float *values = ARENA_ARRAY(arena, float, count + 1);
        for (uint64_t i = 0; i < count; i++) {
            double value;
            if (!str_to_double(next_line(text, &at), &value))
                return status_fail(trace, INVALID, "scores \"%.*s\": value %" PRIu64 " is no number",
                                   (int)length, head.data, i);
            values[i] = (float)value;
        }
        scores_add(out, arena, arena_copy_string(arena, head.data, length), values, (uint32_t)count);
    }
    return OK;
}

enum status scores_open(struct scores *out, struct arena *arena, const struct store *store, struct hash128 id,
                        struct trace *trace)
{
    struct store_object object = {0};
    *out = (struct scores){0};
    TRY(store_open_object(&object, store, id, "scores", OBJECT_VERIFY, trace));
    enum status status = parse(out, arena, store_object_text(&object), trace);
    store_object_release(&object);
    return status;
}
