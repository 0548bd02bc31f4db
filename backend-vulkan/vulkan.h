/* Executes graphs on a Vulkan device. Under golden numerics: the same bytes as the C twin on every device
 * that passes the self-test; needs Vulkan 1.2 with timeline semaphores and storage buffers, and nothing
 * optional. Under device numerics matrix products are done by the best arithmetic that the device has, with
 * 16-bit operands: the same bytes on the same device and driver. */
#ifndef BACKEND_VULKAN_VULKAN_H
#define BACKEND_VULKAN_VULKAN_H

#include "base/arena.h"
#include "base/status.h"
#include "ir/executor.h"
#include "ir/numerics.h"
#include <stdbool.h>
#include <stdint.h>

enum vulkan_type { VULKAN_OTHER, VULKAN_INTEGRATED, VULKAN_DISCRETE, VULKAN_VIRTUAL, VULKAN_SOFTWARE };
const char *vulkan_type_name(enum vulkan_type type); /* "software", "discrete", ... */

struct vulkan_device_info {
    const char *name, *api, *driver; /* "1.3.230", "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)" */
    enum vulkan_type type;
    bool passed;          /* the self-test, and having what the baseline needs */
    const char *why;      /* what the self-test found, or what is missing */
    const char *kernels;  /* which variants it does best; "" where it failed */
    const char *matrices; /* cooperative matrices that it has; "none" */
    const char *products; /* how it multiplies under device numerics; "" where it failed */
};

/* Every device of this machine, in the order of their indices, each with its verdict: `out` and its texts are
 * on the arena. `cache` as in the options. A machine without a Vulkan driver has none, which is no error. */
enum status vulkan_devices_list(struct vulkan_device_info **out, uint32_t *count, const char *cache,
                                struct arena *arena, struct trace *trace) MUST_CHECK;

/* What `--device auto` means: the first hardware device that passes its self-test, discrete before others,
 * never a software driver. Writes its index as a selector of options; empty text where there is none. */
enum status vulkan_device_choose(char selector[16], struct trace *trace) MUST_CHECK;

/* Whether a selector of options means a device, without opening it. DEVICE with the list when it means none
 * or several. */
enum status vulkan_device_find(const char *selector, struct trace *trace) MUST_CHECK;

enum vulkan_validation { VULKAN_NOT_VALIDATED, VULKAN_VALIDATED, VULKAN_VALIDATED_ON_DEVICE };
enum vulkan_finite { VULKAN_FINITE_UNCHECKED, VULKAN_FINITE_CHECKED };
enum vulkan_selftest { VULKAN_SELFTEST_REQUIRED, VULKAN_SELFTEST_SKIPPED };

/* Zero-initialise, then set what differs. */
struct vulkan_options {
    const char
        *selector; /* NULL or "": the only device; a number: that index; else part of a name, any case */
    uint64_t max_buffer_bytes; /* largest buffer and binding; 0: what the device allows */
    uint64_t
        max_binding_bytes; /* largest binding, likewise; both for tests of devices smaller than this one */
    uint32_t guard_words;  /* words with a pattern before and after every piece of memory, for tests */
    const char *cache;     /* folder that keeps what was measured on devices; NULL: nothing is measured */
    const char *variant;   /* the one kernel for products, of variants.def; NULL: what the device does best */
    enum vulkan_validation validation; /* with the Khronos layer: any message makes the next call fail BROKEN;
                               on the device: kernels are instrumented too, and what they access is checked */
    enum vulkan_finite finite;     /* run() fails NOT_FINITE where a result is not finite, naming an op that
                                      shows it (ir/finite.h) */
    enum numerics numerics;        /* fast is golden here */
    enum vulkan_selftest selftest; /* skipped by tests of devices that are too small for it */
    const char *arithmetic;        /* of products, of arithmetics.def, for tests; NULL: as the numerics say */
};

/* DEVICE: none or several devices match (with the list), the device lacks the baseline, or failed its
 * self-test. */
enum status vulkan_executor_create(struct executor **out, const struct vulkan_options *options,
                                   struct trace *trace) MUST_CHECK;

/* What the bytes of a device under device numerics depend on: "device/1 vendor ... kernels HASH"; on the
 * arena. Opens no device. DEVICE as above. */
enum status vulkan_device_identity(const char **out, const char *selector, struct arena *arena,
                                   struct trace *trace) MUST_CHECK;

/* BROKEN naming the tensor when a guard word was overwritten. */
enum status vulkan_check_guards(struct executor *executor, struct trace *trace) MUST_CHECK;

#endif
