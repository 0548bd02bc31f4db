/* Rotary embedding as an operator: of opset 23, of com.microsoft, and inside of its attention. Tables of
 * cosines and sines [positions, half] are applied to the channels in front of each head. */
#include "frontend/rules_rotary.h"
#include "frontend/mix.h"
#include <inttypes.h>

/* A concrete table [batch, sequence, columns] as [batch, 1, sequence, columns], with its angles. */
static struct array *over_heads(struct importer *im, const struct array *in)
{
    const int64_t dims[4] = {in->dims[0], 1, in->dims[1], in->dims[2]};
    struct array *out = array_reshape(&im->room, in, 4, dims);
    if (in->angle)
        out->angle = array_reshape(&im->room, in->angle, 4, dims);
    return out;
}

/* Rows of a table [positions, columns] picked by position ids, with their angles. */
static enum status pick_rows(struct rule *rule, uint32_t probe, uint32_t slot, const struct array *ids,
                             const struct array **table)
{
    struct evaluation e;
    TRY(rule_evaluation(rule, probe, &e));
    e.inputs[0] = e.inputs[slot];
    e.inputs[1] = ids;
    e.input_count = 2;
    struct evaluation angles = e;
    TRY(evaluate_Gather(&e));
    if (e.inputs[0]->angle) {
        angles.inputs[0] = e.inputs[0]->angle;
        TRY(evaluate_Gather(&angles));
        e.outputs[0]->function = e.inputs[0]->function;
        e.outputs[0]->angle = angles.outputs[0];
    }
    *table = e.outputs[0];
    return OK;
}

static enum status read_cache(struct rule *rule, uint32_t slot, const struct array *const ids[PROBES],
                              const struct view *view, int64_t columns, uint32_t *table)
{
    struct import_value spread = *rule->inputs[slot], *kept = rule->inputs[slot];
    for (uint32_t p = 0; p < PROBES; p++) {
        if (ids[p])
            TRY(pick_rows(rule, p, slot, ids[p], &spread.at[p]));
        if (spread.at[p]->rank != 3)
            return rule_refuse(rule, "input %u has %u axes, expected [batch, sequence, channels]", slot,
                               spread.at[p]->rank);
        spread.at[p] = over_heads(rule->im, spread.at[p]);
    }
    rule->inputs[slot] = &spread;
    enum status status = rotary_table_read(rule, slot, view, columns, table);
    rule->inputs[slot] = kept;
    return status;
}

/* The last axis of the table in `slot`: half as many as are rotated. */
static enum status count_columns(struct rule *rule, uint32_t slot, int64_t *columns)
{
    if (!rule_is_concrete(rule, slot))
        return rule_refuse(rule, "input %u is not a table", slot);
    TRY(import_materialise(rule->im, rule->inputs[slot], rule->trace));
    const struct array *table = rule->inputs[slot]->at[0];
    if (table->rank == 0)
        return rule_refuse(rule, "input %u is a number, expected a table", slot);
    *columns = table->dims[table->rank - 1];
    return OK;
}

enum status rotary_apply(struct rule *rule, const struct import_value *x, const struct rotary_caches *caches)
{
    struct mix mix;
    struct view view;
    uint32_t cosine, sine;
    int64_t half;
    TRY(mix_from(rule, x, &mix, &view));
    TRY(count_columns(rule, caches->cosines, &half));
    TRY(count_columns(rule, caches->sines, &half));
    if (half < 1 || 2 * half > mix.count)
        return rule_refuse(rule, "tables of %" PRId64 " columns for heads of %" PRId64 " channels", half,
                           mix.count);
    TRY(read_cache(rule, caches->cosines, caches->ids, &view, half, &cosine));
    TRY(read_cache(rule, caches->sines, caches->ids, &view, half, &sine));
    struct mix_entry *own = mix.entries;
    mix.entries = ARENA_ARRAY(rule->im->arena, struct mix_entry, (size_t)mix.count);
    for (int64_t j = 0; j < mix.count; j++) {
        bool is_low = caches->turns_neighbours ? j % 2 == 0 : j < half;
        int64_t away = caches->turns_neighbours ? 1 : half;
        mix.entries[j] = own[j];
        if (j >= 2 * half)
            continue;
        const struct mix_entry *a = &own[j], *b = &own[is_low ? j + away : j - away];
        if (a->count != 1 || b->count != 1 || a->parts[0].table != MIX_NO_TABLE ||
            b->parts[0].table != MIX_NO_TABLE)
            return rule_refuse(rule, "what is rotated is rotated in part already");
        mix.entries[j] = (struct mix_entry){2, {a->parts[0], b->parts[0]}};
        mix.entries[j].parts[0].table = cosine;
        mix.entries[j].parts[1].table = sine;
        mix.entries[j].parts[0].column = mix.entries[j].parts[1].column = caches->turns_neighbours ? j / 2
                                                                          : is_low                 ? j
                                                                                                   : j - half;
        mix.entries[j].parts[1].factor *= is_low ? -1 : 1;
    }
    return mix_finish(rule, &mix, &view);
}

