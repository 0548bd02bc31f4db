/* The chain is walked depth first: each step hands its pieces to the next one. */
#include "data/pretokenize.h"

#include "data/byte_alphabet.h"
#include "data/fields.h"
#include "data/utf8.h"
#include <string.h>

enum { DEPTH_LIMIT = 4, STEP_LIMIT = 64 };

/* GPT-2's word pattern (Radford et al. 2019, encoder.py), which ByteLevel implies. */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static enum status read_step(struct pretokenizer *out, struct arena *arena, const json_t *value,
                             const char *path, int depth, struct trace *trace);

static enum status add_split(struct pretokenizer *out, struct arena *arena, struct str pattern,
                             enum regex_kind kind, enum split_behavior behavior, struct trace *trace)
{
    struct pretokenize_step *step = VEC_PUSH(arena, &out->steps);
    step->kind = PRETOKENIZE_SPLIT;
    step->behavior = behavior;
    return regex_open(&step->regex, pattern, kind, trace);
}

static enum status read_sequence(struct pretokenizer *out, struct arena *arena, struct fields fields,
                                 int depth, struct trace *trace)
{
    const json_t *list;
    TRY(fields_check_known(fields, (const char *const[]){"type", "pretokenizers", NULL}, trace));
    TRY(fields_get(&list, fields, "pretokenizers", JSON_ARRAY, FIELD_REQUIRED, trace));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *path = arena_printf(arena, "%s.pretokenizers[%zu]", fields.path, i);
        TRY(read_step(out, arena, json_array_get(list, i), path, depth + 1, trace));
    }
    return OK;
}

static enum status read_byte_level(struct pretokenizer *out, struct arena *arena, struct fields fields,
                                   struct trace *trace)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    bool has_prefix_space, uses_regex;
    TRY(fields_check_known(fields, known, trace));
    TRY(fields_get_flag(&has_prefix_space, fields, "add_prefix_space", true, trace));
    TRY(fields_get_flag(&uses_regex, fields, "use_regex", true, trace));
    if (has_prefix_space)
        VEC_PUSH(arena, &out->steps)->kind = PRETOKENIZE_PREFIX_SPACE;
    if (uses_regex)
        TRY(add_split(out, arena, STR(gpt2_pattern), REGEX_PATTERN, SPLIT_ISOLATED, trace));
    VEC_PUSH(arena, &out->steps)->kind = PRETOKENIZE_BYTE_ALPHABET;
    out->is_byte_level = true;
    return OK;
}

static enum status read_behavior(enum split_behavior *out, struct fields fields, struct trace *trace)
{
    static const char *const names[] = {
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_TO_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_TO_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    struct str name = {0};
    TRY(fields_get_text(&name, fields, "behavior", FIELD_REQUIRED, trace));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_is(name, names[i])) {
            *out = (enum split_behavior)i;
            return OK;
        }
    return status_fail(trace, UNSUPPORTED, "%s.behavior: \"%.*s\" is no split behaviour", fields.path,
                       (int)name.length, name.data);
}

static enum status read_split(struct pretokenizer *out, struct arena *arena, struct fields fields,
                              struct trace *trace)
{
    const json_t *pattern;
    struct str literal = {0}, regex = {0};
    enum split_behavior behavior = SPLIT_ISOLATED;
    bool is_inverted;
    TRY(fields_check_known(fields, (const char *const[]){"type", "pattern", "behavior", "invert", NULL},
                           trace));
    TRY(read_behavior(&behavior, fields, trace));
    TRY(fields_get_flag(&is_inverted, fields, "invert", false, trace));
    TRY(fields_get(&pattern, fields, "pattern", JSON_OBJECT, FIELD_REQUIRED, trace));
    struct fields inner = {pattern, arena_printf(arena, "%s.pattern", fields.path)};
    TRY(fields_check_known(inner, (const char *const[]){"String", "Regex", NULL}, trace));
    TRY(fields_get_text(&literal, inner, "String", FIELD_OPTIONAL, trace));
    TRY(fields_get_text(&regex, inner, "Regex", FIELD_OPTIONAL, trace));
    if (!literal.length == !regex.length)
        return status_fail(trace, INVALID, "%s: expected either a non-empty String or a non-empty Regex",
                           inner.path);
    TRY_WITH(trace,
             add_split(out, arena, literal.length ? literal : regex,
                       literal.length ? REGEX_LITERAL : REGEX_PATTERN, behavior, trace),
             "while reading %s", inner.path);
    VEC_LAST(&out->steps).is_inverted = is_inverted;
    return OK;
}

