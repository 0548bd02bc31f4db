/* See store/stage_lock.h. */
#include "store/stage_lock.h"

#include "base/log.h"
#include "store/disk.h"
#include "store/id.h"
#include "store/layout.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_LIMIT = 64 << 20, POLL_NS = 100000000 };

/* The text is "pid N", "started NS", and the ids in use, each in a line. The start is the lock file's own
 * mtime after its first writing, so that it compares with the mtimes of objects on the same file system. */
static enum status write_start(struct stage_lock *lock, struct trace *trace)
{
    struct disk_facts facts;
    builder_printf(&lock->text, "pid %ld\n", (long)getpid());
    TRY(disk_overwrite(lock->fd, lock->text.data, lock->text.length, lock->path, trace));
    TRY(disk_facts_fd(&facts, lock->fd, lock->path, trace));
    builder_printf(&lock->text, "started %" PRId64 "\n", facts.mtime_ns);
    return disk_overwrite(lock->fd, lock->text.data, lock->text.length, lock->path, trace);
}

/* The value of the line "WORD VALUE"; 0 when there is none. */
static int64_t find_line(const struct builder *text, const char *word)
{
    char *line = strstr(builder_text(text), word);
    int64_t value = 0;
    if (!line)
        return 0;
    line += strlen(word);
    if (!str_to_i64((struct str){line, strcspn(line, "\n")}, &value))
        return 0;
    return value;
}

static void read_holder(struct stage_lock *lock)
{
    struct builder text = {0};
    if (file_read(&text, lock->path, LOCK_LIMIT, NULL) == OK)
        lock->holder = find_line(&text, "pid ");
    builder_release(&text);
}

static enum status take(struct stage_lock *lock, struct trace *trace)
{
    for (;;) {
        TRY(disk_lock_file(&lock->fd, lock->path, DISK_EXCLUSIVE, DISK_TRY, trace));
        if (lock->fd < 0) {
            read_holder(lock);
            return OK;
        }
        /* The holder before us may have removed the file between our opening it and our lock. */
        if (disk_same_file(lock->fd, lock->path))
            break;
        disk_close(lock->fd);
    }
    lock->is_held = true;
    return write_start(lock, trace);
}

enum status stage_lock_try(struct stage_lock *out, const struct store *store, struct hash128 key,
                           struct trace *trace)
{
    struct arena scratch = {0};
    int sweep;
    char *path = layout_flat_path(&scratch, store, "locks", key, "");
    *out = (struct stage_lock){.store = store, .fd = -1, .path = strdup(path)};
    enum status s = layout_lock_sweep(&sweep, store, DISK_SHARED, trace);
    if (s == OK)
        s = take(out, trace);
    disk_close(sweep);
    if (s != OK)
        stage_lock_release(out);
    arena_release(&scratch);
    return s;
}

enum status stage_lock_wait(struct stage_lock *out, const struct store *store, struct hash128 key,
                            const volatile sig_atomic_t *stop, struct trace *trace)
{
    for (bool said = false;;) {
        TRY(stage_lock_try(out, store, key, trace));
        if (out->is_held)
            return OK;
        if (!said)
            log_note("process %" PRId64 " is running this stage; waiting for its result", out->holder);
        said = true;
        stage_lock_release(out);
        if (stop && *stop)
            return status_fail(trace, INTERRUPTED, "interrupted while waiting for another process");
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
}

enum status stage_lock_use(struct stage_lock *lock, struct hash128 id, struct trace *trace)
{
    assert(lock->is_held);
    char text[STORE_ID_TEXT];
    int sweep;
    store_id_to_text(id, text);
    if (strstr(builder_text(&lock->text), text))
        return OK;
    builder_printf(&lock->text, "%s\n", text);
    TRY(layout_lock_sweep(&sweep, lock->store, DISK_SHARED, trace));
    enum status s = disk_overwrite(lock->fd, lock->text.data, lock->text.length, lock->path, trace);
    disk_close(sweep);
    return s;
}

void stage_lock_release(struct stage_lock *lock)
{
    if (lock->is_held) {
        /* Removed while it is ours; a failure leaves a file without a holder, which gc removes. */
        (void)!disk_remove(lock->path, NULL);
        disk_close(lock->fd);
    }
    free(lock->path);
    builder_release(&lock->text);
    *lock = (struct stage_lock){.fd = -1};
}

/* ---- For gc ---- */

static enum status read_running(struct stage_lock_summary *out, struct arena *arena, const char *path,
                                struct hash128 key, struct trace *trace)
{
    struct builder text = {0};
    enum status s = file_read(&text, path, LOCK_LIMIT, trace);
    if (s == OK) {
        /* Without a start (the disk was full) nothing is old enough to go. */
        int64_t started = find_line(&text, "started ");
        if (started < out->oldest_ns)
            out->oldest_ns = started;
        *VEC_PUSH(arena, &out->keys) = key;
        struct str all = {builder_text(&text), text.length};
        struct hash128 id;
        for (size_t at = 0; store_id_scan(&id, all, &at);)
            *VEC_PUSH(arena, &out->used) = id;
    }
    builder_release(&text);
    /* Its stage ended just now. */
    return s == NOT_FOUND ? OK : s;
}

enum status stage_lock_summarise(struct stage_lock_summary *out, struct arena *arena,
                                 const struct store *store, struct trace *trace)
{
    struct layout_hashes locks;
    *out = (struct stage_lock_summary){.oldest_ns = INT64_MAX};
    TRY(layout_list_flat(&locks, arena, store, "locks", "", trace));
    for (size_t i = 0; i < locks.count; i++) {
        char *path = layout_flat_path(arena, store, "locks", locks.items[i], "");
        int fd;
        TRY(disk_lock_file(&fd, path, DISK_EXCLUSIVE, DISK_TRY, trace));
        if (fd < 0) {
            TRY(read_running(out, arena, path, locks.items[i], trace));
            continue;
        }
        enum status s = disk_remove(path, trace);
        disk_close(fd);
        TRY(s);
    }
    return OK;
}
