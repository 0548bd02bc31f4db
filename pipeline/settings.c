/* Settings against their rows. A map is walked with its path; where a row has that very path the value is
 * read, where rows lie below the path the walk goes on, anything else is an unknown key. */
#include "pipeline/settings.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct setting_info rows[] = {
#define SETTING(kind, key, type, fallback, low, high, choices, summary) \
    {#kind, key, SETTING_##type, fallback, low, high, choices, summary, false},
#define FREE_SETTING(kind, key, type, fallback, low, high, choices, summary) \
    {#kind, key, SETTING_##type, fallback, low, high, choices, summary, true},
#include "pipeline/settings.def"
};
enum { ROW_COUNT = sizeof rows / sizeof *rows, MAX_PATH = 96 };

static const struct profile_row {
    const char *kind, *profile, *key, *value;
} profiles[] = {
#define PROFILE(kind, profile, key, value) {#kind, profile, key, value},
#include "pipeline/profiles.def"
};

struct reader {
    struct settings *out;
    struct arena *arena;
    struct trace *trace;
};

static enum status fail(struct reader *r, const struct yaml_value *at, const char *path, const char *expected)
{
    return yaml_fail_expected(r->trace, r->out->file, at, path, expected);
}

static struct setting *find(const struct settings *s, const char *key)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].info->key, key) == 0)
            return &s->items[i];
    return NULL;
}

/* The word is one of the blank-separated choices. */
static bool is_choice(const char *choices, struct str word)
{
    for (const char *at = choices; at && *at;) {
        size_t length = strcspn(at, " ");
        if (str_equal((struct str){at, length}, word))
            return true;
        at += length + (at[length] == ' ');
    }
    return false;
}

/* A limit as people write it: 1000000000, 1e18 and 1e-9, not 1e+09, 1e+18 and 1e-09. */
static void print_limit(char out[32], double value)
{
    if (fabs(value) < 1e12 && value == (double)(int64_t)value) {
        snprintf(out, 32, "%" PRId64, (int64_t)value);
        return;
    }
    snprintf(out, 32, "%.9g", value);
    char *plus = strstr(out, "e+");
    if (plus)
        memmove(plus + 1, plus + 2, strlen(plus + 2) + 1);
    char *exponent = strstr(out, "e-0");
    if (exponent)
        memmove(exponent + 2, exponent + 3, strlen(exponent + 3) + 1);
}

static bool is_real(const struct setting_info *info)
{
    return info->type == SETTING_REAL || info->type == SETTING_REALS;
}

static enum status read_number(struct reader *r, const struct yaml_value *v, const char *path,
                               const struct setting_info *info, double *out)
{
    char expected[128], low[32], high[32];
    print_limit(low, info->low);
    print_limit(high, info->high);
    snprintf(expected, sizeof expected, "%s from %s to %s", is_real(info) ? "a number" : "an integer", low,
             high);
    int64_t integer;
    bool good = v->kind == YAML_TEXT && !v->quoted;
    if (good && is_real(info))
        good = str_to_double(v->text, out);
    else if (good && (good = str_to_i64(v->text, &integer)))
        *out = (double)integer;
    return good && *out >= info->low && *out <= info->high ? OK : fail(r, v, path, expected);
}

static enum status read_list(struct reader *r, const struct yaml_value *v, const char *path,
                             struct setting *s)
{
    bool single = v->kind == YAML_TEXT;
    if (v->kind == YAML_MAP || (!single && v->count == 0))
        return fail(r, v, path,
                    is_real(s->info) ? "a number, or a list of numbers"
                                     : "an integer, or a list of integers");
    s->list_count = single ? 1 : v->count;
    s->list = ARENA_ARRAY(r->arena, int64_t, s->list_count);
    s->reals = ARENA_ARRAY(r->arena, double, s->list_count);
    struct builder text = {0};
    enum status status = OK;
    for (uint32_t i = 0; i < s->list_count && status == OK; i++) {
        status = read_number(r, single ? v : v->items[i], path, s->info, &s->reals[i]);
        s->list[i] = (int64_t)s->reals[i];
        builder_printf(&text, "%s%.17g", i == 0 ? "" : ",", s->reals[i]);
    }
    s->text = (struct str){arena_copy_string(r->arena, text.data ? text.data : "", text.length), text.length};
    builder_release(&text);
    return status;
}

