/* Opening a store; see store/store.h. */
#include "store/store.h"

#include "base/file.h"
#include "store/disk.h"
#include "store/layout.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format_word[] = "espalier-store ";
enum { FORMAT_VERSION = 1, FORMAT_LIMIT = 64 };

static enum status read_format(const char *path, struct trace *trace)
{
    struct builder text = {0};
    enum status s = file_read(&text, path, FORMAT_LIMIT, trace);
    uint64_t version = 0;
    struct str rest = {builder_text(&text), text.length};
    if (s == OK) {
        size_t skip = sizeof format_word - 1;
        bool known = str_starts_with(rest, format_word) && rest.data[rest.length - 1] == '\n' &&
                     str_to_u64((struct str){rest.data + skip, rest.length - skip - 1}, &version);
        if (!known || version == 0)
            s = status_fail(trace, CORRUPT, "%s: expected \"%s%d\", found \"%s\"", path, format_word,
                            FORMAT_VERSION, builder_text(&text));
        else if (version != FORMAT_VERSION)
            s = status_fail(trace, UNSUPPORTED,
                            "%s: this store has format %" PRIu64 "; this espalier reads format %d", path,
                            version, FORMAT_VERSION);
    }
    builder_release(&text);
    return s;
}

/* What may be in a directory that is about to become a store: nothing, or another process is making it one.
 */
static bool is_ours(const char *name)
{
    static const char *const known[] = {"objects", "external", "keys", "refs",        "records",
                                        "inputs",  "locks",    "tmp",  "checkpoints", "damaged"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return strstr(name, "format") != NULL;
}

static enum status create(const char *path, const char *format_path, enum store_mode mode,
                          struct arena *scratch, struct trace *trace)
{
    struct disk_names names;
    if (mode == STORE_CREATE)
        TRY(directory_create(path, trace));
    TRY(disk_list(&names, scratch, path, trace));
    for (size_t i = 0; i < names.count; i++)
        if (!is_ours(names.names[i]))
            return status_fail(
                trace, INVALID,
                "%s is not a store: it has no file \"format\" but holds \"%s\"; expected a store or an "
                "empty directory",
                path, names.names[i]);
    if (mode == STORE_LOOK)
        return OK;
    char text[FORMAT_LIMIT];
    int length = snprintf(text, sizeof text, "%s%d\n", format_word, FORMAT_VERSION);
    return file_write(format_path, text, (size_t)length, trace);
}

static enum status open_or_create(const char *path, enum store_mode mode, struct arena *scratch,
                                  struct trace *trace)
{
    struct disk_facts facts;
    enum status s = disk_facts(&facts, path, trace);
    if (s == NOT_FOUND && mode == STORE_EXISTING)
        return status_fail(trace, NOT_FOUND, "there is no store at %s", path);
    if (s != OK && s != NOT_FOUND)
        return s;
    if (s == OK && !facts.is_directory)
        return status_fail(trace, INVALID, "%s is a file; expected the directory of a store", path);
    char *format_path = arena_printf(scratch, "%s/format", path);
    if (s == OK) {
        s = read_format(format_path, trace);
        if (s != NOT_FOUND)
            return s;
        if (mode == STORE_EXISTING)
            return status_fail(trace, NOT_FOUND, "%s is not a store: it has no file \"format\"", path);
    }
    return create(path, format_path, mode, scratch, trace);
}

enum status store_open(struct store **out, const char *path, enum store_mode mode, struct trace *trace)
{
    *out = NULL;
    struct arena scratch = {0};
    char *root = NULL;
    enum status s = *path ? open_or_create(path, mode, &scratch, trace)
                          : status_fail(trace, INVALID, "the path of the store is empty");
    if (s == OK && mode == STORE_LOOK && !file_exists(path))
        root = arena_copy_string(&scratch, path, strlen(path));
    else if (s == OK)
        s = disk_real_path(&root, &scratch, path, trace);
    if (s == OK) {
        *out = calloc(1, sizeof **out);
        char *copy = strdup(root);
        if (!*out || !copy)
            BUG("out of memory");
        **out = (struct store){.root = copy, .is_looked_at = mode == STORE_LOOK};
    } else {
        trace_add(trace, "while opening the store %s", path);
    }
    arena_release(&scratch);
    return s;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    free(store->root);
    free(store);
}

const char *store_path(const struct store *store)
{
    return store->root;
}

enum status store_require_space(const struct store *store, uint64_t bytes, const char *purpose,
                                struct trace *trace)
{
    uint64_t available;
    TRY(file_space(&available, store->root, trace));
    if (available >= bytes)
        return OK;
    return status_fail(trace, IO, "%s needs %" PRIu64 " bytes in %s, where %" PRIu64 " are free", purpose,
                       bytes, store->root, available);
}
