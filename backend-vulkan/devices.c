/* Listing and choosing devices: each is opened and tested, so that what is said of it is what will happen. */
#include "backend-vulkan/selftest.h"
#include "backend-vulkan/tuning_measure.h"
#include "backend-vulkan/vulkan.h"
#include "base/hash.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How it multiplies under device numerics. */
static const char *find_products(struct instance *instance, uint32_t index)
{
    struct trace trace = {0};
    struct vulkan_options options = {.numerics = NUMERICS_DEVICE};
    struct engine engine;
    const char *name = "";
    enum status status = engine_open(&engine, instance, index, &options, &trace);
    if (status == OK)
        status = selftest_settle(&engine, &options, &trace);
    if (status == OK)
        name = arithmetic_table[engine.tuning.arithmetic].name;
    engine_release(&engine);
    return name;
}

/* A device that cannot be opened or tested has failed, and the trace says why. */
static void judge(struct instance *instance, uint32_t index, const char *cache,
                  struct vulkan_device_info *info, struct arena *arena)
{
    struct vulkan_options options = {0};
    struct engine engine;
    struct selftest_verdict verdict = {0};
    struct trace trace = {0};
    enum status status = engine_open(&engine, instance, index, &options, &trace);
    if (status == OK)
        status = selftest_run(&verdict, &engine, &trace);
    if (status == OK && verdict.passed && cache)
        status = engine_tune(&engine, cache, &trace);
    info->kernels = status == OK ? tuning_describe(&engine.tuning, arena) : "";
    info->passed = status == OK && verdict.passed;
    const char *why = status == OK ? verdict.why : trace.text;
    info->why = arena_copy_string(arena, why, strcspn(why, "\n"));
    engine_release(&engine);
}

enum status vulkan_devices_list(struct vulkan_device_info **out, uint32_t *count, const char *cache,
                                struct arena *arena, struct trace *trace)
{
    struct instance instance;
    TRY(instance_open(&instance, VULKAN_NOT_VALIDATED, trace));
    *count = instance.device_count;
    *out = ARENA_ARRAY(arena, struct vulkan_device_info, instance.device_count + 1);
    for (uint32_t i = 0; i < instance.device_count; i++) {
        struct matrices matrices;
        (*out)[i] = instance_describe(instance.devices[i], arena);
        matrices_find(&matrices, instance.handle, instance.devices[i]);
        (*out)[i].matrices = matrices_describe(&matrices, arena);
        judge(&instance, i, cache, &(*out)[i], arena);
        if ((*out)[i].passed)
            (*out)[i].products = find_products(&instance, i);
    }
    instance_release(&instance);
    return OK;
}

enum status vulkan_device_find(const char *selector, struct trace *trace)
{
    struct instance instance;
    uint32_t index;
    TRY(instance_open(&instance, VULKAN_NOT_VALIDATED, trace));
    enum status status = instance_select(&instance, selector, &index, trace);
    instance_release(&instance);
    return status;
}

/* All kernels, since each may be part of a result. */
static void hash_kernels(char hex[HASH128_HEX])
{
    struct hasher *hasher = hasher_create();
    for (uint32_t k = 0; k < KERNEL_COUNT; k++)
        hasher_update(hasher, kernel_table[k].code, *kernel_table[k].code_size);
    hash128_to_hex(hasher_finish(hasher), hex);
    hasher_destroy(hasher);
}

enum status vulkan_device_identity(const char **out, const char *selector, struct arena *arena,
                                   struct trace *trace)
{
    struct instance instance;
    uint32_t index = 0;
    TRY(instance_open(&instance, VULKAN_NOT_VALIDATED, trace));
    enum status status = instance_select(&instance, selector, &index, trace);
    if (status == OK) {
        char kernels[HASH128_HEX], build[2 * VK_UUID_SIZE + 1];
        VkPhysicalDeviceProperties p;
        struct matrices matrices;
        vkGetPhysicalDeviceProperties(instance.devices[index], &p);
        matrices_find(&matrices, instance.handle, instance.devices[index]);
        for (size_t i = 0; i < VK_UUID_SIZE; i++)
            snprintf(build + 2 * i, 3, "%02x", p.pipelineCacheUUID[i]);
        hash_kernels(kernels);
        *out = arena_printf(arena,
                            "%s vendor %08" PRIx32 " device %08" PRIx32 " driver %08" PRIx32
                            " build %s matrices %s kernels %s",
                            numerics_identity(NUMERICS_DEVICE), p.vendorID, p.deviceID, p.driverVersion,
                            build, matrices_identity(&matrices, arena), kernels);
    }
    instance_release(&instance);
    return status;
}

/* Higher is better; 0 is never chosen. */
static int preference(enum vulkan_type type)
{
    static const int table[] = {[VULKAN_OTHER] = 0,
                                [VULKAN_SOFTWARE] = 0,
                                [VULKAN_VIRTUAL] = 1,
                                [VULKAN_INTEGRATED] = 2,
                                [VULKAN_DISCRETE] = 3};
    return table[type];
}

enum status vulkan_device_choose(char selector[16], struct trace *trace)
{
    struct instance instance;
    struct arena arena = {0};
    int best = 0;
    selector[0] = '\0';
    TRY(instance_open(&instance, VULKAN_NOT_VALIDATED, trace));
    for (uint32_t i = 0; i < instance.device_count; i++) {
        struct vulkan_device_info info = instance_describe(instance.devices[i], &arena);
        if (preference(info.type) <= best)
            continue;
        judge(&instance, i, NULL, &info, &arena);
        if (!info.passed)
            continue;
        best = preference(info.type);
        snprintf(selector, 16, "%" PRIu32, i);
    }
    instance_release(&instance);
    arena_release(&arena);
    return OK;
}
