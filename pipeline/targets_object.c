/* The JSON has sorted keys, as all reports. A reader trusts it as it trusts every object, but checks what it
 * would compute addresses from. */
#include "pipeline/targets_object.h"
#include "pipeline/run.h"
#include "store/id.h"
#include "store/packing.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {[TARGETS_F32] = "f32", [TARGETS_F16] = "f16"};

enum { LARGEST_WINDOW = 1 << 30 };

/* ---- making ---- */

static json_t *list_parts(const struct targets_part *parts, uint64_t count)
{
    json_t *list = json_array();
    for (uint64_t i = 0; i < count; i++) {
        char hex[HASH128_HEX];
        hash128_to_hex(parts[i].raw, hex);
        json_array_append_new(list, json_string(hex));
    }
    return list;
}

enum status targets_list_parts(struct hash128 *out, char sha256[SHA256_HEX], const struct store *store,
                               const struct targets_part *parts, uint64_t count, struct trace *trace)
{
    struct builder text = {0};
    for (uint64_t i = 0; i < count; i++) {
        char hex[HASH128_HEX];
        hash128_to_hex(parts[i].id, hex);
        builder_printf(&text, "xxh3:%s\n", hex);
    }
    enum status status = store_put(out, sha256, store, "manifest", builder_text(&text), text.length, trace);
    builder_release(&text);
    return status;
}

enum status targets_object_add(struct stage_run *stage, const struct targets_info *info,
                               const struct targets_part *parts, uint64_t count, struct trace *trace)
{
    char tokenizer[HASH128_HEX];
    hash128_to_hex(info->tokenizer, tokenizer);
    json_t *json = json_pack(
        "{s:i, s:I, s:I, s:I, s:s, s:f, s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:o}", "version", 1, "length",
        (json_int_t)info->form.tokens, "kept", (json_int_t)info->form.kept, "vocabulary",
        (json_int_t)info->form.vocabulary, "type", type_names[info->form.type], "temperature",
        info->temperature, "windows", (json_int_t)info->windows, "asked", (json_int_t)info->count, "seed",
        (json_int_t)info->seed, "part", (json_int_t)info->part, "data", info->data, "tokenizer", tokenizer,
        "tokens", (json_int_t)info->tokens, "parts", list_parts(parts, count));
    if (!json)
        BUG("targets cannot be described as JSON");
    TRY(stage_add_json(stage, "targets", "targets", json, trace));
    struct hash128 id;
    char sha256[SHA256_HEX];
    TRY(targets_list_parts(&id, sha256, stage_store(stage), parts, count, trace));
    stage_add_output(stage, "packed", id, sha256);
    return OK;
}

const char *targets_describe_data(struct arena *arena, const struct run *run, uint32_t input,
                                  const struct corpus *corpus)
{
    struct builder text = {0};
    char hex[HASH128_HEX];
    settings_print(&run->pipeline.inputs.items[input].settings, &text);
    hash128_to_hex(corpus->text_hash, hex);
    builder_printf(&text, "text file-xxh3:%s\n", hex);
    hash128_to_hex(corpus->tokenizer_hash, hex);
    builder_printf(&text, "tokenizer file-xxh3:%s\ntokens %" PRIu64 "\n", hex, corpus->count);
    const char *copy = arena_copy_string(arena, builder_text(&text), text.length);
    builder_release(&text);
    return copy;
}

/* ---- reading ---- */

struct targets_place {
    uint64_t window, position;
};

static enum status damaged(const struct targets_reader *r, const char *what, struct trace *trace)
{
    return status_fail(trace, CORRUPT, "what stage \"%s\" made: %s", r->from->name, what);
}

static uint64_t number(const json_t *json, const char *key, uint64_t most)
{
    json_int_t value = json_integer_value(json_object_get(json, key));
    return value < 0 || (uint64_t)value > most ? UINT64_MAX : (uint64_t)value;
}

static enum status read_info(struct targets_reader *r, const json_t *json, struct trace *trace)
{
    struct targets_info *info = &r->info;
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *tokenizer = json_string_value(json_object_get(json, "tokenizer"));
    const char *data = json_string_value(json_object_get(json, "data"));
    uint64_t length = number(json, "length", INT32_MAX), kept = number(json, "kept", INT32_MAX);
    uint64_t vocabulary = number(json, "vocabulary", INT32_MAX);
    info->temperature = json_number_value(json_object_get(json, "temperature"));
    info->windows = number(json, "windows", INT64_MAX);
    info->count = number(json, "asked", INT64_MAX);
    info->seed = number(json, "seed", INT64_MAX);
    info->part = number(json, "part", UINT32_MAX);
    bool is_good = number(json, "version", 1) == 1 && type && tokenizer && data &&
                   targets_type_from_name(str_from(type), &info->form.type) &&
                   hash128_from_hex(str_from(tokenizer), &info->tokenizer) && length > 0 && kept > 0 &&
                   length < INT32_MAX && kept <= vocabulary && vocabulary < INT32_MAX && info->count > 0 &&
                   info->count <= info->windows && info->windows < INT64_MAX && info->part > 0 &&
                   info->part <= UINT32_MAX && length * kept <= LARGEST_WINDOW / 8;
    if (!is_good)
        return damaged(r, "not as it should be", trace);
    info->form.tokens = (uint32_t)length;
    info->form.kept = (uint32_t)kept;
    info->form.vocabulary = (uint32_t)vocabulary;
    info->tokens = (uint32_t)number(json, "tokens", UINT32_MAX);
    info->data = arena_printf(&r->arena, "%s", data);
    r->part_count = (info->count + info->part - 1) / info->part;
    if (json_array_size(json_object_get(json, "parts")) != r->part_count)
        return damaged(r, "parts are missing", trace);
    return OK;
}

