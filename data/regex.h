/* A pattern from a tokenizer file, in the Ruby syntax and with the Unicode classes that these files are
 * written for. The effort of one search is limited, so that a hostile pattern ends in an error and not in
 * endless backtracking. */
#ifndef DATA_REGEX_H
#define DATA_REGEX_H

#include "base/status.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>

enum { REGEX_PATTERN_LIMIT = 8192, REGEX_WINDOW = 1 << 30 }; /* bytes */

enum regex_kind { REGEX_PATTERN, REGEX_LITERAL };

struct regex {
    struct str literal;           /* of a literal, on the heap */
    void *code, *region, *limits; /* Oniguruma's, of a pattern; NULL in zeroed memory */
    size_t window;                /* so much of a text is searched at a time: REGEX_WINDOW, less in tests */
};

enum status regex_open(struct regex *out, struct str pattern, enum regex_kind kind,
                       struct trace *trace) MUST_CHECK;
void regex_release(struct regex *regex); /* accepts zeroed memory */

struct regex_match {
    size_t start, end;
    bool is_found;
};
/* The first match in text that starts at `from` or later; text must be valid UTF-8, `from` a boundary. A
 * match of a pattern does not see further than a sixteenth of the window back and a quarter of it ahead.
 * UNSUPPORTED when that is not enough, or when the effort is too large. */
enum status regex_find(struct regex_match *out, const struct regex *regex, struct str text, size_t from,
                       struct trace *trace) MUST_CHECK;

#endif
