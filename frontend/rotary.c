/* Rotary tables and the frequencies behind them (Su et al. 2021, RoFormer, equation 34; halves of a head
 * paired). */
#include "frontend/decoder.h"
#include "frontend/exact.h"
#include "frontend/mix.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where the axes of a table lie under those of the activation: strides for positions, columns and the rest.
 */
struct table_axes {
    int64_t sequence, column; /* strides */
    int64_t batch_count, batch;
};

static bool find_axes(struct table_axes *out, const struct array *array, const struct view *view,
                      int64_t columns, uint32_t probe)
{
    int64_t strides[ONNX_MAX_RANK];
    *out = (struct table_axes){.batch_count = 1};
    if (array->rank > view->rank || array->rank < 2)
        return false;
    array_strides(array, strides);
    for (uint32_t i = 0; i < array->rank; i++) {
        uint32_t axis = i + view->rank - array->rank;
        if (axis + 1 == view->rank && array->dims[i] == columns) {
            out->column = strides[i];
        } else if (view_axis_is(view, axis, ATOM_SEQUENCE) && array->dims[i] == probes[probe].sequence) {
            out->sequence = strides[i];
        } else if (view_axis_is(view, axis, ATOM_BATCH) && array->dims[i] == probes[probe].batch) {
            out->batch_count = array->dims[i];
            out->batch = strides[i];
        } else if (array->dims[i] != 1) {
            return false;
        }
    }
    return out->sequence != 0 && out->column != 0;
}

/* [sequence, columns], equal for every batch item; NULL when they differ. */
static double *read_table(struct importer *im, const struct array *array, const struct table_axes *axes,
                          int64_t columns, uint32_t probe)
{
    int64_t rows = probes[probe].sequence;
    double *out = ARENA_ARRAY(im->arena, double, (size_t)(rows * columns));
    for (int64_t b = 0; b < axes->batch_count; b++)
        for (int64_t p = 0; p < rows; p++)
            for (int64_t j = 0; j < columns; j++) {
                double value = array->data[b * axes->batch + p * axes->sequence + j * axes->column];
                if (b > 0 && !(out[p * columns + j] == value))
                    return NULL;
                out[p * columns + j] = value;
            }
    return out;
}

enum status rotary_table_read(struct rule *rule, uint32_t slot, const struct view *view, int64_t columns,
                              uint32_t *table)
{
    struct importer *im = rule->im;
    struct import_value *value = rule->inputs[slot];
    TRY(import_materialise(im, value, rule->trace));
    for (uint32_t i = 0; i < im->tables.count; i++)
        if (im->tables.items[i].array[0] == value->at[0] && im->tables.items[i].array[1] == value->at[1] &&
            im->tables.items[i].columns == columns && view_equal(&im->tables.items[i].view, view)) {
            *table = i;
            return OK;
        }
    struct rotary_table new = {.view = *view, .columns = columns, .function = value->at[0]->function};
    new.stored = value->at[0]->table;
    for (uint32_t p = 0; p < PROBES; p++) {
        struct table_axes axes;
        const struct array *array = value->at[p];
        new.array[p] = array;
        if (!find_axes(&axes, array, view, columns, p))
            return rule_refuse(
                rule,
                "input %u is neither a number, nor a stored vector of the channels, nor a rotary "
                "table over [sequence, channels of a head]",
                slot);
        new.values[p] = read_table(im, array, &axes, columns, p);
        new.angles[p] = array->angle ? read_table(im, array->angle, &axes, columns, p) : NULL;
        if (!new.values[p])
            return rule_refuse(rule, "the rotary table in input %u differs between batch items", slot);
    }
    *table = im->tables.count;
    *VEC_PUSH(im->arena, &im->tables) = new;
    return OK;
}

struct pair {
    const struct rotary_table *cosine, *sine;
    int64_t cosine_column, sine_column;
    double factor; /* of the cosine; the sine has the opposite sign in the first half */
};

static bool find_pair(struct pair *out, const struct importer *im, const struct mix_entry *entry, int64_t own,
                      int64_t partner, double sign)
{
    const struct mix_part *a = &entry->parts[0], *b = &entry->parts[1];
    if (a->source != own) {
        const struct mix_part *swap = a;
        a = b;
        b = swap;
    }
    if (a->source != own || b->source != partner || a->table == MIX_NO_TABLE || b->table == MIX_NO_TABLE ||
        b->factor != sign * a->factor)
        return false;
    *out = (struct pair){&im->tables.items[a->table], &im->tables.items[b->table], a->column, b->column,
                         a->factor};
    return true;
}

