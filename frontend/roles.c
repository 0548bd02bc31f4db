/* Names for weights: an attention's operands are q, k, v; what reads an attention is o; what reads a gated
 * product is down; a norm is called after what reads it. */
#include "frontend/lower.h"
#include <string.h>

enum { PROJECTION_MAX_STEPS = 8 };

uint32_t roles_projection(const struct term_set *terms, uint32_t term)
{
    for (uint32_t step = 0; step < PROJECTION_MAX_STEPS; step++) {
        const struct term *t = term_get(terms, term);
        if (t->kind == TERM_LINEAR)
            return term;
        bool is_norm = t->kind == TERM_RMSNORM && term_get(terms, t->x)->kind != TERM_CENTRED;
        if (t->kind != TERM_SCALE && t->kind != TERM_ROPE && t->kind != TERM_BIAS && !is_norm)
            return TERM_NONE;
        term = t->x;
    }
    return TERM_NONE;
}

bool roles_is_activation(enum term_kind kind)
{
    return kind == TERM_SILU || kind == TERM_RELU || kind == TERM_GELU || kind == TERM_GELU_TANH;
}

bool roles_gated(const struct term_set *terms, uint32_t term, uint32_t *gate, uint32_t *up)
{
    const struct term *t = term_get(terms, term);
    if (t->kind != TERM_MULTIPLY)
        return false;
    bool first = roles_is_activation(term_get(terms, t->x)->kind);
    if (!first && !roles_is_activation(term_get(terms, t->y)->kind))
        return false;
    *gate = term_get(terms, first ? t->x : t->y)->x;
    *up = first ? t->y : t->x;
    return true;
}

/* What an MLP without a gate has under its activation; TERM_NONE when it is none. */
static uint32_t plain_mlp(const struct term_set *terms, uint32_t term)
{
    const struct term *t = term_get(terms, term);
    if (t->kind == TERM_SQUARE)
        t = term_get(terms, t->x);
    return roles_is_activation(t->kind) ? roles_projection(terms, t->x) : TERM_NONE;
}

enum norm_name { NAME_IF_NONE, NAME_ANYWAY };

/* The norm that a linear layer reads, and its bias. One that several read is called after attention. */
static void name_norm(struct roles *roles, const struct importer *im, uint32_t linear, const char *name,
                      enum norm_name when)
{
    const struct term_set *terms = &im->terms;
    if (linear == TERM_NONE)
        return;
    uint32_t x = term_get(terms, linear)->x;
    if (term_get(terms, x)->kind == TERM_BIAS) {
        roles->names[x] = roles->names[x] && when == NAME_IF_NONE ? roles->names[x] : name;
        x = term_get(terms, x)->x;
    }
    enum term_kind kind = term_get(terms, x)->kind;
    if ((kind == TERM_RMSNORM || kind == TERM_NORMAL) && (when == NAME_ANYWAY || !roles->names[x]))
        roles->names[x] = name;
}

static const char *layer_name(struct importer *im, uint32_t layer, const char *part)
{
    return arena_printf(im->arena, "layers.%u.%s", layer, part);
}

/* A linear layer that reads an attention or an MLP, or a term that is one. */
static void name_parts(struct roles *roles, struct importer *im, uint32_t number, uint32_t layer)
{
    const struct term_set *terms = &im->terms;
    const struct term *t = term_get(terms, number);
    uint32_t gate, up, plain;
    if (t->kind == TERM_ATTENTION)
        name_norm(roles, im, roles_projection(terms, t->x), layer_name(im, layer, "attention_norm"),
                  NAME_ANYWAY);
    if (roles_gated(terms, number, &gate, &up))
        name_norm(roles, im, roles_projection(terms, gate), layer_name(im, layer, "mlp_norm"), NAME_IF_NONE);
    if (t->kind != TERM_LINEAR)
        return;
    if (term_get(terms, t->x)->kind == TERM_ATTENTION)
        roles->names[number] = layer_name(im, layer, "o");
    if (roles_gated(terms, t->x, &gate, &up))
        roles->names[number] = layer_name(im, layer, "down");
    if ((plain = plain_mlp(terms, t->x)) != TERM_NONE) {
        roles->names[number] = layer_name(im, layer, "down");
        roles->names[plain] = layer_name(im, layer, "up");
        name_norm(roles, im, plain, layer_name(im, layer, "mlp_norm"), NAME_IF_NONE);
    }
}

