/* Recording. A launch becomes one chunk of groups, or several where its operands are larger than a binding
 * (window.h). A binding covers just the elements of its window, so that drivers and the validation layer can
 * check them; it starts at the alignment below, and the kernel is told where its tensor starts within: an
 * offset in elements, which for a window in the middle is negative, modulo 2^32 like all indices of kernels.
 * A window that is spread over two segments has a stand: a piece that it is copied to, and back from. */
#include "backend-vulkan/commands.h"
#include <assert.h>
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
        for (uint32_t i = 0; i < DEVICE_BINDINGS; i++)
            if (commands->has_stand[i])
                memory_destroy(commands->memory, commands->stands[i]);
    }
    timing_release(&commands->timing);
    arena_release(&commands->arena);
    *commands = (struct commands){0};
}

struct launch *commands_add(struct commands *commands, enum kernel kernel, const struct span *spans,
                            const void *push, uint64_t groups, double cost)
{
    struct launch *launch = VEC_PUSH(&commands->arena, &commands->launches);
    launch->kernel = kernel;
    launch->groups = groups;
    launch->cost = cost;
    memcpy(launch->push, push, kernel_table[kernel].push_size);
    memcpy(launch->spans, spans, strlen(kernel_table[kernel].access) * sizeof *spans);
    return launch;
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

/* What a chunk has at each binding. */
struct bound {
    struct span windows[DEVICE_BINDINGS];
    bool is_split[DEVICE_BINDINGS];
    bool has_split;
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

static void put_barrier(struct recorder *r)
{
    device_barrier(r->buffer);
    r->touched.count = 0;
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

static struct bound bound_of(const struct commands *c, const struct launch *launch, struct chunk chunk)
{
    const char *access = kernel_table[launch->kernel].access;
    struct bound bound = {0};
    for (uint32_t i = 0; access[i]; i++)
        if (window_is_there(launch, i)) {
            bound.windows[i] = window_of(launch, i, chunk);
            bound.is_split[i] = window_is_split(c->memory, &bound.windows[i]);
            bound.has_split = bound.has_split || bound.is_split[i];
        }
    return bound;
}

/* Binds one window: its descriptor, the offset that the kernel adds, and what it touches. */
static void bind(const struct recorder *r, const struct launch *launch, const struct bound *bound,
                 uint32_t at, VkDescriptorBufferInfo *info, uint32_t *offset, struct touched *touched)
{
    const struct commands *c = r->commands;
    const struct span *window = &bound->windows[at];
    struct memory_segment to = bound->is_split[at] ? memory_locate(c->memory, c->stands[at], 0)
                                                   : memory_locate(c->memory, window->piece, window->first);
    uint64_t step = c->device->offset_alignment > 4 ? c->device->offset_alignment / 4 : 1;
    uint64_t begin = to.first / step * step, skipped = window->first - launch->spans[at].first;
    assert(to.count >= window->count);
    assert((to.first - begin + window->count) * 4 <= c->device->max_binding);
    *offset = (uint32_t)(to.first - begin - skipped);
    *info = (VkDescriptorBufferInfo){c->memory->blocks.items[to.block].buffer, begin * 4,
                                     (to.first - begin + window->count) * 4};
    *touched = (struct touched){to.block, begin, to.first + window->count,
                                kernel_table[launch->kernel].access[at] == 'w'};
}

/* The first binding with the access of this one, for which something must be bound. */
static uint32_t same_access(const struct launch *launch, uint32_t binding)
{
    const char *access = kernel_table[launch->kernel].access;
    uint32_t i = (uint32_t)(strchr(access, access[binding]) - access);
    assert(i < binding && window_is_there(launch, i));
    return i;
}

static enum status bind_all(struct recorder *r, struct launch *launch, const struct bound *bound)
{
    const char *access = kernel_table[launch->kernel].access;
    VkDescriptorBufferInfo infos[DEVICE_BINDINGS];
    VkWriteDescriptorSet writes[DEVICE_BINDINGS];
    struct touched touched[DEVICE_BINDINGS];
    uint32_t count = 0, touched_count = 0;
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
        bool is_there = window_is_there(launch, i);
        if (is_there)
            bind(r, launch, bound, i, &infos[i], &launch->push[1 + i], &touched[touched_count]);
        else
            infos[i] = infos[same_access(launch, i)];
        writes[count++] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = set,
            .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &infos[i],
        };
        needs_barrier = needs_barrier || (is_there && conflicts(r, touched[touched_count]));
        touched_count += is_there;
    }
    vkUpdateDescriptorSets(device, count, writes, 0, NULL);
    if (needs_barrier)
        put_barrier(r);
    for (uint32_t i = 0; i < touched_count; i++)
        *VEC_PUSH(&r->commands->arena, &r->touched) = touched[i];
    vkCmdBindDescriptorSets(r->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, r->commands->pipelines->layout, 0, 1,
                            &set, 0, NULL);
    return OK;
}

/* Copies a split window to its stand, or back. */
static void copy_window(struct recorder *r, const struct span *window, uint32_t stand, bool back)
{
    const struct memory *m = r->commands->memory;
    for (uint64_t done = 0, n; done < window->count; done += n) {
        struct memory_segment at = memory_locate(m, window->piece, window->first + done),
                              to = memory_locate(m, stand, done);
        n = at.count < window->count - done ? at.count : window->count - done;
        VkBuffer piece = m->blocks.items[at.block].buffer, other = m->blocks.items[to.block].buffer;
        VkBufferCopy region = {at.first * 4, to.first * 4, n * 4};
        if (back)
            region = (VkBufferCopy){to.first * 4, at.first * 4, n * 4};
        vkCmdCopyBuffer(r->buffer, back ? other : piece, back ? piece : other, 1, &region);
    }
}

/* Before a chunk with split windows all of them are copied, as a kernel need not write all of a result;
 * afterwards those that it writes are copied back. */
static void copy_windows(struct recorder *r, const struct launch *launch, const struct bound *bound,
                         bool back)
{
    if (!bound->has_split)
        return;
    put_barrier(r);
    for (uint32_t i = 0; i < DEVICE_BINDINGS; i++)
        if (bound->is_split[i] && (!back || kernel_table[launch->kernel].access[i] == 'w'))
            copy_window(r, &bound->windows[i], r->commands->stands[i], back);
    put_barrier(r);
}

/* Groups of the next dispatch, out of `left`: two axes of groups make a rectangle, and groups beyond the last
 * of the launch return at once, but those beyond a dispatch in its middle would run twice. */
static uint64_t dispatch_size(uint64_t left, uint64_t most, bool is_last)
{
    if (left <= most && is_last)
        return left;
    uint64_t n = left < most ? left : most;
    return n > GROUPS_ALONG_X ? n / GROUPS_ALONG_X * GROUPS_ALONG_X : n;
}

/* The dispatches of a chunk: several where one would take too long. */
static void dispatch(struct recorder *r, struct launch *launch, struct chunk chunk)
{
    struct commands *c = r->commands;
    double pieces = launch->cost / MOST_COST;
    uint64_t most = pieces > 1 ? (uint64_t)((double)launch->groups / pieces) + 1 : launch->groups;
    for (uint64_t first = chunk.first, n; first < chunk.end; first += n) {
        n = dispatch_size(chunk.end - first, most, chunk.end == launch->groups);
        launch->push[0] = (uint32_t)first;
        if (first > chunk.first)
            device_barrier(r->buffer); /* long pieces: costs nothing, and they may work in place */
        vkCmdPushConstants(r->buffer, c->pipelines->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           kernel_table[launch->kernel].push_size, launch->push);
        uint32_t x = (uint32_t)(n < GROUPS_ALONG_X ? n : GROUPS_ALONG_X);
        vkCmdDispatch(r->buffer, x, (uint32_t)((n + x - 1) / x), 1);
        c->dispatches++;
    }
}

static enum status record_launch(struct recorder *r, uint32_t number)
{
    struct commands *c = r->commands;
    struct launch *launch = &c->launches.items[number];
    VkPipeline pipeline;
    TRY(pipelines_get(c->pipelines, launch->kernel, launch->constants, &pipeline, r->trace));
    if (r->cost + launch->cost > MOST_COST && r->cost > 0)
        TRY(end_buffer(r));
    if (!r->buffer)
        TRY(begin_buffer(r));
    if (number == 0)
        timing_record(&c->timing, r->buffer, 0);
    vkCmdBindPipeline(r->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    struct chunk chunk = {0};
    for (uint64_t first = 0; first < launch->groups; first = chunk.end) {
        TRY(window_next_chunk(&chunk, c->memory, launch, first, r->trace));
        struct bound bound = bound_of(c, launch, chunk);
        copy_windows(r, launch, &bound, false);
        TRY(bind_all(r, launch, &bound));
        dispatch(r, launch, chunk);
        copy_windows(r, launch, &bound, true);
    }
    timing_record(&c->timing, r->buffer, number + 1);
    r->cost += launch->cost;
    return OK;
}

/* Counts the chunks of all launches, and what the stands must hold. */
static enum status survey(const struct commands *c, uint32_t *chunks, uint64_t stands[DEVICE_BINDINGS],
                          struct trace *trace)
{
    struct chunk chunk = {0};
    *chunks = 0;
    for (uint32_t i = 0; i < c->launches.count; i++) {
        const struct launch *launch = &c->launches.items[i];
        assert(launch->groups > 0 && launch->groups <= MOST_GROUPS);
        for (uint64_t first = 0; first < launch->groups; first = chunk.end, ++*chunks) {
            TRY(window_next_chunk(&chunk, c->memory, launch, first, trace));
            struct bound bound = bound_of(c, launch, chunk);
            for (uint32_t j = 0; j < DEVICE_BINDINGS; j++)
                if (bound.is_split[j] && bound.windows[j].count > stands[j])
                    stands[j] = bound.windows[j].count;
        }
    }
    return OK;
}

enum status commands_record(struct commands *commands, struct trace *trace)
{
    struct recorder r = {.commands = commands, .trace = trace};
    uint32_t count;
    uint64_t stands[DEVICE_BINDINGS] = {0};
    if (commands->launches.count == 0)
        return OK;
    TRY(survey(commands, &count, stands, trace));
    for (uint32_t i = 0; i < DEVICE_BINDINGS; i++)
        if (stands[i]) {
            TRY(memory_create(commands->memory, DTYPE_I32, stands[i], &commands->stands[i], trace));
            commands->has_stand[i] = true;
        }
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, count * DEVICE_BINDINGS};
    VkDescriptorPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = count,
        .poolSizeCount = 1,
        .pPoolSizes = &size,
    };
    TRY(vulkan_status(vkCreateDescriptorPool(commands->device->handle, &pool, NULL, &commands->sets),
                      "creating a descriptor pool", trace));
    TRY(timing_prepare(&commands->timing, trace));
    for (uint32_t i = 0; i < commands->launches.count; i++)
        TRY(record_launch(&r, i));
    TRY(end_buffer(&r));
    return instance_check_messages(commands->device->instance, trace);
}

enum status commands_run(struct commands *commands, struct trace *trace)
{
    struct device *device = commands->device;
    for (uint32_t i = 0; i < commands->buffers.count; i++) {
        TRY(device_submit(device, commands->buffers.items[i], trace));
        if (!device->stop)
            continue;
        TRY(device_wait_behind(device, 1, trace)); /* one runs while the next one waits for it */
        if (executor_is_stopped(device->stop)) {
            TRY(device_wait(device, trace));
            return status_fail(trace, INTERRUPTED, "interrupted");
        }
    }
    return device_wait(device, trace);
}