static bool same_column(const struct rotary_table *a, int64_t i, const struct rotary_table *b, int64_t j,
                        bool angles)
{
    for (uint32_t p = 0; p < PROBES; p++)
        for (int64_t row = 0; row < probes[p].sequence; row++) {
            const double *x = angles ? a->angles[p] : a->values[p], *y = angles ? b->angles[p] : b->values[p];
            if (!(x[row * a->columns + i] == y[row * b->columns + j]))
                return false;
        }
    return true;
}

/* The angle of position p must be p * w rounded to single precision, which is what the IR computes. */
static bool frequency_of_angles(float *out, const struct rotary_table *table, int64_t column)
{
    *out = (float)table->angles[PROBES - 1][table->columns + column];
    for (uint32_t p = 0; p < PROBES; p++)
        for (int64_t row = 0; row < probes[p].sequence; row++)
            if (!(table->angles[p][row * table->columns + column] == (double)((float)row * *out)))
                return false;
    return *out > 0;
}

/* A stored table, all its rows. */
struct stored_table {
    double *values; /* heap */
    int64_t rows, columns;
};

static enum status load_stored(struct stored_table *out, struct rule *rule, const struct rotary_table *table)
{
    const struct onnx_data *data = table->stored;
    if (!data || data->rank < 2 || data->count == 0 || data->count > ARRAY_MAX_COUNT)
        return rule_refuse(rule,
                           "the angles of a rotary table are not known, and it is not a stored table either");
    out->columns = data->dims[data->rank - 1];
    out->rows = data->count / out->columns;
    out->values = malloc((size_t)data->count * sizeof *out->values);
    if (!out->values)
        BUG("out of memory");
    return onnx_data_decode(out->values, data, rule->trace);
}

/* Column of the stored table that a column of the applied one comes from: the applied one may be two halves.
 */
static bool find_column(const struct stored_table *stored, const struct rotary_table *table, int64_t column,
                        int64_t *out)
{
    if (stored->columns != table->columns && stored->columns * 2 != table->columns)
        return false;
    *out = column % stored->columns;
    for (uint32_t p = 0; p < PROBES; p++)
        for (int64_t row = 0; row < probes[p].sequence; row++)
            if (row >= stored->rows || !(stored->values[row * stored->columns + *out] ==
                                         table->values[p][row * table->columns + column]))
                return false;
    return true;
}

/* Within four units in the last place of single precision. */
static bool is_near(double stored, double computed)
{
    double magnitude = fabs(computed) > 0x1p-12 ? fabs(computed) : 0x1p-12;
    return fabs(stored - computed) <= 4 * ldexp(1, ilogb(magnitude) - 23);
}

static bool frequency_explains(const struct stored_table *cosines, int64_t c,
                               const struct stored_table *sines, int64_t s, float frequency)
{
    for (int64_t row = 0; row < cosines->rows && row < sines->rows; row++) {
        double angle = (double)((float)row * frequency);
        if (!is_near(cosines->values[row * cosines->columns + c], exact_cos(angle)) ||
            !is_near(sines->values[row * sines->columns + s], exact_sin(angle)))
            return false;
    }
    return true;
}

/* The single-precision number near the angle of position 1 that explains every row. */
static bool recover_frequency(float *out, const struct stored_table *cosines, int64_t c,
                              const struct stored_table *sines, int64_t s)
{
    if (cosines->rows < 2 || cosines->rows != sines->rows)
        return false;
    float middle =
        (float)exact_angle(sines->values[sines->columns + s], cosines->values[cosines->columns + c]);
    float up = middle, down = middle;
    for (uint32_t step = 0; step <= 16; step++) {
        float candidates[2] = {up, down};
        for (uint32_t i = 0; i < 2; i++)
            if (candidates[i] > 0 && frequency_explains(cosines, c, sines, s, candidates[i])) {
                *out = candidates[i];
                return true;
            }
        up = nextafterf(up, INFINITY);
        down = nextafterf(down, 0);
    }
    return false;
}

static enum status recover_all(struct rule *rule, const struct pair *pairs, int64_t count, float *frequencies)
{
    struct stored_table cosines = {0}, sines = {0};
    enum status status = load_stored(&cosines, rule, pairs[0].cosine);
    if (status == OK)
        status = load_stored(&sines, rule, pairs[0].sine);
    for (int64_t j = 0; status == OK && j < count; j++) {
        int64_t c, s;
        if (pairs[j].cosine != pairs[0].cosine || pairs[j].sine != pairs[0].sine ||
            !find_column(&cosines, pairs[j].cosine, pairs[j].cosine_column, &c) ||
            !find_column(&sines, pairs[j].sine, pairs[j].sine_column, &s))
            status = rule_refuse(
                rule, "column %" PRId64 " of a rotary table is not taken from a stored table row by row", j);
        else if (!recover_frequency(&frequencies[j], &cosines, c, &sines, s))
            status = rule_refuse(rule,
                                 "column %" PRId64
                                 " of a stored rotary table is not cosine and sine of position times "
                                 "one frequency, to four units in the last place in every row",
                                 j);
    }
    free(cosines.values);
    free(sines.values);
    return status;
}

