/* Samples of an input are numbered through all phases that cut it alike, so that a later phase goes on where
 * an earlier one stopped. */
#include "pipeline/training_data.h"
#include "pipeline/run.h"
#include "pipeline/training_plan.h"
#include <inttypes.h>
#include <stdlib.h>

static struct mixture mixture_of(const struct stage_entry *entry, uint32_t phase)
{
    uint32_t count;
    const struct data_source *sources = training_sources(&count, entry, phase);
    struct mixture mixture = {.count = count, .seed = (uint64_t)settings_integer(&entry->settings, "seed")};
    for (uint32_t i = 0; i < count; i++)
        mixture.shares[i] = sources[i].share;
    return mixture;
}

static uint64_t micro_batches(const struct stage_entry *entry, uint32_t phase)
{
    return (uint64_t)training_integer(entry, phase, "steps") *
           (uint64_t)(training_integer(entry, phase, "batch") / training_integer(entry, phase, "micro"));
}

/* Samples of an input that a phase draws. */
static uint64_t samples_of(const struct stage_entry *entry, uint32_t phase, uint32_t input)
{
    uint32_t count;
    uint64_t drawn = 0;
    const struct data_source *sources = training_sources(&count, entry, phase);
    struct mixture mixture = mixture_of(entry, phase);
    for (uint32_t i = 0; i < count; i++)
        if (sources[i].input == input)
            drawn += mixture_count(&mixture, i, micro_batches(entry, phase));
    return drawn * (uint64_t)training_integer(entry, phase, "micro");
}

uint64_t training_first_sample(const struct stage_entry *entry, uint32_t phase, uint32_t input)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < phase; i++)
        if (training_integer(entry, i, "length") == training_integer(entry, phase, "length"))
            first += samples_of(entry, i, input);
    return first;
}

/* Every sample that the phase will show must have been asked about. */
static enum status check_kept(const struct training_source *source, const struct stage_run *stage,
                              uint32_t phase, uint32_t input, struct trace *trace)
{
    uint64_t samples = samples_of(stage->entry, phase, input), windows = source->batcher.windows;
    const struct targets_info *info = &source->kept->info;
    const char *name = source->kept->from->name;
    if (info->count == info->windows)
        return OK;
    for (uint64_t i = 0; i < samples && i < 2 * windows; i++) /* two epochs show every window */
        if (!targets_reader_has(source->kept, batcher_window(&source->batcher, i)))
            return settings_fail(
                &stage->entry->settings, "teacher", trace,
                "stage \"%s\" asked its teacher about %" PRIu64 " of %" PRIu64
                " sequences, the first that seed %" PRIu64 " draws, and sample %" PRIu64 " of %" PRIu64
                " here is none of them: give it the same seed and samples: %" PRIu64 ", or 0 for all",
                name, info->count, info->windows, info->seed, i, samples,
                source->batcher.options.first + samples);
    return OK;
}

static enum status open_source(struct training_source *out, struct stage_run *stage, uint32_t phase,
                               const struct data_source *from, struct tokenizer *tokenizer,
                               struct trace *trace)
{
    struct partition part;
    const struct stage_entry *entry = stage->entry;
    TRY(stage_corpus(&out->corpus, &part, stage, from->input, tokenizer, trace));
    struct batch_options options = {.partition = part,
                                    .order = BATCH_SHUFFLED,
                                    .length = (uint32_t)training_integer(entry, phase, "length"),
                                    .rows = (uint32_t)training_integer(entry, phase, "micro"),
                                    .micros = 1,
                                    .first = training_first_sample(entry, phase, from->input),
                                    .seed = (uint64_t)settings_integer(&entry->settings, "seed")};
    TRY(batcher_open(&out->batcher, &out->corpus, &options, trace));
    out->route = from->route;
    if (!out->kept)
        return OK;
    TRY(targets_reader_match(out->kept,
                             targets_describe_data(&stage->arena, stage->run, from->input, &out->corpus),
                             &out->batcher, trace));
    return check_kept(out, stage, phase, from->input, trace);
}

enum status training_data_open(struct training_data *out, struct stage_run *stage, uint32_t phase,
                               struct tokenizer *tokenizer, struct targets_reader *kept, struct trace *trace)
{
    const struct stage_entry *entry = stage->entry;
    uint32_t count;
    const struct data_source *sources = training_sources(&count, entry, phase);
    *out = (struct training_data){.mixture = mixture_of(entry, phase),
                                  .rows = (uint32_t)training_integer(entry, phase, "micro")};
    out->micros = (uint32_t)training_integer(entry, phase, "batch") / out->rows;
    out->sources = calloc(count, sizeof *out->sources);
    if (!out->sources)
        BUG("out of memory");
    for (uint32_t i = 0; i < count; i++) {
        struct targets_reader *reader = &kept[sources[i].route];
        out->sources[i].kept = reader->from ? reader : NULL;
        TRY(open_source(&out->sources[i], stage, phase, &sources[i], tokenizer, trace));
    }
    return OK;
}

static struct mixture_pick pick(const struct training_data *data, uint64_t step, uint32_t micro)
{
    return mixture_pick(&data->mixture, step * data->micros + micro);
}

static void fill(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    const struct training_data *data = payload;
    struct mixture_pick from = pick(data, step, micro);
    const struct training_source *source = &data->sources[from.source];
    batcher_fill(&source->batcher, from.number, 0, out);
    for (uint32_t row = 0; row < out->rows; row++)
        out->tags[row] = source->route;
}

static enum status read_kept(void *payload, uint64_t step, uint32_t micro, struct targets *out,
                             struct trace *trace)
{
    const struct training_data *data = payload;
    struct mixture_pick from = pick(data, step, micro);
    struct training_source *source = &data->sources[from.source];
    uint32_t length = source->batcher.options.length;
    for (uint32_t row = 0; row < data->rows; row++) {
        uint64_t window = batcher_window(&source->batcher, from.number * data->rows + row);
        TRY(targets_reader_read(source->kept, window, out, row * length, trace));
    }
    return OK;
}

struct trainer_source training_data_source(struct training_data *data)
{
    return (struct trainer_source){.fill = fill, .kept = read_kept, .payload = data};
}

void training_data_release(struct training_data *data)
{
    for (uint32_t i = 0; data->sources && i < data->mixture.count; i++) {
        batcher_release(&data->sources[i].batcher);
        corpus_release(&data->sources[i].corpus);
    }
    free(data->sources);
    *data = (struct training_data){0};
}
