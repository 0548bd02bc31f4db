/* See store/input.h. */
#include "store/input.h"

#include "base/log.h"
#include "store/layout.h"
#include "store/sealed.h"
#include <string.h>
#include <time.h>

struct entry {
    char *path; /* absolute; on an arena */
    struct disk_facts facts;
    struct store_input input;
};

/* Two seconds cover file systems whose clock has whole seconds, and FAT. */
bool input_mtime_is_settled(int64_t mtime_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return mtime_ns < now_ns - 2000000000;
}

static char *entry_path(struct arena *arena, const struct store *store, const char *path)
{
    return layout_flat_path(arena, store, "inputs", hash128_of(path, strlen(path)), "");
}

/* Remembering is a help only: a store that cannot be written to, or a path that is not UTF-8, costs another
 * reading. */
static void write_entry(const struct store *store, const struct entry *e, struct arena *scratch)
{
    char hex[HASH128_HEX];
    if (store->is_looked_at)
        return;
    hash128_to_hex(e->input.xxh3, hex);
    json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:s, s:s}", "path", e->path, "size",
                             (json_int_t)e->facts.size, "mtime_ns", (json_int_t)e->facts.mtime_ns, "inode",
                             (json_int_t)e->facts.inode, "xxh3", hex, "sha256", e->input.sha256);
    struct trace trace = {0};
    if (sealed_write(store, entry_path(scratch, store, e->path), root, &trace) != OK)
        log_detail("the hash of %s is not remembered: %s", e->path, trace.text);
}

/* What cannot be read is no entry: the file is hashed again. */
static bool read_entry(struct entry *out, struct arena *arena, const char *entry_file)
{
    json_t *root;
    const char *path, *xxh3, *sha256;
    json_int_t size, mtime, inode;
    if (sealed_read(&root, entry_file, NULL) != OK)
        return false;
    bool is_good = json_unpack(root, "{s:s, s:I, s:I, s:I, s:s, s:s}", "path", &path, "size", &size,
                               "mtime_ns", &mtime, "inode", &inode, "xxh3", &xxh3, "sha256", &sha256) == 0;
    if (is_good) {
        *out = (struct entry){.path = arena_copy_string(arena, path, strlen(path)),
                              .facts = {.size = (uint64_t)size, .inode = (uint64_t)inode, .mtime_ns = mtime},
                              .input = {.size = (uint64_t)size}};
        is_good = hash128_from_hex(str_from(xxh3), &out->input.xxh3) && strlen(sha256) == SHA256_HEX - 1;
    }
    if (is_good)
        memcpy(out->input.sha256, sha256, SHA256_HEX);
    json_decref(root);
    return is_good;
}

static bool facts_equal(const struct disk_facts *a, const struct disk_facts *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->inode == b->inode;
}

static enum status hash_input(struct store_input *out, const struct store *store, char *path,
                              enum input_check check, struct arena *scratch, struct trace *trace)
{
    struct entry known, now = {.path = path};
    TRY(disk_facts(&now.facts, path, trace));
    bool is_known = read_entry(&known, scratch, entry_path(scratch, store, path)) &&
                    strcmp(known.path, path) == 0 && facts_equal(&known.facts, &now.facts);
    if (is_known && check == INPUT_REMEMBERED) {
        *out = known.input;
        return OK;
    }
    TRY(disk_hash_file(&now.input.xxh3, now.input.sha256, &now.facts, path, trace));
    now.input.size = now.facts.size;
    *out = now.input;
    if (is_known && facts_equal(&known.facts, &now.facts)) {
        if (hash128_equal(known.input.xxh3, now.input.xxh3))
            return OK;
        return status_fail(
            trace, CORRUPT,
            "%s has other bytes than before, with the same size and mtime; touch it if that is meant", path);
    }
    if (input_mtime_is_settled(now.facts.mtime_ns))
        write_entry(store, &now, scratch);
    return OK;
}

enum status store_input_hash(struct store_input *out, const struct store *store, const char *path,
                             enum input_check check, struct trace *trace)
{
    struct arena scratch = {0};
    char *real;
    enum status s = disk_real_path(&real, &scratch, path, trace);
    if (s == OK)
        s = hash_input(out, store, real, check, &scratch, trace);
    if (s != OK)
        trace_add(trace, "while hashing the input %s", path);
    arena_release(&scratch);
    return s;
}

enum status store_input_forget(const struct store *store, const char *absolute_path, struct trace *trace)
{
    struct arena scratch = {0};
    enum status s = disk_remove(entry_path(&scratch, store, absolute_path), trace);
    arena_release(&scratch);
    return s;
}

enum status store_input_each(const struct store *store, input_visitor *visit, void *context,
                             struct trace *trace)
{
    struct arena scratch = {0};
    struct layout_hashes names;
    struct entry e;
    enum status s = layout_list_flat(&names, &scratch, store, "inputs", "", trace);
    for (size_t i = 0; s == OK && i < names.count; i++)
        if (read_entry(&e, &scratch, layout_flat_path(&scratch, store, "inputs", names.items[i], "")))
            s = visit(context, e.path, trace);
    arena_release(&scratch);
    return s;
}
