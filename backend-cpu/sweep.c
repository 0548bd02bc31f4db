/* Running a sweep: threads take items; each runs all steps for one before the next, with what the steps pass
 * on in memory of its own. */
#include "backend-cpu/program.h"
#include "base/log.h"
#include <stdlib.h>

/* What stopped an item, if anything: its first step with a fault or with elements that are not finite. */
struct outcome {
    uint32_t step; /* UINT32_MAX: nothing did */
    struct kernel_fault fault;
    uint32_t result;
    int64_t bad;
};

struct running {
    struct program *program;
    const struct cpu_sweep *sweep;
    const struct program_host *host;
    struct outcome *outcomes; /* [items] */
    double *seconds;          /* [threads][steps], or NULL: not measured */
};

static void move_operand(struct kernel_operand *operand, const struct swept_operand *swept, int64_t items,
                         int64_t item, char *local)
{
    if (swept->walk == SWEPT_WHOLE)
        return;
    operand->data = swept->walk == SWEPT_LOCAL ? local + swept->bytes
                                               : (char *)operand->data + (size_t)item * swept->bytes;
    operand->dims[0] = 1;
    operand->count /= items;
}

/* The call of a step for one item. */
static struct kernel_call call_of(const struct running *r, const struct cpu_step *step, int64_t item,
                                  uint32_t thread)
{
    struct kernel_call call = step->call;
    size_t bytes = r->program->local_bytes;
    char *local =
        bytes ? r->program->local + thread * bytes : NULL; /* without values that are local there is none */
    call.threads = r->host->alone[thread];
    for (uint32_t i = 0; i < call.input_count; i++)
        move_operand(&call.inputs[i], &step->swept->inputs[i], r->sweep->count, item, local);
    for (uint32_t i = 0; i < call.result_count; i++)
        move_operand(&call.results[i], &step->swept->results[i], r->sweep->count, item, local);
    return call;
}

/* Positions of faults count from the first item on, over the ids, which are operand 1 of every op that raises
 * them. */
static int64_t elements_before(const struct kernel_call *call, int64_t item)
{
    return call->fault.raised ? item * call->inputs[1].count : 0;
}

static void run_item(const struct running *r, int64_t item, uint32_t thread)
{
    struct outcome *outcome = &r->outcomes[item];
    outcome->step = UINT32_MAX;
    for (uint32_t i = r->sweep->first; i < r->sweep->end && !executor_is_stopped(r->host->stop); i++) {
        const struct cpu_step *step = &r->program->steps[i];
        double start = r->seconds ? clock_seconds() : 0;
        struct kernel_call call = call_of(r, step, item, thread);
        step->kernel(&call);
        if (!call.fault.raised)
            outcome->bad = step_count_bad(&call, step->watched, &outcome->result);
        if (r->seconds)
            r->seconds[thread * (r->sweep->end - r->sweep->first) + (i - r->sweep->first)] +=
                clock_seconds() - start;
        if (!call.fault.raised && !outcome->bad)
            continue;
        outcome->step = i;
        outcome->fault = call.fault;
        outcome->fault.position += elements_before(&call, item);
        return;
    }
}

static void run_items(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct running *r = payload;
    for (int64_t item = first; item < end; item++)
        run_item(r, item, thread);
}

/* As a step that runs for all items at once would tell it: the earliest step; of that a fault before numbers
 * that are not finite, and of these the first result that has any. */
static bool is_before(const struct outcome *a, const struct outcome *b)
{
    if (a->step != b->step)
        return a->step < b->step;
    if (a->fault.raised != b->fault.raised)
        return a->fault.raised;
    return !a->fault.raised && a->result < b->result;
}

/* The first outcome, with what its step did to all items. */
static enum status judge(const struct running *r, struct trace *trace)
{
    struct outcome first = {.step = UINT32_MAX};
    for (int64_t item = 0; item < r->sweep->count; item++) {
        const struct outcome *o = &r->outcomes[item];
        if (is_before(o, &first))
            first = *o;
        else if (o->step != UINT32_MAX && !is_before(&first, o))
            first.bad += o->bad;
    }
    if (first.step == UINT32_MAX)
        return OK;
    return step_check(&r->program->steps[first.step], &first.fault, first.result, first.bad, trace);
}

/* The steps one after the other, each as long as the threads worked at it on average. */
static void report(const struct running *r, double start, struct profile *profile)
{
    uint32_t threads = cpu_threads_count(r->host->threads), steps = r->sweep->end - r->sweep->first;
    for (uint32_t i = 0; i < steps; i++) {
        const struct cpu_step *step = &r->program->steps[r->sweep->first + i];
        double seconds = 0;
        for (uint32_t t = 0; t < threads; t++)
            seconds += r->seconds[t * steps + i] / threads;
        profile_span(profile, &(struct profile_span){PROFILE_DEVICE, op_table[step->op].name, step->label,
                                                     start, start + seconds, step->work});
        start += seconds;
    }
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        BUG("out of memory: %zu times %zu bytes for a sweep", count, size);
    return memory;
}

enum status sweep_run(struct program *program, const struct cpu_sweep *sweep, const struct program_host *host,
                      struct profile *profile, struct trace *trace)
{
    struct running r = {.program = program, .sweep = sweep, .host = host};
    double start = profile ? clock_seconds() : 0;
    for (uint32_t i = sweep->first; i < sweep->end; i++)
        if (program->steps[i].call.packed)
            host->pack(&program->steps[i].call, program->steps[i].op, program->steps[i].call.packed);
    r.outcomes = allocate((size_t)sweep->count, sizeof *r.outcomes);
    if (profile)
        r.seconds = allocate((size_t)cpu_threads_count(host->threads) * (sweep->end - sweep->first),
                             sizeof *r.seconds);
    cpu_threads_for(host->threads, sweep->count, 1, run_items, &r);
    if (profile)
        report(&r, start, profile);
    enum status status =
        executor_is_stopped(host->stop) ? status_fail(trace, INTERRUPTED, "interrupted") : judge(&r, trace);
    free(r.outcomes);
    free(r.seconds);
    return status;
}