static enum status read_digits(struct pretokenizer *out, struct arena *arena, struct fields fields,
                               struct trace *trace)
{
    bool is_individual;
    TRY(fields_check_known(fields, (const char *const[]){"type", "individual_digits", NULL}, trace));
    TRY(fields_get_flag(&is_individual, fields, "individual_digits", false, trace));
    return add_split(out, arena, STR("\\p{N}"), REGEX_PATTERN,
                     is_individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, trace);
}

/* Punctuation by the library's own table, that of Unicode 8: what has become punctuation since is none, and
 * two characters that are no longer still are. */
static const char punctuation[] =
    "[\\p{P}\\x{166d}\\x{111c9}$+<=>^`|~&&[^\\x{61d}\\x{9fd}\\x{a76}\\x{c77}\\x{c84}\\x{1b7d}\\x{1b7e}\\x{2e43}-\\x{2e5d}"
    "\\x{10ead}\\x{10f55}-\\x{10f59}\\x{10f86}-\\x{10f89}\\x{1144b}-\\x{1145d}\\x{11660}-\\x{1166c}\\x{116b9}"
    "\\x{1183b}\\x{11944}-\\x{11946}\\x{119e2}\\x{11a3f}-\\x{11a46}\\x{11a9a}-\\x{11aa2}\\x{11c41}-\\x{11c45}"
    "\\x{11c70}\\x{11c71}\\x{11ef7}\\x{11ef8}\\x{11fff}\\x{12ff1}\\x{12ff2}\\x{16e97}-\\x{16e9a}\\x{16fe2}\\x{1e95e}"
    "\\x{1e95f}]]";

static enum status read_punctuation(struct pretokenizer *out, struct arena *arena, struct fields fields,
                                    struct trace *trace)
{
    enum split_behavior behavior = SPLIT_ISOLATED;
    TRY(fields_check_known(fields, (const char *const[]){"type", "behavior", NULL}, trace));
    if (json_object_get(fields.object, "behavior"))
        TRY(read_behavior(&behavior, fields, trace));
    return add_split(out, arena, STR(punctuation), REGEX_PATTERN, behavior, trace);
}

/* Words and stretches of what is neither word nor blank; or only blanks parted off. */
static enum status read_whitespace(struct pretokenizer *out, struct arena *arena, struct fields fields,
                                   bool parts_words, struct trace *trace)
{
    TRY(fields_check_known(fields, (const char *const[]){"type", NULL}, trace));
    TRY(add_split(out, arena, parts_words ? STR(UTF8_WORD_CLASS "+|[^\\s" UTF8_WORD_CLASS "]+") : STR("\\s"),
                  REGEX_PATTERN, SPLIT_REMOVED, trace));
    VEC_LAST(&out->steps).is_inverted = parts_words;
    return OK;
}

static enum status read_scheme(enum prepend_scheme *out, struct fields fields, struct trace *trace)
{
    bool has_prefix_space;
    struct str scheme = {0};
    TRY(fields_get_flag(&has_prefix_space, fields, "add_prefix_space", true, trace));
    TRY(fields_get_text(&scheme, fields, "prepend_scheme", FIELD_OPTIONAL, trace));
    if (!scheme.data)
        *out = has_prefix_space ? PREPEND_ALWAYS : PREPEND_NEVER;
    else if (str_is(scheme, "always"))
        *out = PREPEND_ALWAYS;
    else if (str_is(scheme, "first"))
        *out = PREPEND_FIRST;
    else if (str_is(scheme, "never"))
        *out = PREPEND_NEVER;
    else
        return status_fail(trace, UNSUPPORTED,
                           "%s.prepend_scheme: expected always, first or never, found \"%.*s\"", fields.path,
                           (int)scheme.length, scheme.data);
    return OK;
}

static enum status read_metaspace(struct pretokenizer *out, struct arena *arena, struct fields fields,
                                  struct trace *trace)
{
    static const char *const known[] = {
        "type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep", NULL};
    struct str replacement = STR("\xe2\x96\x81"); /* U+2581 */
    enum prepend_scheme scheme = PREPEND_ALWAYS;
    bool is_splitting;
    TRY(fields_check_known(fields, known, trace));
    TRY(fields_get_text(&replacement, fields, "replacement", FIELD_OPTIONAL, trace));
    TRY(read_scheme(&scheme, fields, trace));
    TRY(fields_get_flag(&is_splitting, fields, "split", true, trace));
    uint32_t character;
    if (replacement.length == 0 || utf8_read(replacement, &character) != replacement.length)
        return status_fail(trace, INVALID, "%s.replacement: expected one character, found \"%.*s\"",
                           fields.path, (int)replacement.length, replacement.data);
    TRY(add_split(out, arena, replacement, REGEX_LITERAL, SPLIT_TO_NEXT, trace));
    struct pretokenize_step *step = &VEC_LAST(&out->steps);
    step->kind = PRETOKENIZE_METASPACE;
    step->scheme = scheme;
    step->is_splitting = is_splitting;
    step->replacement =
        (struct str){arena_copy_string(arena, replacement.data, replacement.length), replacement.length};
    return OK;
}

