/* What is promised of results: `golden` the same bytes everywhere, `device` the same bytes on one Vulkan
 * device and driver, `fast` close ones as soon as can be. */
#ifndef IR_NUMERICS_H
#define IR_NUMERICS_H

#include "base/str.h"
#include <stdbool.h>

enum numerics {
#define NUMERICS(id, name, version) NUMERICS_##id,
#include "ir/numerics.def"
#undef NUMERICS
};

#define NUMERICS_NAMES "golden, device or fast"

bool numerics_find(enum numerics *out, struct str name); /* false: no profile of that name */
const char *numerics_name(enum numerics numerics);
const char *numerics_identity(enum numerics numerics); /* "golden/1": part of keys; of `device` only
                                                          its beginning (pipeline/device_select.h) */

#endif
