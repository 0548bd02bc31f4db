/* Names for weights: an attention's operands are q, k, v; what reads an attention is o; what reads a gated
 * product is down; a norm is called after what reads it. */
#include "frontend/lower.h"

enum { PROJECTION_MAX_STEPS = 8 };

uint32_t roles_projection(const struct term_set *terms, uint32_t term)
{
    for (uint32_t step = 0; step < PROJECTION_MAX_STEPS; step++) {
        const struct term *t = term_get(terms, term);
        if (t->kind == TERM_LINEAR)
            return term;
        if (t->kind != TERM_SCALE && t->kind != TERM_ROPE && t->kind != TERM_BIAS)
            return TERM_NONE;
        term = t->x;
    }
    return TERM_NONE;
}

bool roles_gated(const struct term_set *terms, uint32_t term, uint32_t *gate, uint32_t *up)
{
    const struct term *t = term_get(terms, term);
    if (t->kind != TERM_MULTIPLY)
        return false;
    bool first = term_get(terms, t->x)->kind == TERM_SILU;
    if (!first && term_get(terms, t->y)->kind != TERM_SILU)
        return false;
    *gate = term_get(terms, first ? t->x : t->y)->x;
    *up = first ? t->y : t->x;
    return true;
}

static void name_norm(struct roles *roles, const struct importer *im, uint32_t linear, const char *name)
{
    const struct term_set *terms = &im->terms;
    if (linear == TERM_NONE)
        return;
    uint32_t x = term_get(terms, linear)->x;
    if (term_get(terms, x)->kind == TERM_RMSNORM && !roles->names[x])
        roles->names[x] = name;
}

static const char *layer_name(struct importer *im, uint32_t layer, const char *part)
{
    return arena_printf(im->arena, "layers.%u.%s", layer, part);
}

static void name_term(struct roles *roles, struct importer *im, uint32_t number)
{
    const struct term_set *terms = &im->terms;
    const struct term *t = term_get(terms, number);
    uint32_t gate, up, layer = roles->layers[number] > 0 ? roles->layers[number] - 1 : 0;
    if (t->kind == TERM_EMBED)
        roles->names[number] = "embed";
    if (t->kind == TERM_ATTENTION)
        name_norm(roles, im, roles_projection(terms, t->x), layer_name(im, layer, "attention_norm"));
    if (roles_gated(terms, number, &gate, &up))
        name_norm(roles, im, roles_projection(terms, gate), layer_name(im, layer, "mlp_norm"));
    if (t->kind == TERM_LINEAR && term_get(terms, t->x)->kind == TERM_ATTENTION)
        roles->names[number] = layer_name(im, layer, "o");
    if (t->kind == TERM_LINEAR && roles_gated(terms, t->x, &gate, &up))
        roles->names[number] = layer_name(im, layer, "down");
}

void roles_find(struct roles *out, struct importer *im, uint32_t logits)
{
    const struct term_set *terms = &im->terms;
    uint32_t count = terms->terms.count;
    out->names = ARENA_ARRAY(im->arena, const char *, count);
    out->layers = ARENA_ARRAY(im->arena, uint32_t, count);
    out->head = roles_projection(terms, logits);
    if (out->head != TERM_NONE)
        out->names[out->head] = "head";
    name_norm(out, im, out->head, "norm");
    for (uint32_t i = 0; i < count; i++) {
        const struct term *t = term_get(terms, i);
        uint32_t operands[] = {t->x, t->y, t->z};
        for (uint32_t k = 0; k < 3; k++)
            if (operands[k] < i && out->layers[operands[k]] > out->layers[i])
                out->layers[i] = out->layers[operands[k]];
        out->layers[i] += t->kind == TERM_ATTENTION;
        if (!out->names[i])
            name_term(out, im, i);
    }
}