static enum status read_step(struct pretokenizer *out, struct arena *arena, const json_t *value,
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
    if (out->is_byte_level && (str_is(type, "ByteLevel") || str_is(type, "Metaspace")))
        return status_fail(trace, UNSUPPORTED, "%s: %.*s after ByteLevel", path, (int)type.length, type.data);
    if (str_is(type, "ByteLevel"))
        return read_byte_level(out, arena, fields, trace);
    if (str_is(type, "Punctuation"))
        return read_punctuation(out, arena, fields, trace);
    if (str_is(type, "Whitespace") || str_is(type, "WhitespaceSplit"))
        return read_whitespace(out, arena, fields, str_is(type, "Whitespace"), trace);
    if (str_is(type, "Split"))
        return read_split(out, arena, fields, trace);
    if (str_is(type, "Digits"))
        return read_digits(out, arena, fields, trace);
    if (str_is(type, "Metaspace"))
        return read_metaspace(out, arena, fields, trace);
    return status_fail(trace, UNSUPPORTED,
                       "%s.type: \"%.*s\" is not among Sequence, ByteLevel, Split, Digits, Punctuation, "
                       "Whitespace, WhitespaceSplit, Metaspace",
                       path, (int)type.length, type.data);
}

enum status pretokenizer_read(struct pretokenizer *out, struct arena *arena, const json_t *value,
                              struct trace *trace)
{
    if (!value || json_is_null(value))
        return OK;
    TRY(read_step(out, arena, value, "pre_tokenizer", 0, trace));
    if (out->steps.count && VEC_LAST(&out->steps).kind == PRETOKENIZE_BYTE_ALPHABET)
        out->steps.count--; /* nothing looks at the characters */
    for (uint32_t i = 0; i < out->steps.count; i++)
        out->has_alphabet |= out->steps.items[i].kind == PRETOKENIZE_BYTE_ALPHABET;
    return OK;
}

void pretokenizer_release(struct pretokenizer *pretokenizer)
{
    for (uint32_t i = 0; i < pretokenizer->steps.count; i++) {
        regex_release(&pretokenizer->steps.items[i].regex);
        builder_release(&pretokenizer->steps.items[i].buffer);
    }
    builder_release(&pretokenizer->bytes);
    *pretokenizer = (struct pretokenizer){0};
}

/* One walk: where words go, and the chain. */
struct walk {
    struct pretokenizer *chain;
    struct word_sink sink;
    struct trace *trace;
};

static enum status run_step(const struct walk *walk, uint32_t index, struct str text, enum piece_place place);

/* Pieces of one text on their way to the next step; `held` waits to see what follows it. */
struct splitting {
    const struct walk *walk;
    uint32_t next_step;
    struct str text;
    enum piece_place place;
    enum split_behavior behavior;
    size_t held_start, held_end;
    bool has_held, held_is_match;
};

static enum status pass_on(struct splitting *s, size_t start, size_t end)
{
    if (start == end)
        return OK;
    return run_step(s->walk, s->next_step, (struct str){s->text.data + start, end - start},
                    start == 0 ? s->place : PIECE_LATER);
}

static enum status flush_held(struct splitting *s)
{
    if (!s->has_held)
        return OK;
    s->has_held = false;
    return pass_on(s, s->held_start, s->held_end);
}

/* Whether a range belongs to the one held before it. */
static bool extends_held(const struct splitting *s, bool is_match)
{
    switch (s->behavior) {
    case SPLIT_CONTIGUOUS:
        return is_match == s->held_is_match;
    case SPLIT_TO_PREVIOUS:
        return is_match && !s->held_is_match;
    case SPLIT_TO_NEXT:
        return !is_match && s->held_is_match;
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED:
        return false;
    }
    return false;
}

static enum status add_range(struct splitting *s, size_t start, size_t end, bool is_match)
{
    if (s->behavior == SPLIT_ISOLATED)
        return pass_on(s, start, end);
    if (s->behavior == SPLIT_REMOVED)
        return is_match ? OK : pass_on(s, start, end);
    if (s->has_held && extends_held(s, is_match)) {
        s->held_end = end;
        s->held_is_match = is_match;
        return OK;
    }
    TRY(flush_held(s));
    s->held_start = start;
    s->held_end = end;
    s->held_is_match = is_match;
    s->has_held = true;
    return OK;
}

