#include "backend-vulkan/tuning.h"
#include "base/hash.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct variant_info variant_table[VARIANT_COUNT] = {
#define VARIANT(name, kernel, rows, columns, c0, c1, c2, software, hardware) \
    {#name, KERNEL_##kernel, rows, columns, {c0, c1, c2}, {software, hardware}},
#include "backend-vulkan/variants.def"
};

static const char *const form_names[PRODUCT_FORMS] = {"nn", "nt", "tn"};

enum { LARGE = 1024 }; /* rows and columns of a large product */

void tuning_settle(struct tuning *tuning)
{
    enum variant best = tuning_choose(tuning, PRODUCT_NN, LARGE, LARGE);
    tuning->prefers_lanes = variant_table[best].kernel == KERNEL_matmul_wide;
    tuning->lanes = tuning->prefers_lanes ? best : VARIANT_wide_16x64x4;
}

void tuning_assume(struct tuning *out, bool is_software)
{
    *out = (struct tuning){.least_groups = is_software ? 1 : 32};
    for (uint32_t v = 0; v < VARIANT_COUNT; v++)
        for (uint32_t f = 0; f < PRODUCT_FORMS; f++)
            out->cost[v][f] = variant_table[v].assumed[!is_software] * (float)variant_table[v].rows *
                              (float)variant_table[v].columns;
    tuning_settle(out);
}

enum status tuning_force(struct tuning *out, const char *variant, struct trace *trace)
{
    char names[512] = "";
    bool found = false;
    *out = (struct tuning){.least_groups = 1};
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        bool is_it = strcmp(variant, variant_table[v].name) == 0;
        found = found || is_it;
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s", v ? ", " : "", variant_table[v].name);
        for (uint32_t f = 0; f < PRODUCT_FORMS; f++)
            out->cost[v][f] = is_it ? 1 : INFINITY;
    }
    if (!found)
        return status_fail(trace, INVALID, "no kernel variant \"%s\"; there are %s", variant, names);
    tuning_settle(out);
    return OK;
}

uint64_t variant_groups(enum variant variant, uint64_t rows, uint64_t columns)
{
    const struct variant_info *v = &variant_table[variant];
    if (v->rows == 1) /* outputs in a row, whatever the shape */
        return (rows * columns + v->columns - 1) / v->columns;
    return (rows + v->rows - 1) / v->rows * ((columns + v->columns - 1) / v->columns);
}

enum variant tuning_choose(const struct tuning *tuning, enum product_form form, uint64_t rows,
                           uint64_t columns)
{
    enum variant best = 0;
    double least = INFINITY;
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        uint64_t groups = variant_groups(v, rows, columns);
        groups = groups < tuning->least_groups ? tuning->least_groups : groups;
        double cost = (double)groups * (double)tuning->cost[v][form];
        if (cost < least) {
            least = cost;
            best = v;
        }
    }
    return best;
}

const char *tuning_describe(const struct tuning *tuning, struct arena *arena)
{
    const char *text = "products";
    for (uint32_t f = 0; f < PRODUCT_FORMS; f++) {
        enum variant v = tuning_choose(tuning, f, LARGE, LARGE);
        double rate = 2.0 * variant_table[v].rows * variant_table[v].columns / (double)tuning->cost[v][f];
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
