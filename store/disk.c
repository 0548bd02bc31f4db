/* File system calls of the store; see disk.h. */
#include "store/disk.h"

#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status fail_errno(struct trace *trace, const char *verb, const char *path)
{
    int error = errno;
    return status_fail(trace, file_status(error), "cannot %s %s: %s", verb, path, strerror(error));
}

static void read_facts(struct disk_facts *out, const struct stat *st)
{
    *out = (struct disk_facts){
        .size = (uint64_t)st->st_size,
        .inode = (uint64_t)st->st_ino,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .is_directory = S_ISDIR(st->st_mode),
        .is_regular = S_ISREG(st->st_mode),
    };
}

enum status disk_facts(struct disk_facts *out, const char *path, struct trace *trace)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail_errno(trace, "look at", path);
    read_facts(out, &st);
    return OK;
}

enum status disk_facts_fd(struct disk_facts *out, int fd, const char *name, struct trace *trace)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_errno(trace, "look at", name);
    read_facts(out, &st);
    return OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status disk_list(struct disk_names *out, struct arena *arena, const char *directory, struct trace *trace)
{
    *out = (struct disk_names){0};
    DIR *stream = opendir(directory);
    if (!stream)
        return errno == ENOENT ? OK : fail_errno(trace, "list", directory);
    size_t capacity = 0;
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (out->count == capacity) {
            size_t room = capacity ? capacity * 2 : 16;
            char **names = ARENA_ARRAY(arena, char *, room);
            if (out->count)
                memcpy(names, out->names, out->count * sizeof *names);
            out->names = names;
            capacity = room;
        }
        out->names[out->count++] = arena_copy_string(arena, entry->d_name, strlen(entry->d_name));
        errno = 0;
    }
    enum status s = errno ? fail_errno(trace, "list", directory) : OK;
    closedir(stream);
    if (out->count)
        qsort(out->names, out->count, sizeof *out->names, compare_names);
    return s;
}

enum { READ_CHUNK = 1 << 20 };

static enum status hash_descriptor(struct hasher *hasher, struct sha256 *sha, uint64_t *length, int fd,
                                   const char *path, struct trace *trace)
{
    uint8_t *chunk = malloc(READ_CHUNK);
    if (!chunk)
        BUG("out of memory");
    enum status s = OK;
    *length = 0;
    for (;;) {
        ssize_t got = read(fd, chunk, READ_CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            s = fail_errno(trace, "read", path);
        if (got <= 0)
            break;
        hasher_update(hasher, chunk, (size_t)got);
        if (sha)
            sha256_update(sha, chunk, (size_t)got);
        *length += (uint64_t)got;
    }
    free(chunk);
    return s;
}

enum status disk_hash_file(struct hash128 *out, char sha256[SHA256_HEX], struct disk_facts *facts,
                           const char *path, struct trace *trace)
{
    /* Not blocking, so that a FIFO is refused instead of waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(trace, "open", path);
    struct hasher *hasher = hasher_create();
    struct sha256 *sha = sha256 ? sha256_create() : NULL;
    struct disk_facts after = {0};
    uint64_t length = 0;
    enum status s = disk_facts_fd(facts, fd, path, trace);
    if (s == OK && !facts->is_regular)
        s = status_fail(trace, INVALID, "%s is not a regular file", path);
    if (s == OK)
        s = hash_descriptor(hasher, sha, &length, fd, path, trace);
    if (s == OK)
        s = disk_facts_fd(&after, fd, path, trace);
    if (s == OK && (length != facts->size || after.size != facts->size || after.mtime_ns != facts->mtime_ns))
        s = status_fail(trace, IO, "%s changed while it was read", path);
    if (s == OK) {
        *out = hasher_finish(hasher);
        if (sha)
            sha256_finish(sha, sha256);
    }
    sha256_destroy(sha);
    hasher_destroy(hasher);
    close(fd);
    return s;
}

enum status disk_remove(const char *path, struct trace *trace)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return fail_errno(trace, "remove", path);
    return OK;
}

enum status disk_move(const char *from, const char *to, struct trace *trace)
{
    if (rename(from, to) != 0)
        return fail_errno(trace, "move", from);
    return OK;
}

enum status disk_touch(const char *path, struct trace *trace)
{
    if (utimensat(AT_FDCWD, path, NULL, 0) != 0)
        return fail_errno(trace, "touch", path);
    return OK;
}

enum status disk_sync_directory(const char *path, struct trace *trace)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(trace, "open", path);
    enum status s = OK;
    /* EINVAL: a file system that cannot sync directories. */
    if (fsync(fd) != 0 && errno != EINVAL)
        s = fail_errno(trace, "sync", path);
    close(fd);
    return s;
}

enum status disk_real_path(char **out, struct arena *arena, const char *path, struct trace *trace)
{
    char *real = realpath(path, NULL);
    if (!real)
        return fail_errno(trace, "find", path);
    *out = arena_copy_string(arena, real, strlen(real));
    free(real);
    return OK;
}

enum status disk_lock_file(int *out_fd, const char *path, enum disk_lock lock, enum disk_wait wait,
                           struct trace *trace)
{
    *out_fd = -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(trace, "open", path);
    int operation = (lock == DISK_SHARED ? LOCK_SH : LOCK_EX) | (wait == DISK_TRY ? LOCK_NB : 0);
    int result;
    do
        result = flock(fd, operation);
    while (result != 0 && errno == EINTR);
    if (result == 0) {
        *out_fd = fd;
        return OK;
    }
    enum status s = errno == EWOULDBLOCK ? OK : fail_errno(trace, "lock", path);
    close(fd);
    return s;
}

bool disk_lock_fd(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

bool disk_same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

enum status disk_overwrite(int fd, const char *text, size_t length, const char *name, struct trace *trace)
{
    if (ftruncate(fd, 0) != 0)
        return fail_errno(trace, "write", name);
    for (size_t done = 0; done < length;) {
        ssize_t wrote = pwrite(fd, text + done, length - done, (off_t)done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return fail_errno(trace, "write", name);
        done += (size_t)wrote;
    }
    return OK;
}

void disk_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
