/* See store/gc.h. Keys go before objects, so that a gc that is killed leaves no key without its result. */
#include "store/gc.h"

#include "store/disk.h"
#include "store/input.h"
#include "store/key.h"
#include "store/layout.h"
#include "store/mark.h"
#include "store/ref.h"
#include "store/stage_lock.h"
#include <time.h>

struct gc {
    const struct store *store;
    struct gc_options options;
    struct gc_report *report;
    struct stage_lock_summary running;
    struct mark mark;
    VEC(struct hash128) forgotten; /* keys that go */
    struct arena arena;
};

static bool is_running(const struct gc *gc, struct hash128 key)
{
    for (uint32_t i = 0; i < gc->running.keys.count; i++)
        if (hash128_equal(gc->running.keys.items[i], key))
            return true;
    return false;
}

/* ---- Marking ---- */

static enum status mark_roots(struct gc *gc, struct trace *trace)
{
    struct store_refs refs;
    TRY(store_ref_list(&refs, &gc->arena, gc->store, trace));
    for (uint32_t i = 0; i < refs.names.count; i++) {
        struct hash128 id;
        TRY(store_ref_find(&id, gc->store, refs.names.items[i], trace));
        TRY_WITH(trace, mark_from(&gc->mark, id, trace), "while following the ref \"%s\"",
                 refs.names.items[i]);
    }
    for (uint32_t i = 0; i < gc->running.used.count; i++)
        TRY_WITH(trace, mark_from(&gc->mark, gc->running.used.items[i], trace),
                 "while following a running stage");
    return OK;
}

/* Are the result of the key, or all of its outputs, reached from the roots? */
static enum status is_reached(bool *out, struct gc *gc, struct hash128 result_id, struct trace *trace)
{
    struct store_result result;
    *out = mark_is_reached(&gc->mark, result_id);
    if (*out || !store_has_object(gc->store, result_id))
        return OK;
    TRY(store_result_read(&result, &gc->arena, gc->store, result_id, trace));
    *out = result.outputs.count > 0;
    for (uint32_t i = 0; i < result.outputs.count; i++)
        *out &= mark_is_reached(&gc->mark, result.outputs.items[i].id);
    return OK;
}

static enum status is_young(bool *out, const struct gc *gc, const char *path, struct trace *trace)
{
    struct disk_facts facts;
    TRY(disk_facts(&facts, path, trace));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t days = gc->options.unused_days;
    int64_t unused_seconds = (int64_t)now.tv_sec - facts.mtime_ns / 1000000000;
    bool is_used = gc->options.keys == GC_KEEP_KEYS &&
                   (days == 0 || unused_seconds < 0 || (uint64_t)unused_seconds / 86400 < days);
    *out = is_used || facts.mtime_ns >= gc->running.oldest_ns;
    return OK;
}

/* Decides about every key before marking from any: a key is not to be kept because of another that is. */
static enum status mark_keys(struct gc *gc, struct trace *trace)
{
    struct layout_hashes keys;
    VEC(struct hash128) kept = {0};
    TRY(layout_list_fan(&keys, &gc->arena, gc->store, "keys", trace));
    for (size_t i = 0; i < keys.count; i++) {
        struct hash128 result;
        bool is_kept;
        char *path = layout_fan_path(&gc->arena, gc->store, "keys", keys.items[i]);
        TRY(store_key_read(&result, gc->store, keys.items[i], trace));
        TRY(is_young(&is_kept, gc, path, trace));
        if (!is_kept)
            TRY(is_reached(&is_kept, gc, result, trace));
        if (is_kept)
            *VEC_PUSH(&gc->arena, &kept) = result;
        else
            *VEC_PUSH(&gc->arena, &gc->forgotten) = keys.items[i];
    }
    for (uint32_t i = 0; i < kept.count; i++)
        TRY_WITH(trace, mark_from(&gc->mark, kept.items[i], trace), "while following the results of stages");
    return OK;
}

/* ---- Removing ---- */

static enum status sweep_keys(struct gc *gc, struct trace *trace)
{
    gc->report->keys = gc->forgotten.count;
    for (uint32_t i = 0; gc->options.mode == GC_REMOVE && i < gc->forgotten.count; i++) {
        struct hash128 key = gc->forgotten.items[i];
        TRY(disk_remove(layout_fan_path(&gc->arena, gc->store, "keys", key), trace));
        TRY(disk_remove(layout_flat_path(&gc->arena, gc->store, "records", key, ".json"), trace));
        TRY(disk_remove(layout_flat_path(&gc->arena, gc->store, "records", key, ".steps.jsonl"), trace));
    }
    return OK;
}

