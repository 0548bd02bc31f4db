/* Files: mapping for reading, writing by temporary file, sync and rename, containment of paths that come from
 * a model. errno is read at the failing call and becomes a status with strerror's text. Sizes and offsets are
 * 64-bit. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/status.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an errno value means: NOT_FOUND (ENOENT), INVALID when the path cannot name what was asked for (a
 * directory in place of a file, or the other way round, a name too long, links in a circle), else IO. */
enum status file_status(int error);

/* A file mapped read-only and shared, so its pages stay the kernel's and can be dropped. */
struct mapping {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
    int fd;           /* kept open; -1 in a zeroed-then-released mapping */
    bool is_open;     /* false in zeroed memory */
    int64_t mtime_ns; /* when opened */
};

enum status mapping_open(struct mapping *out, const char *path, struct trace *trace) MUST_CHECK;
/* Takes over fd (closing it on failure); `name` is for messages. Regular files only. */
enum status mapping_open_fd(struct mapping *out, int fd, const char *name, struct trace *trace) MUST_CHECK;
void mapping_release(struct mapping *mapping); /* accepts zeroed memory */
/* Tells the kernel that [offset, offset + length) will not be read again soon: keeps resident memory low. */
void mapping_drop(const struct mapping *mapping, size_t offset, size_t length);
/* IO when the file has been truncated below the mapped size since it was opened. A mapping whose descriptor
 * was closed (fd is -1: objects of a store, which never change) cannot be checked and passes. */
enum status mapping_check(const struct mapping *mapping, const char *name, struct trace *trace) MUST_CHECK;

/* Opens `location` (from an untrusted model) for reading, inside the directory of `model_path`: relative,
 * no "..", no escape by symbolic link; when the model itself was reached through a symbolic link, files
 * directly beside the real file are accepted too (Hugging Face cache). Regular files only. */
enum status file_open_contained(int *out_fd, const char *model_path, struct str location,
                                struct trace *trace) MUST_CHECK;

/* The whole file as NUL-terminated text into `out` (release it); INVALID when larger than `limit`. */
enum status file_read(struct builder *out, const char *path, size_t limit, struct trace *trace) MUST_CHECK;

/* A file that appears whole or not at all: written beside its place under a temporary name (O_EXCL), synced,
 * renamed over it, its directory synced. Write errors stick and are reported by commit as well. */
struct file_writer {
    int fd;
    bool is_open; /* false in zeroed memory */
    char *path, *temporary;
    uint64_t written;
    uint8_t *buffer;
    size_t buffered;
    int error; /* errno of the first write that failed, else 0 */
};
/* INVALID when the path is a device or a pipe, which is never replaced. */
enum status file_writer_open(struct file_writer *out, const char *path, struct trace *trace) MUST_CHECK;
enum status file_writer_add(struct file_writer *w, const void *bytes, size_t length,
                            struct trace *trace) MUST_CHECK;
enum status file_writer_commit(struct file_writer *w, struct trace *trace) MUST_CHECK;
void file_writer_release(
    struct file_writer *w); /* removes the temporary when not committed; accepts zeroed */

/* One-shot forms. */
enum status file_write(const char *path, const void *bytes, size_t length, struct trace *trace) MUST_CHECK;
enum status directory_create(const char *path,
                             struct trace *trace) MUST_CHECK; /* and its parents; existing is OK */
enum status directory_remove(const char *path,
                             struct trace *trace) MUST_CHECK; /* recursively; absent is OK */
/* Puts the directory `made` in the place `path` (both on one file system) in one step where the kernel can;
 * what was there is removed recursively. On failure `made` is still where it was, and `path` too. */
enum status directory_replace(const char *path, const char *made, struct trace *trace) MUST_CHECK;
bool file_exists(const char *path);
/* Bytes free for us on the file system of `path`. */
enum status file_space(uint64_t *out, const char *path, struct trace *trace) MUST_CHECK;

/* path = directory of `base` + "/" + relative, or `relative` when absolute; heap string, free it. */
char *path_beside(const char *base, const char *relative);
char *path_join(const char *directory, const char *name);

/* Checked arithmetic for sizes that come from files: false on overflow. */
bool size_add(size_t a, size_t b, size_t *out);
bool size_multiply(size_t a, size_t b, size_t *out);

#endif
