/* teach: a teacher is asked about windows of a text, and what it says is kept, part by part. Parts that are
 * done are in the store already when the stage is stopped; a checkpoint lists them. */
#include "base/log.h"
#include "measure/teach.h"
#include "pipeline/run.h"
#include "pipeline/targets_object.h"
#include "store/checkpoint.h"
#include "store/packing.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 1 << 20, CHECKPOINT_SECONDS = 60, LARGEST_WINDOW = 1 << 30 };

struct asking {
    struct stage_run *stage;
    struct targets_info info;
    struct batcher batcher;
    struct batch batch;
    struct teaching teaching;
    struct targets said;
    struct targets_part *parts;
    uint64_t part_count, done; /* parts in all, and so far */
    uint64_t saved;            /* that the latest checkpoint lists */
    double saved_at;
    uint8_t *raw; /* a window */
    struct builder packed;
    uint32_t *ends; /* of the windows of this part, in `packed` */
    uint32_t filled;
    struct hasher *hasher; /* of their bytes */
};

static void release(struct asking *a)
{
    hasher_destroy(a->hasher);
    builder_release(&a->packed);
    targets_release(&a->said);
    teaching_release(&a->teaching);
    batch_release(&a->batch);
    batcher_release(&a->batcher);
    free(a->parts);
    free(a->raw);
    free(a->ends);
}

static void *allocate(uint64_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (!memory)
        BUG("out of memory");
    return memory;
}

/* ---- what was done before ---- */

/* How many of the first `count` parts are in the store, without a gap. */
static uint64_t count_there(const struct asking *a, uint64_t count)
{
    uint64_t there = 0;
    while (there < count && store_has_object(stage_store(a->stage), a->parts[there].id))
        there++;
    return there;
}

/* Parts that a checkpoint lists and that are still there: no stage has run meanwhile that kept them from gc.
 * Those that this run makes are young, and need no list. */
static enum status keep_parts(struct asking *a, uint64_t count, struct trace *trace)
{
    struct hash128 id;
    char sha256[SHA256_HEX];
    uint64_t there = count_there(a, count);
    if (there == 0)
        return OK;
    TRY(targets_list_parts(&id, sha256, stage_store(a->stage), a->parts, there, trace));
    TRY(stage_lock_use(&a->stage->lock, id, trace));
    a->done = a->saved = count_there(a, there);
    return OK;
}

static enum status resume(struct asking *a, struct trace *trace)
{
    struct checkpoint checkpoint = {0};
    struct mapping file = {0};
    enum status status = checkpoint_open_latest(&checkpoint, stage_store(a->stage), a->stage->key, trace);
    if (status == NOT_FOUND)
        return OK;
    if (status == OK && checkpoint.step > a->part_count)
        status = status_fail(trace, CORRUPT, "a checkpoint of %" PRIu64 " parts where there are %" PRIu64,
                             checkpoint.step, a->part_count);
    if (status == OK)
        status = checkpoint_map(&file, &checkpoint, "parts", checkpoint.step * sizeof *a->parts, trace);
    if (status == OK && file.data)
        memcpy(a->parts, file.data, file.size);
    if (status == OK)
        status = keep_parts(a, checkpoint.step, trace);
    mapping_release(&file);
    checkpoint_release(&checkpoint);
    return status;
}

static enum status save(struct asking *a, struct trace *trace)
{
    struct checkpoint_writer w = {0};
    if (a->saved == a->done)
        return OK;
    enum status status = checkpoint_writer_begin(&w, stage_store(a->stage), a->stage->key, a->done, trace);
    if (status == OK)
        status = checkpoint_writer_add(&w, "parts", a->parts, a->done * sizeof *a->parts, trace);
    if (status == OK)
        status = checkpoint_writer_commit(&w, trace);
    checkpoint_writer_release(&w);
    a->saved = a->done;
    a->saved_at = clock_seconds();
    return status;
}

