/* The forms of published tasks, and the prompts that lm-evaluation-harness makes of them. */
#include "data/task_forms.h"
#include "data/fields.h"
#include "data/letters.h"
#include <string.h>

static enum status get_text(struct str *out, const struct task_record *record, const char *key,
                            struct trace *trace)
{
    return fields_get_text(out, (struct fields){record->object, ""}, key, FIELD_REQUIRED, trace);
}

/* A label: a number, or text that is one. */
static enum status get_label(uint32_t *out, const struct task_record *record, const char *key, uint32_t first,
                             uint32_t count, struct trace *trace)
{
    const json_t *value = json_object_get(record->object, key);
    struct str text = record->label;
    char digits[24];
    if (!text.length && json_is_integer(value)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
        text = str_from(digits);
    } else if (!text.length && json_is_string(value))
        text = fields_text(value);
    uint64_t label;
    if (!str_to_u64(text, &label) || label < first || label >= first + count)
        return status_fail(trace, INVALID, "expected %s from %u to %u, found \"" STR_FORMAT "\"",
                           record->label.length ? "a label" : key, first, first + count - 1,
                           STR_ARGUMENT(text));
    *out = (uint32_t)label - first;
    return OK;
}

enum status task_form_goal(struct task_draft *out, const struct task_record *record, struct arena *arena,
                           struct trace *trace)
{
    struct str goal;
    TRY(get_text(&goal, record, "goal", trace));
    TRY(get_text(&out->choices[0], record, "sol1", trace));
    TRY(get_text(&out->choices[1], record, "sol2", trace));
    out->count = 2;
    out->has_one_context = true;
    out->contexts[0] = str_from(arena_printf(arena, "Question: " STR_FORMAT "\nAnswer:", STR_ARGUMENT(goal)));
    return get_label(&out->gold, record, "label", 0, 2, trace);
}

/* As published: question {stem, choices [{text, label}]}; or flattened: question, choices {text [], label
 * []}. */
static enum status science_choice(struct str *text, struct str *label, const json_t *choices, size_t i,
                                  struct trace *trace)
{
    const json_t *one = json_array_get(choices, i);
    const json_t *t =
        one ? json_object_get(one, "text") : json_array_get(json_object_get(choices, "text"), i);
    const json_t *l =
        one ? json_object_get(one, "label") : json_array_get(json_object_get(choices, "label"), i);
    if (!json_is_string(t) || !json_is_string(l))
        return status_fail(trace, INVALID, "choice %zu: expected a text and a label", i);
    *text = fields_text(t);
    *label = fields_text(l);
    return OK;
}

enum status task_form_science(struct task_draft *out, const struct task_record *record, struct arena *arena,
                              struct trace *trace)
{
    const json_t *question = json_object_get(record->object, "question");
    const json_t *stem = json_is_object(question) ? json_object_get(question, "stem") : question;
    const json_t *choices = json_object_get(json_is_object(question) ? question : record->object, "choices");
    size_t count =
        json_is_array(choices) ? json_array_size(choices) : json_array_size(json_object_get(choices, "text"));
    struct str answer, label;
    TRY(get_text(&answer, record, "answerKey", trace));
    if (!json_is_string(stem) || count == 0 || count > TASK_MAX_CHOICES)
        return status_fail(trace, INVALID, "expected a question with 1 to %d choices, found %zu",
                           TASK_MAX_CHOICES, count);
    out->gold = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        TRY(science_choice(&out->choices[i], &label, choices, i, trace));
        if (out->gold == UINT32_MAX && str_equal(label, answer))
            out->gold = (uint32_t)i;
    }
    if (out->gold == UINT32_MAX)
        return status_fail(trace, INVALID, "answerKey \"" STR_FORMAT "\" is the label of no choice",
                           STR_ARGUMENT(answer));
    out->count = (uint32_t)count;
    out->has_one_context = true;
    out->contexts[0] =
        str_from(arena_printf(arena, "Question: " STR_FORMAT "\nAnswer:", STR_ARGUMENT(fields_text(stem))));
    return OK;
}

static struct str copy_of(struct arena *arena, const struct builder *b)
{
    return (struct str){arena_copy_string(arena, builder_text(b), b->length), b->length};
}

/* `from` becomes `to` wherever it stands, from left to right. */
static struct str replace(struct arena *arena, struct str text, const char *from, const char *to)
{
    struct builder b = {0};
    size_t length = strlen(from);
    for (size_t i = 0; i < text.length;)
        if (text.length - i >= length && memcmp(text.data + i, from, length) == 0) {
            builder_add_text(&b, to);
            i += length;
        } else
            builder_add(&b, &text.data[i++], 1);
    struct str out = copy_of(arena, &b);
    builder_release(&b);
    return out;
}

/* Without "[...]" on one line. */
static struct str drop_brackets(struct arena *arena, struct str text)
{
    struct builder b = {0};
    for (size_t i = 0; i < text.length; i++) {
        const char *end = text.data[i] == '[' ? memchr(text.data + i, ']', text.length - i) : NULL;
        if (end && !memchr(text.data + i, '\n', (size_t)(end - text.data) - i))
            i = (size_t)(end - text.data);
        else
            builder_add(&b, &text.data[i], 1);
    }
    struct str out = copy_of(arena, &b);
    builder_release(&b);
    return out;
}

/* What HellaSwag's WikiHow part left in its texts goes. */
static struct str clean(struct arena *arena, struct str text)
{
    text = replace(arena, letters_strip(text), " [title]", ". ");
    return replace(arena, drop_brackets(arena, text), "  ", " ");
}

