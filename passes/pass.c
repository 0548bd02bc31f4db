/* The table of passes and the runner. */
#include "passes/pass.h"
#include "ir/build.h"
#include "ir/text.h"
#include <inttypes.h>

enum { ROUND_TRIP_NODES = 4096 };

const struct pass_info pass_table[PASS_COUNT] = {
#define PASS(name, kind, contract, options, summary) {#name, summary, options, kind, contract, pass_##name},
#include "passes/passes.def"
};

void pass_context_release(struct pass_context *context)
{
    arena_release(&context->arena);
}

#ifndef NDEBUG
/* A clone, and the text parsed back, must be the same graph. */
static void check_round_trip(const struct graph *graph, struct pass_context *context)
{
    if (graph->nodes.count > ROUND_TRIP_NODES)
        return;
    struct hash128 hash = graph_hash(graph);
    struct graph *copy = graph_clone(graph), *parsed = NULL;
    struct builder text = {0};
    struct trace trace = {0};
    graph_print(graph, TEXT_CANONICAL, &text);
    if (graph_parse(&parsed, (struct str){text.data, text.length}, "result", &trace) != OK)
        BUG("the result of a pass does not parse back: %s", trace.text);
    if (!hash128_equal(hash, graph_hash(copy)) || !hash128_equal(hash, graph_hash(parsed)))
        BUG("the result of a pass changes when it is cloned or printed");
    builder_release(&text);
    graph_destroy(copy);
    graph_destroy(parsed);
    context->round_trips++;
}
#endif

void pass_begin(const struct graph *before, struct pass_context *context)
{
    context->contract = CONTRACT_EXACT;
    if (context->runs > 0)
        return;
    context->receipt.parameters_before = graph_parameters(before);
    context->receipt.flops_before = flops_count(before);
}

enum status pass_finish(struct graph **graph, struct pass_context *context, struct trace *trace)
{
    struct graph *canonical = graph_canonicalise(*graph);
    graph_destroy(*graph);
    *graph = NULL;
    enum status status = graph_verify(canonical, trace);
    if (status != OK) {
        trace_add(trace, "while verifying the result of a pass");
        graph_destroy(canonical);
        return BROKEN;
    }
#ifndef NDEBUG
    check_round_trip(canonical, context);
#endif
    struct receipt *receipt = &context->receipt;
    receipt->parameters_after = graph_parameters(canonical);
    receipt->flops_after = flops_count(canonical);
    if (context->contract > receipt->contract)
        receipt->contract = context->contract;
    context->runs++;
    *graph = canonical;
    return OK;
}

enum status pass_run(struct graph **out, const struct graph *graph, const struct pass_call *call,
                     struct pass_context *context, struct trace *trace)
{
    const struct pass_info *pass = &pass_table[call->pass];
    struct graph *result = NULL;
    pass_begin(graph, context);
    TRY_WITH(trace, pass->run(&result, graph, call, context, trace), "in pass %s", pass->name);
    TRY_WITH(trace, pass_finish(&result, context, trace), "in pass %s", pass->name);
    *out = result;
    return OK;
}

enum status pass_run_all(struct graph **out, const struct graph *graph, const struct pass_call *calls,
                         uint32_t count, struct pass_context *context, struct trace *trace)
{
    struct graph *current = graph_canonicalise(graph);
    for (uint32_t i = 0; i < count; i++) {
        struct graph *next = NULL;
        enum status status = pass_run(&next, current, &calls[i], context, trace);
        graph_destroy(current);
        if (status != OK)
            return status;
        current = next;
    }
    *out = current;
    return OK;
}

/* ---- options ---- */

const struct pass_option *pass_option_get(const struct pass_call *call, const char *key)
{
    for (uint32_t i = 0; i < call->option_count; i++)
        if (str_is(call->options[i].key, key))
            return &call->options[i];
    return NULL;
}

enum status pass_option_size(int64_t *out, const struct pass_call *call, const char *key, struct trace *trace)
{
    const struct pass_option *option = pass_option_get(call, key);
    *out = 0;
    if (!option)
        return OK;
    if (option->count != 1 || option->values[0] < 1)
        return status_fail(trace, INVALID, "%s: one number of at least 1 is expected, position %zu", key,
                           option->at);
    *out = option->values[0];
    return OK;
}

enum status pass_option_positions(const uint32_t **out, uint32_t *count, const struct pass_call *call,
                                  const char *key, struct pass_context *context, struct trace *trace)
{
    const struct pass_option *option = pass_option_get(call, key);
    *out = NULL;
    *count = 0;
    if (!option)
        return OK;
    uint32_t *positions = ARENA_ARRAY(&context->arena, uint32_t, option->count);
    for (uint32_t i = 0; i < option->count; i++) {
        if (option->values[i] >= UINT32_MAX || (i > 0 && option->values[i] <= option->values[i - 1]))
            return status_fail(trace, INVALID, "%s: positions must ascend, position %zu", key, option->at);
        positions[i] = (uint32_t)option->values[i];
    }
    *out = positions;
    *count = option->count;
    return OK;
}
