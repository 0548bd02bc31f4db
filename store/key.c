/* See store/key.h. */
#include "store/key.h"

#include "store/disk.h"
#include "store/layout.h"
#include "store/object.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_LIMIT = 256 << 20 };

void store_result_add(struct store_result *result, struct arena *arena, const char *name, struct hash128 id,
                      const char *sha256)
{
    struct store_output *output = VEC_PUSH(arena, &result->outputs);
    output->name = arena_copy_string(arena, name, strlen(name));
    output->id = id;
    if (sha256 && strlen(sha256) == SHA256_HEX - 1)
        memcpy(output->sha256, sha256, SHA256_HEX);
}

const struct store_output *store_result_find(const struct store_result *result, const char *name)
{
    for (uint32_t i = 0; i < result->outputs.count; i++)
        if (strcmp(result->outputs.items[i].name, name) == 0)
            return &result->outputs.items[i];
    return NULL;
}

/* ---- Text ---- */

static json_t *pack_result(const struct store_result *result)
{
    json_t *outputs = json_array();
    for (uint32_t i = 0; i < result->outputs.count; i++) {
        const struct store_output *output = &result->outputs.items[i];
        char id[STORE_ID_TEXT];
        store_id_to_text(output->id, id);
        json_t *item = json_pack("{s:s, s:s}", "name", output->name, "id", id);
        if (item && output->sha256[0])
            json_object_set_new(item, "sha256", json_string(output->sha256));
        if (!item || json_array_append_new(outputs, item) != 0) {
            json_decref(outputs);
            return NULL;
        }
    }
    return json_pack("{s:o}", "outputs", outputs);
}

static bool unpack_result(struct store_result *out, struct arena *arena, json_t *root)
{
    json_t *outputs, *item;
    size_t i;
    if (json_unpack(root, "{s:o}", "outputs", &outputs) != 0 || !json_is_array(outputs))
        return false;
    json_array_foreach(outputs, i, item)
    {
        const char *name, *id_text, *sha256 = NULL;
        struct hash128 id;
        if (json_unpack(item, "{s:s, s:s, s?s}", "name", &name, "id", &id_text, "sha256", &sha256) != 0 ||
            !store_id_from_text(str_from(id_text), &id))
            return false;
        store_result_add(out, arena, name, id, sha256);
    }
    return true;
}

/* ---- Keys ---- */

enum status store_key_read(struct hash128 *out_result, const struct store *store, struct hash128 key,
                           struct trace *trace)
{
    struct arena scratch = {0};
    struct builder text = {0};
    char hex[HASH128_HEX];
    hash128_to_hex(key, hex);
    char *path = layout_fan_path(&scratch, store, "keys", key);
    enum status s = file_read(&text, path, STORE_ID_TEXT, trace);
    if (s == NOT_FOUND)
        s = status_fail(trace, NOT_FOUND, "there is no result for the key %s", hex);
    else if (s == INVALID ||
             (s == OK && (text.length != STORE_ID_TEXT || text.data[STORE_ID_TEXT - 1] != '\n' ||
                          !store_id_from_text((struct str){text.data, STORE_ID_TEXT - 1}, out_result))))
        s = status_fail(trace, CORRUPT, "%s is damaged: expected the id of a result", path);
    builder_release(&text);
    arena_release(&scratch);
    return s;
}

enum status store_result_read(struct store_result *out, struct arena *arena, const struct store *store,
                              struct hash128 id, struct trace *trace)
{
    struct store_object object = {0};
    *out = (struct store_result){0};
    TRY(store_open_object(&object, store, id, "result", OBJECT_VERIFY, trace));
    char name[STORE_ID_TEXT];
    store_id_to_text(id, name);
    json_t *root = json_loadb((const char *)object.data, object.size, JSON_REJECT_DUPLICATES, NULL);
    enum status s = OK;
    if (!root || !unpack_result(out, arena, root))
        s = status_fail(trace, CORRUPT, "object %s is damaged: its payload is not a list of outputs", name);
    json_decref(root);
    store_object_release(&object);
    return s;
}