/* `perplexity`, or `[perplexity]`: the words, joined by commas. */
static enum status read_words(struct reader *r, const struct yaml_value *v, const char *path,
                              struct setting *s)
{
    bool single = v->kind == YAML_TEXT;
    if (v->kind == YAML_MAP || (!single && v->count == 0))
        return fail(r, v, path, "a word, or a list of words");
    const char *text = "";
    for (uint32_t i = 0; i < (single ? 1 : v->count); i++) {
        const struct yaml_value *word = single ? v : v->items[i];
        if (word->kind != YAML_TEXT || !is_choice(s->info->choices, word->text))
            return fail(r, word, path, arena_printf(r->arena, "one of: %s", s->info->choices));
        text = arena_printf(r->arena, "%s%s" STR_FORMAT, text, *text ? "," : "", STR_ARGUMENT(word->text));
    }
    s->text = str_from(text);
    return OK;
}

/* `train`, or `{code: 3, prose: 1}` */
static enum status read_pairs(struct reader *r, const struct yaml_value *v, const char *path,
                              struct setting *s)
{
    static const char *const expected[] = {"an input, or a map of inputs and their shares",
                                           "a stage, or a map of tags and stages"};
    const char *what = expected[s->info->type == SETTING_TEACHERS], *text = "";
    bool single = v->kind == YAML_TEXT;
    if (v->kind == YAML_LIST || (single && v->text.length == 0) || (!single && v->count == 0))
        return fail(r, v, path, what);
    s->pair_count = single ? 1 : v->count;
    s->pairs = ARENA_ARRAY(r->arena, struct setting_pair, s->pair_count);
    for (uint32_t i = 0; i < s->pair_count; i++) {
        const struct yaml_value *key = single ? NULL : v->keys[i], *value = single ? v : v->items[i];
        if (value->kind != YAML_TEXT || value->text.length == 0)
            return fail(r, value, path, what);
        if (memchr(value->text.data, '\0', value->text.length))
            return fail(r, value, path, "text without NUL bytes");
        s->pairs[i] =
            (struct setting_pair){key ? key->text.data : NULL, value->text.data, value->line, value->column};
        text = arena_printf(r->arena, "%s%s%s%s%s", text, *text ? "," : "", key ? key->text.data : "",
                            key ? "=" : "", value->text.data);
    }
    s->text = str_from(text);
    return OK;
}

/* A text, or a list of them: "LENGTH:TEXT" for each, so that no two lists are written alike. */
static enum status read_texts(struct reader *r, const struct yaml_value *v, const char *path,
                              struct setting *s)
{
    bool single = v->kind == YAML_TEXT;
    if (v->kind == YAML_MAP || (!single && v->count == 0))
        return fail(r, v, path, "a text, or a list of texts");
    struct builder all = {0};
    enum status status = OK;
    for (uint32_t i = 0; i < (single ? 1 : v->count) && status == OK; i++) {
        const struct yaml_value *text = single ? v : v->items[i];
        if (text->kind != YAML_TEXT || text->text.length == 0 ||
            memchr(text->text.data, '\0', text->text.length))
            status = fail(r, text, path, "a text that is not empty, without NUL bytes");
        builder_printf(&all, "%zu:" STR_FORMAT, text->text.length, STR_ARGUMENT(text->text));
    }
    s->text = (struct str){arena_copy_string(r->arena, builder_text(&all), all.length), all.length};
    builder_release(&all);
    return status;
}

