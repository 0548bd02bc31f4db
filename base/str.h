/* Text as pointer and length. `struct str` borrows; it is not NUL-terminated. `struct builder` grows on the
 * heap (release it) and keeps its text NUL-terminated. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *data;
    size_t length;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FORMAT "%.*s"
#define STR_ARGUMENT(s) (int)(s).length, (s).data

struct str str_from(const char *text); /* of a NUL-terminated string */
bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *text);
bool str_starts_with(struct str a, const char *prefix);
bool str_ends_with(struct str a, const char *ending);
int str_compare(struct str a, struct str b); /* bytewise, as memcmp, shorter first */

/* Strict numbers: the whole text, no sign where unsigned, no blanks, overflow is an error (false). */
bool str_to_u64(struct str text, uint64_t *out);
bool str_to_i64(struct str text, int64_t *out);
bool str_to_double(struct str text, double *out); /* "C" locale; finite only */

/* Names come from files of others, and a terminal obeys what it is sent: control characters but `kept`, and
 * bytes that are no UTF-8 (of which there are some where a text has been cut), become question marks. */
void str_make_printable(char *text, const char *kept);

struct builder {
    char *data; /* NULL when empty */
    size_t length, capacity;
};

void builder_add(struct builder *b, const char *bytes, size_t length);
void builder_add_text(struct builder *b, const char *text);
void builder_printf(struct builder *b, const char *format, ...) PRINTF_LIKE(2, 3);
const char *builder_text(const struct builder *b); /* "" when empty */
void builder_clear(struct builder *b);
void builder_release(struct builder *b);

#endif
