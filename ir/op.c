/* The op and attribute tables, expanded from their rows. */
#include "ir/op.h"
#include <assert.h>
#include <string.h>

const struct op_info op_table[OP_COUNT] = {
#define OP(op, input_count, result_count, dim_rule, attribute_names, op_flags, gradient, text) \
    [OP_##op] = {#op, input_count, result_count, dim_rule, attribute_names, op_flags, text},
#include "ir/ops.def"
};

const struct attribute_info attribute_table[ATTRIBUTE_COUNT] = {
#define ATTRIBUTE(key, kind, text) [ATTRIBUTE_##key] = {#key, ATTRIBUTE_##kind, text},
#include "ir/attributes.def"
};

bool op_from_name(struct str name, enum op *out)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (str_is(name, op_table[i].name))
            return *out = (enum op)i, true;
    return false;
}

bool attribute_is_integer(enum attribute_key key)
{
    enum attribute_type type = attribute_table[key].type;
    return type == ATTRIBUTE_INTEGER || type == ATTRIBUTE_OPTION;
}

bool attribute_is_option(enum attribute_key key)
{
    enum attribute_type type = attribute_table[key].type;
    return type == ATTRIBUTE_OPTION || type == ATTRIBUTE_OPTION_REAL;
}

bool attribute_from_name(struct str name, enum attribute_key *out)
{
    for (int i = 0; i < ATTRIBUTE_COUNT; i++)
        if (str_is(name, attribute_table[i].name))
            return *out = (enum attribute_key)i, true;
    return false;
}

uint32_t op_constant_input(enum op op)
{
    switch (op) {
    case OP_rotary_table:
        return 1;
    case OP_sloped_attention:
        return 3;
    case OP_sloped_attention_grad:
        return 6;
    default:
        return UINT32_MAX;
    }
}

uint32_t op_attributes(enum op op, enum attribute_key keys[OP_MAX_ATTRIBUTES])
{
    uint32_t count = 0;
    for (const char *at = op_table[op].attributes; *at;) {
        size_t length = strcspn(at, " ");
        bool known = attribute_from_name((struct str){at, length}, &keys[count]);
        assert(known && count < OP_MAX_ATTRIBUTES);
        (void)known;
        count++;
        at += length + (at[length] == ' ');
    }
    return count;
}
