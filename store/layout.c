/* Paths and renames of a store; see store/layout.h. */
#include "store/layout.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

char *layout_path(struct arena *arena, const struct store *store, const char *folder, const char *name)
{
    return arena_printf(arena, "%s/%s/%s", store->root, folder, name);
}

char *layout_fan_path(struct arena *arena, const struct store *store, const char *folder, struct hash128 hash)
{
    char hex[HASH128_HEX];
    hash128_to_hex(hash, hex);
    return arena_printf(arena, "%s/%s/%.2s/%s", store->root, folder, hex, hex + 2);
}

char *layout_flat_path(struct arena *arena, const struct store *store, const char *folder,
                       struct hash128 hash, const char *suffix)
{
    char hex[HASH128_HEX];
    hash128_to_hex(hash, hex);
    return arena_printf(arena, "%s/%s/%s%s", store->root, folder, hex, suffix);
}

static void push_hash(struct layout_hashes *hashes, size_t *capacity, struct arena *arena,
                      struct hash128 hash)
{
    if (hashes->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        struct hash128 *items = ARENA_ARRAY(arena, struct hash128, *capacity);
        if (hashes->count)
            memcpy(items, hashes->items, hashes->count * sizeof *items);
        hashes->items = items;
    }
    hashes->items[hashes->count++] = hash;
}

static bool hash_from_parts(struct hash128 *out, const char *first, const char *second)
{
    char hex[HASH128_HEX];
    if (strlen(first) != 2 || strlen(second) != HASH128_HEX - 3)
        return false;
    memcpy(hex, first, 2);
    memcpy(hex + 2, second, HASH128_HEX - 2);
    return hash128_from_hex(str_from(hex), out);
}

enum status layout_list_fan(struct layout_hashes *out, struct arena *arena, const struct store *store,
                            const char *folder, struct trace *trace)
{
    *out = (struct layout_hashes){0};
    size_t capacity = 0;
    struct disk_names fans, files;
    char *top = arena_printf(arena, "%s/%s", store->root, folder);
    TRY(disk_list(&fans, arena, top, trace));
    for (size_t i = 0; i < fans.count; i++) {
        if (strlen(fans.names[i]) != 2)
            continue;
        TRY(disk_list(&files, arena, arena_printf(arena, "%s/%s", top, fans.names[i]), trace));
        for (size_t j = 0; j < files.count; j++) {
            struct hash128 hash;
            if (hash_from_parts(&hash, fans.names[i], files.names[j]))
                push_hash(out, &capacity, arena, hash);
        }
    }
    return OK;
}

enum status layout_list_flat(struct layout_hashes *out, struct arena *arena, const struct store *store,
                             const char *folder, const char *suffix, struct trace *trace)
{
    *out = (struct layout_hashes){0};
    size_t capacity = 0;
    struct disk_names files;
    TRY(disk_list(&files, arena, arena_printf(arena, "%s/%s", store->root, folder), trace));
    for (size_t i = 0; i < files.count; i++) {
        struct str name = str_from(files.names[i]);
        struct hash128 hash;
        if (name.length == HASH128_HEX - 1 + strlen(suffix) &&
            strcmp(name.data + HASH128_HEX - 1, suffix) == 0 &&
            hash128_from_hex((struct str){name.data, HASH128_HEX - 1}, &hash))
            push_hash(out, &capacity, arena, hash);
    }
    return OK;
}

enum status layout_prepare(const char *path, struct trace *trace)
{
    struct arena scratch = {0};
    enum status s = OK;
    char *directory = arena_printf(&scratch, "%s", path);
    char *slash = strrchr(directory, '/');
    assert(slash);
    *slash = '\0';
    if (!file_exists(directory)) {
        s = directory_create(directory, trace);
        slash = strrchr(directory, '/');
        if (s == OK && slash) {
            *slash = '\0';
            s = disk_sync_directory(directory, trace);
        }
    }
    arena_release(&scratch);
    return s;
}

enum status layout_lock_sweep(int *out_fd, const struct store *store, enum disk_lock lock,
                              struct trace *trace)
{
    struct arena scratch = {0};
    *out_fd = -1;
    if (store->is_looked_at)
        return status_fail(trace, IO, "the store %s was opened only to be looked at", store->root);
    char *path = layout_path(&scratch, store, "locks", "sweep");
    enum status s = layout_prepare(path, trace);
    if (s == OK)
        s = disk_lock_file(out_fd, path, lock, DISK_WAIT, trace);
    arena_release(&scratch);
    if (s != OK)
        trace_add(trace, "while opening the store %s for writing", store->root);
    return s;
}

/* The caller holds the sweep lock shared: without it, gc could take the new file for a stale one before it is
 * locked. */
static enum status open_locked(struct file_writer *out, const struct store *store, struct trace *trace)
{
    struct arena scratch = {0};
    char *path = layout_path(&scratch, store, "tmp", "new");
    enum status s = layout_prepare(path, trace);
    if (s == OK)
        s = file_writer_open(out, path, trace);
    if (s == OK)
        (void)disk_lock_fd(out->fd);
    arena_release(&scratch);
    return s;
}

enum status layout_open_temporary(struct file_writer *out, const struct store *store, struct trace *trace)
{
    int lock;
    *out = (struct file_writer){0};
    enum status s = layout_lock_sweep(&lock, store, DISK_SHARED, trace);
    if (s == OK)
        s = open_locked(out, store, trace);
    disk_close(lock);
    return s;
}

enum status layout_publish(struct file_writer *w, const char *path, struct trace *trace)
{
    TRY(layout_prepare(path, trace));
    /* The writer renames to the path that it finds at commit: only now is the object's name known. */
    char *copy = strdup(path);
    if (!copy)
        BUG("out of memory");
    free(w->path);
    w->path = copy;
    return file_writer_commit(w, trace);
}

enum status layout_write_text(const struct store *store, const char *path, const char *text, size_t length,
                              struct trace *trace)
{
    struct file_writer w = {0};
    int lock;
    enum status s = layout_lock_sweep(&lock, store, DISK_SHARED, trace);
    if (s == OK)
        s = open_locked(&w, store, trace);
    if (s == OK)
        s = file_writer_add(&w, text, length, trace);
    if (s == OK)
        s = layout_publish(&w, path, trace);
    file_writer_release(&w);
    disk_close(lock);
    return s;
}
