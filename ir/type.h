/* Element types. Values compute in f32 (ids in i32); weights may be stored as f16 or bf16. */
#ifndef IR_TYPE_H
#define IR_TYPE_H

#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_I32, DTYPE_F16, DTYPE_BF16, DTYPE_COUNT };

const char *dtype_name(enum dtype dtype); /* "f32", "i32", "f16", "bf16" */
bool dtype_from_name(struct str name, enum dtype *out);
size_t dtype_size(enum dtype dtype); /* bytes an element */

#endif