/* Cuts text at the matches of step `index` and hands the pieces to the step behind it. */
static enum status split_text(const struct walk *walk, uint32_t index, struct str text,
                              enum piece_place place)
{
    const struct pretokenize_step *step = &walk->chain->steps.items[index];
    struct splitting s = {walk, index + 1, text, place, step->behavior, 0, 0, false, false};
    size_t done = 0, from = 0;
    while (from < text.length) {
        struct regex_match match;
        TRY(regex_find(&match, &step->regex, text, from, walk->trace));
        if (!match.is_found)
            break;
        if (match.start > done)
            TRY(add_range(&s, done, match.start, step->is_inverted));
        if (match.end > match.start)
            TRY(add_range(&s, match.start, match.end, !step->is_inverted));
        done = from = match.end;
        if (match.end == match.start && from < text.length) {
            uint32_t character;
            from += utf8_read((struct str){text.data + from, text.length - from}, &character);
        }
    }
    if (done < text.length)
        TRY(add_range(&s, done, text.length, step->is_inverted));
    return flush_held(&s);
}

static bool begins_with(struct str text, struct str prefix)
{
    return text.length >= prefix.length && memcmp(text.data, prefix.data, prefix.length) == 0;
}

static enum status run_metaspace(const struct walk *walk, uint32_t index, struct str text,
                                 enum piece_place place)
{
    struct pretokenize_step *step = &walk->chain->steps.items[index];
    builder_clear(&step->buffer);
    bool starts_marked = text.data[0] == ' ' || begins_with(text, step->replacement);
    if (!starts_marked &&
        (step->scheme == PREPEND_ALWAYS || (step->scheme == PREPEND_FIRST && place == PIECE_FIRST)))
        builder_add(&step->buffer, step->replacement.data, step->replacement.length);
    for (size_t at = 0; at < text.length;) {
        const char *space = memchr(text.data + at, ' ', text.length - at);
        size_t end = space ? (size_t)(space - text.data) : text.length;
        builder_add(&step->buffer, text.data + at, end - at);
        if (space)
            builder_add(&step->buffer, step->replacement.data, step->replacement.length);
        at = end + (space ? 1 : 0);
    }
    struct str marked = {builder_text(&step->buffer), step->buffer.length};
    if (step->is_splitting)
        return split_text(walk, index, marked, place);
    return run_step(walk, index + 1, marked, place);
}

static enum status run_prefix_space(const struct walk *walk, uint32_t index, struct str text,
                                    enum piece_place place)
{
    struct pretokenize_step *step = &walk->chain->steps.items[index];
    if (text.data[0] == ' ')
        return run_step(walk, index + 1, text, place);
    builder_clear(&step->buffer);
    builder_add(&step->buffer, " ", 1);
    builder_add(&step->buffer, text.data, text.length);
    return run_step(walk, index + 1, (struct str){builder_text(&step->buffer), step->buffer.length}, place);
}

static enum status run_byte_alphabet(const struct walk *walk, uint32_t index, struct str text,
                                     enum piece_place place)
{
    struct builder *buffer = &walk->chain->steps.items[index].buffer;
    builder_clear(buffer);
    for (size_t i = 0; i < text.length; i++) {
        char character[4];
        builder_add(buffer, character, utf8_write(character, byte_alphabet_character((uint8_t)text.data[i])));
    }
    return run_step(walk, index + 1, (struct str){builder_text(buffer), buffer->length}, place);
}

static enum status hand_out(const struct walk *walk, struct str word)
{
    struct builder *bytes = &walk->chain->bytes;
    if (walk->chain->has_alphabet) {
        builder_clear(bytes);
        for (size_t at = 0; at < word.length;) {
            uint32_t character;
            at += utf8_read((struct str){word.data + at, word.length - at}, &character);
            char byte = (char)byte_alphabet_byte(character);
            builder_add(bytes, &byte, 1);
        }
        word = (struct str){builder_text(bytes), bytes->length};
    }
    return walk->sink.take(walk->sink.payload, word, walk->trace);
}

static enum status run_step(const struct walk *walk, uint32_t index, struct str text, enum piece_place place)
{
    if (index == walk->chain->steps.count)
        return hand_out(walk, text);
    switch (walk->chain->steps.items[index].kind) {
    case PRETOKENIZE_SPLIT:
        return split_text(walk, index, text, place);
    case PRETOKENIZE_METASPACE:
        return run_metaspace(walk, index, text, place);
    case PRETOKENIZE_PREFIX_SPACE:
        return run_prefix_space(walk, index, text, place);
    case PRETOKENIZE_BYTE_ALPHABET:
        return run_byte_alphabet(walk, index, text, place);
    }
    BUG("unknown pre-tokeniser step");
}

enum status pretokenizer_split(struct pretokenizer *pretokenizer, struct str text, enum piece_place place,
                               struct word_sink sink, struct trace *trace)
{
    struct walk walk = {pretokenizer, sink, trace};
    return text.length ? run_step(&walk, 0, text, place) : OK;
}
