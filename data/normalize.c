/* Each step reads one buffer and writes the other. */
#include "data/normalize.h"

#include "data/fields.h"
#include "data/unicode_later.h"
#include "data/utf8.h"
#include <stdlib.h>
#include <utf8proc.h>

enum { DEPTH_LIMIT = 4, STEP_LIMIT = 64 };

static enum status read_step(struct normalizer *out, struct arena *arena, const json_t *value,
                             const char *path, int depth, struct trace *trace);

static enum status read_sequence(struct normalizer *out, struct arena *arena, struct fields fields, int depth,
                                 struct trace *trace)
{
    const json_t *list;
    TRY(fields_check_known(fields, (const char *const[]){"type", "normalizers", NULL}, trace));
    TRY(fields_get(&list, fields, "normalizers", JSON_ARRAY, FIELD_REQUIRED, trace));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *path = arena_printf(arena, "%s.normalizers[%zu]", fields.path, i);
        TRY(read_step(out, arena, json_array_get(list, i), path, depth + 1, trace));
    }
    return OK;
}

static enum status read_prepend(struct normalizer *out, struct arena *arena, struct fields fields,
                                struct trace *trace)
{
    struct str text = {0};
    TRY(fields_check_known(fields, (const char *const[]){"type", "prepend", NULL}, trace));
    TRY(fields_get_text(&text, fields, "prepend", FIELD_REQUIRED, trace));
    *VEC_PUSH(arena, &out->steps) = (struct normalize_step){
        .kind = NORMALIZE_PREPEND,
        .text = {arena_copy_string(arena, text.data, text.length), text.length},
    };
    return OK;
}

static enum status read_replace(struct normalizer *out, struct arena *arena, struct fields fields,
                                struct trace *trace)
{
    const json_t *pattern;
    struct str text = {0}, literal = {0}, regex = {0};
    TRY(fields_check_known(fields, (const char *const[]){"type", "pattern", "content", NULL}, trace));
    TRY(fields_get_text(&text, fields, "content", FIELD_REQUIRED, trace));
    TRY(fields_get(&pattern, fields, "pattern", JSON_OBJECT, FIELD_REQUIRED, trace));
    struct fields inner = {pattern, arena_printf(arena, "%s.pattern", fields.path)};
    TRY(fields_check_known(inner, (const char *const[]){"String", "Regex", NULL}, trace));
    TRY(fields_get_text(&literal, inner, "String", FIELD_OPTIONAL, trace));
    TRY(fields_get_text(&regex, inner, "Regex", FIELD_OPTIONAL, trace));
    if (!literal.length == !regex.length)
        return status_fail(trace, INVALID, "%s: expected either a non-empty String or a non-empty Regex",
                           inner.path);
    struct normalize_step *step = VEC_PUSH(arena, &out->steps);
    *step = (struct normalize_step){
        .kind = NORMALIZE_REPLACE,
        .text = {arena_copy_string(arena, text.data, text.length), text.length},
        .literal = {arena_copy_string(arena, literal.data, literal.length), literal.length},
    };
    TRY_WITH(trace,
             regex_open(&step->regex, literal.length ? literal : regex,
                        literal.length ? REGEX_LITERAL : REGEX_PATTERN, trace),
             "while reading %s", inner.path);
    return OK;
}

static enum status read_unicode(struct normalizer *out, struct arena *arena, struct fields fields,
                                uint32_t form, struct trace *trace)
{
    TRY(fields_check_known(fields, (const char *const[]){"type", NULL}, trace));
    *VEC_PUSH(arena, &out->steps) =
        (struct normalize_step){.kind = NORMALIZE_UNICODE, .form = UTF8PROC_STABLE | form};
    return OK;
}

static enum status read_strip(struct normalizer *out, struct arena *arena, struct fields fields,
                              struct trace *trace)
{
    struct normalize_step step = {.kind = NORMALIZE_STRIP};
    TRY(fields_check_known(fields, (const char *const[]){"type", "strip_left", "strip_right", NULL}, trace));
    TRY(fields_get_flag(&step.strips_left, fields, "strip_left", true, trace));
    TRY(fields_get_flag(&step.strips_right, fields, "strip_right", true, trace));
    *VEC_PUSH(arena, &out->steps) = step;
    return OK;
}

