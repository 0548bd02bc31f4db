/* Adding up a bill. */
#include "search/bill.h"

const char *const dimension_names[SIZE_COUNT] = {
    [SIZE_LAYERS] = "layers",     [SIZE_HIDDEN] = "hidden", [SIZE_HEADS] = "heads",
    [SIZE_KV_HEADS] = "kv_heads", [SIZE_FFN] = "ffn",
};

const char *const metric_names[COST_COUNT] = {
    [COST_PARAMETERS] = "parameters",
    [COST_NON_EMBEDDING] = "non_embedding",
    [COST_MEMORY] = "memory",
    [COST_FLOPS] = "flops",
};

/* A product or a sum that remembers having been too large. */
struct number {
    int64_t value;
    bool is_too_large;
};

static struct number times(struct number a, int64_t b)
{
    a.is_too_large |= __builtin_mul_overflow(a.value, b, &a.value);
    return a;
}

static struct number plus(struct number a, struct number b)
{
    a.is_too_large |= b.is_too_large || __builtin_add_overflow(a.value, b.value, &a.value);
    return a;
}

static struct number elements(const struct bill_row *row, const struct sizes *sizes)
{
    const int64_t axes[BILL_AXES] = {
        [BILL_HIDDEN] = sizes->of[SIZE_HIDDEN],
        [BILL_KV_HEADS] = sizes->of[SIZE_KV_HEADS],
        [BILL_GROUP] = sizes->of[SIZE_HEADS] / sizes->of[SIZE_KV_HEADS],
        [BILL_FFN] = sizes->of[SIZE_FFN],
    };
    struct number n = {row->factor, false};
    for (int axis = 0; axis < BILL_AXES; axis++)
        for (uint8_t p = 0; p < row->powers[axis]; p++)
            n = times(n, axes[axis]);
    return row->in_each_layer ? times(n, sizes->of[SIZE_LAYERS]) : n;
}

/* Bytes of so many numbers, the last one begun counting as a whole. */
static struct number bytes(struct number count, int64_t bits)
{
    count = times(count, bits);
    count.value = count.value / 8 + (count.value % 8 != 0);
    return count;
}

bool bill_total(struct cost *out, const struct bill *bill, const struct sizes *sizes,
                const struct circumstances *circumstances)
{
    struct number total[COST_COUNT] = {0};
    for (uint32_t i = 0; i < bill->rows.count; i++) {
        const struct bill_row *row = &bill->rows.items[i];
        struct number n = elements(row, sizes);
        if (row->is_counted)
            total[COST_PARAMETERS] = plus(total[COST_PARAMETERS], n);
        if (row->is_counted && !row->is_embedding)
            total[COST_NON_EMBEDDING] = plus(total[COST_NON_EMBEDDING], n);
        total[COST_FLOPS] = plus(total[COST_FLOPS], times(n, 2 * (int64_t)row->products));
    }
    int64_t channels = bill->head_dim + bill->value_dim;
    struct number layers = {sizes->of[SIZE_LAYERS], false};
    struct number key = times(times(times(layers, sizes->of[SIZE_HEADS]), channels), 2);
    struct number cache =
        times(times(times(layers, sizes->of[SIZE_KV_HEADS]), channels), circumstances->batch);
    total[COST_FLOPS] = plus(total[COST_FLOPS], times(key, circumstances->context));
    total[COST_MEMORY] = plus(bytes(total[COST_PARAMETERS], circumstances->weight_bits),
                              bytes(times(cache, circumstances->context), circumstances->cache_bits));
    bool fits = true;
    for (int m = 0; m < COST_COUNT; m++) {
        out->of[m] = total[m].value;
        fits = fits && !total[m].is_too_large;
    }
    return fits;
}
