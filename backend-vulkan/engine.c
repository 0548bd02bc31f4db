/* Opening what executing needs, in order. */
#include "backend-vulkan/engine.h"

/* Golden kernels unless the device numerics are asked for. */
static enum status choose_arithmetic(struct engine *engine, const struct vulkan_options *options,
                                     struct trace *trace)
{
    enum arithmetic arithmetic = ARITHMETIC_f32;
    if (options->numerics == NUMERICS_DEVICE)
        arithmetic = arithmetic_choose(&engine->device, ARITHMETIC_COUNT);
    if (options->arithmetic && !arithmetic_find(&arithmetic, options->arithmetic))
        return status_fail(trace, INVALID, "no arithmetic \"%s\"", options->arithmetic);
    if (!arithmetic_is_possible(arithmetic, &engine->device.matrices))
        return status_fail(trace, DEVICE, "this device has no matrices for the arithmetic \"%s\"",
                           arithmetic_table[arithmetic].name);
    tuning_assume(&engine->tuning, &engine->device, arithmetic);
    return OK;
}

enum status engine_open(struct engine *out, struct instance *instance, uint32_t index,
                        const struct vulkan_options *options, struct trace *trace)
{
    *out = (struct engine){0};
    struct memory_settings settings = {options->max_buffer_bytes, options->guard_words};
    enum status status = device_open(&out->device, instance, index, options->numerics, trace);
    if (status == OK && options->max_buffer_bytes && options->max_buffer_bytes < out->device.max_binding)
        out->device.max_binding = options->max_buffer_bytes;
    if (status == OK && options->max_binding_bytes && options->max_binding_bytes < out->device.max_binding)
        out->device.max_binding = options->max_binding_bytes;
    if (status == OK)
        status = memory_open(&out->memory, &out->device, settings, trace);
    if (status == OK)
        status = pipelines_open(&out->pipelines, &out->device, trace);
    if (status == OK)
        status = choose_arithmetic(out, options, trace);
    if (status == OK && options->variant)
        status = tuning_force(&out->tuning, options->variant, trace);
    if (status == OK && out->tuning.arithmetic != ARITHMETIC_f32 && options->numerics != NUMERICS_DEVICE)
        status = status_fail(trace, INVALID, "products by %s are for the device numerics, found %s",
                             arithmetic_table[out->tuning.arithmetic].name, numerics_name(options->numerics));
    if (status != OK)
        engine_release(out);
    return status;
}

void engine_release(struct engine *engine)
{
    if (engine->device.handle)
        (void)vkDeviceWaitIdle(engine->device.handle);
    pipelines_release(&engine->pipelines);
    memory_release(&engine->memory);
    device_release(&engine->device);
    *engine = (struct engine){0};
}
