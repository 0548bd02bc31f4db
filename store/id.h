/* Ids of objects in text: "xxh3:" and 32 lower-case hexadecimal digits. In memory an id is a struct hash128.
 */
#ifndef STORE_ID_H
#define STORE_ID_H

#include "base/hash.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>

enum { STORE_ID_TEXT = 38 }; /* with the NUL */

void store_id_to_text(struct hash128 id, char text[STORE_ID_TEXT]);
bool store_id_from_text(struct str text, struct hash128 *out); /* exactly the form above */
int store_id_compare(struct hash128 a, struct hash128 b);      /* in the order of the text */

/* The next id in `text` at or after *position, which moves behind it; false at the end. "xxh3:" directly
 * after a letter, digit, '-' or '_' does not begin an id. */
bool store_id_scan(struct hash128 *out, struct str text, size_t *position);

#endif
