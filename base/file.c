/* See base/file.h. */
#include "base/file.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { WRITE_BUFFER = 1 << 16, READ_STEP = 1 << 16 };

bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

bool size_multiply(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

enum status file_status(int error)
{
    static const struct {
        int error;
        enum status status;
    } table[] = {{ENOENT, NOT_FOUND},
                 {EISDIR, INVALID},
                 {ENOTDIR, INVALID},
                 {ENAMETOOLONG, INVALID},
                 {ELOOP, INVALID}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].error == error)
            return table[i].status;
    return IO;
}

/* "cannot VERB NAME: reason", from an errno value. */
static enum status failed(struct trace *trace, int error, const char *verb, const char *name)
{
    return status_fail(trace, file_status(error), "cannot %s %s: %s", verb, name, strerror(error));
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (!memory) {
        fprintf(stderr, "espalier: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return memory;
}

/* The two texts one after the other, with `between` when not NUL. */
static char *concatenate(const char *a, size_t a_length, char between, const char *b)
{
    size_t b_length = strlen(b), at = a_length;
    char *whole = allocate(a_length + b_length + 2);
    memcpy(whole, a, a_length);
    if (between)
        whole[at++] = between;
    memcpy(whole + at, b, b_length + 1);
    return whole;
}

char *path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    bool needs_slash = length > 0 && directory[length - 1] != '/';
    return concatenate(directory, length, needs_slash ? '/' : '\0', name);
}

/* Bytes of `path` up to and including its last slash; 0 when it has none. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

char *path_beside(const char *base, const char *relative)
{
    return concatenate(base, relative[0] == '/' ? 0 : directory_length(base), '\0', relative);
}

/* The directory that holds `path`; "." for a bare name. Heap string. */
static char *directory_of(const char *path)
{
    size_t length = directory_length(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length ? concatenate(path, length, '\0', "") : concatenate(".", 1, '\0', "");
}

/* ---- Mapping ---- */

static enum status require_regular(int fd, const char *name, struct stat *out, struct trace *trace)
{
    if (fstat(fd, out) != 0)
        return failed(trace, errno, "inspect", name);
    if (!S_ISREG(out->st_mode))
        return status_fail(trace, INVALID, "cannot open %s: %s, not a regular file", name,
                           S_ISDIR(out->st_mode) ? "a directory" : "a device or a pipe");
    return OK;
}

enum status mapping_open_fd(struct mapping *out, int fd, const char *name, struct trace *trace)
{
    struct stat info;
    enum status status = require_regular(fd, name, &info, trace);
    void *data = NULL;
    if (status == OK && (uint64_t)info.st_size > SIZE_MAX)
        status = status_fail(trace, IO, "cannot map %s: too large for this machine", name);
    if (status == OK && info.st_size > 0) {
        data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
            status = failed(trace, errno, "map", name);
    }
    if (status != OK) {
        close(fd);
        return status;
    }
    *out = (struct mapping){.data = data,
                            .size = (size_t)info.st_size,
                            .fd = fd,
                            .is_open = true,
                            .mtime_ns = info.st_mtim.tv_sec * INT64_C(1000000000) + info.st_mtim.tv_nsec};
    return OK;
}

enum status mapping_open(struct mapping *out, const char *path, struct trace *trace)
{
    /* Not blocking, so that a FIFO is refused instead of waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return failed(trace, errno, "open", path);
    return mapping_open_fd(out, fd, path, trace);
}

void mapping_release(struct mapping *mapping)
{
    if (!mapping->is_open)
        return;
    if (mapping->data)
        munmap((void *)(uintptr_t)mapping->data, mapping->size);
    close(mapping->fd);
    *mapping = (struct mapping){.fd = -1};
}

void mapping_drop(const struct mapping *mapping, size_t offset, size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end;
    if (!mapping->data || offset >= mapping->size || !size_add(offset, length, &end))
        return;
    /* Whole pages inside the range only, but the last page of the file counts as whole. */
    size_t first = (offset + page - 1) / page * page;
    size_t last = end >= mapping->size ? mapping->size : end / page * page;
    if (first < last)
        madvise((void *)(uintptr_t)(mapping->data + first), last - first, MADV_DONTNEED);
}

enum status mapping_check(const struct mapping *mapping, const char *name, struct trace *trace)
{
    struct stat info;
    if (mapping->fd < 0)
        return OK;
    if (fstat(mapping->fd, &info) != 0)
        return failed(trace, errno, "inspect", name);
    if (info.st_size < 0 || (uint64_t)info.st_size < mapping->size)
        return status_fail(trace, IO, "%s was cut short while in use: it had %zu bytes, now %lld", name,
                           mapping->size, (long long)info.st_size);
    return OK;
}

/* ---- Paths that come from a model ---- */

/* Relative, not empty, no NUL, no "..". */
static enum status check_location(struct str location, struct trace *trace)
{
    if (location.length == 0 || location.length >= PATH_MAX || memchr(location.data, '\0', location.length))
        return status_fail(trace, INVALID, "the model names a file by an empty, overlong or broken path");
    if (location.data[0] == '/')
        return status_fail(trace, INVALID,
                           "the model names the file \"" STR_FORMAT "\": the path must be relative",
                           STR_ARGUMENT(location));
    for (size_t start = 0; start < location.length;) {
        const char *slash = memchr(location.data + start, '/', location.length - start);
        size_t end = slash ? (size_t)(slash - location.data) : location.length;
        if (str_is((struct str){location.data + start, end - start}, ".."))
            return status_fail(trace, INVALID,
                               "the model names the file \"" STR_FORMAT "\": \"..\" is not allowed",
                               STR_ARGUMENT(location));
        start = end + 1;
    }
    return OK;
}

/* What the kernel says an open descriptor is: a path without links. */
static bool real_path_of(int fd, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    if (length <= 0)
        return false;
    out[length] = '\0';
    return out[0] == '/';
}

static bool is_inside(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    if (strcmp(directory, "/") == 0)
        return true;
    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static bool is_directly_inside(const char *path, const char *directory)
{
    size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    return is_inside(path, directory) && !strchr(path + length + 1, '/');
}

/* Where a model's files may be, both without links. */
struct model_place {
    char given[PATH_MAX];  /* the directory of the path we were given; anywhere below it */
    char actual[PATH_MAX]; /* the directory of the file that it leads to, "" when the same; directly inside */
};

static enum status find_place(struct model_place *out, const char *model_path, struct trace *trace)
{
    char *directory = directory_of(model_path);
    const char *found = realpath(directory, out->given);
    int error = errno;
    free(directory);
    if (!found)
        return failed(trace, error, "find the directory of", model_path);
    if (!realpath(model_path, out->actual))
        return failed(trace, errno, "find", model_path);
    char *slash = strrchr(out->actual, '/');
    slash[slash == out->actual] = '\0';
    if (strcmp(out->actual, out->given) == 0)
        out->actual[0] = '\0';
    return OK;
}

/* Opens `path`, whose real place must be allowed. First without reading rights, which has no effect on
 * devices and FIFOs, so that nothing outside is touched; then the very same file for reading. */
static enum status open_if_allowed(int *out_fd, const struct model_place *place, const char *path,
                                   struct trace *trace)
{
    char actual[PATH_MAX], link[64];
    struct stat info;
    int handle = open(path, O_PATH | O_CLOEXEC);
    if (handle < 0)
        return failed(trace, errno, "open", path);
    enum status status = OK;
    if (!real_path_of(handle, actual))
        status = status_fail(trace, IO, "cannot tell where %s really is: /proc is needed", path);
    else if (!is_inside(actual, place->given) &&
             !(place->actual[0] && is_directly_inside(actual, place->actual)))
        status = status_fail(trace, INVALID, "%s leads out of the directory of the model", path);
    else
        status = require_regular(handle, path, &info, trace);
    if (status == OK) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
        *out_fd = open(link, O_RDONLY | O_CLOEXEC);
        if (*out_fd < 0)
            status = failed(trace, errno, "open", path);
    }
    close(handle);
    return status;
}

enum status file_open_contained(int *out_fd, const char *model_path, struct str location, struct trace *trace)
{
    struct model_place place;
    TRY(check_location(location, trace));
    TRY(find_place(&place, model_path, trace));
    char name[PATH_MAX];
    memcpy(name, location.data, location.length);
    name[location.length] = '\0';

    char *path = path_join(place.given, name);
    enum status status = open_if_allowed(out_fd, &place, path, trace);
    free(path);
    if (status == NOT_FOUND && place.actual[0] && !strchr(name, '/')) {
        path = path_join(place.actual, name);
        if (file_exists(path))
            status = open_if_allowed(out_fd, &place, path, trace);
        free(path);
    }
    return status;
}

/* ---- Reading ---- */

enum status file_read(struct builder *out, const char *path, size_t limit, struct trace *trace)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed(trace, errno, "open", path);
    char *step = allocate(READ_STEP);
    enum status status = OK;
    builder_add(out, "", 0);
    size_t before = out->length;
    for (;;) {
        ssize_t got = read(fd, step, READ_STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = failed(trace, errno, "read", path);
        else if ((size_t)got > limit - (out->length - before))
            status = status_fail(trace, INVALID, "%s is larger than the %zu bytes allowed", path, limit);
        if (got <= 0 || status != OK)
            break;
        builder_add(out, step, (size_t)got);
    }
    free(step);
    close(fd);
    return status;
}

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

enum status file_space(uint64_t *out, const char *path, struct trace *trace)
{
    struct statvfs info;
    char *place = concatenate(path, strlen(path), '\0', "");
    int result = statvfs(place, &info);
    /* A path that is still to be made: the nearest directory above it. */
    while (result != 0 && errno == ENOENT && strcmp(place, ".") != 0 && strcmp(place, "/") != 0) {
        char *above = directory_of(place);
        free(place);
        place = above;
        result = statvfs(place, &info);
    }
    enum status status = result == 0 ? OK : failed(trace, errno, "find the free space of", path);
    free(place);
    if (status == OK && __builtin_mul_overflow((uint64_t)info.f_bavail, (uint64_t)info.f_frsize, out))
        *out = UINT64_MAX;
    return status;
}

/* ---- Writing ---- */

/* A name of its own beside the path: PATH.PID-N.tmp. O_EXCL decides, so other machines may share the
 * directory. */
static int open_temporary(char **out_name, const char *path)
{
    enum { TRIES = 1000 };
    for (int i = 0; i < TRIES; i++) {
        char suffix[64];
        snprintf(suffix, sizeof suffix, ".%ld-%d.tmp", (long)getpid(), i);
        *out_name = concatenate(path, strlen(path), '\0', suffix);
        int fd = open(*out_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        int error = errno;
        if (fd >= 0)
            return fd;
        free(*out_name);
        *out_name = NULL;
        errno = error;
        if (error != EEXIST)
            break;
    }
    return -1;
}

enum status file_writer_open(struct file_writer *out, const char *path, struct trace *trace)
{
    struct stat there;
    char *temporary;
    /* Renaming over a device or a pipe would remove it. */
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode) && !S_ISDIR(there.st_mode))
        return status_fail(trace, INVALID, "cannot write %s: it is a device or a pipe, expected a file",
                           path);
    int fd = open_temporary(&temporary, path);
    if (fd < 0)
        return failed(trace, errno, "write", path);
    *out = (struct file_writer){.fd = fd,
                                .is_open = true,
                                .path = concatenate(path, strlen(path), '\0', ""),
                                .temporary = temporary,
                                .buffer = allocate(WRITE_BUFFER)};
    return OK;
}

/* Writes everything, or keeps the error in the writer. */
static void write_through(struct file_writer *w, const uint8_t *bytes, size_t length)
{
    while (length > 0 && !w->error) {
        ssize_t done = write(w->fd, bytes, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            w->error = done < 0 ? errno : EIO;
            return;
        }
        bytes += done;
        length -= (size_t)done;
    }
}

static void flush(struct file_writer *w)
{
    write_through(w, w->buffer, w->buffered);
    w->buffered = 0;
}

enum status file_writer_add(struct file_writer *w, const void *bytes, size_t length, struct trace *trace)
{
    assert(w->is_open);
    if (length > WRITE_BUFFER - w->buffered)
        flush(w);
    if (length >= WRITE_BUFFER) {
        write_through(w, bytes, length);
    } else if (length > 0) {
        memcpy(w->buffer + w->buffered, bytes, length);
        w->buffered += length;
    }
    if (w->error)
        return failed(trace, w->error, "write", w->path);
    w->written += length;
    return OK;
}

/* Makes a rename in the directory of `path` lasting. */
static enum status sync_directory(const char *path, struct trace *trace)
{
    char *directory = directory_of(path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status status = OK;
    /* EINVAL: a file system that cannot sync directories. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        status = failed(trace, errno, "sync the directory", directory);
    if (fd >= 0)
        close(fd);
    free(directory);
    return status;
}

/* Closes and frees, leaving the temporary file where it is. */
static void forget(struct file_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w->temporary);
    free(w->buffer);
    *w = (struct file_writer){.fd = -1};
}

enum status file_writer_commit(struct file_writer *w, struct trace *trace)
{
    assert(w->is_open);
    flush(w);
    if (!w->error && fsync(w->fd) != 0)
        w->error = errno;
    if (!w->error) {
        /* Some file systems report a full disk only here. */
        int closed = close(w->fd);
        w->fd = -1;
        if (closed != 0)
            w->error = errno;
    }
    if (!w->error && rename(w->temporary, w->path) != 0)
        w->error = errno;
    if (w->error)
        return failed(trace, w->error, "write", w->path);
    enum status status = sync_directory(w->path, trace);
    forget(w);
    return status;
}

void file_writer_release(struct file_writer *w)
{
    if (!w->is_open)
        return;
    unlink(w->temporary);
    forget(w);
}

enum status file_write(const char *path, const void *bytes, size_t length, struct trace *trace)
{
    struct file_writer writer = {0};
    enum status status = file_writer_open(&writer, path, trace);
    if (status == OK)
        status = file_writer_add(&writer, bytes, length, trace);
    if (status == OK)
        status = file_writer_commit(&writer, trace);
    file_writer_release(&writer);
    return status;
}

/* ---- Directories ---- */

/* One directory whose parent exists. Another process making it at the same time is fine. */
static enum status create_one(const char *path, struct trace *trace)
{
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return OK;
    int error = errno;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return OK;
    return failed(trace, error, "create the directory", path);
}

enum status directory_create(const char *path, struct trace *trace)
{
    char *prefix = concatenate(path, strlen(path), '\0', "");
    enum status status = OK;
    for (char *slash = strchr(prefix + (prefix[0] == '/'), '/'); slash && status == OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (*prefix)
            status = create_one(prefix, trace);
        *slash = '/';
    }
    if (status == OK)
        status = create_one(prefix, trace);
    free(prefix);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum status directory_remove(const char *path, struct trace *trace)
{
    enum { OPEN_DIRECTORIES = 16 };
    /* Children first; links are removed, never followed. */
    if (nftw(path, remove_entry, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return OK;
    return failed(trace, errno, "remove", path);
}

/* Where directories cannot be exchanged: the old one makes room for a moment. */
static enum status replace_in_steps(const char *path, const char *made, struct trace *trace)
{
    char *aside = concatenate(made, strlen(made), '.', "old");
    enum status status = OK;
    if (rename(path, aside) != 0) {
        status = failed(trace, errno, "replace", path);
    } else if (rename(made, path) != 0) {
        status = failed(trace, errno, "replace", path);
        if (rename(aside, path) != 0)
            trace_add(trace, "what was at %s is now at %s", path, aside);
    } else {
        status = directory_remove(aside, trace);
    }
    free(aside);
    return status;
}

enum status directory_replace(const char *path, const char *made, struct trace *trace)
{
    enum status status = OK;
    if (rename(made, path) != 0) {
        if (errno != ENOTEMPTY && errno != EEXIST)
            return failed(trace, errno, "replace", path);
        if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
            status = directory_remove(made, trace);
        else if (errno == EINVAL || errno == ENOSYS)
            status = replace_in_steps(path, made, trace);
        else
            status = failed(trace, errno, "replace", path);
    }
    return status == OK ? sync_directory(path, trace) : status;
}