static enum status read_scalar(struct reader *r, const struct yaml_value *v, const char *path,
                               struct setting *s)
{
    const struct setting_info *info = s->info;
    if (info->type == SETTING_WORDS)
        return read_words(r, v, path, s);
    if (info->type == SETTING_SHARES || info->type == SETTING_TEACHERS)
        return read_pairs(r, v, path, s);
    if (info->type == SETTING_TEXTS)
        return read_texts(r, v, path, s);
    if (info->type == SETTING_LIST || info->type == SETTING_REALS)
        return read_list(r, v, path, s);
    if (info->type == SETTING_INTEGER || info->type == SETTING_REAL) {
        TRY(read_number(r, v, path, info, &s->real));
        s->integer = (int64_t)s->real;
        s->text = str_from(info->type == SETTING_REAL ? arena_printf(r->arena, "%.17g", s->real)
                                                      : arena_printf(r->arena, "%" PRId64, s->integer));
        return OK;
    }
    if (v->kind != YAML_TEXT || v->text.length == 0)
        return fail(r, v, path, "a word");
    if (memchr(v->text.data, '\0', v->text.length))
        return fail(r, v, path, "text without NUL bytes");
    if (info->type == SETTING_FLAG && !str_is(v->text, "true") && !str_is(v->text, "false"))
        return fail(r, v, path, "true or false");
    if ((info->type == SETTING_WORD || info->type == SETTING_CHOICE) && !is_choice(info->choices, v->text))
        return fail(r, v, path, arena_printf(r->arena, "one of: %s", info->choices));
    s->integer = str_is(v->text, "true");
    s->text = v->text;
    return OK;
}

/* The word that row `i` has below `path`; empty where it lies elsewhere. */
static struct str word_below(const struct settings *s, const char *path, uint32_t i)
{
    const char *key = s->items[i].info->key;
    size_t length = strlen(path);
    if (strncmp(key, path, length) != 0 || (length > 0 && key[length] != '.'))
        return (struct str){0};
    key += length + (length > 0);
    return (struct str){key, strcspn(key, ".")};
}

/* The words below `path`, each once, for the message about an unknown key. */
static const char *known_below(struct reader *r, const char *path)
{
    struct builder b = {0};
    for (uint32_t i = 0; i < r->out->count; i++) {
        struct str word = word_below(r->out, path, i);
        bool is_new = word.length > 0;
        for (uint32_t j = 0; j < i && is_new; j++)
            is_new = !str_equal(word, word_below(r->out, path, j));
        if (is_new)
            builder_printf(&b, "%s" STR_FORMAT, b.length ? ", " : "", STR_ARGUMENT(word));
    }
    const char *text = arena_copy_string(r->arena, builder_text(&b), b.length);
    builder_release(&b);
    return text;
}

static bool has_rows_below(const struct settings *s, const char *path)
{
    size_t length = strlen(path);
    for (uint32_t i = 0; i < s->count; i++)
        if (strncmp(s->items[i].info->key, path, length) == 0 && s->items[i].info->key[length] == '.')
            return true;
    return false;
}

static enum status read_map(struct reader *r, const struct yaml_value *map, const char *path,
                            const char *const *also);

/* `schedule: cosine`, or `schedule: {cosine: {warmup: 20}}` */
static enum status read_choice(struct reader *r, const struct yaml_value *v, const char *path,
                               struct setting *s)
{
    if (v->kind == YAML_TEXT)
        return read_scalar(r, v, path, s);
    if (v->kind != YAML_MAP || v->count != 1)
        return fail(r, v, path, "a word, or a map with one key");
    TRY(read_scalar(r, v->keys[0], path, s));
    return v->items[0]->kind == YAML_MAP ? read_map(r, v->items[0], path, NULL)
                                         : fail(r, v->items[0], path, "a map of settings");
}

