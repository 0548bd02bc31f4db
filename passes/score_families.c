/* See score_families.h. */
#include "passes/score_families.h"
#include <string.h>

/* "layers.12.ffn@x" -> "layers.*.ffn@x"; other names as they are. */
static const char *family_name(struct arena *arena, struct str name)
{
    static const char prefix[] = "layers.";
    size_t start = strlen(prefix), at = start;
    if (name.length <= start || memcmp(name.data, prefix, start) != 0)
        return arena_copy_string(arena, name.data, name.length);
    while (at < name.length && name.data[at] >= '0' && name.data[at] <= '9')
        at++;
    return arena_printf(arena, "layers.*%.*s", (int)(name.length - at), name.data + at);
}

struct score_family *score_families(uint32_t *count, struct arena *arena, const struct scores *scores)
{
    struct score_family *families = ARENA_ARRAY(arena, struct score_family, scores->items.count + 1);
    *count = 0;
    for (uint32_t i = 0; i < scores->items.count; i++) {
        const struct score *s = &scores->items.items[i];
        const char *name = family_name(arena, s->name);
        uint32_t f = 0;
        while (f < *count && strcmp(families[f].name, name) != 0)
            f++;
        struct score_family *family = &families[f];
        if (f == *count) {
            *count += 1;
            family->name = name;
            family->members = ARENA_ARRAY(arena, const struct score *, scores->items.count);
            family->least = family->largest = s->count > 0 ? (double)s->values[0] : 0;
        }
        family->members[family->count++] = s;
        for (uint32_t v = 0; v < s->count; v++) {
            double value = (double)s->values[v];
            family->least = value < family->least ? value : family->least;
            family->largest = value > family->largest ? value : family->largest;
        }
    }
    return families;
}
