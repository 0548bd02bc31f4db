/* JSON from files that are not trusted: duplicate keys are refused, because readers differ in which one they
 * take, and the amount of structure is limited before the library allocates for it. */
#ifndef FRONTEND_JSON_OBJECT_H
#define FRONTEND_JSON_OBJECT_H

#include "base/status.h"
#include "base/str.h"
#include <jansson.h>

enum { JSON_MAX_STRUCTURE = 2 << 20 /* commas, colons and brackets */ };

/* `text` must be one object; json_decref() it. INVALID says where. */
enum status json_object_read(json_t **out, struct str text, struct trace *trace) MUST_CHECK;

/* An integer of at least `least`; a number with a point is none. False when it is something else. */
bool json_read_integer(const json_t *value, int64_t least, int64_t *out);

#endif
