/* See store/ref.h. */
#include "store/ref.h"

#include "store/disk.h"
#include "store/layout.h"
#include "store/object.h"
#include <string.h>

enum { NAME_LIMIT = 160 }; /* those of a pipeline, a seed and a stage */

static bool is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return length >= 1 && length <= NAME_LIMIT && name[length] == '\0' && name[0] != '.';
}

static enum status check_name(const char *name, struct trace *trace)
{
    if (is_name(name))
        return OK;
    return status_fail(
        trace, INVALID,
        "\"%s\" cannot name a ref; expected 1 to %d letters, digits, '.', '_' or '-', not '.' first", name,
        NAME_LIMIT);
}

enum status store_ref_set(const struct store *store, const char *name, struct hash128 id, struct trace *trace)
{
    struct arena scratch = {0};
    char line[STORE_ID_TEXT + 1];
    int lock;
    TRY(check_name(name, trace));
    store_id_to_text(id, line);
    enum status s = layout_lock_sweep(&lock, store, DISK_SHARED, trace);
    if (s == OK && !store_has_object(store, id))
        s = status_fail(trace, NOT_FOUND, "the store has no object %s for the ref \"%s\"", line, name);
    memcpy(line + STORE_ID_TEXT - 1, "\n", 2);
    if (s == OK)
        s = layout_write_text(store, layout_path(&scratch, store, "refs", name), line, STORE_ID_TEXT, trace);
    disk_close(lock);
    arena_release(&scratch);
    return s;
}

enum status store_ref_find(struct hash128 *out, const struct store *store, const char *name,
                           struct trace *trace)
{
    struct arena scratch = {0};
    struct builder text = {0};
    TRY(check_name(name, trace));
    char *path = layout_path(&scratch, store, "refs", name);
    enum status s = file_read(&text, path, STORE_ID_TEXT, trace);
    if (s == NOT_FOUND)
        s = status_fail(trace, NOT_FOUND, "the store has no ref \"%s\"", name);
    else if (s == INVALID ||
             (s == OK && (text.length != STORE_ID_TEXT || text.data[STORE_ID_TEXT - 1] != '\n' ||
                          !store_id_from_text((struct str){text.data, STORE_ID_TEXT - 1}, out))))
        s = status_fail(trace, CORRUPT, "%s is damaged: expected the id of an object", path);
    builder_release(&text);
    arena_release(&scratch);
    return s;
}

enum status store_ref_remove(const struct store *store, const char *name, struct trace *trace)
{
    struct arena scratch = {0};
    TRY(check_name(name, trace));
    enum status s = disk_remove(layout_path(&scratch, store, "refs", name), trace);
    arena_release(&scratch);
    return s;
}

enum status store_ref_list(struct store_refs *out, struct arena *arena, const struct store *store,
                           struct trace *trace)
{
    struct disk_names files;
    *out = (struct store_refs){0};
    TRY(disk_list(&files, arena, arena_printf(arena, "%s/refs", store->root), trace));
    for (size_t i = 0; i < files.count; i++)
        if (is_name(files.names[i]))
            *VEC_PUSH(arena, &out->names) = files.names[i];
    return OK;
}