/* Names the first output that is not in the store. */
static enum status check_outputs(const struct store *store, const struct store_result *result,
                                 enum status code, struct trace *trace)
{
    for (uint32_t i = 0; i < result->outputs.count; i++) {
        const struct store_output *output = &result->outputs.items[i];
        char id[STORE_ID_TEXT];
        store_id_to_text(output->id, id);
        if (!store_has_object(store, output->id))
            return status_fail(trace, code,
                               "the output \"%s\" of a stage is object %s, which the store does not have",
                               output->name, id);
    }
    return OK;
}

enum status store_key_find(struct store_result *out, struct arena *arena, const struct store *store,
                           struct hash128 key, struct trace *trace)
{
    struct hash128 id;
    char hex[HASH128_HEX], text[STORE_ID_TEXT];
    hash128_to_hex(key, hex);
    *out = (struct store_result){0};
    TRY(store_key_read(&id, store, key, trace));
    store_id_to_text(id, text);
    enum status s = store_has_object(store, id)
                        ? store_result_read(out, arena, store, id, trace)
                        : status_fail(trace, CORRUPT, "the result %s is not in the store", text);
    if (s == OK)
        s = check_outputs(store, out, CORRUPT, trace);
    if (s != OK) {
        trace_add(trace, "while looking up the key %s; `store fsck --repair` forgets keys like this", hex);
        return s;
    }
    /* Only gc's idea of unused keys depends on it. */
    if (!store->is_looked_at)
        (void)!disk_touch(layout_fan_path(arena, store, "keys", key), NULL);
    return OK;
}

static enum status put_result(const struct store *store, struct hash128 key, const char *text,
                              struct trace *trace)
{
    struct arena scratch = {0};
    struct hash128 id;
    char line[STORE_ID_TEXT + 1];
    int lock;
    /* Held over both writes, so that gc does not see the result without its key. */
    enum status s = layout_lock_sweep(&lock, store, DISK_SHARED, trace);
    if (s == OK)
        s = store_put(&id, NULL, store, "result", text, strlen(text), trace);
    if (s == OK) {
        store_id_to_text(id, line);
        memcpy(line + STORE_ID_TEXT - 1, "\n", 2);
        s = layout_write_text(store, layout_fan_path(&scratch, store, "keys", key), line, STORE_ID_TEXT,
                              trace);
    }
    disk_close(lock);
    arena_release(&scratch);
    return s;
}

enum status store_key_put(const struct store *store, struct hash128 key, const struct store_result *result,
                          struct trace *trace)
{
    TRY(check_outputs(store, result, NOT_FOUND, trace));
    json_t *root = pack_result(result);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    enum status s = text ? put_result(store, key, text, trace)
                         : status_fail(trace, INVALID, "the name of a stage's output is not UTF-8");
    free(text);
    json_decref(root);
    return s;
}

/* ---- Records ---- */

enum status store_record_write(const struct store *store, struct hash128 key, struct str text,
                               struct trace *trace)
{
    struct arena scratch = {0};
    char *path = layout_flat_path(&scratch, store, "records", key, ".json");
    enum status s = layout_write_text(store, path, text.data, text.length, trace);
    arena_release(&scratch);
    return s;
}

enum status store_steps_path(char **out, struct arena *arena, const struct store *store, struct hash128 key,
                             struct trace *trace)
{
    *out = layout_flat_path(arena, store, "records", key, ".steps.jsonl");
    return layout_prepare(*out, trace);
}

enum status store_record_read(struct builder *out, const struct store *store, struct hash128 key,
                              struct trace *trace)
{
    struct arena scratch = {0};
    enum status s =
        file_read(out, layout_flat_path(&scratch, store, "records", key, ".json"), RECORD_LIMIT, trace);
    arena_release(&scratch);
    return s;
}
