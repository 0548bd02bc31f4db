/* See frontend/weight_set.h. */
#include "frontend/weight_set.h"
#include <inttypes.h>
#include <stdio.h>

enum status weight_set_add(struct weight_set *set, const struct stored_weight *weight, struct trace *trace)
{
    struct stored_weight copy = *weight;
    if (!map_add_text(&set->numbers, set->arena, weight->name, set->items.count))
        return status_fail(trace, INVALID, "the model has two tensors '" STR_FORMAT "'",
                           STR_ARGUMENT(weight->name));
    copy.name.data = arena_copy_string(set->arena, weight->name.data, weight->name.length);
    *VEC_PUSH(set->arena, &set->items) = copy;
    return OK;
}

struct stored_weight *weight_set_find(struct weight_set *set, struct str name)
{
    uint32_t number;
    return map_find_text(&set->numbers, name, &number) ? &set->items.items[number] : NULL;
}

/* "[48, 32]" */
static const char *print_shape(char *out, size_t size, uint32_t rank, const int64_t *dims)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (uint32_t i = 0; i < rank; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
    snprintf(out + at, size - at, "]");
    return out;
}

static bool has_shape(const struct stored_weight *weight, uint32_t rank, const int64_t *dims)
{
    bool same = weight->rank == rank;
    for (uint32_t i = 0; same && i < rank; i++)
        same = weight->dims[i] == dims[i];
    return same;
}

enum status weight_set_take(struct tensor_view *out, struct weight_set *set, const char *name, uint32_t rank,
                            const int64_t *dims, struct trace *trace)
{
    char found[STORED_MAX_RANK * 24], expected[STORED_MAX_RANK * 24];
    struct stored_weight *weight = weight_set_find(set, str_from(name));
    if (!weight)
        return status_fail(trace, INVALID, "the model has no tensor '%s', which its configuration asks for",
                           name);
    if (!has_shape(weight, rank, dims))
        return status_fail(trace, INVALID, "tensor '%s' has the shape %s, the configuration asks for %s",
                           name, print_shape(found, sizeof found, weight->rank, weight->dims),
                           print_shape(expected, sizeof expected, rank, dims));
    if (!weight->is_float)
        return status_fail(trace, UNSUPPORTED,
                           "tensor '%s' has elements of type %s, expected F32, F16 or BF16", name,
                           weight->type);
    weight->is_taken = true;
    *out = weight->view;
    return OK;
}

enum status weight_set_check_taken(const struct weight_set *set, struct trace *trace)
{
    for (uint32_t i = 0; i < set->items.count; i++)
        if (!set->items.items[i].is_taken)
            return status_fail(trace, UNSUPPORTED,
                               "tensor '" STR_FORMAT "' has no place in the model that its configuration "
                               "describes",
                               STR_ARGUMENT(set->items.items[i].name));
    return OK;
}
