/* See store/checkpoint.h. */
#include "store/checkpoint.h"

#include "base/log.h"
#include "store/disk.h"
#include "store/layout.h"
#include "store/sealed.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_STEP = 16 << 20 };

/* ---- Steps ---- */

struct steps {
    uint64_t *items; /* ascending */
    size_t count;
};

static int compare_steps(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static char *key_directory(struct arena *arena, const struct store *store, struct hash128 key)
{
    return layout_flat_path(arena, store, "checkpoints", key, "");
}

static char *step_directory(struct arena *arena, const char *directory, uint64_t step)
{
    return arena_printf(arena, "%s/%" PRIu64, directory, step);
}

static enum status list_steps(struct steps *out, struct arena *arena, const char *directory,
                              struct trace *trace)
{
    struct disk_names names;
    *out = (struct steps){0};
    TRY(disk_list(&names, arena, directory, trace));
    out->items = ARENA_ARRAY(arena, uint64_t, names.count);
    for (size_t i = 0; i < names.count; i++)
        if (str_to_u64(str_from(names.names[i]), &out->items[out->count]))
            out->count++;
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, compare_steps);
    return OK;
}

/* ---- Writing ---- */

enum status checkpoint_writer_begin(struct checkpoint_writer *out, const struct store *store,
                                    struct hash128 key, uint64_t step, struct trace *trace)
{
    *out = (struct checkpoint_writer){.store = store, .key = key, .step = step, .is_open = true};
    out->directory = step_directory(&out->arena, key_directory(&out->arena, store, key), step);
    enum status s = directory_remove(out->directory, trace);
    if (s == OK)
        s = directory_create(out->directory, trace);
    if (s != OK)
        checkpoint_writer_release(out);
    return s;
}

enum status checkpoint_writer_add(struct checkpoint_writer *w, const char *name, const void *bytes,
                                  size_t length, struct trace *trace)
{
    assert(w->is_open);
    struct file_writer file = {0};
    uint32_t index = w->files.count;
    if (!map_add_text(&w->names, &w->arena, str_from(name), index))
        return status_fail(trace, INVALID, "checkpoint of step %" PRIu64 ": \"%s\" is there already", w->step,
                           name);
    char *path = arena_printf(&w->arena, "%s/%" PRIu32, w->directory, index);
    enum status s = file_writer_open(&file, path, trace);
    if (s == OK)
        s = file_writer_add(&file, bytes, length, trace);
    if (s == OK)
        s = file_writer_commit(&file, trace);
    file_writer_release(&file);
    if (s != OK) {
        trace_add(trace, "while writing \"%s\" of the checkpoint of step %" PRIu64, name, w->step);
        return s;
    }
    *VEC_PUSH(&w->arena, &w->files) =
        (struct checkpoint_file){.name = arena_copy_string(&w->arena, name, strlen(name)),
                                 .bytes = length,
                                 .xxh3 = hash128_of(bytes, length)};
    return OK;
}

static json_t *pack_manifest(const struct checkpoint_writer *w)
{
    json_t *files = json_array();
    for (uint32_t i = 0; i < w->files.count; i++) {
        const struct checkpoint_file *file = &w->files.items[i];
        char hex[HASH128_HEX];
        hash128_to_hex(file->xxh3, hex);
        json_t *item =
            json_pack("{s:s, s:I, s:s}", "name", file->name, "bytes", (json_int_t)file->bytes, "xxh3", hex);
        if (!item || json_array_append_new(files, item) != 0) {
            json_decref(files);
            return NULL;
        }
    }
    return json_pack("{s:I, s:o}", "step", (json_int_t)w->step, "files", files);
}

/* Keeps the step just written and the last finished one before it. Later steps are what a process left that
 * had come further and was then found damaged. */
static enum status remove_others(struct checkpoint_writer *w, struct trace *trace)
{
    struct steps steps;
    char *directory = key_directory(&w->arena, w->store, w->key);
    TRY(list_steps(&steps, &w->arena, directory, trace));
    bool has_previous = false;
    for (size_t i = steps.count; i-- > 0;) {
        char *path = step_directory(&w->arena, directory, steps.items[i]);
        if (steps.items[i] == w->step)
            continue;
        if (steps.items[i] < w->step && !has_previous &&
            file_exists(arena_printf(&w->arena, "%s/manifest", path))) {
            has_previous = true;
            continue;
        }
        TRY(directory_remove(path, trace));
    }
    return OK;
}

enum status checkpoint_writer_commit(struct checkpoint_writer *w, struct trace *trace)
{
    assert(w->is_open);
    char *path = arena_printf(&w->arena, "%s/manifest", w->directory);
    enum status s = sealed_write(w->store, path, pack_manifest(w), trace);
    if (s == OK) {
        w->is_open = false;
        s = remove_others(w, trace);
    }
    if (s != OK)
        trace_add(trace, "while finishing the checkpoint of step %" PRIu64, w->step);
    checkpoint_writer_release(w);
    return s;
}

void checkpoint_writer_release(struct checkpoint_writer *w)
{
    if (w->is_open)
        (void)!directory_remove(w->directory, NULL);
    arena_release(&w->arena);
    *w = (struct checkpoint_writer){0};
}

/* ---- Reading ---- */

