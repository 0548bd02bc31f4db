/* See frontend/json_object.h. */
#include "frontend/json_object.h"

enum status json_object_read(json_t **out, struct str text, struct trace *trace)
{
    size_t structure = 0;
    *out = NULL;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        structure += c == ',' || c == ':' || c == '[' || c == '{';
    }
    if (structure > JSON_MAX_STRUCTURE)
        return status_fail(trace, INVALID, "JSON of more than %d members", JSON_MAX_STRUCTURE);
    json_error_t error;
    json_t *root = json_loadb(text.length > 0 ? text.data : "", text.length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return status_fail(trace, INVALID, "not valid JSON, at line %d column %d: %s", error.line,
                           error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return status_fail(trace, INVALID, "expected a JSON object");
    }
    *out = root;
    return OK;
}

bool json_read_integer(const json_t *value, int64_t least, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < least)
        return false;
    *out = json_integer_value(value);
    return true;
}
