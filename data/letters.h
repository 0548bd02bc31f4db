/* What Python's methods of text do where lm-evaluation-harness makes prompts with them: strip, rstrip,
 * capitalize. Bytes that are no character end what is stripped and are not copied by capitalize. */
#ifndef DATA_LETTERS_H
#define DATA_LETTERS_H

#include "base/str.h"

/* Bytes of white space at the end: Unicode's, and the separators U+001C to U+001F. */
size_t letters_spaces_at_end(struct str text);
struct str letters_strip(struct str text);
/* The first letter large (title case), all others small; full mappings, which may have more characters. */
void letters_capitalise(struct builder *out, struct str text);

#endif