static bool unpack_manifest(struct checkpoint *out, json_t *root)
{
    json_t *files, *item;
    json_int_t step;
    size_t i;
    if (json_unpack(root, "{s:I, s:o}", "step", &step, "files", &files) != 0 || (uint64_t)step != out->step ||
        !json_is_array(files))
        return false;
    json_array_foreach(files, i, item)
    {
        const char *name, *hex;
        json_int_t bytes;
        struct checkpoint_file file;
        if (json_unpack(item, "{s:s, s:I, s:s}", "name", &name, "bytes", &bytes, "xxh3", &hex) != 0 ||
            bytes < 0 || !hash128_from_hex(str_from(hex), &file.xxh3))
            return false;
        if (!map_add_text(&out->names, &out->arena, str_from(name), out->files.count))
            return false;
        file.name = arena_copy_string(&out->arena, name, strlen(name));
        file.bytes = (uint64_t)bytes;
        *VEC_PUSH(&out->arena, &out->files) = file;
    }
    return true;
}

static enum status map_file(struct mapping *out, const struct checkpoint *checkpoint, uint32_t index,
                            struct trace *trace)
{
    struct arena scratch = {0};
    const struct checkpoint_file *file = &checkpoint->files.items[index];
    char *path = arena_printf(&scratch, "%s/%" PRIu32, checkpoint->directory, index);
    enum status s = mapping_open(out, path, trace);
    if (s == OK && out->size != file->bytes) {
        s = status_fail(trace, CORRUPT, "%s (\"%s\"): expected %" PRIu64 " bytes, found %zu", path,
                        file->name, file->bytes, out->size);
        mapping_release(out);
    }
    arena_release(&scratch);
    return s;
}

static enum status verify_file(const struct checkpoint *checkpoint, uint32_t index, struct trace *trace)
{
    struct mapping mapping = {0};
    TRY(map_file(&mapping, checkpoint, index, trace));
    struct hasher *hasher = hasher_create();
    for (size_t at = 0; at < mapping.size; at += HASH_STEP) {
        size_t step = mapping.size - at < HASH_STEP ? mapping.size - at : HASH_STEP;
        hasher_update(hasher, mapping.data + at, step);
        mapping_drop(&mapping, at, step);
    }
    bool is_good = hash128_equal(hasher_finish(hasher), checkpoint->files.items[index].xxh3);
    hasher_destroy(hasher);
    mapping_release(&mapping);
    if (is_good)
        return OK;
    return status_fail(trace, CORRUPT, "\"%s\" does not have the hash that the manifest says",
                       checkpoint->files.items[index].name);
}

static enum status open_step(struct checkpoint *out, const char *directory, uint64_t step,
                             struct trace *trace)
{
    json_t *root;
    *out = (struct checkpoint){.step = step};
    out->directory = step_directory(&out->arena, directory, step);
    char *path = arena_printf(&out->arena, "%s/manifest", out->directory);
    enum status s = sealed_read(&root, path, trace);
    if (s == OK && !unpack_manifest(out, root))
        s = status_fail(trace, CORRUPT, "%s is not the manifest of this step", path);
    json_decref(root);
    for (uint32_t i = 0; s == OK && i < out->files.count; i++)
        s = verify_file(out, i, trace);
    if (s != OK)
        checkpoint_release(out);
    return s;
}

enum status checkpoint_open_latest(struct checkpoint *out, const struct store *store, struct hash128 key,
                                   struct trace *trace)
{
    struct arena scratch = {0};
    struct steps steps;
    char *directory = key_directory(&scratch, store, key);
    enum status s = list_steps(&steps, &scratch, directory, trace);
    bool is_found = false;
    for (size_t i = steps.count; s == OK && !is_found && i-- > 0;) {
        struct trace why = {0};
        is_found = open_step(out, directory, steps.items[i], &why) == OK;
        if (!is_found)
            log_warn("the checkpoint of step %" PRIu64 " is passed over: %s", steps.items[i], why.text);
    }
    if (s == OK && !is_found)
        s = status_fail(trace, NOT_FOUND, "there is no checkpoint in %s", directory);
    if (s != OK)
        *out = (struct checkpoint){0};
    arena_release(&scratch);
    return s;
}

const struct checkpoint_file *checkpoint_find(const struct checkpoint *checkpoint, const char *name)
{
    uint32_t index;
    return map_find_text(&checkpoint->names, str_from(name), &index) ? &checkpoint->files.items[index] : NULL;
}

enum status checkpoint_map(struct mapping *out, const struct checkpoint *checkpoint, const char *name,
                           uint64_t bytes, struct trace *trace)
{
    uint32_t index;
    if (!map_find_text(&checkpoint->names, str_from(name), &index))
        return status_fail(trace, NOT_FOUND, "the checkpoint of step %" PRIu64 " has no \"%s\"",
                           checkpoint->step, name);
    if (checkpoint->files.items[index].bytes != bytes)
        return status_fail(trace, CORRUPT,
                           "\"%s\" in the checkpoint of step %" PRIu64 " has %" PRIu64
                           " bytes; expected %" PRIu64,
                           name, checkpoint->step, checkpoint->files.items[index].bytes, bytes);
    return map_file(out, checkpoint, index, trace);
}

void checkpoint_release(struct checkpoint *checkpoint)
{
    arena_release(&checkpoint->arena);
    *checkpoint = (struct checkpoint){0};
}

enum status checkpoint_remove_all(const struct store *store, struct hash128 key, struct trace *trace)
{
    struct arena scratch = {0};
    enum status s = directory_remove(key_directory(&scratch, store, key), trace);
    arena_release(&scratch);
    return s;
}
