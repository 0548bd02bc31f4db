/* See store/external.h. */
#include "store/external.h"

#include "base/log.h"
#include "store/disk.h"
#include "store/input.h"
#include "store/layout.h"
#include "store/sealed.h"
#include <string.h>

enum { HASH_STEP = 16 << 20 };

struct locator {
    char *path; /* absolute, or relative to the store; on an arena */
    uint64_t offset, size, inode;
    int64_t mtime_ns; /* 0: never trusted */
    struct tensor_form form;
};

bool external_has(const struct store *store, struct hash128 id)
{
    struct arena scratch = {0};
    bool has = file_exists(layout_fan_path(&scratch, store, "external", id));
    arena_release(&scratch);
    return has;
}

/* ---- The locator's text ---- */

static enum status write_locator(const struct store *store, struct hash128 id, const struct locator *l,
                                 struct trace *trace)
{
    struct arena scratch = {0};
    json_t *dims = json_array();
    for (uint32_t i = 0; i < l->form.rank; i++)
        json_array_append_new(dims, json_integer(l->form.dims[i]));
    json_t *root =
        json_pack("{s:s, s:I, s:s, s:o, s:I, s:I, s:I}", "path", l->path, "offset", (json_int_t)l->offset,
                  "dtype", l->form.dtype, "dims", dims, "size", (json_int_t)l->size, "mtime_ns",
                  (json_int_t)l->mtime_ns, "inode", (json_int_t)l->inode);
    enum status s = sealed_write(store, layout_fan_path(&scratch, store, "external", id), root, trace);
    arena_release(&scratch);
    return s;
}

static bool unpack_locator(struct locator *out, struct arena *arena, json_t *root)
{
    const char *path, *dtype;
    json_int_t offset, size, mtime, inode;
    json_t *dims_json;
    int64_t dims[TENSOR_RANK];
    if (json_unpack(root, "{s:s, s:I, s:s, s:o, s:I, s:I, s:I}", "path", &path, "offset", &offset, "dtype",
                    &dtype, "dims", &dims_json, "size", &size, "mtime_ns", &mtime, "inode", &inode) != 0)
        return false;
    size_t rank = json_array_size(dims_json);
    if (!json_is_array(dims_json) || rank > TENSOR_RANK || offset < 0 || size < 0)
        return false;
    for (size_t i = 0; i < rank; i++)
        dims[i] = json_integer_value(json_array_get(dims_json, i));
    out->path = arena_copy_string(arena, path, strlen(path));
    out->offset = (uint64_t)offset;
    out->size = (uint64_t)size;
    out->inode = (uint64_t)inode;
    out->mtime_ns = mtime;
    return tensor_form_init(&out->form, dtype, (uint32_t)rank, dims, NULL) == OK;
}

static enum status read_locator(struct locator *out, struct arena *arena, const struct store *store,
                                struct hash128 id, struct trace *trace)
{
    json_t *root;
    char *path = layout_fan_path(arena, store, "external", id);
    TRY(sealed_read(&root, path, trace));
    bool is_good = unpack_locator(out, arena, root);
    json_decref(root);
    return is_good ? OK : status_fail(trace, CORRUPT, "%s does not say where a tensor is", path);
}

enum status external_read_form(struct tensor_form *out, const struct store *store, struct hash128 id,
                               struct trace *trace)
{
    struct arena scratch = {0};
    struct locator l;
    enum status s = read_locator(&l, &scratch, store, id, trace);
    if (s == OK)
        *out = l.form;
    arena_release(&scratch);
    return s;
}

/* ---- The file ---- */

/* A file below the directory that the store is in is named relative to the store, so the two can be moved. */
static enum status locator_path(char **out, struct arena *arena, const struct store *store, const char *path,
                                struct trace *trace)
{
    char *real;
    TRY(disk_real_path(&real, arena, path, trace));
    const char *slash = strrchr(store->root, '/');
    size_t parent = (size_t)(slash - store->root) + 1;
    bool is_beside = strncmp(real, store->root, parent) == 0;
    *out = is_beside ? arena_printf(arena, "../%s", real + parent) : real;
    return OK;
}

static struct hash128 hash_tensor(const struct mapping *file, const struct locator *l)
{
    char header[OBJECT_HEADER], tensor_header[TENSOR_HEADER];
    object_header_write(header, "tensor", TENSOR_HEADER + l->form.bytes);
    tensor_form_to_header(tensor_header, &l->form);
    struct hasher *hasher = hasher_create();
    hasher_update(hasher, header, sizeof header);
    hasher_update(hasher, tensor_header, sizeof tensor_header);
    for (size_t at = 0; at < l->form.bytes; at += HASH_STEP) {
        size_t step = l->form.bytes - at < HASH_STEP ? l->form.bytes - at : HASH_STEP;
        hasher_update(hasher, file->data + l->offset + at, step);
        mapping_drop(file, l->offset + at, step);
    }
    struct hash128 id = hasher_finish(hasher);
    hasher_destroy(hasher);
    return id;
}