static enum status read_parts(struct targets_reader *r, struct str text, struct trace *trace)
{
    enum { LINE = 5 + HASH128_HEX }; /* "xxh3:", digits, newline */
    r->parts = ARENA_ARRAY(&r->arena, struct hash128, r->part_count);
    if (text.length != r->part_count * LINE)
        return damaged(r, "the list of parts is not as long as it should be", trace);
    for (uint64_t i = 0; i < r->part_count; i++)
        if (!hash128_from_hex((struct str){text.data + i * LINE + 5, HASH128_HEX - 1}, &r->parts[i]))
            return damaged(r, "the list of parts has a line that is no id", trace);
    return OK;
}

static enum status open_both(struct targets_reader *r, const struct store_result *result, struct trace *trace)
{
    const struct store_output *targets = store_result_find(result, "targets"),
                              *packed = store_result_find(result, "packed");
    struct store_object object = {0}, list = {0};
    if (!targets || !packed)
        BUG("stage \"%s\" made no targets", r->from->name);
    enum status status = store_open_object(&object, r->store, targets->id, "targets", OBJECT_VERIFY, trace);
    json_t *json = status == OK
                       ? json_loadb((const char *)object.data, object.size, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
    if (status == OK)
        status = read_info(r, json, trace);
    if (status == OK)
        status = store_open_object(&list, r->store, packed->id, "manifest", OBJECT_VERIFY, trace);
    if (status == OK)
        status = read_parts(r, store_object_text(&list), trace);
    json_decref(json);
    store_object_release(&object);
    store_object_release(&list);
    return status;
}

enum status targets_reader_open(struct targets_reader *out, struct stage_run *stage, uint32_t from,
                                struct trace *trace)
{
    const struct store_result *result = &stage->run->results[from];
    const struct store_output *packed = store_result_find(result, "packed");
    *out = (struct targets_reader){.from = &stage->run->pipeline.stages.items[from],
                                   .store = stage_store(stage)};
    if (packed)
        TRY(stage_lock_use(&stage->lock, packed->id, trace));
    TRY(open_both(out, result, trace));
    out->raw = malloc(targets_size(&out->info.form));
    if (!out->raw)
        BUG("out of memory");
    return OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct targets_place *x = a, *y = b;
    return (x->window > y->window) - (x->window < y->window);
}

enum status targets_reader_match(struct targets_reader *r, const char *data, const struct batcher *batcher,
                                 struct trace *trace)
{
    if (strcmp(r->info.data, data) != 0 || r->info.windows != batcher->windows)
        return status_fail(trace, INVALID,
                           "stage \"%s\" asked its teacher about another text:\n%swhere this is\n%s",
                           r->from->name, r->info.data, data);
    if (r->info.count == r->info.windows || r->places)
        return OK;
    struct batcher order = *batcher;
    order.options.seed = r->info.seed;
    order.options.first = order.options.stream = 0;
    r->places = malloc(r->info.count * sizeof *r->places);
    if (!r->places)
        BUG("out of memory");
    for (uint64_t i = 0; i < r->info.count; i++)
        r->places[i] = (struct targets_place){batcher_window(&order, i), i};
    qsort(r->places, r->info.count, sizeof *r->places, compare_places);
    return OK;
}

static bool find_position(const struct targets_reader *r, uint64_t window, uint64_t *out)
{
    struct targets_place key = {.window = window};
    *out = window;
    if (r->info.count == r->info.windows)
        return window < r->info.windows;
    const struct targets_place *found =
        bsearch(&key, r->places, r->info.count, sizeof *r->places, compare_places);
    *out = found ? found->position : 0;
    return found != NULL;
}

bool targets_reader_has(const struct targets_reader *r, uint64_t window)
{
    uint64_t position;
    return find_position(r, window, &position);
}

static uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Window `index` of a part. */
static enum status unpack_window(struct targets_reader *r, const struct store_object *object, uint64_t index,
                                 struct trace *trace)
{
    uint64_t count = object->size >= 4 ? word_at(object->data) : 0;
    if (index >= count || object->size < 4 * (count + 2))
        return damaged(r, "a part has not so many windows", trace);
    uint64_t first = word_at(object->data + 4 * (index + 1)), end = word_at(object->data + 4 * (index + 2));
    if (first > end || end > object->size)
        return damaged(r, "a window lies outside of its part", trace);
    return unpack_bytes(r->raw, targets_size(&r->info.form), object->data + first, end - first, trace);
}

enum status targets_reader_read(struct targets_reader *r, uint64_t window, struct targets *out,
                                uint32_t first, struct trace *trace)
{
    uint64_t position;
    struct store_object object = {0};
    if (!find_position(r, window, &position))
        BUG("a window that was not asked about");
    struct hash128 id = r->parts[position / r->info.part];
    enum status status = store_open_object(&object, r->store, id, "packed", OBJECT_TRUST, trace);
    if (status == OK)
        status = unpack_window(r, &object, position % r->info.part, trace);
    if (status == OK)
        status = targets_decode(out, first, &r->info.form, r->raw, trace);
    store_object_release(&object);
    if (status != OK) {
        char hex[HASH128_HEX];
        hash128_to_hex(id, hex);
        trace_add(trace, "while reading window %" PRIu64 " from xxh3:%s, which stage \"%s\" made", window,
                  hex, r->from->name);
    }
    return status;
}

void targets_reader_release(struct targets_reader *r)
{
    free(r->places);
    free(r->raw);
    arena_release(&r->arena);
    *r = (struct targets_reader){0};
}
