/* Writing and reading objects; see store/object.h and docs/store.md. */
#include "store/object.h"

#include "store/disk.h"
#include "store/layout.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char header_word[] = "espalier-object 1 ";
enum { HASH_STEP = 16 << 20 };

bool object_kind_is_valid(const char *kind)
{
    size_t length = strspn(kind, "abcdefghijklmnopqrstuvwxyz-");
    return length >= 1 && length < OBJECT_KIND && kind[length] == '\0';
}

void object_header_write(char header[OBJECT_HEADER], const char *kind, uint64_t length)
{
    char text[OBJECT_HEADER + 1];
    int used = snprintf(text, sizeof text, "%s%s %" PRIu64, header_word, kind, length);
    assert(used > 0 && used < OBJECT_HEADER);
    memset(header, ' ', OBJECT_HEADER - 1);
    memcpy(header, text, (size_t)used);
    header[OBJECT_HEADER - 1] = '\n';
}

/* The spelling is checked by writing the header again, so only the parts have to be found here. */
bool object_header_read(const uint8_t header[OBJECT_HEADER], char kind[OBJECT_KIND], uint64_t *length)
{
    struct str text = {(const char *)header, OBJECT_HEADER};
    if (!str_starts_with(text, header_word))
        return false;
    const char *start = text.data + sizeof header_word - 1;
    size_t rest = OBJECT_HEADER - (sizeof header_word - 1);
    const char *space = memchr(start, ' ', rest);
    if (!space || (size_t)(space - start) >= OBJECT_KIND)
        return false;
    memset(kind, 0, OBJECT_KIND);
    memcpy(kind, start, (size_t)(space - start));
    const char *digits = space + 1;
    const char *end = memchr(digits, ' ', (size_t)(text.data + OBJECT_HEADER - digits));
    if (!object_kind_is_valid(kind) || !end ||
        !str_to_u64((struct str){digits, (size_t)(end - digits)}, length))
        return false;
    char canonical[OBJECT_HEADER];
    object_header_write(canonical, kind, *length);
    return memcmp(canonical, header, OBJECT_HEADER) == 0;
}

/* ---- Writing ---- */

static enum status start_file(struct object_writer *w, uint64_t length, struct trace *trace)
{
    char header[OBJECT_HEADER];
    object_header_write(header, w->kind, length);
    w->hasher = hasher_create();
    hasher_update(w->hasher, header, sizeof header);
    TRY(layout_open_temporary(&w->file, w->store, trace));
    return file_writer_add(&w->file, header, sizeof header, trace);
}

enum status object_writer_open(struct object_writer *out, const struct store *store, const char *kind,
                               uint64_t length, enum object_digest digest, struct trace *trace)
{
    *out = (struct object_writer){.store = store, .expected = length};
    if (!object_kind_is_valid(kind))
        return status_fail(trace, INVALID, "\"%s\" is no kind of object; expected 1 to %d of a-z and -", kind,
                           OBJECT_KIND - 1);
    memcpy(out->kind, kind, strlen(kind));
    out->is_open = true;
    if (digest == OBJECT_SHA256_TOO)
        out->sha256 = sha256_create();
    enum status s = length == OBJECT_LENGTH_UNKNOWN ? OK : start_file(out, length, trace);
    if (s != OK) {
        trace_add(trace, "while writing an object of kind %s", kind);
        object_writer_release(out);
    }
    return s;
}

enum status object_writer_add(struct object_writer *w, const void *bytes, size_t length, struct trace *trace)
{
    assert(w->is_open);
    if (w->expected != OBJECT_LENGTH_UNKNOWN && length > w->expected - w->added)
        return status_fail(trace, INVALID,
                           "object of kind %s: %" PRIu64 " bytes were announced, more are written", w->kind,
                           w->expected);
    if (length == 0)
        return OK;
    if (w->sha256)
        sha256_update(w->sha256, bytes, length);
    w->added += length;
    if (w->expected == OBJECT_LENGTH_UNKNOWN) {
        builder_add(&w->spool, bytes, length);
        return OK;
    }
    hasher_update(w->hasher, bytes, length);
    TRY_WITH(trace, file_writer_add(&w->file, bytes, length, trace), "while writing an object of kind %s",
             w->kind);
    return OK;
}

