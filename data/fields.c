/* Every getter goes through fields_get(), which knows how to complain. */
#include "data/fields.h"

#include <string.h>

const char *fields_type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real",    [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",    [JSON_NULL] = "null",
    };
    return value ? names[json_typeof(value)] : "nothing";
}

static const char *expected_name(json_type type)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real",    [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",    [JSON_NULL] = "null",
    };
    return names[type];
}

static const char *dot(struct fields fields)
{
    return *fields.path ? "." : "";
}

enum status fields_get(const json_t **out, struct fields fields, const char *key, json_type type,
                       enum fields_need need, struct trace *trace)
{
    *out = NULL;
    const json_t *value = json_object_get(fields.object, key);
    if (!value || json_is_null(value)) {
        if (need == FIELD_OPTIONAL)
            return OK;
        return status_fail(trace, INVALID, "%s%s%s: expected %s, found %s", fields.path, dot(fields), key,
                           expected_name(type), fields_type_name(value));
    }
    if (json_typeof(value) != type && !(type == JSON_TRUE && json_is_boolean(value)))
        return status_fail(trace, INVALID, "%s%s%s: expected %s, found %s", fields.path, dot(fields), key,
                           expected_name(type), fields_type_name(value));
    *out = value;
    return OK;
}

enum status fields_get_text(struct str *out, struct fields fields, const char *key, enum fields_need need,
                            struct trace *trace)
{
    const json_t *value;
    TRY(fields_get(&value, fields, key, JSON_STRING, need, trace));
    if (value)
        *out = fields_text(value);
    return OK;
}

enum status fields_get_flag(bool *out, struct fields fields, const char *key, bool fallback,
                            struct trace *trace)
{
    const json_t *value;
    TRY(fields_get(&value, fields, key, JSON_TRUE, FIELD_OPTIONAL, trace));
    *out = value ? json_is_true(value) : fallback;
    return OK;
}

enum status fields_get_index(uint32_t *out, struct fields fields, const char *key, uint32_t limit,
                             struct trace *trace)
{
    const json_t *value;
    TRY(fields_get(&value, fields, key, JSON_INTEGER, FIELD_REQUIRED, trace));
    json_int_t number = json_integer_value(value);
    if (number < 0 || number >= (json_int_t)limit)
        return status_fail(trace, INVALID, "%s%s%s: expected an integer from 0 to %u, found %lld",
                           fields.path, dot(fields), key, limit - 1, (long long)number);
    *out = (uint32_t)number;
    return OK;
}

enum status fields_check_known(struct fields fields, const char *const *known, struct trace *trace)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)fields.object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return status_fail(trace, UNSUPPORTED, "%s%s%.64s: espalier does not know this field",
                               fields.path, dot(fields), key);
    }
    return OK;
}

enum status fields_check_object(const json_t *value, const char *path, struct trace *trace)
{
    if (json_is_object(value))
        return OK;
    return status_fail(trace, INVALID, "%s: expected an object, found %s", path, fields_type_name(value));
}

struct str fields_text(const json_t *string)
{
    return (struct str){json_string_value(string), json_string_length(string)};
}