static enum status read_plain(struct normalizer *out, struct arena *arena, struct fields fields,
                              enum normalize_kind kind, struct trace *trace)
{
    TRY(fields_check_known(fields, (const char *const[]){"type", NULL}, trace));
    *VEC_PUSH(arena, &out->steps) = (struct normalize_step){.kind = kind};
    return OK;
}

static enum status read_charsmap(struct normalizer *out, struct arena *arena, struct fields fields,
                                 struct trace *trace)
{
    struct str text = {0};
    struct normalize_step step = {.kind = NORMALIZE_PRECOMPILED};
    const char *path = arena_printf(arena, "%s.precompiled_charsmap", fields.path);
    TRY(fields_check_known(fields, (const char *const[]){"type", "precompiled_charsmap", NULL}, trace));
    TRY(fields_get_text(&text, fields, "precompiled_charsmap", FIELD_REQUIRED, trace));
    TRY(charsmap_read(&step.charsmap, arena, text, path, trace));
    *VEC_PUSH(arena, &out->steps) = step;
    return OK;
}

static enum status read_step(struct normalizer *out, struct arena *arena, const json_t *value,
                             const char *path, int depth, struct trace *trace)
{
    struct fields fields = {value, path};
    struct str type = {0};
    TRY(fields_check_object(value, path, trace));
    if (depth > DEPTH_LIMIT || out->steps.count >= STEP_LIMIT)
        return status_fail(trace, UNSUPPORTED, "%s: nested more than %d deep or more than %d steps", path,
                           DEPTH_LIMIT, STEP_LIMIT);
    TRY(fields_get_text(&type, fields, "type", FIELD_REQUIRED, trace));
    if (str_is(type, "Sequence"))
        return read_sequence(out, arena, fields, depth, trace);
    if (str_is(type, "Prepend"))
        return read_prepend(out, arena, fields, trace);
    if (str_is(type, "Replace"))
        return read_replace(out, arena, fields, trace);
    if (str_is(type, "NFC"))
        return read_unicode(out, arena, fields, UTF8PROC_COMPOSE, trace);
    if (str_is(type, "NFD"))
        return read_unicode(out, arena, fields, UTF8PROC_DECOMPOSE, trace);
    if (str_is(type, "NFKC"))
        return read_unicode(out, arena, fields, UTF8PROC_COMPOSE | UTF8PROC_COMPAT, trace);
    if (str_is(type, "NFKD"))
        return read_unicode(out, arena, fields, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, trace);
    if (str_is(type, "Strip"))
        return read_strip(out, arena, fields, trace);
    if (str_is(type, "StripAccents"))
        return read_plain(out, arena, fields, NORMALIZE_STRIP_ACCENTS, trace);
    if (str_is(type, "Lowercase"))
        return read_plain(out, arena, fields, NORMALIZE_LOWERCASE, trace);
    if (str_is(type, "Precompiled"))
        return read_charsmap(out, arena, fields, trace);
    return status_fail(trace, UNSUPPORTED,
                       "%s.type: \"%.*s\" is not among Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, "
                       "Strip, StripAccents, Lowercase, Precompiled",
                       path, (int)type.length, type.data);
}

enum status normalizer_read(struct normalizer *out, struct arena *arena, const json_t *value,
                            struct trace *trace)
{
    if (!value || json_is_null(value))
        return OK;
    return read_step(out, arena, value, "normalizer", 0, trace);
}

void normalizer_release(struct normalizer *normalizer)
{
    for (uint32_t i = 0; i < normalizer->steps.count; i++)
        regex_release(&normalizer->steps.items[i].regex);
    builder_release(&normalizer->buffers[0]);
    builder_release(&normalizer->buffers[1]);
    *normalizer = (struct normalizer){0};
}

static enum status replace(const struct normalize_step *step, struct str text, struct builder *out,
                           struct trace *trace)
{
    size_t done = 0, from = 0;
    while (from <= text.length) {
        struct regex_match match;
        TRY(regex_find(&match, &step->regex, text, from, trace));
        if (!match.is_found)
            break;
        builder_add(out, text.data + done, match.start - done);
        builder_add(out, step->text.data, step->text.length);
        done = from = match.end;
        if (match.end == match.start) { /* an empty match: go on behind the next character */
            if (match.end == text.length)
                break;
            uint32_t character;
            from += utf8_read((struct str){text.data + from, text.length - from}, &character);
        }
    }
    builder_add(out, text.data + done, text.length - done);
    return OK;
}

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}

