/* Choosing what executes: `--device auto|cpu|vulkan[:INDEX|:NAME-PART]`. auto takes a hardware GPU that
 * passes its self-test, else the twin; a software Vulkan driver only when asked for. */
#ifndef PIPELINE_DEVICE_SELECT_H
#define PIPELINE_DEVICE_SELECT_H

#include "base/arena.h"
#include "base/status.h"
#include "ir/executor.h"
#include "ir/numerics.h"

struct device_options {
    const char *device; /* NULL or "auto", "cpu", "vulkan", "vulkan:..." */
    uint32_t threads;   /* of the twin; 0: one for each processor */
    enum numerics numerics;
};

/* INVALID: a word that --device does not know. NULL is none. */
enum status device_check_word(const char *word, struct trace *trace) MUST_CHECK;
/* Also DEVICE: no device, or several, of that index or name; INVALID: numerics that it does not have. Nothing
 * is opened or tested. */
enum status device_check(const struct device_options *options, struct trace *trace) MUST_CHECK;

/* INVALID: another word. DEVICE: no such device, or it failed its self-test. */
enum status device_select(struct executor **out, const struct device_options *options,
                          struct trace *trace) MUST_CHECK;

/* What of its numerics and device a result depends on, for its key: "golden/1", "fast/1", or what says which
 * device and driver promise the same bytes; on the arena. Under device numerics it opens devices where auto
 * may choose, which it does once: `options` names the device then. DEVICE: auto found none. */
enum status device_identity(const char **out, struct device_options *options, struct arena *arena,
                            struct trace *trace) MUST_CHECK;

/* Where what was measured on devices is kept: $XDG_CACHE_HOME/espalier, else ~/.cache/espalier; heap, NULL
 * without a home. */
char *device_cache_folder(void);

#endif
