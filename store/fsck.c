/* See store/fsck.h. First everything is read and reported, then what is to be repaired is. */
#include "store/fsck.h"

#include "store/disk.h"
#include "store/external.h"
#include "store/input.h"
#include "store/key.h"
#include "store/layout.h"
#include "store/mark.h"
#include "store/ref.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct edge {
    struct hash128 from, to;
};

struct removal {
    const char *path; /* absolute */
    uint64_t *count;  /* where it is counted */
};

struct fsck {
    const struct store *store;
    struct fsck_report *report;
    fsck_reporter *reporter;
    void *context;
    VEC(struct hash128) bad;   /* ids that are damaged, missing, or name such */
    VEC(struct edge) edges;    /* from listing objects to what they name */
    VEC(struct hash128) moved; /* damaged objects */
    VEC(struct removal) removed;
    struct arena arena;
};

static void tell(struct fsck *fsck, enum fsck_what what, const char *subject, const char *message)
{
    fsck->report->problems++;
    if (fsck->reporter)
        fsck->reporter(fsck->context, &(struct fsck_problem){what, subject, message});
}

static bool is_bad(const struct fsck *fsck, struct hash128 id)
{
    for (uint32_t i = 0; i < fsck->bad.count; i++)
        if (hash128_equal(fsck->bad.items[i], id))
            return true;
    return false;
}

static void add_bad(struct fsck *fsck, struct hash128 id)
{
    if (!is_bad(fsck, id))
        *VEC_PUSH(&fsck->arena, &fsck->bad) = id;
}

/* ---- Objects ---- */

static void check_names(struct fsck *fsck, const struct store_object *object, const char *name)
{
    struct hash128 to;
    for (size_t at = 0; store_id_scan(&to, store_object_text(object), &at);) {
        *VEC_PUSH(&fsck->arena, &fsck->edges) = (struct edge){object->id, to};
        if (store_has_object(fsck->store, to))
            continue;
        char missing[STORE_ID_TEXT], message[256];
        store_id_to_text(to, missing);
        snprintf(message, sizeof message, "object %s (%s) names it, but the store does not have it", name,
                 object->kind);
        tell(fsck, FSCK_MISSING, missing, message);
        add_bad(fsck, to);
    }
}

static void check_object(struct fsck *fsck, struct hash128 id)
{
    struct store_object object = {0};
    struct tensor_object tensor = {0};
    struct trace trace = {0};
    char name[STORE_ID_TEXT];
    store_id_to_text(id, name);
    enum status s = store_open_object(&object, fsck->store, id, NULL, OBJECT_VERIFY, &trace);
    fsck->report->objects++;
    fsck->report->bytes += object.size;
    if (s == OK && strcmp(object.kind, "tensor") == 0)
        s = tensor_object_open(&tensor, fsck->store, id, OBJECT_TRUST, &trace);
    if (s == OK && mark_is_listing(object.kind))
        check_names(fsck, &object, name);
    if (s != OK) {
        tell(fsck, FSCK_DAMAGED, name, trace.text);
        add_bad(fsck, id);
        if (s == CORRUPT)
            *VEC_PUSH(&fsck->arena, &fsck->moved) = id;
    }
    tensor_object_release(&tensor);
    store_object_release(&object);
}

static enum status check_objects(struct fsck *fsck, struct trace *trace)
{
    struct layout_hashes ids;
    TRY(layout_list_fan(&ids, &fsck->arena, fsck->store, "objects", trace));
    for (size_t i = 0; i < ids.count; i++)
        check_object(fsck, ids.items[i]);
    TRY(layout_list_fan(&ids, &fsck->arena, fsck->store, "external", trace));
    for (size_t i = 0; i < ids.count; i++) {
        struct tensor_object tensor = {0};
        struct trace why = {0};
        char name[STORE_ID_TEXT];
        store_id_to_text(ids.items[i], name);
        enum status s = external_open(&tensor, fsck->store, ids.items[i], OBJECT_VERIFY, &why);
        fsck->report->objects++;
        fsck->report->bytes += tensor.form.bytes;
        tensor_object_release(&tensor);
        if (s == OK)
            continue;
        tell(fsck, s == NOT_FOUND ? FSCK_MISSING : FSCK_DAMAGED, name, why.text);
        add_bad(fsck, ids.items[i]);
        /* A file that is away may come back; one that holds other bytes does not hold this tensor. */
        if (s == CORRUPT)
            *VEC_PUSH(&fsck->arena, &fsck->removed) = (struct removal){
                layout_fan_path(&fsck->arena, fsck->store, "external", ids.items[i]), &fsck->report->dropped};
    }
    return OK;
}

/* What names something bad, directly or not, is bad. */
static void spread(struct fsck *fsck)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < fsck->edges.count; i++) {
            struct edge edge = fsck->edges.items[i];
            if (!is_bad(fsck, edge.to) || is_bad(fsck, edge.from))
                continue;
            add_bad(fsck, edge.from);
            again = true;
        }
    }
}

/* ---- Keys, refs, inputs ---- */

