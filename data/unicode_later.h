/* Hugging Face's library brings its own tables for normal forms and marks, those of Unicode 9. To characters
 * that came later it does nothing: they have no combining class and no decomposition. Whatever tables
 * utf8proc has, so it is here. */
#ifndef DATA_UNICODE_LATER_H
#define DATA_UNICODE_LATER_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a character came after Unicode 9 and is one that normal forms would otherwise change or move, or a
 * mark. */
bool unicode_is_later(uint32_t character);

#endif
