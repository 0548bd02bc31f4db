#include "ir/numerics.h"
#include <stddef.h>

static const struct {
    const char *name, *identity;
} profiles[] = {
#define NUMERICS(id, name, version) [NUMERICS_##id] = {name, name "/" #version},
#include "ir/numerics.def"
#undef NUMERICS
};

bool numerics_find(enum numerics *out, struct str name)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
        if (str_is(name, profiles[i].name)) {
            *out = (enum numerics)i;
            return true;
        }
    return false;
}

const char *numerics_name(enum numerics numerics)
{
    return profiles[numerics].name;
}

const char *numerics_identity(enum numerics numerics)
{
    return profiles[numerics].identity;
}
