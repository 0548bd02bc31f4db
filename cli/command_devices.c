/* devices: the twin and every Vulkan device, with the verdict of the numeric self-test and the kernels it
 * does best. */
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include "cli/command.h"
#include <stdio.h>
#include <stdlib.h>

/* The twin is a device like others here, number -1. */
static void print_device(const struct command *command, int index, const struct vulkan_device_info *d,
                         const char *type)
{
    if (command_is_json(command)) {
        print_json(json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "index", index, "name", d->name,
                             "api", d->api, "driver", d->driver, "type", type, "self_test",
                             d->passed ? "pass" : "fail", "why", d->why ? d->why : "", "kernels", d->kernels,
                             "matrices", d->matrices, "device_numerics", d->products));
        return;
    }
    char label[24];
    snprintf(label, sizeof label, index < 0 ? "cpu" : "vulkan:%d", index);
    printf("%-10s %-4s  %s (%s, API %s, %s)%s%s\n", label, d->passed ? "pass" : "FAIL", d->name, type, d->api,
           d->driver, d->why && *d->why ? ": " : "", d->why ? d->why : "");
    if (*d->kernels)
        printf("%-16s %s\n", "", d->kernels);
    if (*d->products)
        printf("%-16s matrices %s; device numerics multiply by %s\n", "", d->matrices, d->products);
}

enum status command_devices(struct command *command, struct trace *trace)
{
    struct executor *cpu = NULL;
    struct device_options options;
    TRY(command_device(&options, command, trace));
    TRY(cpu_executor_create(&cpu, (struct cpu_options){.threads = options.threads}, trace));
    struct vulkan_device_info twin = {.name = cpu->name,
                                      .api = "-",
                                      .driver = "espalier",
                                      .passed = true,
                                      .why = "it defines the golden bytes",
                                      .kernels = "",
                                      .matrices = "none",
                                      .products = ""};
    print_device(command, -1, &twin, "twin");
    executor_destroy(cpu);
    struct arena arena = {0};
    struct vulkan_device_info *devices = NULL;
    uint32_t count = 0;
    char *cache = device_cache_folder();
    enum status status = vulkan_devices_list(&devices, &count, cache, &arena, trace);
    free(cache);
    for (uint32_t i = 0; status == OK && i < count; i++)
        print_device(command, (int)i, &devices[i], vulkan_type_name(devices[i].type));
    arena_release(&arena);
    return status;
}
