/* Rules of activations. GELU (Hendrycks & Gimpel 2016) arrives as a product of x and a sum with erf or tanh,
 * its constants rounded in several ways. */
#include "frontend/importer.h"
#include <math.h>
#include <string.h>

enum status rule_Relu(struct rule *rule)
{
    return rule_unary(rule, TERM_RELU);
}

enum status rule_Tanh(struct rule *rule)
{
    return rule_unary(rule, TERM_TANH);
}

enum status rule_Erf(struct rule *rule)
{
    return rule_unary(rule, TERM_ERF);
}

enum status rule_Gelu(struct rule *rule)
{
    if (onnx_is_text(rule->node, "approximate", "tanh"))
        return rule_unary(rule, TERM_GELU_TANH);
    const Onnx__AttributeProto *form = onnx_find_attribute(rule->node, "approximate");
    if (form && !onnx_is_text(rule->node, "approximate", "none"))
        return rule_refuse(rule, "only approximate = none and tanh are supported");
    return rule_unary(rule, TERM_GELU);
}

/* Exporters round a constant once or twice in single precision. */
static bool is_about(double found, double wanted)
{
    return fabs(found / wanted - 1) < 1e-6;
}

/* sqrt(2 / pi) * (x + 0.044715 * x^3), in either way to write it. */
static bool is_cubic_of(const struct term_set *terms, uint32_t term, uint32_t x)
{
    double outer = 1, scales[2] = {1, 1};
    const struct term *t = term_get(terms, term_strip_scale(terms, term, &outer));
    if (t->kind == TERM_MULTIPLY) { /* x * (1 + 0.044715 * x^2) */
        uint32_t other = t->x == x ? t->y : t->x;
        const struct term *sum = term_get(terms, other);
        if ((t->x != x && t->y != x) || sum->kind != TERM_OFFSET || sum->number != 1)
            return false;
        const struct term *square = term_get(terms, term_strip_scale(terms, sum->x, &scales[1]));
        return square->kind == TERM_SQUARE && square->x == x && is_about(outer, sqrt(2 / M_PI)) &&
               is_about(scales[1], 0.044715);
    }
    if (t->kind != TERM_ADD)
        return false;
    uint32_t parts[2] = {term_strip_scale(terms, t->x, &scales[0]),
                         term_strip_scale(terms, t->y, &scales[1])};
    uint32_t plain = parts[0] == x ? 0 : 1;
    const struct term *cube = term_get(terms, parts[1 - plain]);
    return parts[plain] == x && cube->kind == TERM_CUBE && cube->x == x &&
           is_about(outer * scales[plain], sqrt(2 / M_PI)) &&
           is_about(scales[1 - plain] / scales[plain], 0.044715);
}

/* (1 + f) times *factor, f a tangent or an error function; TERM_NONE when it is something else. */
static uint32_t find_sum(const struct term_set *terms, uint32_t term, double *factor)
{
    const struct term *t = term_get(terms, term);
    double scale = 1;
    if (t->kind != TERM_OFFSET)
        return TERM_NONE;
    uint32_t inner = term_strip_scale(terms, t->x, &scale);
    if (scale != t->number || scale == 0)
        return TERM_NONE;
    *factor *= scale;
    return inner;
}

static uint32_t gelu_of(struct rule *rule, uint32_t x, uint32_t sum, double *factor)
{
    const struct term_set *terms = &rule->im->terms;
    double times = *factor, scale = 1;
    uint32_t inner = find_sum(terms, sum, &times);
    if (inner == TERM_NONE)
        return TERM_NONE;
    const struct term *t = term_get(terms, inner);
    bool is_exact =
        t->kind == TERM_ERF && term_strip_scale(terms, t->x, &scale) == x && is_about(scale, sqrt(0.5));
    bool is_tangent = t->kind == TERM_TANH && is_cubic_of(terms, t->x, x);
    if (!is_exact && !is_tangent)
        return TERM_NONE;
    *factor = times * 2;
    struct term gelu = {.kind = is_exact ? TERM_GELU : TERM_GELU_TANH, .x = x, .size = t->size};
    return rule_term(rule, gelu);
}

uint32_t rule_gelu_product(struct rule *rule, uint32_t a, uint32_t b, double *factor)
{
    uint32_t term = gelu_of(rule, a, b, factor);
    return term != TERM_NONE ? term : gelu_of(rule, b, a, factor);
}