static enum status check_keys(struct fsck *fsck, struct trace *trace)
{
    struct layout_hashes keys;
    TRY(layout_list_fan(&keys, &fsck->arena, fsck->store, "keys", trace));
    for (size_t i = 0; i < keys.count; i++) {
        struct hash128 id;
        struct trace why = {0};
        char text[STORE_ID_TEXT], message[256];
        char *path = layout_fan_path(&fsck->arena, fsck->store, "keys", keys.items[i]);
        enum status s = store_key_read(&id, fsck->store, keys.items[i], &why);
        if (s != OK) {
            tell(fsck, FSCK_DAMAGED, path, why.text);
            *VEC_PUSH(&fsck->arena, &fsck->removed) = (struct removal){path, &fsck->report->forgotten};
            continue;
        }
        store_id_to_text(id, text);
        if (!store_has_object(fsck->store, id)) {
            snprintf(message, sizeof message, "its result %s is not in the store", text);
            tell(fsck, FSCK_MISSING, path, message);
            *VEC_PUSH(&fsck->arena, &fsck->removed) = (struct removal){path, &fsck->report->forgotten};
        } else if (is_bad(fsck, id)) {
            /* What is wrong has been told where it was found. */
            *VEC_PUSH(&fsck->arena, &fsck->removed) = (struct removal){path, &fsck->report->forgotten};
        }
    }
    return OK;
}

static enum status check_refs(struct fsck *fsck, struct trace *trace)
{
    struct store_refs refs;
    TRY(store_ref_list(&refs, &fsck->arena, fsck->store, trace));
    for (uint32_t i = 0; i < refs.names.count; i++) {
        struct hash128 id;
        struct trace why = {0};
        char text[STORE_ID_TEXT], message[256];
        char *path = layout_path(&fsck->arena, fsck->store, "refs", refs.names.items[i]);
        if (store_ref_find(&id, fsck->store, refs.names.items[i], &why) != OK) {
            tell(fsck, FSCK_DAMAGED, path, why.text);
        } else if (!store_has_object(fsck->store, id)) {
            store_id_to_text(id, text);
            snprintf(message, sizeof message, "it names %s, which is not in the store", text);
            tell(fsck, FSCK_MISSING, path, message);
        }
    }
    return OK;
}

/* An input that is gone or was changed openly is no damage of the store. */
static enum status check_input(void *context, const char *path, struct trace *trace)
{
    struct fsck *fsck = context;
    struct store_input input;
    struct trace why = {0};
    (void)trace;
    if (store_input_hash(&input, fsck->store, path, INPUT_AGAIN, &why) == CORRUPT)
        tell(fsck, FSCK_DAMAGED, path, why.text);
    return OK;
}

/* ---- Repair ---- */

/* The caller holds no lock; nothing here writes through the layout, which would lock again. */
static enum status repair(struct fsck *fsck, struct trace *trace)
{
    int lock;
    enum status s = layout_lock_sweep(&lock, fsck->store, DISK_EXCLUSIVE, trace);
    for (uint32_t i = 0; s == OK && i < fsck->moved.count; i++) {
        char hex[HASH128_HEX];
        hash128_to_hex(fsck->moved.items[i], hex);
        char *to = layout_path(&fsck->arena, fsck->store, "damaged", hex);
        s = layout_prepare(to, trace);
        if (s == OK)
            s = disk_move(layout_fan_path(&fsck->arena, fsck->store, "objects", fsck->moved.items[i]), to,
                          trace);
        fsck->report->set_aside += s == OK;
    }
    for (uint32_t i = 0; s == OK && i < fsck->removed.count; i++) {
        s = disk_remove(fsck->removed.items[i].path, trace);
        *fsck->removed.items[i].count += s == OK;
    }
    disk_close(lock);
    return s;
}

static enum status check_all(struct fsck *fsck, struct trace *trace)
{
    int lock;
    /* Keeps gc away. A store that may only be read is read without. */
    if (layout_lock_sweep(&lock, fsck->store, DISK_SHARED, NULL) != OK)
        lock = -1;
    enum status s = check_objects(fsck, trace);
    spread(fsck);
    if (s == OK)
        s = check_keys(fsck, trace);
    if (s == OK)
        s = check_refs(fsck, trace);
    if (s == OK)
        s = store_input_each(fsck->store, check_input, fsck, trace);
    disk_close(lock);
    return s;
}

enum status store_fsck(struct fsck_report *out, const struct store *store, enum fsck_mode mode,
                       fsck_reporter *report, void *context, struct trace *trace)
{
    struct fsck fsck = {.store = store, .report = out, .reporter = report, .context = context};
    *out = (struct fsck_report){0};
    enum status s = check_all(&fsck, trace);
    if (s == OK && mode == FSCK_REPAIR)
        s = repair(&fsck, trace);
    if (s == OK && out->problems > 0)
        s = status_fail(trace, DIFFERS, "%" PRIu64 " damaged or missing in %s", out->problems, store->root);
    arena_release(&fsck.arena);
    return s;
}
