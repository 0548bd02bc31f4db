#include "backend-vulkan/timing.h"
#include <stdlib.h>

void timing_init(struct timing *out, struct device *device)
{
    uint32_t bits = device->stamp_bits;
    *out = (struct timing){.device = bits ? device : NULL,
                           .mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1};
}

void timing_release(struct timing *timing)
{
    if (timing->device)
        vkDestroyQueryPool(timing->device->handle, timing->stamps, NULL);
    arena_release(&timing->arena);
    *timing = (struct timing){0};
}

void timing_note(struct timing *timing, struct timed_node node)
{
    if (timing->device)
        *VEC_PUSH(&timing->arena, &timing->nodes) = node;
}

/* One stamp before the first node and one after each. */
enum status timing_prepare(struct timing *timing, struct trace *trace)
{
    if (!timing->device || timing->nodes.count == 0)
        return OK;
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = timing->nodes.count + 1};
    return vulkan_status(vkCreateQueryPool(timing->device->handle, &info, NULL, &timing->stamps),
                         "creating a query pool", trace);
}

void timing_record(struct timing *timing, VkCommandBuffer commands, uint32_t launches)
{
    if (!timing->stamps)
        return;
    if (launches == 0) {
        vkCmdResetQueryPool(commands, timing->stamps, 0, timing->nodes.count + 1);
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, timing->stamps, 0);
    }
    while (timing->recorded < timing->nodes.count &&
           timing->nodes.items[timing->recorded].launches == launches)
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, timing->stamps,
                            ++timing->recorded);
}

double timing_between(const struct timing *timing, uint64_t from, uint64_t to)
{
    uint64_t ticks = (to - from) & timing->mask;
    return ticks > timing->mask / 2 ? 0 : timing->device->stamp_seconds * (double)ticks;
}

/* Host and device have clocks of their own: the last stamp is taken for the end of the run. */
static void report_nodes(const struct timing *timing, struct profile *profile, const uint64_t *stamps,
                         double end)
{
    double start = end;
    for (uint32_t i = 0; i < timing->nodes.count; i++)
        start -= timing_between(timing, stamps[i], stamps[i + 1]);
    for (uint32_t i = 0; i < timing->nodes.count; i++) {
        const struct timed_node *node = &timing->nodes.items[i];
        double after = start + timing_between(timing, stamps[i], stamps[i + 1]);
        profile_span(profile, &(struct profile_span){PROFILE_DEVICE, node->name, node->detail, start, after,
                                                     node->work});
        start = after;
    }
}

enum status timing_report(const struct timing *timing, struct profile *profile, double end,
                          struct trace *trace)
{
    uint32_t count = timing->nodes.count + 1;
    if (!timing->stamps || !profile)
        return OK;
    uint64_t *stamps = calloc(count, sizeof *stamps);
    if (!stamps)
        BUG("out of memory: %u time stamps", count);
    enum status status = vulkan_status(
        vkGetQueryPoolResults(timing->device->handle, timing->stamps, 0, count, count * sizeof *stamps,
                              stamps, sizeof *stamps, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
        "reading time stamps", trace);
    if (status == OK)
        report_nodes(timing, profile, stamps, end);
    free(stamps);
    return status;
}
