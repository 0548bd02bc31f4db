/* The operations: one row of ir/ops.def each. The row gives arity, attributes, dimension rule and properties;
 * nothing outside the table switches over ops. Layers above expand the same rows (kernels, gradients, docs).
 */
#ifndef IR_OP_H
#define IR_OP_H

#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

enum { OP_MAX_ATTRIBUTES = 6 };

enum op {
#define OP(name, ...) OP_##name,
#include "ir/ops.def"
    OP_COUNT
};

enum attribute_type { ATTRIBUTE_INTEGER, ATTRIBUTE_REAL, ATTRIBUTE_OPTION, ATTRIBUTE_OPTION_REAL };
enum attribute_key {
#define ATTRIBUTE(name, type, summary) ATTRIBUTE_##name,
#include "ir/attributes.def"
    ATTRIBUTE_COUNT
};

enum op_flag {
    OP_VIEW = 1 << 0,      /* the result is rows of input 0: no kernel, no storage */
    OP_IN_PLACE = 1 << 1,  /* result i may be stored over input i where that dies here */
    OP_POINTWISE = 1 << 2, /* result element depends on the same element (or broadcast) of the inputs only */
    OP_ACROSS = 1 << 3,    /* what stands at a place of the first axis depends on other places of it too */
    OP_SHOWS = 1 << 4,     /* an element of any input that is not finite makes one of a result not finite */
};

struct op_info {
    const char *name;
    uint32_t inputs, results;
    const char *rule;       /* dimension rule, see ir/rule.h */
    const char *attributes; /* names, blank-separated */
    uint32_t flags;
    const char *summary;
};

extern const struct op_info op_table[OP_COUNT];
bool op_from_name(struct str name, enum op *out);

struct attribute_info {
    const char *name;
    enum attribute_type type;
    const char *summary;
};
extern const struct attribute_info attribute_table[ATTRIBUTE_COUNT];
bool attribute_is_integer(enum attribute_key key);
bool attribute_is_option(enum attribute_key key);
bool attribute_from_name(struct str name, enum attribute_key *out);

static inline bool op_is_attention(enum op op)
{
    return op == OP_attention || op == OP_sloped_attention;
}

/* The input that holds constants, which are no parameters and are not trained (rotary frequencies, slopes of
 * attention); UINT32_MAX where the op has none. */
uint32_t op_constant_input(enum op op);

/* Keys of an op in the order of its row; returns the count. */
uint32_t op_attributes(enum op op, enum attribute_key keys[OP_MAX_ATTRIBUTES]);

#endif
