/* devices: the twin and every Vulkan device, with the verdict of the numeric self-test and the kernels it
 * does best. */
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include "cli/command.h"
#include <stdio.h>
#include <stdlib.h>

static void print_device(const struct command *command, int index, const char *name, const char *api,
                         const char *driver, const char *type, bool passed, const char *why,
                         const char *kernels)
{
    if (command_is_json(command)) {
        print_json(json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "index", index, "name", name, "api", api,
                             "driver", driver, "type", type, "self_test", passed ? "pass" : "fail", "why",
                             why ? why : "", "kernels", kernels));
        return;
    }
    char label[24];
    snprintf(label, sizeof label, index < 0 ? "cpu" : "vulkan:%d", index);
    printf("%-10s %-4s  %s (%s, API %s, %s)%s%s\n", label, passed ? "pass" : "FAIL", name, type, api, driver,
           why && *why ? ": " : "", why ? why : "");
    if (*kernels)
        printf("%-16s %s\n", "", kernels);
}

enum status command_devices(struct command *command, struct trace *trace)
{
    struct executor *cpu = NULL;
    struct device_options options;
    TRY(command_device(&options, command, trace));
    TRY(cpu_executor_create(&cpu, (struct cpu_options){.threads = options.threads}, trace));
    print_device(command, -1, cpu->name, "-", "espalier", "twin", true, "it defines the golden bytes", "");
    executor_destroy(cpu);
    struct arena arena = {0};
    struct vulkan_device_info *devices = NULL;
    uint32_t count = 0;
    char *cache = device_cache_folder();
    enum status status = vulkan_devices_list(&devices, &count, cache, &arena, trace);
    free(cache);
    for (uint32_t i = 0; status == OK && i < count; i++)
        print_device(command, (int)i, devices[i].name, devices[i].api, devices[i].driver,
                     vulkan_type_name(devices[i].type), devices[i].passed, devices[i].why,
                     devices[i].kernels);
    arena_release(&arena);
    return status;
}
