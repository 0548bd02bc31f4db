/* One word to an executor. */
#include "pipeline/device_select.h"
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

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

static enum status open_vulkan(struct executor **out, const char *selector, struct trace *trace)
{
    char *cache = device_cache_folder();
    struct vulkan_options vulkan = {.selector = selector, .finite = VULKAN_FINITE_CHECKED, .cache = cache};
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
    const char *selector = options->device ? vulkan_selector(options->device) : NULL;
    return selector ? vulkan_device_find(selector, trace) : OK;
}

enum status device_select(struct executor **out, const struct device_options *options, struct trace *trace)
{
    const char *word = options->device ? options->device : "auto";
    TRY(device_check_word(word, trace));
    if (strcmp(word, "auto") == 0) {
        char selector[16] = "";
        struct trace none = {0}; /* no Vulkan at all is no reason to fail here */
        if (vulkan_device_choose(selector, &none) == OK && *selector)
            return open_vulkan(out, selector, trace);
        return open_cpu(out, options, trace);
    }
    if (strcmp(word, "cpu") == 0)
        return open_cpu(out, options, trace);
    return open_vulkan(out, vulkan_selector(word), trace);
}