enum status rotary_positions(struct rule *rule, const struct array *ids[PROBES])
{
    for (uint32_t p = 0; p < PROBES; p++) {
        const int64_t dims[2] = {1, probes[p].sequence};
        struct array *array;
        TRY(array_create(&array, &rule->im->room, ONNX_INT64, 2, dims, rule->trace));
        for (int64_t i = 0; i < array->count; i++)
            array->data[i] = (double)i;
        ids[p] = array;
    }
    return OK;
}

/* Input `slot` as position ids, if there is one. */
static enum status read_ids(struct rule *rule, uint32_t slot, const struct array *ids[PROBES])
{
    if (slot >= rule->input_count || !rule->inputs[slot])
        return OK;
    if (!rule_is_concrete(rule, slot))
        return rule_refuse(rule, "input %u (positions) depends on the tokens", slot);
    TRY(import_materialise(rule->im, rule->inputs[slot], rule->trace));
    for (uint32_t p = 0; p < PROBES; p++)
        ids[p] = rule->inputs[slot]->at[p];
    return OK;
}

/* Heads side by side are an axis of their own while they are rotated. */
static enum status embed(struct rule *rule, struct rotary_caches *caches)
{
    struct import_value x = *rule->inputs[0];
    int64_t heads = onnx_integer(rule->node, "num_heads", 0), columns;
    bool is_wide = x.view.rank == 3;
    TRY(count_columns(rule, caches->cosines, &columns));
    if (is_wide && heads == 0)
        heads = columns > 0 ? view_shape(&x.view).dims[0][2] / (2 * columns) : 0;
    caches->turns_neighbours = onnx_integer(rule->node, "interleaved", 0) != 0;
    if (is_wide ? !rule_split_heads(&x, heads) : x.view.rank != 4)
        return rule_refuse(rule,
                           "its first input is not [batch, sequence, %" PRId64
                           " heads side by side] or [batch, heads, sequence, channels]",
                           heads);
    TRY(rotary_apply(rule, &x, caches));
    if (is_wide && !rule_merge_heads(&rule->outputs[0]))
        return rule_refuse(rule, "a part of a head is left over");
    return OK;
}

/* The operator of opset 23: x, cosines, sines, positions. */
enum status rule_RotaryEmbedding(struct rule *rule)
{
    struct rotary_caches caches = {.cosines = 1, .sines = 2};
    if (rule->input_count < 3 || !rule_is_activation(rule, 0))
        return rule_refuse(rule, "expected an activation, cosines and sines");
    TRY(read_ids(rule, 3, caches.ids));
    return embed(rule, &caches);
}

/* That of com.microsoft: x, positions, cosines, sines. */
enum status rule_contrib_RotaryEmbedding(struct rule *rule)
{
    struct rotary_caches caches = {.cosines = 2, .sines = 3};
    if (rule->input_count < 4 || !rule_is_activation(rule, 0))
        return rule_refuse(rule, "expected an activation, positions, cosines and sines");
    if (onnx_real(rule->node, "scale", 1) != 1 || onnx_integer(rule->node, "is_packed_batching", 0) != 0)
        return rule_refuse(rule, "only scale = 1 and is_packed_batching = 0 are supported");
    TRY(read_ids(rule, 1, caches.ids));
    for (uint32_t p = 0; p < PROBES; p++)
        if (!caches.ids[p] || caches.ids[p]->rank != 2)
            return rule_refuse(rule, "its positions are not [batch, sequence]");
    return embed(rule, &caches);
}