/* Frequencies that are recovered from rounded cosines and sines may be steps away from those that the table
 * was made of. Where all are within four steps of the powers of one base, they are those. */
static void raise_to_base(float *values, int64_t count)
{
    static const double units[] = {1000, 1}; /* of which people's bases are multiples */
    if (count < 2)
        return;
    double estimate = exact_pow((double)values[count - 1], -(double)count / (double)(count - 1));
    float *powers = calloc((size_t)count, sizeof *powers);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct decoder_rotary rotary = {.theta = nearbyint(estimate / units[u]) * units[u],
                                        .size = 2 * count};
        bool all_near = rotary.theta >= 1;
        if (all_near)
            decoder_frequencies(powers, &rotary);
        for (int64_t i = 0; all_near && i < count; i++)
            all_near = fabsf(values[i] - powers[i]) <= 4 * (nextafterf(powers[i], INFINITY) - powers[i]);
        if (!all_near)
            continue;
        memcpy(values, powers, (size_t)count * sizeof *values);
        break;
    }
    free(powers);
}

static uint32_t intern(struct importer *im, const float *values, int64_t count)
{
    for (uint32_t i = 0; i < im->frequencies.count; i++)
        if (im->frequencies.items[i].count == count &&
            memcmp(im->frequencies.items[i].values, values, (size_t)count * sizeof *values) == 0)
            return i;
    /* On the model's arena: the graph's tensor will be a view of it. */
    float *kept = ARENA_ARRAY(&im->model->arena, float, (size_t)count);
    memcpy(kept, values, (size_t)count * sizeof *values);
    *VEC_PUSH(im->arena, &im->frequencies) = (struct frequencies){count, kept};
    return im->frequencies.count - 1;
}

/* All channels fit together: same factor, both halves the same columns. */
static enum status pair_channels(struct rule *rule, const struct mix *mix, int64_t half, struct pair *pairs)
{
    for (int64_t j = 0; j < half; j++) {
        struct pair second;
        if (!find_pair(&pairs[j], rule->im, &mix->entries[j], j, j + half, -1) ||
            !find_pair(&second, rule->im, &mix->entries[j + half], j + half, j, 1))
            return rule_refuse(
                rule,
                "channel %" PRId64
                " is not rotated with the channel half a head away, nor are neighbours two by two",
                j);
        bool angles = pairs[j].cosine->angles[0] && second.cosine->angles[0] && pairs[j].sine->angles[0] &&
                      second.sine->angles[0];
        if (second.factor != pairs[j].factor || second.factor != pairs[0].factor ||
            !same_column(pairs[j].cosine, pairs[j].cosine_column, second.cosine, second.cosine_column,
                         angles) ||
            !same_column(pairs[j].sine, pairs[j].sine_column, second.sine, second.sine_column, angles))
            return rule_refuse(
                rule, "the two halves of a head are rotated by different angles in channel %" PRId64, j);
    }
    return OK;
}

enum status rotary_recognise(struct rule *rule, const struct mix *mix, int64_t turned, uint32_t *frequencies,
                             double *factor)
{
    int64_t half = turned / 2;
    if (turned % 2 != 0)
        return rule_refuse(rule, "a head of %" PRId64 " channels cannot be rotated in halves", turned);
    struct pair *pairs = ARENA_ARRAY(rule->im->arena, struct pair, (size_t)half);
    float *values = ARENA_ARRAY(rule->im->arena, float, (size_t)half);
    TRY(pair_channels(rule, mix, half, pairs));
    const struct rotary_table *cosine = pairs[0].cosine, *sine = pairs[0].sine;
    if (!cosine->angles[0] || !sine->angles[0]) {
        TRY(recover_all(rule, pairs, half, values));
        raise_to_base(values, half);
    } else {
        for (int64_t j = 0; j < half; j++) {
            if (pairs[j].cosine->function != ARRAY_COSINE || pairs[j].sine->function != ARRAY_SINE ||
                !pairs[j].cosine->angles[0] || !pairs[j].sine->angles[0] ||
                !same_column(pairs[j].cosine, pairs[j].cosine_column, pairs[j].sine, pairs[j].sine_column,
                             true))
                return rule_refuse(
                    rule, "channel %" PRId64 " is not rotated by the cosine and sine of one angle", j);
            if (!frequency_of_angles(&values[j], pairs[j].cosine, pairs[j].cosine_column))
                return rule_refuse(
                    rule, "the angles of channel %" PRId64 " are not position times one frequency", j);
        }
    }
    *frequencies = intern(rule->im, values, half);
    *factor = pairs[0].factor;
    return OK;
}