static enum status compose_part(const struct normalize_step *step, struct str text, struct builder *out,
                                struct trace *trace)
{
    utf8proc_uint8_t *result = NULL;
    if (text.length == 0)
        return OK;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.length,
                                           &result, (utf8proc_option_t)step->form);
    if (length < 0)
        return status_fail(trace, INVALID,
                           "a text of %zu bytes cannot be brought into a Unicode normal form: %s",
                           text.length, utf8proc_errmsg(length));
    builder_add(out, (const char *)result, (size_t)length);
    free(result);
    return OK;
}

/* Later characters stay, and nothing moves across them or joins with them. */
static enum status compose(const struct normalize_step *step, struct str text, struct builder *out,
                           struct trace *trace)
{
    size_t start = 0, length;
    for (size_t at = 0; at < text.length; at += length) {
        uint32_t character;
        length = utf8_read((struct str){text.data + at, text.length - at}, &character);
        if (!unicode_is_later(character))
            continue;
        TRY(compose_part(step, (struct str){text.data + start, at - start}, out, trace));
        builder_add(out, text.data + at, length);
        start = at + length;
    }
    return compose_part(step, (struct str){text.data + start, text.length - start}, out, trace);
}

static struct str strip(const struct normalize_step *step, struct str text)
{
    uint32_t character;
    while (step->strips_left && text.length) {
        size_t length = utf8_read(text, &character);
        if (!utf8_is_space(character))
            break;
        text = (struct str){text.data + length, text.length - length};
    }
    while (step->strips_right && text.length) {
        size_t before = utf8_step_back(text.data, text.length);
        utf8_read((struct str){text.data + before, text.length - before}, &character);
        if (!utf8_is_space(character))
            break;
        text.length = before;
    }
    return text;
}

static bool is_mark(uint32_t character)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)character);
    bool was_one = character == 0x1cf2 || character == 0x1cf3; /* until Unicode 9 */
    return was_one || (!unicode_is_later(character) &&
                       (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
                        category == UTF8PROC_CATEGORY_ME));
}

/* The one character whose lower case is two: I with a dot above. */
enum { DOTTED_I = 0x130, DOT_ABOVE = 0x307 };

static void map_characters(enum normalize_kind kind, struct str text, struct builder *out)
{
    char bytes[4];
    for (size_t at = 0; at < text.length;) {
        uint32_t character;
        size_t length = utf8_read((struct str){text.data + at, text.length - at}, &character);
        if (kind == NORMALIZE_LOWERCASE) {
            uint32_t lower =
                character == DOTTED_I ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)character);
            builder_add(out, bytes, utf8_write(bytes, lower));
            if (character == DOTTED_I)
                builder_add(out, bytes, utf8_write(bytes, DOT_ABOVE));
        } else if (!is_mark(character)) {
            builder_add(out, text.data + at, length);
        }
        at += length;
    }
}

enum status normalizer_apply(struct normalizer *normalizer, struct str text, struct str *out,
                             struct trace *trace)
{
    bool holder = false;
    for (uint32_t i = 0; i < normalizer->steps.count && text.length > 0; i++) {
        const struct normalize_step *step = &normalizer->steps.items[i];
        if (step->kind == NORMALIZE_UNICODE && is_ascii(text))
            continue;
        if (step->kind == NORMALIZE_STRIP) {
            text = strip(step, text);
            continue;
        }
        holder = !holder; /* where the text is not, also when its start has been cut off */
        struct builder *buffer = &normalizer->buffers[holder];
        builder_clear(buffer);
        if (step->kind == NORMALIZE_PREPEND) {
            builder_add(buffer, step->text.data, step->text.length);
            builder_add(buffer, text.data, text.length);
        } else if (step->kind == NORMALIZE_REPLACE) {
            TRY(replace(step, text, buffer, trace));
        } else if (step->kind == NORMALIZE_PRECOMPILED) {
            TRY(charsmap_apply(&step->charsmap, text, buffer, trace));
        } else if (step->kind != NORMALIZE_UNICODE) {
            map_characters(step->kind, text, buffer);
        } else {
            TRY(compose(step, text, buffer, trace));
        }
        text = (struct str){builder_text(buffer), buffer->length};
    }
    *out = text;
    return OK;
}
