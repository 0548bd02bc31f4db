/* A teacher can only teach tokens that mean the same to both, so tokenizers and vocabularies are compared
 * before anything runs. */
#include "pipeline/vocabularies.h"
#include "train/signals.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status vocabulary_of_model(struct vocabulary *out, const struct graph *graph,
                                const struct tokenizer *tokenizer, struct trace *trace)
{
    struct arena arena = {0};
    struct signals signals;
    *out = (struct vocabulary){.has_tokenizer = tokenizer != NULL};
    if (tokenizer) {
        out->tokenizer = tokenizer_hash(tokenizer);
        out->tokens = tokenizer_vocabulary(tokenizer);
    }
    enum status status = signals_find(&signals, &arena, graph, trace);
    if (status == OK)
        out->size = dims_size(&graph->dims, graph_value(graph, signals.head)->axes[0]);
    arena_release(&arena);
    return status;
}

static enum status vocabulary_of_teacher(struct vocabulary *out, const struct teacher_source *teacher,
                                         struct trace *trace)
{
    const struct targets_info *kept = teacher->kept;
    if (!kept)
        return vocabulary_of_model(out, teacher->model->graph, teacher->model->tokenizer, trace);
    *out = (struct vocabulary){kept->form.vocabulary, true, true, kept->tokenizer, kept->tokens};
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

/* Names the place where the rule was given, or could be. */
static PRINTF_LIKE(4, 5) enum status
    fail(const struct vocabulary_rule *rule, const char *key, struct trace *trace, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return rule->settings ? settings_fail(rule->settings, key, trace, "%s", message)
                          : status_fail(trace, INVALID, "--%s: %s", key, message);
}

enum status vocabularies_match(int64_t *out, const struct vocabulary *student,
                               const struct vocabulary *teacher, const struct vocabulary_rule *rule,
                               struct trace *trace)
{
    *out = 0;
    TRY(check_tokenizers(student, teacher, trace));
    if (student->size == teacher->size)
        return OK;
    int64_t shared = student->size < teacher->size ? student->size : teacher->size;
    if (teacher->is_kept && shared < teacher->size)
        return fail(rule, "teacher", trace,
                    "the teacher was asked about %" PRId64 " tokens, the student has %" PRId64
                    ": if those mean the same, give the teach stage vocab: %" PRId64,
                    teacher->size, student->size, shared);
    if (rule->word == VOCABULARY_SAME)
        return fail(rule, "vocab", trace,
                    "the student's logits are of %" PRId64 " tokens, the teacher's of %" PRId64
                    "; if the first %" PRId64 " mean the same and the others are padding, say %s",
                    student->size, teacher->size, shared,
                    rule->settings ? "vocab: shared" : "--vocab shared");
    if (student->has_tokenizer && student->tokens > shared)
        return fail(rule, "vocab", trace, "the models share %" PRId64 " tokens, the tokenizer has %" PRIu32,
                    shared, student->tokens);
    *out = shared;
    return OK;
}

enum status vocabularies_match_stage(int64_t *out, const struct settings *settings,
                                     const struct model *student, const struct teacher_source *teacher,
                                     struct trace *trace)
{
    struct vocabulary of_student, of_teacher;
    struct vocabulary_rule rule = {VOCABULARY_SAME, settings};
    if (strcmp(settings_text(settings, "vocab"), "shared") == 0)
        rule.word = VOCABULARY_SHARED;
    TRY(vocabulary_of_model(&of_student, student->graph, student->tokenizer, trace));
    TRY(vocabulary_of_teacher(&of_teacher, teacher, trace));
    return vocabularies_match(out, &of_student, &of_teacher, &rule, trace);
}
