/* Settings of inputs and stages: read from YAML against the rows of settings.def, with line and column in
 * every message, and written out canonically with all defaults, which is what a stage's key hashes. */
#ifndef PIPELINE_SETTINGS_H
#define PIPELINE_SETTINGS_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "pipeline/yaml.h"
#include <stdint.h>

enum setting_type {
    SETTING_INTEGER,
    SETTING_REAL,
    SETTING_FLAG,
    SETTING_WORD,
    SETTING_WORDS,
    SETTING_TEXT,
    SETTING_TEXTS,
    SETTING_LIST,
    SETTING_REALS,
    SETTING_CHOICE,
    SETTING_PATH,
    SETTING_TOKENIZER,
    SETTING_INPUT,
    SETTING_STAGE,
    SETTING_SHARES,
    SETTING_TEACHERS,
};

struct setting_info {
    const char *kind, *key;
    enum setting_type type;
    const char *fallback; /* NULL: must be given; "": absent unless given */
    double low, high;
    const char *choices; /* blank-separated words */
    const char *summary;
    bool is_free; /* changes no result: not in the key */
};

/* An entry of a SHARES or TEACHERS setting; of a single word, one without a key. */
struct setting_pair {
    const char *key, *value; /* key: NULL for a single word */
    uint32_t line, column;
};

struct setting {
    const struct setting_info *info;
    bool is_given; /* in the file */
    uint32_t line, column;
    struct str text; /* canonical text of the value; empty when absent */
    int64_t integer;
    double real;
    int64_t *list; /* SETTING_LIST */
    double *reals; /* SETTING_REALS */
    uint32_t list_count;
    struct setting_pair *pairs; /* SETTING_SHARES, SETTING_TEACHERS */
    uint32_t pair_count;
};

struct settings {
    const char *kind;
    const char *file;      /* for messages */
    struct setting *items; /* one per row of the kind, in the order of the rows */
    uint32_t count;
    const struct yaml_value *at; /* the map they were read from */
};

/* Reads `map` (NULL: nothing given) as settings of `kind`. Keys in `also` (NULL-terminated; may be NULL) are
 * the caller's. INVALID: unknown key, wrong type, out of range, missing. */
enum status settings_read(struct settings *out, struct arena *arena, const char *kind,
                          const struct yaml_value *map, const char *const *also, const char *file,
                          struct trace *trace) MUST_CHECK;

/* Values by key; the key must be a row of the kind. */
const struct setting *settings_get(const struct settings *s, const char *key);
bool settings_has(const struct settings *s, const char *key); /* given, or with a default */
int64_t settings_integer(const struct settings *s, const char *key);
double settings_real(const struct settings *s, const char *key);
const char *settings_text(const struct settings *s, const char *key); /* "" when absent; NUL-terminated */
bool settings_has_word(const struct settings *s, const char *key, const char *word); /* of a WORDS setting */
/* The words of a WORDS setting, one a call; `rest` starts as {0}. False at the end. */
bool settings_next_word(const struct settings *s, const char *key, struct str *rest, struct str *word);
/* The texts of a TEXTS setting, in the same way. */
bool settings_next_text(const struct settings *s, const char *key, struct str *rest, struct str *text);
/* Sets an INTEGER, or a LIST to that one size: what the file leaves to the program (its seed, a candidate's
 * sizes). */
void settings_set_integer(struct settings *s, struct arena *arena, const char *key, int64_t value);

/* "file:line:col: message" at the setting, or at the map when it was not given. */
enum status settings_fail(const struct settings *s, const char *key, struct trace *trace, const char *format,
                          ...) PRINTF_LIKE(4, 5) MUST_CHECK;

/* The same settings with values of their own. */
struct settings settings_copy(const struct settings *s, struct arena *arena);

/* "key=value\n" for each row but free ones; references (INPUT, STAGE, PATH) are left out: keys name their
 * contents. */
void settings_print(const struct settings *s, struct builder *out);

#endif
