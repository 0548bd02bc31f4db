/* A state is one file of the checkpoint, named as the trainer names it. Names that the trainer has and the
 * checkpoint lacks mean that it was written for another model: the key makes that impossible, so it is
 * CORRUPT. */
#include "pipeline/checkpoints.h"
#include "store/checkpoint.h"
#include <stdlib.h>
#include <string.h>

static enum status add_state(struct checkpoint_writer *w, struct trainer *trainer, uint32_t index,
                             struct trace *trace)
{
    struct trainer_state state = trainer_state(trainer, index);
    size_t bytes = (size_t)state.count * sizeof(float);
    float *data = malloc(bytes);
    if (!data)
        BUG("out of memory");
    char *name = arena_copy_string(&w->arena, state.name.data, state.name.length);
    enum status status = trainer_state_read(trainer, index, 0, state.count, data, trace);
    if (status == OK)
        status = checkpoint_writer_add(w, name, data, bytes, trace);
    free(data);
    return status;
}

/* Only where losses are scaled. */
static enum status add_scales(struct checkpoint_writer *w, struct trainer *trainer, struct trace *trace)
{
    uint32_t words[2][LOSS_SCALE_WORDS], count = trainer_scale_count(trainer);
    for (uint32_t i = 0; i < count; i++)
        loss_scale_save(trainer_scale(trainer, i), words[i]);
    return count ? checkpoint_writer_add(w, "loss_scale", words, count * sizeof *words, trace) : OK;
}

static enum status take_scales(const struct checkpoint *checkpoint, struct trainer *trainer,
                               struct trace *trace)
{
    uint32_t words[2][LOSS_SCALE_WORDS], count = trainer_scale_count(trainer);
    struct mapping file = {0};
    if (count == 0)
        return OK;
    TRY(checkpoint_map(&file, checkpoint, "loss_scale", count * sizeof *words, trace));
    memcpy(words, file.data, file.size);
    mapping_release(&file);
    for (uint32_t i = 0; i < count; i++)
        if (!loss_scale_restore(trainer_scale(trainer, i), words[i]))
            return status_fail(trace, CORRUPT, "expected a loss scale that is a power of two, found %u",
                               words[i][0]);
    return OK;
}

enum status checkpoints_write(const struct checkpoints *c, struct trainer *trainer, const float *curve,
                              struct trace *trace)
{
    struct checkpoint_writer writer = {0};
    uint32_t step = trainer_position(trainer);
    enum status status = checkpoint_writer_begin(&writer, c->store, c->key, step, trace);
    for (uint32_t i = 0; i < trainer_state_count(trainer) && status == OK; i++)
        status = add_state(&writer, trainer, i, trace);
    if (status == OK)
        status = checkpoint_writer_add(&writer, "curve", curve, step * sizeof *curve, trace);
    if (status == OK)
        status = add_scales(&writer, trainer, trace);
    if (status == OK)
        status = checkpoint_writer_commit(&writer, trace);
    checkpoint_writer_release(&writer);
    if (status != OK)
        trace_add(trace, "while writing the checkpoint of step %u", step);
    return status;
}

static enum status take_state(const struct checkpoint *checkpoint, struct trainer *trainer, uint32_t index,
                              struct trace *trace)
{
    struct trainer_state state = trainer_state(trainer, index);
    char *name = strndup(state.name.data, state.name.length);
    struct mapping file = {0};
    enum status status =
        checkpoint_map(&file, checkpoint, name, (uint64_t)state.count * sizeof(float), trace);
    if (status == OK)
        status = trainer_state_write(trainer, index, 0, state.count, (const float *)(const void *)file.data,
                                     trace);
    mapping_release(&file);
    free(name);
    return status;
}

static enum status take_all(const struct checkpoint *checkpoint, struct trainer *trainer, float *curve,
                            struct trace *trace)
{
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++)
        TRY(take_state(checkpoint, trainer, i, trace));
    struct mapping file = {0};
    TRY(checkpoint_map(&file, checkpoint, "curve", checkpoint->step * sizeof *curve, trace));
    memcpy(curve, file.data, file.size);
    mapping_release(&file);
    TRY(take_scales(checkpoint, trainer, trace));
    return trainer_resume(trainer, (uint32_t)checkpoint->step, trace);
}

enum status checkpoints_latest(const struct checkpoints *c, uint32_t *step, struct trace *trace)
{
    struct checkpoint checkpoint = {0};
    *step = 0;
    enum status status = checkpoint_open_latest(&checkpoint, c->store, c->key, trace);
    if (status == OK)
        *step = (uint32_t)checkpoint.step;
    checkpoint_release(&checkpoint);
    return status == NOT_FOUND ? OK : status;
}

enum status checkpoints_resume(const struct checkpoints *c, struct trainer *trainer, float *curve,
                               struct trace *trace)
{
    struct checkpoint checkpoint = {0};
    enum status status = checkpoint_open_latest(&checkpoint, c->store, c->key, trace);
    if (status == OK)
        status = take_all(&checkpoint, trainer, curve, trace);
    if (status != OK)
        trace_add(trace, "while resuming from the checkpoint of step %u", (unsigned)checkpoint.step);
    checkpoint_release(&checkpoint);
    return status;
}

enum status checkpoints_remove(const struct checkpoints *c, struct trace *trace)
{
    return checkpoint_remove_all(c->store, c->key, trace);
}