uint32_t roles_mlp_layer(const struct roles *roles, uint32_t term)
{
    uint32_t attentions = roles->layers[term];
    return attentions > roles->mlps[term] ? attentions - 1 : roles->mlps[term];
}

static void name_term(struct roles *roles, struct importer *im, uint32_t number)
{
    const struct term_set *terms = &im->terms;
    const struct term *t = term_get(terms, number);
    uint32_t layer = roles->layers[number] > 0 ? roles->layers[number] - 1 : 0;
    if (t->kind == TERM_LINEAR || t->kind == TERM_MULTIPLY)
        layer = roles_mlp_layer(roles, number);
    if (t->kind == TERM_EMBED)
        roles->names[number] = "embed";
    if (t->kind == TERM_POSITIONS)
        roles->names[number] = "positions";
    name_parts(roles, im, number, layer);
}

/* A bias is called after its linear layer. */
static void name_biases(struct roles *roles, const struct importer *im)
{
    for (uint32_t i = 0; i < im->terms.terms.count; i++) {
        const struct term *t = term_get(&im->terms, i);
        if (t->kind == TERM_BIAS && !roles->names[i])
            roles->names[i] = roles->names[t->x];
    }
}

/* A norm of what a branch gives, or of the embedding. */
static void name_norms_after(struct roles *roles, struct importer *im)
{
    const struct term_set *terms = &im->terms;
    for (uint32_t i = 0; i < terms->terms.count; i++) {
        const struct term *t = term_get(terms, i), *x;
        if ((t->kind != TERM_RMSNORM && t->kind != TERM_NORMAL) || roles->names[i])
            continue;
        uint32_t inner = t->x;
        while ((x = term_get(terms, inner))->kind == TERM_CENTRED || x->kind == TERM_BIAS)
            inner = x->x;
        const char *name = roles->names[inner], *part = name ? strrchr(name, '.') : NULL;
        if (x->kind == TERM_EMBED)
            roles->names[i] = "embed_norm";
        else if (x->kind == TERM_LINEAR && part && (strcmp(part, ".o") == 0 || strcmp(part, ".down") == 0))
            roles->names[i] = arena_printf(im->arena, "%.*s.%s_post_norm", (int)(part - name), name,
                                           part[1] == 'o' ? "attention" : "mlp");
    }
}

void roles_find(struct roles *out, struct importer *im, uint32_t logits)
{
    const struct term_set *terms = &im->terms;
    uint32_t count = terms->terms.count;
    out->names = ARENA_ARRAY(im->arena, const char *, count);
    out->layers = ARENA_ARRAY(im->arena, uint32_t, count);
    out->mlps = ARENA_ARRAY(im->arena, uint32_t, count);
    uint32_t bent = logits;
    while (term_get(terms, bent)->kind == TERM_SCALE || term_get(terms, bent)->kind == TERM_TANH)
        bent = term_get(terms, bent)->x; /* a soft cap */
    out->head = roles_projection(terms, bent);
    if (out->head != TERM_NONE)
        out->names[out->head] = "head";
    name_norm(out, im, out->head, "norm", NAME_IF_NONE);
    for (uint32_t i = 0; i < count; i++) {
        const struct term *t = term_get(terms, i);
        uint32_t operands[] = {t->x, t->y, t->z};
        for (uint32_t k = 0; k < 3; k++) {
            if (operands[k] >= i)
                continue;
            if (out->layers[operands[k]] > out->layers[i])
                out->layers[i] = out->layers[operands[k]];
            if (out->mlps[operands[k]] > out->mlps[i])
                out->mlps[i] = out->mlps[operands[k]];
        }
        uint32_t gate, up;
        out->layers[i] += t->kind == TERM_ATTENTION;
        if (!out->names[i])
            name_term(out, im, i);
        out->mlps[i] += t->kind == TERM_LINEAR &&
                        (roles_gated(terms, t->x, &gate, &up) || plain_mlp(terms, t->x) != TERM_NONE);
    }
    name_norms_after(out, im);
    name_biases(out, im);
}
