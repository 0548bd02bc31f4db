/* Which variant of a matrix product this device does best. Variants (variants.def) of one arithmetic differ
 * in who computes which output, never in a byte, so the choice among them is free: it is measured once on a
 * device and driver, kept in a file of the user's cache folder under a hash of all that it depends on, and
 * assumed from the type of device where nothing keeps it. */
#ifndef BACKEND_VULKAN_TUNING_H
#define BACKEND_VULKAN_TUNING_H

#include "backend-vulkan/variant.h"
#include "backend-vulkan/vulkan.h"

/* How the operands of a product lie, by the ops that have it so. */
enum product_form { PRODUCT_NN, PRODUCT_NT, PRODUCT_TN, PRODUCT_FORMS };

struct tuning {
    enum arithmetic arithmetic; /* of all products */
    struct matrices matrices;   /* of the device */
    float cost[VARIANT_COUNT]
              [PRODUCT_FORMS];      /* of a group and a term of its sums; never used where infinite */
    bool is_dropped[VARIANT_COUNT]; /* by the self-test: never used, whatever it costs */
    uint32_t least_groups;          /* as many take as long as one */
    bool is_measured;               /* costs are nanoseconds */
    enum variant lanes;             /* the best that keeps outputs in registers */
    bool prefers_lanes; /* does best with one lane's registers, without shared memory: as processors do */
};

/* From the type of device. */
void tuning_assume(struct tuning *out, const struct device *device, enum arithmetic arithmetic);
/* Only one variant, of whatever arithmetic; INVALID naming those there are, DEVICE where this one cannot do
 * it. */
enum status tuning_force(struct tuning *out, const char *variant, struct trace *trace) MUST_CHECK;
/* After costs have changed. */
void tuning_settle(struct tuning *tuning);

/* The variant that does a product of such a size soonest. */
enum variant tuning_choose(const struct tuning *tuning, enum product_form form, uint64_t rows,
                           uint64_t columns);
/* "products nn wide_16x64x4 (61.0 GFLOP/s a core), nt ...": of large ones; rates where measured. */
const char *tuning_describe(const struct tuning *tuning, struct arena *arena);

/* The text of a cache file: costs of all variants, under a head that says what was measured. Reading is true
 * where it is such a text, whole and of this head. */
char *tuning_print(const struct tuning *tuning, const char *head, struct arena *arena);
bool tuning_parse(struct tuning *out, const char *text, const char *head);

#endif