/* An object that is there is not read again, but one that was cut or overwritten is found here. It becomes
 * young, so that a gc of another process takes it for one of ours. */
static enum status check_existing(const char *path, const struct store *store, struct hash128 id,
                                  struct trace *trace)
{
    struct store_object object = {0};
    enum status s = store_open_object(&object, store, id, NULL, OBJECT_TRUST, trace);
    store_object_release(&object);
    return s == OK ? disk_touch(path, trace) : s;
}

static enum status place(struct object_writer *w, struct hash128 id, struct trace *trace)
{
    struct arena scratch = {0};
    int lock;
    char *path = layout_fan_path(&scratch, w->store, "objects", id);
    enum status s = layout_lock_sweep(&lock, w->store, DISK_SHARED, trace);
    if (s == OK) {
        if (file_exists(path))
            s = check_existing(path, w->store, id, trace);
        else
            s = layout_publish(&w->file, path, trace);
    }
    disk_close(lock);
    arena_release(&scratch);
    return s;
}

static enum status write_spool(struct object_writer *w, struct trace *trace)
{
    TRY(start_file(w, w->spool.length, trace));
    w->expected = w->spool.length;
    if (w->spool.length == 0)
        return OK;
    hasher_update(w->hasher, w->spool.data, w->spool.length);
    return file_writer_add(&w->file, w->spool.data, w->spool.length, trace);
}

enum status object_writer_commit(struct hash128 *out_id, char sha256[SHA256_HEX], struct object_writer *w,
                                 struct trace *trace)
{
    assert(w->is_open && (!sha256 || w->sha256));
    enum status s = OK;
    if (w->expected == OBJECT_LENGTH_UNKNOWN)
        s = write_spool(w, trace);
    if (s == OK && w->added != w->expected)
        s = status_fail(trace, INVALID, "%" PRIu64 " bytes were announced, %" PRIu64 " were written",
                        w->expected, w->added);
    if (s == OK) {
        *out_id = hasher_finish(w->hasher);
        s = place(w, *out_id, trace);
    }
    if (s == OK && sha256)
        sha256_finish(w->sha256, sha256);
    if (s != OK)
        trace_add(trace, "while writing an object of kind %s", w->kind);
    object_writer_release(w);
    return s;
}

void object_writer_release(struct object_writer *w)
{
    file_writer_release(&w->file);
    hasher_destroy(w->hasher);
    sha256_destroy(w->sha256);
    builder_release(&w->spool);
    *w = (struct object_writer){0};
}

enum status store_put(struct hash128 *out_id, char sha256[SHA256_HEX], const struct store *store,
                      const char *kind, const void *bytes, size_t length, struct trace *trace)
{
    struct object_writer w = {0};
    enum status s =
        object_writer_open(&w, store, kind, length, sha256 ? OBJECT_SHA256_TOO : OBJECT_XXH3, trace);
    if (s == OK)
        s = object_writer_add(&w, bytes, length, trace);
    if (s == OK)
        s = object_writer_commit(out_id, sha256, &w, trace);
    object_writer_release(&w);
    return s;
}

enum status store_put_file(struct hash128 *out_id, char sha256[SHA256_HEX], const struct store *store,
                           const char *kind, const char *path, struct trace *trace)
{
    struct mapping file = {0};
    struct object_writer w = {0};
    enum status s = mapping_open(&file, path, trace);
    if (s == OK)
        s = object_writer_open(&w, store, kind, file.size, sha256 ? OBJECT_SHA256_TOO : OBJECT_XXH3, trace);
    for (size_t at = 0; s == OK && at < file.size; at += HASH_STEP) {
        size_t step = file.size - at < HASH_STEP ? file.size - at : HASH_STEP;
        s = mapping_check(&file, path, trace);
        if (s == OK)
            s = object_writer_add(&w, file.data + at, step, trace);
        mapping_drop(&file, at, step);
    }
    if (s == OK)
        s = object_writer_commit(out_id, sha256, &w, trace);
    object_writer_release(&w);
    mapping_release(&file);
    return s;
}

