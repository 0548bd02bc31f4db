/* Questions about an interface, and how it is printed. */
#include "ir/interface.h"
#include "base/arena.h"
#include <string.h>

static const struct {
    const char *name;
    enum interface_type type;
} types[] = {{"float", INTERFACE_FLOAT},
             {"int32", INTERFACE_INT32},
             {"int64", INTERFACE_INT64},
             {"bool", INTERFACE_BOOL}};

const char *const interface_layouts[INTERFACE_LAYOUTS] = {"bnsh", "bsnh", "bnhs"};
const char *const interface_numbers_hidden = "numbers_hidden";

const struct interface interface_usual = {
    .mask = {{"attention_mask", 14}, INTERFACE_INT64, 2},
    .positions = {{"position_ids", 12}, INTERFACE_INT64, 2},
    .cache = {{"past_key_values.%.key", 21},
              {"past_key_values.%.value", 23},
              {"present.%.key", 13},
              {"present.%.value", 15}},
};

const char *interface_type_name(enum interface_type type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type)
            return types[i].name;
    return "";
}

bool interface_type_from_name(struct str name, enum interface_type *out)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_is(name, types[i].name)) {
            *out = types[i].type;
            return true;
        }
    return false;
}

bool interface_layout_from_name(struct str name, enum interface_layout *out)
{
    for (int i = 0; i < INTERFACE_LAYOUTS; i++)
        if (str_is(name, interface_layouts[i])) {
            *out = (enum interface_layout)i;
            return true;
        }
    return false;
}

bool interface_has_cache(const struct interface *interface)
{
    return interface->cache[PAST_KEY].length > 0;
}

bool interface_is_empty(const struct interface *interface)
{
    return interface->mask.name.length == 0 && interface->positions.name.length == 0 &&
           !interface_has_cache(interface);
}

bool interface_is_equal(const struct interface *a, const struct interface *b)
{
    struct builder x = {0}, y = {0};
    interface_print(a, &x);
    interface_print(b, &y);
    bool equal = strcmp(builder_text(&x), builder_text(&y)) == 0;
    builder_release(&x);
    builder_release(&y);
    return equal;
}

static bool is_word(struct str name, uint32_t places)
{
    uint32_t found = 0;
    for (size_t i = 0; i < name.length; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == '#')
            return false;
        found += name.data[i] == '%';
    }
    return name.length > 0 && found == places;
}

bool interface_is_name(struct str name)
{
    return is_word(name, 0);
}

bool interface_is_pattern(struct str name)
{
    return is_word(name, 1);
}

const char *interface_cache_name(struct arena *arena, struct str pattern, uint32_t layer)
{
    const char *place = memchr(pattern.data, '%', pattern.length);
    int before = (int)(place - pattern.data), after = (int)pattern.length - before - 1;
    return arena_printf(arena, "%.*s%u%.*s", before, pattern.data, layer, after, place + 1);
}

void interface_print(const struct interface *interface, struct builder *out)
{
    const struct interface_input *mask = &interface->mask, *positions = &interface->positions;
    if (mask->name.length > 0)
        builder_printf(out, "interface mask " STR_FORMAT " %s%s%s\n", STR_ARGUMENT(mask->name),
                       interface_type_name(mask->type), interface->numbers_hidden ? " " : "",
                       interface->numbers_hidden ? interface_numbers_hidden : "");
    if (positions->name.length > 0)
        builder_printf(out, "interface positions " STR_FORMAT " %s %u\n", STR_ARGUMENT(positions->name),
                       interface_type_name(positions->type), positions->rank);
    if (!interface_has_cache(interface))
        return;
    builder_add_text(out, "interface cache");
    for (int part = 0; part < CACHE_PARTS; part++)
        builder_printf(out, " " STR_FORMAT, STR_ARGUMENT(interface->cache[part]));
    for (int kind = 0; kind < CACHE_KINDS; kind++)
        builder_printf(out, " %s", interface_layouts[interface->layouts[kind]]);
    builder_add_text(out, "\n");
}

static struct str keep(struct str text, struct arena *arena)
{
    return (struct str){arena_copy_string(arena, text.data ? text.data : "", text.length), text.length};
}

struct interface interface_copy(const struct interface *interface, struct arena *arena)
{
    struct interface copy = *interface;
    copy.mask.name = keep(copy.mask.name, arena);
    copy.positions.name = keep(copy.positions.name, arena);
    for (int part = 0; part < CACHE_PARTS; part++)
        copy.cache[part] = keep(copy.cache[part], arena);
    return copy;
}
