/* Typed access to the members of a JSON object from an untrusted file. A message names the member by its path
 * ("model.merges"), what was expected and what was found. An absent member and an explicit null are the same.
 */
#ifndef DATA_FIELDS_H
#define DATA_FIELDS_H

#include "base/status.h"
#include "base/str.h"
#include <jansson.h>

/* An object and the path that leads to it, for messages; the root's path is "". */
struct fields {
    const json_t *object;
    const char *path;
};

enum fields_need { FIELD_OPTIONAL, FIELD_REQUIRED };

/* The member `key` of JSON type `type`; NULL when it is optional and absent. */
enum status fields_get(const json_t **out, struct fields fields, const char *key, json_type type,
                       enum fields_need need, struct trace *trace) MUST_CHECK;
/* Text may hold NUL bytes. An optional, absent one leaves *out as it was. */
enum status fields_get_text(struct str *out, struct fields fields, const char *key, enum fields_need need,
                            struct trace *trace) MUST_CHECK;
/* A boolean; `fallback` when absent. */
enum status fields_get_flag(bool *out, struct fields fields, const char *key, bool fallback,
                            struct trace *trace) MUST_CHECK;
/* An integer from 0 to limit - 1. */
enum status fields_get_index(uint32_t *out, struct fields fields, const char *key, uint32_t limit,
                             struct trace *trace) MUST_CHECK;
/* UNSUPPORTED when the object has a member that is not in the NULL-terminated list `known`. */
enum status fields_check_known(struct fields fields, const char *const *known,
                               struct trace *trace) MUST_CHECK;
/* INVALID unless `value` is an object. */
enum status fields_check_object(const json_t *value, const char *path, struct trace *trace) MUST_CHECK;

struct str fields_text(const json_t *string); /* of a JSON string */
const char *fields_type_name(const json_t *value);

#endif