static bool fits(const struct mapping *file, const struct locator *l)
{
    return l->offset <= file->size && l->form.bytes <= file->size - l->offset;
}

static bool is_aligned(const struct locator *l)
{
    return l->offset % l->form.element_size == 0;
}

/* What the file is now, to be compared when it is opened. */
static enum status note_facts(struct locator *l, const struct mapping *file, const char *path,
                              struct trace *trace)
{
    struct disk_facts facts;
    TRY(disk_facts_fd(&facts, file->fd, path, trace));
    l->size = facts.size;
    l->inode = facts.inode;
    l->mtime_ns = input_mtime_is_settled(facts.mtime_ns) ? facts.mtime_ns : 0;
    return OK;
}

static enum status add_locator(struct hash128 *out_id, const struct store *store, const struct mapping *file,
                               struct locator *l, const char *path, struct arena *scratch,
                               struct trace *trace)
{
    TRY(note_facts(l, file, path, trace));
    *out_id = hash_tensor(file, l);
    TRY(mapping_check(file, path, trace));
    if (file_exists(layout_fan_path(scratch, store, "objects", *out_id)))
        return OK;
    TRY(locator_path(&l->path, scratch, store, path, trace));
    return write_locator(store, *out_id, l, trace);
}

enum status store_put_external(struct hash128 *out_id, const struct store *store, const char *path,
                               uint64_t offset, const char *dtype, uint32_t rank, const int64_t *dims,
                               struct trace *trace)
{
    struct locator l = {.offset = offset};
    struct mapping file = {0};
    struct arena scratch = {0};
    TRY(tensor_form_init(&l.form, dtype, rank, dims, trace));
    enum status s = mapping_open(&file, path, trace);
    if (s == OK && !fits(&file, &l))
        s = status_fail(trace, INVALID,
                        "%s: a tensor of %llu bytes at offset %llu reaches beyond the end at %zu", path,
                        (unsigned long long)l.form.bytes, (unsigned long long)offset, file.size);
    if (s == OK && is_aligned(&l))
        s = add_locator(out_id, store, &file, &l, path, &scratch, trace);
    else if (s == OK)
        s = store_put_tensor(out_id, store, dtype, rank, dims, file.data ? file.data + offset : NULL, trace);
    mapping_release(&file);
    arena_release(&scratch);
    return s;
}

/* ---- Opening ---- */

static enum status check_file(const struct store *store, struct hash128 id, struct locator *l,
                              const struct mapping *file, enum object_check check, const char *path,
                              struct trace *trace)
{
    struct disk_facts facts;
    char name[STORE_ID_TEXT];
    store_id_to_text(id, name);
    TRY(disk_facts_fd(&facts, file->fd, path, trace));
    bool is_same =
        l->mtime_ns != 0 && facts.size == l->size && facts.mtime_ns == l->mtime_ns && facts.inode == l->inode;
    if (!fits(file, l) || !is_aligned(l))
        return status_fail(trace, CORRUPT, "tensor %s was at offset %llu of %s, which now has only %zu bytes",
                           name, (unsigned long long)l->offset, path, file->size);
    if (is_same && check == OBJECT_TRUST)
        return OK;
    if (!hash128_equal(hash_tensor(file, l), id))
        return status_fail(trace, CORRUPT, "tensor %s was at offset %llu of %s, which has changed since",
                           name, (unsigned long long)l->offset, path);
    if (is_same)
        return OK;
    /* The same bytes in a file that was touched or copied. A store that we may not write to stays as it is.
     */
    TRY(note_facts(l, file, path, trace));
    if (write_locator(store, id, l, NULL) != OK)
        log_detail("the place of tensor %s could not be brought up to date", name);
    return OK;
}

enum status external_open(struct tensor_object *out, const struct store *store, struct hash128 id,
                          enum object_check check, struct trace *trace)
{
    struct arena scratch = {0};
    struct locator l = {0};
    struct mapping file = {0};
    char name[STORE_ID_TEXT];
    store_id_to_text(id, name);
    enum status s = read_locator(&l, &scratch, store, id, trace);
    char *path = NULL;
    if (s == OK) {
        path = l.path[0] == '/' ? l.path : arena_printf(&scratch, "%s/%s", store->root, l.path);
        s = mapping_open(&file, path, trace);
    }
    if (s == OK)
        s = check_file(store, id, &l, &file, check, path, trace);
    if (s == OK) {
        disk_close(file.fd);
        file.fd = -1;
        static const uint8_t nothing[8];
        *out = (struct tensor_object){.mapping = file,
                                      .id = id,
                                      .form = l.form,
                                      .data = file.data ? file.data + l.offset : nothing,
                                      .offset = l.offset,
                                      .is_external = true};
    } else {
        trace_add(trace, "while opening tensor %s, which is in a file outside of the store", name);
        mapping_release(&file);
    }
    arena_release(&scratch);
    return s;
}