static struct str capitalise(struct arena *arena, struct str text)
{
    struct builder b = {0};
    letters_capitalise(&b, text);
    struct str out = copy_of(arena, &b);
    builder_release(&b);
    return out;
}

enum status task_form_ending(struct task_draft *out, const struct task_record *record, struct arena *arena,
                             struct trace *trace)
{
    struct str activity, a, b;
    const json_t *endings;
    TRY(get_text(&activity, record, "activity_label", trace));
    TRY(get_text(&a, record, "ctx_a", trace));
    TRY(get_text(&b, record, "ctx_b", trace));
    TRY(fields_get(&endings, (struct fields){record->object, ""}, "endings", JSON_ARRAY, FIELD_REQUIRED,
                   trace));
    size_t count = json_array_size(endings);
    if (count == 0 || count > TASK_MAX_CHOICES)
        return status_fail(trace, INVALID, "expected 1 to %d endings, found %zu", TASK_MAX_CHOICES, count);
    b = capitalise(arena, b);
    const char *context = arena_printf(arena, STR_FORMAT ": " STR_FORMAT " " STR_FORMAT,
                                       STR_ARGUMENT(activity), STR_ARGUMENT(a), STR_ARGUMENT(b));
    out->contexts[0] = clean(arena, str_from(context));
    out->has_one_context = true;
    for (size_t i = 0; i < count; i++) {
        const json_t *ending = json_array_get(endings, i);
        if (!json_is_string(ending))
            return status_fail(trace, INVALID, "ending %zu: expected text, found %s", i,
                               fields_type_name(ending));
        out->choices[i] = clean(arena, fields_text(ending));
    }
    out->count = (uint32_t)count;
    return get_label(&out->gold, record, "label", 0, out->count, trace);
}

/* The options are put in for "_": what follows is scored after either. */
enum status task_form_blank(struct task_draft *out, const struct task_record *record, struct arena *arena,
                            struct trace *trace)
{
    struct str sentence, options[2];
    TRY(get_text(&sentence, record, "sentence", trace));
    TRY(get_text(&options[0], record, "option1", trace));
    TRY(get_text(&options[1], record, "option2", trace));
    const char *blank = memchr(sentence.data, '_', sentence.length);
    if (!blank)
        return status_fail(trace, INVALID, "sentence: expected a \"_\"");
    struct str before = {sentence.data, (size_t)(blank - sentence.data)};
    struct str after = {blank + 1, sentence.length - before.length - 1};
    for (int i = 0; i < 2; i++) {
        out->contexts[i] = str_from(
            arena_printf(arena, STR_FORMAT STR_FORMAT, STR_ARGUMENT(before), STR_ARGUMENT(options[i])));
        out->choices[i] = letters_strip(after);
    }
    out->count = 2;
    return get_label(&out->gold, record, "answer", 1, 2, trace);
}

enum status task_form_letter(struct task_draft *out, const struct task_record *record, struct arena *arena,
                             struct trace *trace)
{
    enum { CHOICES = 4, FIELDS = CHOICES + 2 };
    const struct str *f = record->fields;
    if (record->field_count != FIELDS)
        return status_fail(trace, INVALID, "expected a question, four choices and a letter, found %u fields",
                           record->field_count);
    struct str question = letters_strip(f[0]), letter = letters_strip(f[FIELDS - 1]);
    if (letter.length != 1 || letter.data[0] < 'A' || letter.data[0] > 'D')
        return status_fail(trace, INVALID, "expected a letter from A to D, found \"" STR_FORMAT "\"",
                           STR_ARGUMENT(letter));
    out->description = str_from(arena_printf(
        arena, "The following are multiple choice questions (with answers) about %s.\n\n", record->subject));
    out->contexts[0] = str_from(arena_printf(arena,
                                             STR_FORMAT "\nA. " STR_FORMAT "\nB. " STR_FORMAT
                                                        "\nC. " STR_FORMAT "\nD. " STR_FORMAT "\nAnswer:",
                                             STR_ARGUMENT(question), STR_ARGUMENT(f[1]), STR_ARGUMENT(f[2]),
                                             STR_ARGUMENT(f[3]), STR_ARGUMENT(f[4])));
    out->has_one_context = true;
    out->count = CHOICES;
    for (uint32_t i = 0; i < CHOICES; i++)
        out->choices[i] = str_from(&"A\0B\0C\0D"[2 * i]);
    out->gold = (uint32_t)(letter.data[0] - 'A');
    return OK;
}

enum status task_form_sentences(struct task_draft *out, const struct task_record *record, struct arena *arena,
                                struct trace *trace)
{
    (void)arena;
    TRY(get_text(&out->choices[0], record, "sentence_good", trace));
    TRY(get_text(&out->choices[1], record, "sentence_bad", trace));
    out->count = 2;
    out->has_one_context = true;
    return OK;
}

enum status task_form_last_word(struct task_draft *out, const struct task_record *record, struct arena *arena,
                                struct trace *trace)
{
    (void)arena;
    struct str text;
    TRY(get_text(&text, record, "text", trace));
    const char *blank = memrchr(text.data, ' ', text.length);
    size_t length = blank ? (size_t)(blank - text.data) : 0;
    out->contexts[0] = (struct str){text.data, length};
    out->choices[0] = blank ? (struct str){blank + 1, text.length - length - 1} : text;
    out->has_one_context = true;
    out->count = 1;
    return OK;
}
