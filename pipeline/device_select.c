/* One word to an executor. */
#include "pipeline/device_select.h"
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

/* The twin promises the same bytes everywhere, or none. */
static enum status check_numerics(const struct device_options *options, struct trace *trace)
{
    if (options->numerics != NUMERICS_DEVICE || !options->device || strcmp(options->device, "cpu") != 0)
        return OK;
    return status_fail(
        trace, INVALID,
        "numerics device are computed by Vulkan devices, found --device cpu: give --device vulkan, or "
        "golden or fast numerics");
}

static enum status open_cpu(struct executor **out, const struct device_options *options, struct trace *trace)
{
    struct cpu_options cpu = {
        .threads = options->threads, .numerics = options->numerics, .check_finite = CPU_CHECK_FINITE};
    return cpu_executor_create(out, cpu, trace);
}

char *device_cache_folder(void)
{
    const char *folder = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (folder && *folder == '/')
        return path_join(folder, "espalier");
    return home && *home == '/' ? path_join(home, ".cache/espalier") : NULL;
}

static enum status open_vulkan(struct executor **out, const struct device_options *options,
                               const char *selector, struct trace *trace)
{
    char *cache = device_cache_folder();
    struct vulkan_options vulkan = {
        .selector = selector, .finite = VULKAN_FINITE_CHECKED, .cache = cache, .numerics = options->numerics};
    enum status status = vulkan_executor_create(out, &vulkan, trace);
    free(cache);
    return status;
}

/* What stands behind "vulkan", "vulkan:"; NULL for other words. */
static const char *vulkan_selector(const char *word)
{
    if (strcmp(word, "vulkan") == 0)
        return "";
    return strncmp(word, "vulkan:", 7) == 0 && word[7] ? word + 7 : NULL;
}

enum status device_check_word(const char *word, struct trace *trace)
{
    if (!word || strcmp(word, "auto") == 0 || strcmp(word, "cpu") == 0 || vulkan_selector(word))
        return OK;
    return status_fail(trace, INVALID,
                       "--device: expected auto, cpu, vulkan, vulkan:INDEX or vulkan:NAME-PART, found \"%s\"",
                       word);
}

enum status device_check(const struct device_options *options, struct trace *trace)
{
    TRY(device_check_word(options->device, trace));
    TRY(check_numerics(options, trace));
    const char *selector = options->device ? vulkan_selector(options->device) : NULL;
    return selector ? vulkan_device_find(selector, trace) : OK;
}

static enum status fail_without_hardware(struct trace *trace)
{
    return status_fail(
        trace, DEVICE,
        "numerics device are computed by Vulkan devices, and auto found none that is hardware and passes "
        "its self-test: name one with --device vulkan, or give golden or fast numerics");
}

enum status device_identity(const char **out, struct device_options *options, struct arena *arena,
                            struct trace *trace)
{
    char selector[16] = "";
    *out = numerics_identity(options->numerics);
    if (options->numerics != NUMERICS_DEVICE)
        return OK;
    TRY(device_check_word(options->device, trace));
    TRY(check_numerics(options, trace));
    if (!options->device || strcmp(options->device, "auto") == 0) {
        TRY(vulkan_device_choose(selector, trace));
        if (!*selector)
            return fail_without_hardware(trace);
        options->device = arena_printf(arena, "vulkan:%s", selector);
    }
    return vulkan_device_identity(out, vulkan_selector(options->device), arena, trace);
}

enum status device_select(struct executor **out, const struct device_options *options, struct trace *trace)
{
    const char *word = options->device ? options->device : "auto";
    TRY(device_check_word(word, trace));
    TRY(check_numerics(options, trace));
    if (strcmp(word, "auto") == 0) {
        char selector[16] = "";
        struct trace none = {0}; /* no Vulkan at all is no reason to fail here */
        if (vulkan_device_choose(selector, &none) == OK && *selector)
            return open_vulkan(out, options, selector, trace);
        if (options->numerics == NUMERICS_DEVICE)
            return fail_without_hardware(trace);
        return open_cpu(out, options, trace);
    }
    if (strcmp(word, "cpu") == 0)
        return open_cpu(out, options, trace);
    return open_vulkan(out, options, vulkan_selector(word), trace);
}
