/* Stored tensors that have not been read: see stored.c. */
#ifndef FRONTEND_STORED_H
#define FRONTEND_STORED_H

#include "frontend/importer.h"

bool stored_is(const struct import_value *value);
/* Tries to carry the node out on the view of its first input alone; *passed tells. e->inputs holds the other
 * inputs; `evaluate` is the operator's function for concrete values. */
enum status stored_pass(struct import_value *out, bool *passed, struct evaluation *e,
                        const struct import_value *in,
                        enum status (*evaluate)(struct evaluation *)) MUST_CHECK;

#endif
