/* Checks as launches, and their report. The first bad id is looked for on the host: that happens once. */
#include "backend-vulkan/check.h"
#include "shaders/include/push/elements.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static uint64_t groups_of(uint64_t count)
{
    return (count + 63) / 64;
}

void checks_start(struct checks *checks)
{
    struct span flags = {checks->flags, 0, checks->capacity};
    struct push_elements push = {.count = checks->capacity};
    commands_add(checks->commands, KERNEL_zero, &flags, &push, groups_of(push.count), push.count);
}

static void add(struct checks *checks, enum kernel kernel, struct check check)
{
    assert(checks->items.count < checks->capacity);
    struct span spans[] = {check.span, {checks->flags, checks->items.count, 1}};
    struct push_elements push = {.count = (uint)check.span.count, .period = check.limit};
    check.label = checks->label;
    *VEC_PUSH(checks->arena, &checks->items) = check;
    commands_add(checks->commands, kernel, spans, &push, groups_of(push.count), push.count);
}

void checks_add_ids(struct checks *checks, struct span ids, uint64_t limit)
{
    add(checks, KERNEL_ids_inside, (struct check){.span = ids, .limit = (uint32_t)limit});
}

void checks_add_finite(struct checks *checks, struct span result, uint32_t number)
{
    add(checks, KERNEL_finite, (struct check){.span = result, .result = number});
}

/* Reads the ids and names the first that is outside. */
static enum status report_ids(const struct check *check, struct memory *memory, struct trace *trace)
{
    int32_t *ids = calloc(check->span.count, sizeof *ids);
    if (!ids)
        BUG("out of memory");
    enum status status =
        memory_read(memory, check->span.piece, check->span.first, check->span.count, ids, trace);
    uint64_t at = 0;
    while (status == OK && at + 1 < check->span.count && (uint32_t)ids[at] < check->limit)
        at++;
    if (status == OK)
        status = status_fail(trace, INVALID,
                             "%s: element %" PRIu64 " is %" PRId32 ", expected one of 0 .. %" PRIu32,
                             check->label, at, ids[at], check->limit - 1);
    free(ids);
    return status;
}

enum status checks_report(const struct checks *checks, struct memory *memory, struct trace *trace)
{
    uint32_t count = checks->items.count, first = 0;
    if (count == 0)
        return OK;
    int32_t *flags = calloc(count, sizeof *flags);
    if (!flags)
        BUG("out of memory");
    enum status status = memory_read(memory, checks->flags, 0, count, flags, trace);
    while (status == OK && first < count && !flags[first])
        first++;
    free(flags);
    if (status != OK || first == count)
        return status;
    const struct check *check = &checks->items.items[first];
    if (check->limit)
        return report_ids(check, memory, trace);
    return status_fail(trace, NOT_FINITE,
                       "non-finite value in result of %s, or in what that is made from: result %" PRIu32,
                       check->label, check->result);
}
