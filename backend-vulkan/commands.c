/* Recording. A binding covers just the elements of its span, so that drivers and the validation layer can
 * check them; it starts at the alignment below, and the kernel is told the rest as an offset in elements. */
#include "backend-vulkan/commands.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Operations of a submission, and of a launch: 10^10 take a weak graphics processor about a tenth of a
 * second, far from the two seconds after which some systems reset it. */
static const double MOST_COST = 1e10;

enum { GROUPS_ALONG_X = 32768, MOST_GROUPS = 1 << 30 };

void commands_init(struct commands *out, struct memory *memory, struct pipelines *pipelines)
{
    *out = (struct commands){.device = memory->device, .memory = memory, .pipelines = pipelines};
}

void commands_release(struct commands *commands)
{
    if (commands->device) {
        VkDevice device = commands->device->handle;
        if (commands->buffers.count)
            vkFreeCommandBuffers(device, commands->device->pool, commands->buffers.count,
                                 commands->buffers.items);
        vkDestroyDescriptorPool(device, commands->sets, NULL);
    }
    arena_release(&commands->arena);
    *commands = (struct commands){0};
}

void commands_add(struct commands *commands, enum kernel kernel, const struct span *spans, const void *push,
                  uint64_t groups, double cost)
{
    struct launch *launch = VEC_PUSH(&commands->arena, &commands->launches);
    launch->kernel = kernel;
    launch->groups = groups;
    launch->cost = cost;
    memcpy(launch->push, push, kernel_table[kernel].push_size);
    memcpy(launch->spans, spans, strlen(kernel_table[kernel].access) * sizeof *spans);
}

/* A run of elements that launches since the last barrier touch. */
struct touched {
    uint32_t block;
    uint64_t begin, end;
    bool is_written;
};

struct recorder {
    struct commands *commands;
    VkCommandBuffer buffer; /* being recorded, or NULL */
    double cost;            /* in it so far */
    VEC(struct touched) touched;
    struct trace *trace;
};

static enum status begin_buffer(struct recorder *r)
{
    struct device *device = r->commands->device;
    VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = device->pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    TRY(vulkan_status(vkAllocateCommandBuffers(device->handle, &allocate, &r->buffer),
                      "creating a command buffer", r->trace));
    *VEC_PUSH(&r->commands->arena, &r->commands->buffers) = r->buffer;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    TRY(vulkan_status(vkBeginCommandBuffer(r->buffer, &begin), "recording", r->trace));
    device_barrier(r->buffer);
    r->touched.count = 0;
    r->cost = 0;
    return OK;
}

static enum status end_buffer(struct recorder *r)
{
    if (!r->buffer)
        return OK;
    VkResult result = vkEndCommandBuffer(r->buffer);
    r->buffer = NULL;
    return vulkan_status(result, "recording", r->trace);
}

static bool conflicts(const struct recorder *r, struct touched t)
{
    for (uint32_t i = 0; i < r->touched.count; i++) {
        const struct touched *other = &r->touched.items[i];
        if (other->block == t.block && other->begin < t.end && t.begin < other->end &&
            (other->is_written || t.is_written))
            return true;
    }
    return false;
}

/* Binds one span: its descriptor, the offset that the kernel adds, and what it touches. */
static enum status bind(struct recorder *r, const struct launch *launch, uint32_t at,
                        VkDescriptorBufferInfo *info, uint32_t *offset, struct touched *touched)
{
    const struct commands *c = r->commands;
    const struct span *span = &launch->spans[at];
    const struct memory_piece *piece = memory_piece(c->memory, span->piece);
    uint64_t step = c->device->offset_alignment > 4 ? c->device->offset_alignment / 4 : 1;
    uint64_t first = piece->first + span->first, begin = first / step * step;
    assert(span->first + span->count <= piece->count);
    *offset = (uint32_t)(first - begin);
    *info = (VkDescriptorBufferInfo){c->memory->blocks.items[piece->block].buffer, begin * 4,
                                     (first - begin + span->count) * 4};
    *touched = (struct touched){piece->block, begin, first + span->count,
                                kernel_table[launch->kernel].access[at] == 'w'};
    if (info->range > c->device->max_binding)
        return status_fail(
            r->trace, DEVICE,
            "kernel %s: operand %" PRIu32 " has %" PRIu64 " bytes, this device binds at most %" PRIu64,
            kernel_table[launch->kernel].name, at, (uint64_t)info->range, c->device->max_binding);
    return OK;
}