static enum status read_entry(struct reader *r, const struct yaml_value *key, const struct yaml_value *value,
                              const char *path)
{
    char full[MAX_PATH];
    int length =
        snprintf(full, sizeof full, "%s%s" STR_FORMAT, path, *path ? "." : "", STR_ARGUMENT(key->text));
    struct setting *s = length < MAX_PATH ? find(r->out, full) : NULL;
    if (s) {
        s->is_given = true;
        s->line = value->line;
        s->column = value->column;
        return s->info->type == SETTING_CHOICE ? read_choice(r, value, full, s)
                                               : read_scalar(r, value, full, s);
    }
    if (length < MAX_PATH && has_rows_below(r->out, full))
        return value->kind == YAML_MAP ? read_map(r, value, full, NULL)
                                       : fail(r, value, full, "a map of settings");
    return yaml_fail(r->trace, r->out->file, key, "%s has no setting \"" STR_FORMAT "\"; it has: %s",
                     *path ? path : r->out->kind, STR_ARGUMENT(key->text), known_below(r, path));
}

static enum status read_map(struct reader *r, const struct yaml_value *map, const char *path,
                            const char *const *also)
{
    for (uint32_t i = 0; i < map->count; i++) {
        bool skipped = false;
        for (const char *const *a = also; a && *a; a++)
            skipped = skipped || str_is(map->keys[i]->text, *a);
        if (!skipped)
            TRY(read_entry(r, map->keys[i], map->items[i], path));
    }
    return OK;
}

/* A value that the file does not give. Words of a list are separated by commas. */
static enum status fill(struct reader *r, struct setting *s, const char *value)
{
    struct yaml_value text = {.kind = YAML_TEXT, .text = str_from(value)};
    if (s->info->type != SETTING_WORDS)
        return read_scalar(r, &text, s->info->key, s);
    s->text = text.text;
    return OK;
}

static enum status fill_profile(struct reader *r)
{
    const struct setting *chosen = find(r->out, "profile");
    for (size_t i = 0; chosen && i < sizeof profiles / sizeof *profiles; i++) {
        const struct profile_row *row = &profiles[i];
        if (strcmp(row->kind, r->out->kind) != 0 || !str_is(chosen->text, row->profile))
            continue;
        struct setting *s = find(r->out, row->key);
        assert(s);
        if (!s->is_given)
            TRY(fill(r, s, row->value));
    }
    return OK;
}

static enum status fill_defaults(struct reader *r)
{
    for (uint32_t i = 0; i < r->out->count; i++) {
        struct setting *s = &r->out->items[i];
        if (s->is_given || s->text.length > 0)
            continue;
        if (!s->info->fallback)
            return yaml_fail(r->trace, r->out->file, r->out->at, "%s needs the setting \"%s\" (%s)",
                             r->out->kind, s->info->key, s->info->summary);
        if (*s->info->fallback)
            TRY(fill(r, s, s->info->fallback));
    }
    return OK;
}

enum status settings_read(struct settings *out, struct arena *arena, const char *kind,
                          const struct yaml_value *map, const char *const *also, const char *file,
                          struct trace *trace)
{
    static const struct yaml_value nothing = {.kind = YAML_MAP, .line = 1, .column = 1};
    *out = (struct settings){.kind = kind, .file = file, .at = map ? map : &nothing};
    out->items = ARENA_ARRAY(arena, struct setting, ROW_COUNT);
    for (uint32_t i = 0; i < ROW_COUNT; i++)
        if (strcmp(rows[i].kind, kind) == 0)
            out->items[out->count++].info = &rows[i];
    struct reader r = {.out = out, .arena = arena, .trace = trace};
    if (out->at->kind != YAML_MAP)
        return yaml_fail_expected(trace, file, out->at, kind, "a map of settings");
    TRY(read_map(&r, out->at, "", also));
    TRY(fill_profile(&r));
    return fill_defaults(&r);
}