static enum status sweep_objects(struct gc *gc, const char *folder, uint64_t *count, uint64_t *bytes,
                                 struct trace *trace)
{
    for (size_t i = 0; i < gc->mark.count; i++) {
        struct arena scratch = {0};
        struct disk_facts facts;
        char *path = layout_fan_path(&scratch, gc->store, folder, gc->mark.ids[i]);
        enum status s = gc->mark.reached[i] ? NOT_FOUND : disk_facts(&facts, path, trace);
        if (s == OK && facts.mtime_ns < gc->running.oldest_ns) {
            *count += 1;
            *bytes += facts.size;
            if (gc->options.mode == GC_REMOVE)
                s = disk_remove(path, trace);
        }
        arena_release(&scratch);
        if (s != OK && s != NOT_FOUND)
            return s;
    }
    return OK;
}

/* A temporary that no process holds. */
static enum status sweep_temporaries(struct gc *gc, struct trace *trace)
{
    struct disk_names files;
    TRY(disk_list(&files, &gc->arena, layout_path(&gc->arena, gc->store, "tmp", ""), trace));
    for (size_t i = 0; i < files.count; i++) {
        char *path = layout_path(&gc->arena, gc->store, "tmp", files.names[i]);
        int fd;
        TRY(disk_lock_file(&fd, path, DISK_EXCLUSIVE, DISK_TRY, trace));
        if (fd < 0)
            continue;
        gc->report->temporaries++;
        enum status s = gc->options.mode == GC_REMOVE ? disk_remove(path, trace) : OK;
        disk_close(fd);
        TRY(s);
    }
    return OK;
}

/* Of stages that are done. */
static enum status sweep_checkpoints(struct gc *gc, struct trace *trace)
{
    struct layout_hashes keys;
    TRY(layout_list_flat(&keys, &gc->arena, gc->store, "checkpoints", "", trace));
    for (size_t i = 0; i < keys.count; i++) {
        char *key_path = layout_fan_path(&gc->arena, gc->store, "keys", keys.items[i]);
        if (is_running(gc, keys.items[i]) || !file_exists(key_path))
            continue;
        gc->report->checkpoints++;
        char *path = layout_flat_path(&gc->arena, gc->store, "checkpoints", keys.items[i], "");
        if (gc->options.mode == GC_REMOVE)
            TRY(directory_remove(path, trace));
    }
    return OK;
}

static enum status forget_absent_input(void *context, const char *path, struct trace *trace)
{
    struct gc *gc = context;
    if (file_exists(path))
        return OK;
    gc->report->inputs++;
    return gc->options.mode == GC_REMOVE ? store_input_forget(gc->store, path, trace) : OK;
}

static enum status collect(struct gc *gc, struct trace *trace)
{
    uint64_t locator_bytes = 0;
    TRY(stage_lock_summarise(&gc->running, &gc->arena, gc->store, trace));
    TRY(mark_init(&gc->mark, gc->store, trace));
    TRY(mark_roots(gc, trace));
    TRY(mark_keys(gc, trace));
    TRY(sweep_keys(gc, trace));
    TRY(sweep_objects(gc, "objects", &gc->report->objects, &gc->report->bytes, trace));
    TRY(sweep_objects(gc, "external", &gc->report->places, &locator_bytes, trace));
    TRY(sweep_temporaries(gc, trace));
    TRY(sweep_checkpoints(gc, trace));
    return store_input_each(gc->store, forget_absent_input, gc, trace);
}

enum status store_gc(struct gc_report *out, const struct store *store, struct gc_options options,
                     struct trace *trace)
{
    struct gc gc = {.store = store, .options = options, .report = out};
    int lock;
    *out = (struct gc_report){0};
    enum status s = layout_lock_sweep(&lock, store, DISK_EXCLUSIVE, trace);
    if (s == OK)
        s = collect(&gc, trace);
    if (s != OK)
        trace_add(trace, "while collecting garbage in %s", store->root);
    disk_close(lock);
    mark_release(&gc.mark);
    arena_release(&gc.arena);
    return s;
}
