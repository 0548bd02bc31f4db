/* UTF-8 as the tokenizers need it: checking a whole text, then stepping through checked text without looking
 * for mistakes again. Overlong forms, surrogates and values above U+10FFFF are mistakes. */
#ifndef DATA_UTF8_H
#define DATA_UTF8_H

#include "base/status.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The offset of the first byte that begins no valid character; text.length when all is valid. */
size_t utf8_find_invalid(struct str text);
/* INVALID, with the byte's offset and value, when `text` is not UTF-8; `name` says which text. */
enum status utf8_check(struct str text, const char *name, struct trace *trace) MUST_CHECK;

/* Appends `text` with U+FFFD in the place of each byte that belongs to no valid character. */
void utf8_add_valid(struct builder *out, struct str text);

/* The character at the start of valid, non-empty text; returns its length in bytes. */
size_t utf8_read(struct str text, uint32_t *out);
/* Writes a character, returns its length in bytes. */
size_t utf8_write(char out[4], uint32_t character);
/* The start of the character that ends before `end` (end > 0, a character boundary). */
size_t utf8_step_back(const char *text, size_t end);
/* A class of patterns (data/regex.h): what Unicode calls a word character. */
#define UTF8_WORD_CLASS "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]"

bool utf8_is_space(uint32_t character); /* Unicode's White_Space */

#endif
