/* Reading YAML with libyaml, keeping line and column of everything for messages. The document is a tree of
 * nodes; a node that an alias names twice is refused, so that no text of a few bytes stands for a large tree.
 */
#ifndef PIPELINE_YAML_H
#define PIPELINE_YAML_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include <stdint.h>

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_value {
    enum yaml_kind kind;
    bool quoted;               /* a text in quotes is never a number */
    struct str text;           /* YAML_TEXT */
    uint32_t line, column;     /* from 1 */
    uint32_t count;            /* items of a list, entries of a map */
    struct yaml_value **keys;  /* of a map: texts, no two the same */
    struct yaml_value **items; /* of a list or a map */
};

/* INVALID: not YAML, not one document, a key twice, more than 64 levels. `name` is for messages. */
enum status yaml_read(struct yaml_value **out, struct arena *arena, struct str text, const char *name,
                      struct trace *trace) MUST_CHECK;

const struct yaml_value *yaml_find(const struct yaml_value *map, const char *key); /* or NULL */

/* "FILE:LINE:COLUMN: message" as INVALID. */
enum status yaml_fail(struct trace *trace, const char *name, const struct yaml_value *at, const char *format,
                      ...) PRINTF_LIKE(4, 5) MUST_CHECK;
/* "WHAT: expected EXPECTED, found ..." with what stands at `at`; `what` may be empty. */
enum status yaml_fail_expected(struct trace *trace, const char *name, const struct yaml_value *at,
                               const char *what, const char *expected) MUST_CHECK;

#endif
