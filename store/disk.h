/* What the store asks of the file system beyond base/file.h: listing, facts of a file, locks, moving,
 * removing. errno is read at the failing call and becomes a status (base/file.h) with strerror's text. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_facts {
    uint64_t size, inode;
    int64_t mtime_ns;
    bool is_directory, is_regular;
};

enum status disk_facts(struct disk_facts *out, const char *path, struct trace *trace) MUST_CHECK;
enum status disk_facts_fd(struct disk_facts *out, int fd, const char *name, struct trace *trace) MUST_CHECK;

/* The names in a directory without "." and "..", in bytewise order. A directory that is not there is empty.
 */
struct disk_names {
    char **names;
    size_t count;
};
enum status disk_list(struct disk_names *out, struct arena *arena, const char *directory,
                      struct trace *trace) MUST_CHECK;

/* XXH3-128 and, unless sha256 is NULL, SHA-256 of a file, and its facts; IO when it changes meanwhile. Reads,
 * does not map: a file of the user's may be truncated under us. */
enum status disk_hash_file(struct hash128 *out, char sha256[SHA256_HEX], struct disk_facts *facts,
                           const char *path, struct trace *trace) MUST_CHECK;

enum status disk_remove(const char *path, struct trace *trace) MUST_CHECK; /* a file; absent is OK */
enum status disk_move(const char *from, const char *to, struct trace *trace) MUST_CHECK;
enum status disk_touch(const char *path,
                       struct trace *trace) MUST_CHECK; /* mtime = now, by the file system's clock */
enum status disk_sync_directory(const char *path, struct trace *trace) MUST_CHECK;
/* Absolute, without symbolic links; on the arena. */
enum status disk_real_path(char **out, struct arena *arena, const char *path, struct trace *trace) MUST_CHECK;

enum disk_lock { DISK_SHARED, DISK_EXCLUSIVE };
enum disk_wait { DISK_WAIT, DISK_TRY };
/* Opens (creating it) and flocks a file; the lock ends when the descriptor is closed or the process dies.
 * With DISK_TRY, *out_fd is -1 when another holder is in the way. */
enum status disk_lock_file(int *out_fd, const char *path, enum disk_lock lock, enum disk_wait wait,
                           struct trace *trace) MUST_CHECK;
bool disk_lock_fd(int fd); /* exclusively, without waiting; false when another holder is in the way */
bool disk_same_file(int fd, const char *path); /* does `path` still name the file that fd is? */
enum status disk_overwrite(int fd, const char *text, size_t length, const char *name,
                           struct trace *trace) MUST_CHECK;
void disk_close(int fd); /* accepts -1 */

#endif
