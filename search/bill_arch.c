/* A bill from a description: the weights of a decoder block as docs/search.md lists them. Norms and biases
 * are counted as the description says; published counts often leave them out. */
#include "search/bill.h"
#include <string.h>

struct biller {
    struct bill *bill;
    struct arena *arena;
};

enum { H = 1 << BILL_HIDDEN, G = 1 << BILL_KV_HEADS, R = 1 << BILL_GROUP, F = 1 << BILL_FFN };

/* A row of `factor` times the axes in the mask `axes`. */
static struct bill_row *add(struct biller *b, int64_t factor, unsigned axes)
{
    struct bill_row *row = VEC_PUSH(b->arena, &b->bill->rows);
    *row = (struct bill_row){.factor = factor, .is_counted = true};
    for (unsigned axis = 0; axis < BILL_AXES; axis++)
        row->powers[axis] = axes >> axis & 1;
    return row;
}

static void add_in_layers(struct biller *b, int64_t factor, unsigned axes, uint32_t products)
{
    if (factor == 0)
        return;
    struct bill_row *row = add(b, factor, axes);
    row->in_each_layer = true;
    row->products = products;
}

static void add_layers(struct biller *b, const struct settings *s, int64_t per_norm)
{
    int64_t size = b->bill->head_dim;
    int64_t matrices = settings_integer(s, "base.gated") ? 3 : 2;
    add_in_layers(b, size, H | G | R, 1); /* q */
    add_in_layers(b, size, H | G, 1);     /* k */
    add_in_layers(b, size, H | G, 1);     /* v */
    add_in_layers(b, size, H | G | R, 1); /* o */
    for (int64_t i = 0; i < matrices; i++)
        add_in_layers(b, 1, H | F, 1);
    add_in_layers(b, per_norm * settings_integer(s, "base.norms"), H, 0);
    if (settings_integer(s, "base.qk_norm"))
        add_in_layers(b, 2 * size, 0, 0);
    if (settings_has_word(s, "base.bias", "qkv")) {
        add_in_layers(b, size, G | R, 0);
        add_in_layers(b, 2 * size, G, 0);
    }
    if (settings_has_word(s, "base.bias", "o"))
        add_in_layers(b, 1, H, 0);
    if (settings_has_word(s, "base.bias", "mlp")) {
        add_in_layers(b, matrices - 1, F, 0);
        add_in_layers(b, 1, H, 0);
    }
}

static void add_rest(struct biller *b, const struct settings *s, int64_t per_norm)
{
    int64_t vocabulary = settings_integer(s, "base.vocab");
    add(b, vocabulary, H)->is_embedding = true;
    struct bill_row *head = add(b, vocabulary, H);
    head->is_embedding = true;
    head->is_counted = !settings_integer(s, "base.tied");
    head->products = 1;
    if (settings_has(s, "base.positions"))
        add(b, settings_integer(s, "base.positions"), H);
    if (per_norm > 0)
        add(b, per_norm, H);
}

static enum status read_base(struct bill *bill, const struct settings *s, struct trace *trace)
{
    static const char *const keys[SIZE_COUNT] = {"base.layers", "base.hidden", "base.heads", "base.kv_heads",
                                                 "base.ffn"};
    for (int d = 0; d < SIZE_COUNT; d++) {
        if (!settings_has(s, keys[d]) && d != SIZE_KV_HEADS)
            return settings_fail(s, keys[d], trace, "must be given, or model: the input to prune");
        bill->base.of[d] = settings_integer(s, keys[d]);
    }
    if (!settings_has(s, "base.vocab"))
        return settings_fail(s, "base.vocab", trace, "must be given, or model: the input to prune");
    int64_t heads = bill->base.of[SIZE_HEADS], *kv_heads = &bill->base.of[SIZE_KV_HEADS];
    *kv_heads = *kv_heads ? *kv_heads : heads;
    if (heads % *kv_heads != 0)
        return settings_fail(s, "base.heads", trace, "%lld is not a multiple of kv_heads (%lld)",
                             (long long)heads, (long long)*kv_heads);
    bill->head_dim = settings_integer(s, "base.head_dim");
    if (bill->head_dim == 0 && bill->base.of[SIZE_HIDDEN] % heads != 0)
        return settings_fail(s, "base.heads", trace, "%lld does not divide hidden (%lld); give head_dim",
                             (long long)heads, (long long)bill->base.of[SIZE_HIDDEN]);
    if (bill->head_dim == 0)
        bill->head_dim = bill->base.of[SIZE_HIDDEN] / heads;
    bill->value_dim = bill->head_dim;
    return OK;
}

enum status bill_of_description(struct bill *out, struct arena *arena, const struct settings *settings,
                                struct trace *trace)
{
    *out = (struct bill){0};
    TRY(read_base(out, settings, trace));
    struct biller b = {out, arena};
    const char *norm = settings_text(settings, "base.norm");
    int64_t per_norm = strcmp(norm, "layer") == 0 ? 2 : strcmp(norm, "rms") == 0 ? 1 : 0;
    add_layers(&b, settings, per_norm);
    add_rest(&b, settings, per_norm);
    return OK;
}