static enum status save_if_due(struct asking *a, struct trace *trace)
{
    uint64_t every = (uint64_t)settings_integer(&a->stage->entry->settings, "checkpoint");
    bool is_due =
        every > 0 ? a->done - a->saved >= every : clock_seconds() - a->saved_at >= CHECKPOINT_SECONDS;
    return is_due && a->done < a->part_count ? save(a, trace) : OK;
}

/* ---- parts ---- */

static void add_word(struct builder *out, uint64_t word)
{
    char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(word >> 8 * i);
    builder_add(out, bytes, sizeof bytes);
}

static enum status finish_part(struct asking *a, struct trace *trace)
{
    struct builder object = {0};
    struct targets_part *part = &a->parts[a->done];
    uint64_t begin = 4 * ((uint64_t)a->filled + 2);
    if (begin + a->packed.length > UINT32_MAX)
        BUG("a part of %zu bytes", a->packed.length);
    add_word(&object, a->filled);
    add_word(&object, begin);
    for (uint32_t i = 0; i < a->filled; i++)
        add_word(&object, begin + a->ends[i]);
    builder_add(&object, builder_text(&a->packed), a->packed.length);
    part->raw = hasher_finish(a->hasher);
    enum status status =
        store_put(&part->id, NULL, stage_store(a->stage), "packed", object.data, object.length, trace);
    builder_release(&object);
    hasher_destroy(a->hasher);
    a->hasher = hasher_create();
    builder_clear(&a->packed);
    a->filled = 0;
    a->done++;
    return status == OK ? save_if_due(a, trace) : status;
}

/* Row `row` of what the teacher said is the next window. */
static enum status add_window(struct asking *a, uint32_t row, uint64_t position, struct trace *trace)
{
    const struct targets_form *form = &a->info.form;
    size_t at = (size_t)row * form->tokens, size = targets_size(form);
    struct targets window = {.tokens = form->tokens,
                             .kept = form->kept,
                             .ids = a->said.ids + at * form->kept,
                             .logs = a->said.logs + at * form->kept,
                             .rest = a->said.rest + at};
    targets_encode(a->raw, form, &window);
    hasher_update(a->hasher, a->raw, size);
    pack_bytes(&a->packed, a->raw, size);
    a->ends[a->filled++] = (uint32_t)a->packed.length;
    bool is_last = position + 1 == a->info.count;
    return a->filled == a->info.part || is_last ? finish_part(a, trace) : OK;
}

/* ---- asking ---- */

static uint64_t window_at(const struct asking *a, uint64_t position)
{
    return a->info.count == a->info.windows ? position : batcher_window(&a->batcher, position);
}

static enum status ask(struct asking *a, uint64_t first, struct trace *trace)
{
    uint32_t rows = a->batch.rows;
    for (uint32_t row = 0; row < rows; row++) {
        uint64_t position = first + row < a->info.count ? first + row : first;
        batcher_fill_window(&a->batcher, window_at(a, position), row, &a->batch);
    }
    TRY(teaching_ask(&a->teaching, a->batch.ids, &a->said, trace));
    for (uint32_t row = 0; row < rows && first + row < a->info.count; row++)
        TRY(add_window(a, row, first + row, trace));
    return OK;
}

static enum status ask_all(struct asking *a, struct trace *trace)
{
    const volatile sig_atomic_t *stop = stage_stop(a->stage);
    struct progress progress;
    enum status status = OK;
    uint64_t first = a->done * a->info.part;
    a->saved_at = clock_seconds();
    progress_start(&progress, a->stage->entry->name, "windows", first, a->info.count);
    for (; first < a->info.count && status == OK; first += a->batch.rows) {
        if (stop && *stop) {
            TRY(save(a, trace));
            status = status_fail(trace, INTERRUPTED, "interrupted after %" PRIu64 " of %" PRIu64 " windows",
                                 a->done * a->info.part, a->info.count);
        } else
            status = ask(a, first, trace);
        progress_update(&progress,
                        first + a->batch.rows < a->info.count ? first + a->batch.rows : a->info.count, NULL);
    }
    progress_finish(&progress);
    return status;
}