static enum status bind_all(struct recorder *r, struct launch *launch)
{
    const char *access = kernel_table[launch->kernel].access;
    VkDescriptorBufferInfo infos[DEVICE_BINDINGS];
    VkWriteDescriptorSet writes[DEVICE_BINDINGS];
    struct touched touched[DEVICE_BINDINGS];
    uint32_t count = 0;
    bool needs_barrier = false;
    VkDescriptorSetAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = r->commands->sets,
        .descriptorSetCount = 1,
        .pSetLayouts = &r->commands->pipelines->set_layout,
    };
    VkDescriptorSet set;
    VkDevice device = r->commands->device->handle;
    TRY(vulkan_status(vkAllocateDescriptorSets(device, &allocate, &set), "creating a descriptor set",
                      r->trace));
    for (uint32_t i = 0; access[i]; i++) {
        if (access[i] == '-')
            continue;
        TRY(bind(r, launch, i, &infos[count], &launch->push[1 + i], &touched[count]));
        writes[count] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = set,
            .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &infos[count],
        };
        needs_barrier = needs_barrier || conflicts(r, touched[count]);
        count++;
    }
    vkUpdateDescriptorSets(device, count, writes, 0, NULL);
    if (needs_barrier) {
        device_barrier(r->buffer);
        r->touched.count = 0;
    }
    for (uint32_t i = 0; i < count; i++)
        *VEC_PUSH(&r->commands->arena, &r->touched) = touched[i];
    vkCmdBindDescriptorSets(r->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, r->commands->pipelines->layout, 0, 1,
                            &set, 0, NULL);
    return OK;
}

/* One launch, cut into dispatches that are not too long. Groups after the last return at once. */
static enum status record_launch(struct recorder *r, struct launch *launch)
{
    struct commands *c = r->commands;
    VkPipeline pipeline;
    TRY(pipelines_get(c->pipelines, launch->kernel, &pipeline, r->trace));
    if (r->cost + launch->cost > MOST_COST && r->cost > 0)
        TRY(end_buffer(r));
    if (!r->buffer)
        TRY(begin_buffer(r));
    TRY(bind_all(r, launch));
    assert(launch->groups > 0 && launch->groups <= MOST_GROUPS);
    double pieces = launch->cost / MOST_COST;
    uint64_t most = pieces > 1 ? (uint64_t)((double)launch->groups / pieces) + 1 : launch->groups;
    for (uint64_t first = 0; first < launch->groups; first += most) {
        uint64_t left = launch->groups - first, n = left < most ? left : most;
        launch->push[0] = (uint32_t)first;
        if (first > 0)
            device_barrier(r->buffer); /* long pieces: costs nothing, and they may work in place */
        vkCmdBindPipeline(r->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        vkCmdPushConstants(r->buffer, c->pipelines->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           kernel_table[launch->kernel].push_size, launch->push);
        uint32_t x = (uint32_t)(n < GROUPS_ALONG_X ? n : GROUPS_ALONG_X);
        vkCmdDispatch(r->buffer, x, (uint32_t)((n + x - 1) / x), 1);
        c->dispatches++;
    }
    r->cost += launch->cost;
    return OK;
}

enum status commands_record(struct commands *commands, struct trace *trace)
{
    struct recorder r = {.commands = commands, .trace = trace};
    uint32_t count = commands->launches.count;
    if (count == 0)
        return OK;
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, count * DEVICE_BINDINGS};
    VkDescriptorPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = count,
        .poolSizeCount = 1,
        .pPoolSizes = &size,
    };
    TRY(vulkan_status(vkCreateDescriptorPool(commands->device->handle, &pool, NULL, &commands->sets),
                      "creating a descriptor pool", trace));
    for (uint32_t i = 0; i < count; i++)
        TRY(record_launch(&r, &commands->launches.items[i]));
    TRY(end_buffer(&r));
    return instance_check_messages(commands->device->instance, trace);
}

enum status commands_run(struct commands *commands, struct trace *trace)
{
    for (uint32_t i = 0; i < commands->buffers.count; i++)
        TRY(device_submit(commands->device, commands->buffers.items[i], trace));
    return device_wait(commands->device, trace);
}
