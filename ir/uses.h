/* Who uses the values of a program's graph: for those who decide which of its nodes run together. */
#ifndef IR_USES_H
#define IR_USES_H

#include "ir/executor.h"

struct uses {
    const struct program_spec *spec;
    uint32_t *reads; /* by value: how often nodes read it */
    bool *outputs;   /* by value */
    uint32_t
        *tensors; /* by value: the tensor that it, or what it is a view of, is bound to, plus one; 0: none */
};

/* On `arena`; borrows the spec. */
struct uses uses_find(struct arena *arena, const struct program_spec *spec);
/* Elements of a value; 0 where that is not known. */
int64_t uses_elements(const struct uses *uses, uint32_t value);
/* Must the value be somewhere, whoever reads it? */
bool uses_is_stored(const struct uses *uses, uint32_t value);
/* Does node `writer` store a result over a tensor that `reader` reads? */
bool uses_overwrites(const struct uses *uses, const struct node *writer, const struct node *reader);

#endif