/* ---- the stage ---- */

static enum status read_info(struct asking *a, const struct model *model, const struct corpus *corpus,
                             struct trace *trace)
{
    const struct settings *s = &a->stage->entry->settings;
    uint64_t samples = (uint64_t)settings_integer(s, "samples"), windows = a->batcher.windows;
    struct targets_info *info = &a->info;
    *info = (struct targets_info){
        .form = {.tokens = (uint32_t)settings_integer(s, "length"),
                 .kept = (uint32_t)settings_integer(s, "top"),
                 .vocabulary = a->teaching.vocabulary},
        .temperature = settings_real(s, "temperature"),
        .windows = windows,
        .count = samples > 0 && samples < windows ? samples : windows,
        .seed = (uint64_t)settings_integer(s, "seed"),
        .data = targets_describe_data(&a->stage->arena, a->stage->run, a->stage->entry->data, corpus),
        .tokenizer = tokenizer_hash(model->tokenizer),
        .tokens = tokenizer_vocabulary(model->tokenizer)};
    if (!targets_type_from_name(str_from(settings_text(s, "type")), &info->form.type))
        BUG("type %s is in settings.def but not in data/targets.c", settings_text(s, "type"));
    uint64_t size = targets_size(&info->form);
    if ((uint64_t)info->form.tokens * info->form.kept > LARGEST_WINDOW / 8)
        return settings_fail(s, "top", trace, "what is kept of a sequence would take %" PRIu64 " bytes",
                             size);
    info->part = size < PART_BYTES ? PART_BYTES / size : 1;
    a->part_count = (info->count + info->part - 1) / info->part;
    return store_require_space(stage_store(a->stage), info->count * size / 2, "what the teacher says", trace);
}

static enum status prepare(struct asking *a, const struct model *model, const struct corpus *corpus,
                           struct partition part, struct trace *trace)
{
    const struct settings *s = &a->stage->entry->settings;
    struct executor *executor;
    struct teach_options options = {.rows = (uint32_t)settings_integer(s, "micro"),
                                    .length = (uint32_t)settings_integer(s, "length"),
                                    .top = (uint32_t)settings_integer(s, "top"),
                                    .vocabulary = (uint32_t)settings_integer(s, "vocab"),
                                    .temperature = (float)settings_real(s, "temperature")};
    struct batch_options batches = {.partition = part,
                                    .order = BATCH_SHUFFLED,
                                    .length = options.length,
                                    .rows = options.rows,
                                    .micros = 1,
                                    .seed = (uint64_t)settings_integer(s, "seed")};
    TRY(batcher_open(&a->batcher, corpus, &batches, trace));
    TRY(stage_executor(&executor, a->stage, trace));
    TRY(teaching_open(&a->teaching, executor, model->graph, &options, trace));
    TRY(read_info(a, model, corpus, trace));
    batch_init(&a->batch, options.rows, options.length);
    targets_init(&a->said, options.rows * options.length, options.top);
    a->parts = allocate(a->part_count, sizeof *a->parts);
    a->ends = allocate(a->info.part, sizeof *a->ends);
    a->raw = allocate(targets_size(&a->info.form), 1);
    a->hasher = hasher_create();
    return OK;
}

static enum status teach(struct stage_run *stage, const struct model *model, const struct corpus *corpus,
                         struct partition part, struct trace *trace)
{
    struct asking a = {.stage = stage};
    enum status status = prepare(&a, model, corpus, part, trace);
    if (status == OK)
        status = resume(&a, trace);
    if (status == OK) {
        json_object_set_new(stage->record, "resumed_from", json_integer((json_int_t)a.done));
        status = ask_all(&a, trace);
    }
    if (status == OK)
        status = targets_object_add(stage, &a.info, a.parts, a.part_count, trace);
    if (status == OK)
        status = checkpoint_remove_all(stage_store(stage), stage->key, trace);
    release(&a);
    return status;
}

enum status stage_teach(struct stage_run *stage, struct trace *trace)
{
    return stage_on_text(stage, teach, trace);
}
