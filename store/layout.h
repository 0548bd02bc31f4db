/* Where things are in a store's directory, and how a file gets its name there. For the files of store/ only.
 *
 * Paths are made on the caller's arena. A file is written in tmp/ under an flock that tells gc it is in use,
 * and renamed into its place under a shared hold of the sweep lock; gc holds that lock exclusively. */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "store/disk.h"

struct store {
    char *root;        /* absolute, but for a store that is only looked at and is not there */
    bool is_looked_at; /* nothing is written */
};

char *layout_path(struct arena *arena, const struct store *store, const char *folder, const char *name);
char *layout_fan_path(struct arena *arena, const struct store *store, const char *folder,
                      struct hash128 hash);
char *layout_flat_path(struct arena *arena, const struct store *store, const char *folder,
                       struct hash128 hash, const char *suffix);

/* All hashes that name files in a folder with fan-out, sorted; names of another form are passed over. */
struct layout_hashes {
    struct hash128 *items;
    size_t count;
};
enum status layout_list_fan(struct layout_hashes *out, struct arena *arena, const struct store *store,
                            const char *folder, struct trace *trace) MUST_CHECK;
/* The same for a flat folder of HEX + suffix. */
enum status layout_list_flat(struct layout_hashes *out, struct arena *arena, const struct store *store,
                             const char *folder, const char *suffix, struct trace *trace) MUST_CHECK;

/* Creates the directory that `path` will be in, durably. */
enum status layout_prepare(const char *path, struct trace *trace) MUST_CHECK;

/* Release with disk_close(). */
enum status layout_lock_sweep(int *out_fd, const struct store *store, enum disk_lock lock,
                              struct trace *trace) MUST_CHECK;

/* A temporary; commit it with layout_publish(), or drop it with file_writer_release(). */
enum status layout_open_temporary(struct file_writer *out, const struct store *store,
                                  struct trace *trace) MUST_CHECK;
/* The caller holds the sweep lock. */
enum status layout_publish(struct file_writer *w, const char *path, struct trace *trace) MUST_CHECK;
/* The whole of it for a small text: lock, write, rename. */
enum status layout_write_text(const struct store *store, const char *path, const char *text, size_t length,
                              struct trace *trace) MUST_CHECK;

#endif
