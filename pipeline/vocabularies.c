/* A teacher can only teach tokens that mean the same to both, so tokenizers and vocabularies are compared
 * before anything runs. */
#include "pipeline/vocabularies.h"
#include "train/signals.h"
#include <inttypes.h>
#include <string.h>

static enum status head_size(int64_t *out, struct arena *arena, const struct model *model,
                             struct trace *trace)
{
    struct signals signals;
    TRY(signals_find(&signals, arena, model->graph, trace));
    *out = dims_size(&model->graph->dims, graph_value(model->graph, signals.head)->axes[0]);
    return OK;
}

/* What the logits of one side are of. */
struct vocabulary {
    int64_t size;
    bool has_tokenizer;
    struct hash128 tokenizer;
    uint32_t tokens;
};

static enum status vocabulary_of(struct vocabulary *out, struct arena *arena, const struct model *model,
                                 struct trace *trace)
{
    *out = (struct vocabulary){.has_tokenizer = model->tokenizer != NULL};
    if (model->tokenizer) {
        out->tokenizer = tokenizer_hash(model->tokenizer);
        out->tokens = tokenizer_vocabulary(model->tokenizer);
    }
    return head_size(&out->size, arena, model, trace);
}

static enum status teachers_vocabulary(struct vocabulary *out, struct arena *arena,
                                       const struct teacher_source *teacher, struct trace *trace)
{
    const struct targets_info *kept = teacher->kept;
    if (!kept)
        return vocabulary_of(out, arena, teacher->model, trace);
    *out = (struct vocabulary){kept->form.vocabulary, true, kept->tokenizer, kept->tokens};
    return OK;
}

static enum status check_tokenizers(const struct vocabulary *student, const struct vocabulary *teacher,
                                    struct trace *trace)
{
    char of_student[HASH128_HEX], of_teacher[HASH128_HEX];
    if (!student->has_tokenizer || !teacher->has_tokenizer ||
        hash128_equal(student->tokenizer, teacher->tokenizer))
        return OK;
    hash128_to_hex(student->tokenizer, of_student);
    hash128_to_hex(teacher->tokenizer, of_teacher);
    return status_fail(trace, INVALID,
                       "student and teacher have different tokenizers (xxh3:%s with %" PRIu32
                       " tokens, xxh3:%s with %" PRIu32
                       "): the teacher would read the student's ids as other text; both need the same file",
                       of_student, student->tokens, of_teacher, teacher->tokens);
}

static enum status match(int64_t *out, struct arena *arena, const struct settings *s,
                         const struct model *model, const struct teacher_source *teacher, struct trace *trace)
{
    struct vocabulary of_student, of_teacher;
    TRY(vocabulary_of(&of_student, arena, model, trace));
    TRY(teachers_vocabulary(&of_teacher, arena, teacher, trace));
    TRY(check_tokenizers(&of_student, &of_teacher, trace));
    if (of_student.size == of_teacher.size)
        return OK;
    int64_t shared = of_student.size < of_teacher.size ? of_student.size : of_teacher.size;
    if (teacher->kept && shared < of_teacher.size)
        return settings_fail(s, "teacher", trace,
                             "the teacher was asked about %" PRId64 " tokens, the student has %" PRId64
                             ": if those mean the same, give the teach stage vocab: %" PRId64,
                             of_teacher.size, of_student.size, shared);
    if (strcmp(settings_text(s, "vocab"), "shared") != 0)
        return settings_fail(s, "vocab", trace,
                             "the student's logits are of %" PRId64 " tokens, the teacher's of %" PRId64
                             "; if the first %" PRId64
                             " mean the same and the others are padding, say vocab: shared",
                             of_student.size, of_teacher.size, shared);
    *out = shared;
    if (of_student.has_tokenizer && of_student.tokens > shared)
        return settings_fail(s, "vocab", trace,
                             "the models share %" PRId64 " tokens, the tokenizer has %" PRIu32, shared,
                             of_student.tokens);
    return OK;
}

enum status vocabularies_match(int64_t *out, const struct settings *settings, const struct model *student,
                               const struct teacher_source *teacher, struct trace *trace)
{
    struct arena arena = {0};
    *out = 0;
    enum status status = match(out, &arena, settings, student, teacher, trace);
    arena_release(&arena);
    return status;
}
