#include "backend-vulkan/tuning.h"
#include "base/hash.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const form_names[PRODUCT_FORMS] = {"nn", "nt", "tn"};

enum { LARGE = 1024 }; /* rows and columns of a large product */

/* Of the variants of one arithmetic. */
static enum variant choose(const struct tuning *tuning, enum arithmetic arithmetic, enum product_form form,
                           uint64_t rows, uint64_t columns)
{
    enum variant best = variant_reference(arithmetic);
    double least = INFINITY;
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        if (variant_table[v].arithmetic != arithmetic || !variant_is_possible(v, &tuning->matrices) ||
            tuning->is_dropped[v])
            continue;
        uint64_t groups = variant_groups(v, &tuning->matrices, rows, columns);
        groups = groups < tuning->least_groups ? tuning->least_groups : groups;
        double cost = (double)groups * (double)tuning->cost[v][form];
        if (cost < least) {
            least = cost;
            best = v;
        }
    }
    return best;
}

enum variant tuning_choose(const struct tuning *tuning, enum product_form form, uint64_t rows,
                           uint64_t columns)
{
    return choose(tuning, tuning->arithmetic, form, rows, columns);
}

/* Panels of attention are f32, whatever products are. */
void tuning_settle(struct tuning *tuning)
{
    enum variant best = choose(tuning, ARITHMETIC_f32, PRODUCT_NN, LARGE, LARGE);
    tuning->prefers_lanes = variant_table[best].kernel == KERNEL_matmul_wide;
    tuning->lanes = tuning->prefers_lanes ? best : VARIANT_wide_16x64x4;
}

void tuning_assume(struct tuning *out, const struct device *device, enum arithmetic arithmetic)
{
    *out = (struct tuning){
        .arithmetic = arithmetic, .matrices = device->matrices, .least_groups = device->is_software ? 1 : 32};
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        struct variant_tile tile = variant_tile(v, &out->matrices);
        for (uint32_t f = 0; f < PRODUCT_FORMS; f++)
            out->cost[v][f] =
                variant_table[v].assumed[!device->is_software] * (float)tile.rows * (float)tile.columns;
    }
    tuning_settle(out);
}

enum status tuning_force(struct tuning *out, const char *variant, struct trace *trace)
{
    char names[1024] = "";
    uint32_t found = VARIANT_COUNT;
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        bool is_it = strcmp(variant, variant_table[v].name) == 0;
        found = is_it ? v : found;
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s", v ? ", " : "", variant_table[v].name);
        for (uint32_t f = 0; f < PRODUCT_FORMS; f++)
            out->cost[v][f] = is_it ? 1 : INFINITY;
    }
    if (found == VARIANT_COUNT)
        return status_fail(trace, INVALID, "no kernel variant \"%s\"; there are %s", variant, names);
    if (!variant_is_possible(found, &out->matrices))
        return status_fail(trace, DEVICE, "this device cannot run the kernel variant \"%s\"", variant);
    out->arithmetic = variant_table[found].arithmetic;
    out->least_groups = 1;
    out->is_measured = false;
    tuning_settle(out);
    return OK;
}

const char *tuning_describe(const struct tuning *tuning, struct arena *arena)
{
    const char *text = "products";
    for (uint32_t f = 0; f < PRODUCT_FORMS; f++) {
        enum variant v = tuning_choose(tuning, f, LARGE, LARGE);
        struct variant_tile tile = variant_tile(v, &tuning->matrices);
        double rate = 2.0 * tile.rows * tile.columns / (double)tuning->cost[v][f];
        text = arena_printf(arena, "%s%s %s %s", text, f ? "," : "", form_names[f], variant_table[v].name);
        if (tuning->is_measured)
            text = arena_printf(arena, "%s (%.1f GFLOP/s%s)", text, rate,
                                tuning->least_groups == 1 ? " a core" : "");
    }
    return tuning->is_measured ? text : arena_printf(arena, "%s (not measured)", text);
}

/* head, a line for each variant, and the hash of all before it. Costs are bit patterns: they come back as
 * they were. */
char *tuning_print(const struct tuning *tuning, const char *head, struct arena *arena)
{
    char hex[HASH128_HEX], *text = arena_printf(arena, "%s\n", head);
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        uint32_t bits[PRODUCT_FORMS];
        memcpy(bits, tuning->cost[v], sizeof bits);
        text = arena_printf(arena, "%s%s %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n", text,
                            variant_table[v].name, bits[0], bits[1], bits[2]);
    }
    static_assert((int)PRODUCT_FORMS == 3, "three costs a line");
    hash128_to_hex(hash128_of(text, strlen(text)), hex);
    return arena_printf(arena, "%s%s\n", text, hex);
}

bool tuning_parse(struct tuning *out, const char *text, const char *head)
{
    size_t length = strlen(text), tail = HASH128_HEX; /* the digits and the end of the line */
    char hex[HASH128_HEX];
    if (length < tail || strncmp(text, head, strlen(head)) != 0 || text[strlen(head)] != '\n')
        return false;
    hash128_to_hex(hash128_of(text, length - tail), hex);
    if (strncmp(text + length - tail, hex, tail - 1) != 0 || text[length - 1] != '\n')
        return false;
    const char *line = text + strlen(head) + 1;
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        char name[32];
        uint32_t bits[PRODUCT_FORMS];
        if (sscanf(line, "%31s %" SCNx32 " %" SCNx32 " %" SCNx32, name, &bits[0], &bits[1], &bits[2]) != 4 ||
            strcmp(name, variant_table[v].name) != 0)
            return false;
        memcpy(out->cost[v], bits, sizeof bits);
        line = strchr(line, '\n') + 1;
    }
    out->is_measured = true;
    tuning_settle(out);
    return true;
}
