/* Removing whole layers. */
#include "passes/pass.h"
#include "passes/remove_branches.h"
#include <inttypes.h>

enum status remove_layers(struct graph **out, const struct graph *graph, const struct structure *structure,
                          const uint32_t *layers, uint32_t count, struct trace *trace)
{
    if (count >= structure->layer_count)
        return status_fail(trace, INVALID, "removing %" PRIu32 " of %" PRIu32 " layers would leave none",
                           count, structure->layer_count);
    struct arena scratch = {0};
    VEC(uint32_t) branches = {0};
    enum status status = OK;
    for (uint32_t i = 0; i < count && status == OK; i++) {
        if (layers[i] >= structure->layer_count) {
            status = status_fail(trace, INVALID,
                                 "layer %" PRIu32 " does not exist: the model has %" PRIu32 " layers",
                                 layers[i], structure->layer_count);
            break;
        }
        const struct layer *layer = &structure->layers[layers[i]];
        if (layer->attention != ID_NONE)
            *VEC_PUSH(&scratch, &branches) = layer->attention;
        if (layer->mlp != ID_NONE)
            *VEC_PUSH(&scratch, &branches) = layer->mlp;
    }
    if (status == OK)
        status = remove_branches(out, graph, structure, branches.items, branches.count, trace);
    arena_release(&scratch);
    return status;
}

enum status pass_remove_layers(struct graph **out, const struct graph *graph, const struct pass_call *call,
                               struct pass_context *context, struct trace *trace)
{
    struct arena scratch = {0};
    struct structure structure;
    const uint32_t *layers;
    uint32_t count;
    enum status status = structure_find(&structure, &scratch, graph, trace);
    if (status == OK)
        status = pass_option_positions(&layers, &count, call, "layers", context, trace);
    if (status == OK && count == 0)
        status = status_fail(trace, INVALID, "remove_layers needs layers");
    if (status == OK)
        status = remove_layers(out, graph, &structure, layers, count, trace);
    arena_release(&scratch);
    return status;
}