const struct setting *settings_get(const struct settings *s, const char *key)
{
    const struct setting *setting = find(s, key);
    if (!setting)
        BUG("%s has no setting %s", s->kind, key);
    return setting;
}

bool settings_has(const struct settings *s, const char *key)
{
    return settings_get(s, key)->text.length > 0;
}

/* Words of such a setting are joined by commas. '-' and '_' are the same in `word`. */
bool settings_has_word(const struct settings *s, const char *key, const char *word)
{
    const char *at = settings_text(s, key);
    while (*at) {
        size_t length = strcspn(at, ","), i = 0;
        while (i < length && (at[i] == word[i] || (at[i] == '-' && word[i] == '_')))
            i++;
        if (i == length && word[i] == 0)
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

int64_t settings_integer(const struct settings *s, const char *key)
{
    return settings_get(s, key)->integer;
}

double settings_real(const struct settings *s, const char *key)
{
    return settings_get(s, key)->real;
}

const char *settings_text(const struct settings *s, const char *key)
{
    const struct setting *setting = settings_get(s, key);
    return setting->text.length > 0 ? setting->text.data : "";
}

bool settings_next_word(const struct settings *s, const char *key, struct str *rest, struct str *word)
{
    if (!rest->data)
        *rest = settings_get(s, key)->text;
    if (rest->length == 0)
        return false;
    const char *comma = memchr(rest->data, ',', rest->length);
    size_t length = comma ? (size_t)(comma - rest->data) : rest->length;
    *word = (struct str){rest->data, length};
    size_t step = length + (comma != NULL);
    *rest = (struct str){rest->data + step, rest->length - step};
    return true;
}

bool settings_next_text(const struct settings *s, const char *key, struct str *rest, struct str *text)
{
    if (!rest->data)
        *rest = settings_get(s, key)->text;
    if (rest->length == 0)
        return false;
    char *colon;
    size_t length = strtoul(rest->data, &colon, 10);
    *text = (struct str){colon + 1, length};
    size_t step = (size_t)(colon + 1 - rest->data) + length;
    *rest = (struct str){rest->data + step, rest->length - step};
    return true;
}

void settings_set_integer(struct settings *s, struct arena *arena, const char *key, int64_t value)
{
    struct setting *setting = find(s, key);
    assert(setting);
    setting->integer = value;
    setting->real = (double)value;
    setting->text = str_from(arena_printf(arena, "%" PRId64, value));
    if (setting->info->type != SETTING_LIST)
        return;
    setting->list = ARENA_ARRAY(arena, int64_t, 1);
    setting->list[0] = value;
    setting->list_count = 1;
}

struct settings settings_copy(const struct settings *s, struct arena *arena)
{
    struct settings copy = *s;
    copy.items = ARENA_ARRAY(arena, struct setting, s->count + 1);
    memcpy(copy.items, s->items, s->count * sizeof *s->items);
    return copy;
}

enum status settings_fail(const struct settings *s, const char *key, struct trace *trace, const char *format,
                          ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const struct setting *setting = settings_get(s, key);
    struct yaml_value at = {.line = s->at->line, .column = s->at->column};
    if (setting->is_given)
        at.line = setting->line, at.column = setting->column;
    return yaml_fail(trace, s->file, &at, "%s: %s", key, message);
}

/* Keys name the contents of what these refer to. */
static bool is_reference(enum setting_type type)
{
    return type == SETTING_INPUT || type == SETTING_STAGE || type == SETTING_PATH ||
           type == SETTING_TOKENIZER || type == SETTING_SHARES || type == SETTING_TEACHERS;
}

void settings_print(const struct settings *s, struct builder *out)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct setting_info *info = s->items[i].info;
        if (!info->is_free && !is_reference(info->type))
            builder_printf(out, "%s=" STR_FORMAT "\n", info->key, STR_ARGUMENT(s->items[i].text));
    }
}
