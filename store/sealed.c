/* See store/sealed.h. */
#include "store/sealed.h"

#include "base/str.h"
#include "store/id.h"
#include "store/layout.h"
#include <stdlib.h>
#include <string.h>

enum { SEALED_LIMIT = 256 << 20 };

enum status sealed_write(const struct store *store, const char *path, json_t *root, struct trace *trace)
{
    struct builder text = {0};
    char seal[STORE_ID_TEXT];
    char *line = root ? json_dumps(root, JSON_COMPACT) : NULL;
    enum status s = line ? OK : status_fail(trace, INVALID, "%s: a name or path is not UTF-8", path);
    if (line) {
        builder_printf(&text, "%s\n", line);
        store_id_to_text(hash128_of(text.data, text.length), seal);
        builder_printf(&text, "%s\n", seal);
        s = layout_write_text(store, path, text.data, text.length, trace);
    }
    builder_release(&text);
    free(line);
    json_decref(root);
    return s;
}

static bool is_sealed(struct str text, struct str *line)
{
    struct hash128 seal;
    if (text.length < STORE_ID_TEXT || text.data[text.length - 1] != '\n')
        return false;
    *line = (struct str){text.data, text.length - STORE_ID_TEXT};
    return store_id_from_text((struct str){text.data + line->length, STORE_ID_TEXT - 1}, &seal) &&
           hash128_equal(hash128_of(line->data, line->length), seal);
}

enum status sealed_read(json_t **out, const char *path, struct trace *trace)
{
    struct builder text = {0};
    struct str line;
    *out = NULL;
    enum status s = file_read(&text, path, SEALED_LIMIT, trace);
    if (s == OK && is_sealed((struct str){builder_text(&text), text.length}, &line))
        *out = json_loadb(line.data, line.length, JSON_REJECT_DUPLICATES, NULL);
    if (s == OK && !*out)
        s = status_fail(trace, CORRUPT, "%s is damaged: it is not what was written", path);
    builder_release(&text);
    return s;
}