/* ---- Reading ---- */

static enum status check_hash(const struct store_object *object, const char *name, struct trace *trace)
{
    const struct mapping *m = &object->mapping;
    struct hasher *hasher = hasher_create();
    for (size_t at = 0; at < m->size; at += HASH_STEP) {
        size_t step = m->size - at < HASH_STEP ? m->size - at : HASH_STEP;
        hasher_update(hasher, m->data + at, step);
        mapping_drop(m, at, step);
    }
    struct hash128 found = hasher_finish(hasher);
    hasher_destroy(hasher);
    if (hash128_equal(found, object->id))
        return OK;
    char text[STORE_ID_TEXT];
    store_id_to_text(found, text);
    return status_fail(trace, CORRUPT, "object %s is damaged: its bytes hash to %s", name, text);
}

static enum status read_object(struct store_object *out, const char *path, const char *name, const char *kind,
                               enum object_check check, struct trace *trace)
{
    enum status s = mapping_open(&out->mapping, path, trace);
    if (s == NOT_FOUND)
        return status_fail(trace, NOT_FOUND, "the store has no object %s", name);
    TRY(s);
    uint64_t length;
    if (out->mapping.size < OBJECT_HEADER)
        return status_fail(trace, CORRUPT, "object %s is damaged: %zu bytes are too few for its header", name,
                           out->mapping.size);
    if (!object_header_read(out->mapping.data, out->kind, &length))
        return status_fail(trace, CORRUPT, "object %s is damaged: its header is not that of an object", name);
    out->size = out->mapping.size - OBJECT_HEADER;
    out->data = out->mapping.data + OBJECT_HEADER;
    if (length != out->size)
        return status_fail(trace, CORRUPT, "object %s is damaged: expected %" PRIu64 " bytes, found %zu",
                           name, length, out->size);
    if (check == OBJECT_VERIFY)
        TRY(check_hash(out, name, trace));
    if (kind && strcmp(kind, out->kind) != 0)
        return status_fail(trace, INVALID, "object %s is of kind %s; expected %s", name, out->kind, kind);
    return OK;
}

enum status store_open_object(struct store_object *out, const struct store *store, struct hash128 id,
                              const char *kind, enum object_check check, struct trace *trace)
{
    struct arena scratch = {0};
    char name[STORE_ID_TEXT];
    store_id_to_text(id, name);
    char *path = layout_fan_path(&scratch, store, "objects", id);
    *out = (struct store_object){.id = id};
    enum status s = read_object(out, path, name, kind, check, trace);
    if (s == CORRUPT)
        trace_add(trace, "while reading %s", path);
    if (s == OK) {
        /* An object never shrinks, so the descriptor has no further use, and a model has more tensors than a
         * process may have descriptors. */
        disk_close(out->mapping.fd);
        out->mapping.fd = -1;
    } else {
        store_object_release(out);
    }
    arena_release(&scratch);
    return s;
}

void store_object_release(struct store_object *object)
{
    if (object->mapping.is_open)
        mapping_release(&object->mapping);
    *object = (struct store_object){0};
}

struct str store_object_text(const struct store_object *object)
{
    return (struct str){(const char *)object->data, object->size};
}

bool store_has_object(const struct store *store, struct hash128 id)
{
    struct arena scratch = {0};
    bool has = file_exists(layout_fan_path(&scratch, store, "objects", id)) ||
               file_exists(layout_fan_path(&scratch, store, "external", id));
    arena_release(&scratch);
    return has;
}

void store_object_sha256(char sha256[SHA256_HEX], const struct store_object *object)
{
    struct sha256 *sha = sha256_create();
    sha256_update(sha, object->data, object->size);
    sha256_finish(sha, sha256);
    sha256_destroy(sha);
}
