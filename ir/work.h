/* What a node has to do, from shapes alone: for rates in profiles. */
#ifndef IR_WORK_H
#define IR_WORK_H

#include "ir/memory_plan.h"

struct work {
    double operations; /* multiplications and additions of products; else one for each element of the largest
                          operand */
    double bytes;      /* of all operands and results, each once */
};

/* `places` of the program's memory plan, by value. */
struct work work_of(const struct node *node, const struct place *places);
/* Of nodes that run as one: bytes of what they do not only pass to each other. */
struct work work_of_chain(const struct node *nodes, uint32_t count, const struct place *places);

#endif
