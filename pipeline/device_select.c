/* One word to an executor. */
#include "pipeline/device_select.h"
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include <string.h>

static enum status open_cpu(struct executor **out, const struct device_options *options, struct trace *trace)
{
    struct cpu_options cpu = {.threads = options->threads, .check_finite = CPU_CHECK_FINITE};
    return cpu_executor_create(out, cpu, trace);
}

static enum status open_vulkan(struct executor **out, const char *selector, struct trace *trace)
{
    struct vulkan_options vulkan = {.selector = selector, .finite = VULKAN_FINITE_CHECKED};
    return vulkan_executor_create(out, &vulkan, trace);
}

enum status device_select(struct executor **out, const struct device_options *options, struct trace *trace)
{
    const char *word = options->device ? options->device : "auto";
    if (strcmp(word, "auto") == 0) {
        char selector[16] = "";
        struct trace none = {0}; /* no Vulkan at all is no reason to fail here */
        if (vulkan_device_choose(selector, &none) == OK && *selector)
            return open_vulkan(out, selector, trace);
        return open_cpu(out, options, trace);
    }
    if (strcmp(word, "cpu") == 0)
        return open_cpu(out, options, trace);
    if (strcmp(word, "vulkan") == 0)
        return open_vulkan(out, "", trace);
    if (strncmp(word, "vulkan:", 7) == 0 && word[7])
        return open_vulkan(out, word + 7, trace);
    return status_fail(trace, INVALID,
                       "--device: expected auto, cpu, vulkan, vulkan:INDEX or vulkan:NAME-PART, found \"%s\"",
                       word);
}
