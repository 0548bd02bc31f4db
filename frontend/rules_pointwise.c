/* Rules of operators that work element by element. Operands in either order; a scale, a norm, a gate, a mask
 * and a rotary table all arrive as products and sums. */
#include "frontend/importer.h"
#include "frontend/mix.h"
#include <math.h>
#include <string.h>

enum status rule_unary(struct rule *rule, enum term_kind kind)
{
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "its first input is not an activation");
    const struct import_value *x = rule->inputs[0];
    uint32_t term =
        rule_term(rule, (struct term){.kind = kind, .x = x->term, .size = rule_get(rule, x)->size});
    rule_set(rule, 0, term, &x->view);
    return OK;
}

static enum status scaled(struct rule *rule, const struct import_value *x, double number)
{
    rule_set(rule, 0, term_scale(&rule->im->terms, x->term, number, rule->im->node), &x->view);
    return OK;
}

static enum status offset(struct rule *rule, const struct import_value *x, double number)
{
    struct term term = {.kind = TERM_OFFSET, .x = x->term, .number = number, .size = rule_get(rule, x)->size};
    rule_set(rule, 0, number == 0 ? x->term : rule_term(rule, term), &x->view);
    return OK;
}

/* An activation and a stored vector along its channels. */
static enum status with_vector(struct rule *rule, enum term_kind kind, const struct import_value *x,
                               uint32_t weight)
{
    const struct term *t = rule_get(rule, x);
    struct term term = {.kind = kind, .x = x->term, .weight = weight, .size = t->size};
    if (kind == TERM_GAIN && t->kind == TERM_NORMAL) {
        term = *t;
        term.kind = TERM_RMSNORM;
        term.weight = weight;
    }
    rule_set(rule, 0, rule_term(rule, term), &x->view);
    return OK;
}

/* Two inputs, at least one of them an activation. */
static enum status need_pair(struct rule *rule)
{
    if (rule->input_count != 2 || !rule->inputs[0] || !rule->inputs[1])
        return status_fail(rule->trace, INVALID, "%u inputs, expected two", rule->input_count);
    return OK;
}

enum status rule_Neg(struct rule *rule)
{
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "its first input is not an activation");
    return scaled(rule, rule->inputs[0], -1);
}

enum status rule_Exp(struct rule *rule)
{
    return rule_unary(rule, TERM_EXP);
}

enum status rule_Sigmoid(struct rule *rule)
{
    return rule_unary(rule, TERM_SIGMOID);
}

enum status rule_Swish(struct rule *rule)
{
    if (onnx_real(rule->node, "alpha", 1) != 1)
        return rule_refuse(rule, "only alpha = 1 is supported");
    return rule_unary(rule, TERM_SILU);
}

enum status rule_IsNaN(struct rule *rule)
{
    return rule_unary(rule, TERM_IS_NAN);
}

/* 1 / sqrt and sqrt of 1 / are the same thing: the root is kept inside. */
static uint32_t root_of(struct rule *rule, uint32_t x)
{
    const struct term *t = term_get(&rule->im->terms, x);
    struct term term = {.kind = TERM_ROOT, .x = x, .size = t->size};
    if (t->kind != TERM_INVERSE)
        return rule_term(rule, term);
    term.x = t->x;
    struct term inverse = {.kind = TERM_INVERSE, .size = t->size};
    inverse.x = rule_term(rule, term);
    return rule_term(rule, inverse);
}

enum status rule_Sqrt(struct rule *rule)
{
    if (!rule_is_activation(rule, 0))
        return rule_refuse(rule, "its first input is not an activation");
    rule_set(rule, 0, root_of(rule, rule->inputs[0]->term), &rule->inputs[0]->view);
    return OK;
}

enum status rule_Reciprocal(struct rule *rule)
{
    return rule_unary(rule, TERM_INVERSE);
}

enum status rule_Pow(struct rule *rule)
{
    double exponent;
    if (!rule_is_activation(rule, 0) || !rule_number(rule, 1, &exponent))
        return rule_refuse(rule, "only an activation to the power of one number is supported");
    const struct import_value *x = rule->inputs[0];
    if (exponent == 2)
        return rule_unary(rule, TERM_SQUARE);
    if (exponent == 3)
        return rule_unary(rule, TERM_CUBE);
    if (exponent == -1)
        return rule_unary(rule, TERM_INVERSE);
    if (exponent != 0.5 && exponent != -0.5)
        return rule_refuse(rule, "the power of %g is not supported", exponent);
    uint32_t root = root_of(rule, x->term);
    struct term inverse = {.kind = TERM_INVERSE, .x = root, .size = rule_get(rule, x)->size};
    rule_set(rule, 0, exponent > 0 ? root : rule_term(rule, inverse), &x->view);
    return OK;
}

/* Of an x and y without scales: squares, cubes and activations that are products. */
static uint32_t product_term(struct rule *rule, uint32_t x, uint32_t y, double *factor)
{
    const struct term_set *terms = &rule->im->terms;
    const struct term *a = term_get(terms, x), *b = term_get(terms, y);
    struct term term = {.kind = TERM_MULTIPLY, .x = x < y ? x : y, .y = x < y ? y : x, .size = a->size};
    uint32_t gelu = rule_gelu_product(rule, x, y, factor);
    if (gelu != TERM_NONE)
        return gelu;
    if (x == y)
        term = (struct term){.kind = TERM_SQUARE, .x = x, .size = a->size};
    else if ((b->kind == TERM_SQUARE && b->x == x) || (a->kind == TERM_SQUARE && a->x == y))
        term = (struct term){
            .kind = TERM_CUBE, .x = b->kind == TERM_SQUARE && b->x == x ? x : y, .size = a->size};
    else if (b->kind == TERM_SIGMOID && b->x == x)
        term = (struct term){.kind = TERM_SILU, .x = x, .size = a->size};
    else if (a->kind == TERM_SIGMOID && a->x == y)
        term = (struct term){.kind = TERM_SILU, .x = y, .size = a->size};
    return rule_term(rule, term);
}

/* Two values of one shape: when their views differ, each is narrowed to what its view shows. */
static enum status match_views(struct rule *rule, struct import_value *x, struct import_value *y)
{
    struct import_value a, b;
    if (view_equal(&x->view, &y->view))
        return OK;
    if (rule_narrow(rule, &a, x, 1) && rule_narrow(rule, &b, y, 1) && view_equal(&a.view, &b.view)) {
        *x = a;
        *y = b;
        return OK;
    }
    return rule_refuse(rule, "the axes of its operands (%s, %s) do not match",
                       term_kind_name(rule_get(rule, x)->kind), term_kind_name(rule_get(rule, y)->kind));
}

static enum status product(struct rule *rule, const struct import_value *x, const struct import_value *y)
{
    if (rule_is_row_of(y, x))
        return rule_times_row(rule, x, y);
    if (rule_is_row_of(x, y))
        return rule_times_row(rule, y, x);
    struct import_value a = *x, b = *y;
    TRY(match_views(rule, &a, &b));
    double factor = 1;
    a.term = term_strip_scale(&rule->im->terms, a.term, &factor);
    b.term = term_strip_scale(&rule->im->terms, b.term, &factor);
    uint32_t term = product_term(rule, a.term, b.term, &factor);
    rule_set(rule, 0, term_scale(&rule->im->terms, term, factor, rule->im->node), &a.view);
    return OK;
}

enum status rule_Mul(struct rule *rule)
{
    TRY(need_pair(rule));
    if (rule_is_activation(rule, 0) && rule_is_activation(rule, 1))
        return product(rule, rule->inputs[0], rule->inputs[1]);
    uint32_t slot = rule_is_activation(rule, 0) ? 0 : 1, other = 1 - slot, weight;
    const struct import_value *x = rule->inputs[slot];
    int64_t size = rule_get(rule, x)->size;
    double number;
    if (rule_number(rule, other, &number))
        return scaled(rule, x, number);
    const struct term *t = rule_get(rule, x);
    bool is_head_norm = t->kind == TERM_NORMAL && t->groups > 0;
    if (is_head_norm && rule_vector(rule, other, size / t->groups, &weight))
        return with_vector(rule, TERM_GAIN, x, weight);
    if (view_has_rows(&x->view, size) && rule_vector(rule, other, size, &weight))
        return with_vector(rule, TERM_GAIN, x, weight);
    return rule_table_product(rule, x, other);
}

/* x / sqrt(...), x / (1 + exp(-x)), x / number, 1 / x. */
static enum status quotient(struct rule *rule, const struct import_value *x, const struct import_value *y)
{
    const struct term_set *terms = &rule->im->terms;
    const struct term *b = rule_get(rule, y), *inner;
    double sign = 1;
    if (rule_is_row_of(y, x)) {
        struct import_value inverse = *y;
        inverse.term = rule_term(rule, (struct term){.kind = TERM_INVERSE, .x = y->term, .size = b->size});
        return rule_times_row(rule, x, &inverse);
    }
    if (view_equal(&x->view, &y->view) && b->kind == TERM_OFFSET && b->number == 1 &&
        (inner = term_get(terms, b->x))->kind == TERM_EXP &&
        term_strip_scale(terms, inner->x, &sign) == x->term && sign == -1) {
        struct term silu = {.kind = TERM_SILU, .x = x->term, .size = rule_get(rule, x)->size};
        rule_set(rule, 0, rule_term(rule, silu), &x->view);
        return OK;
    }
    return rule_refuse(rule, "%s divided by %s is not understood", term_kind_name(rule_get(rule, x)->kind),
                       term_kind_name(b->kind));
}

enum status rule_Div(struct rule *rule)
{
    double number;
    TRY(need_pair(rule));
    if (rule_is_activation(rule, 0) && rule_is_activation(rule, 1))
        return quotient(rule, rule->inputs[0], rule->inputs[1]);
    if (rule_is_activation(rule, 0) && rule_number(rule, 1, &number) && number != 0)
        return scaled(rule, rule->inputs[0], 1 / number);
    if (rule_is_activation(rule, 1) && rule_number(rule, 0, &number) && number == 1) {
        const struct import_value *y = rule->inputs[1];
        const struct term *t = rule_get(rule, y), *inner;
        double sign = 1;
        /* 1 / (1 + exp(-x)) */
        if (t->kind == TERM_OFFSET && t->number == 1 &&
            (inner = term_get(&rule->im->terms, t->x))->kind == TERM_EXP) {
            uint32_t x = term_strip_scale(&rule->im->terms, inner->x, &sign);
            if (sign == -1) {
                rule_set(rule, 0,
                         rule_term(rule, (struct term){.kind = TERM_SIGMOID, .x = x, .size = t->size}),
                         &y->view);
                return OK;
            }
        }
        rule_set(rule, 0, rule_term(rule, (struct term){.kind = TERM_INVERSE, .x = y->term, .size = t->size}),
                 &y->view);
        return OK;
    }
    return rule_refuse(rule, "only a division by one number, or of two activations, is supported");
}

static enum status sum(struct rule *rule, const struct import_value *x, const struct import_value *y)
{
    struct import_value a = *x, b = *y;
    if (rule_get(rule, x)->kind == TERM_MIX || rule_get(rule, y)->kind == TERM_MIX)
        return mix_sum(rule, x, y);
    TRY(match_views(rule, &a, &b));
    uint32_t low = a.term < b.term ? a.term : b.term, high = a.term < b.term ? b.term : a.term;
    struct term term = {.kind = TERM_ADD, .x = low, .y = high, .size = rule_get(rule, &a)->size};
    rule_set(rule, 0, rule_term(rule, term), &a.view);
    return OK;
}

static enum status sum_with_concrete(struct rule *rule, uint32_t slot)
{
    const struct import_value *x = rule->inputs[slot];
    uint32_t weight;
    double number;
    int64_t size = rule_get(rule, x)->size;
    if (view_has_keys(&x->view))
        return rule_add_mask(rule, x, 1 - slot);
    if (rule_number(rule, 1 - slot, &number))
        return offset(rule, x, number);
    if (view_has_rows(&x->view, size) && rule_vector(rule, 1 - slot, size, &weight))
        return with_vector(rule, TERM_BIAS, x, weight);
    return rule_add_positions(rule, x, 1 - slot);
}

enum status rule_Add(struct rule *rule)
{
    TRY(need_pair(rule));
    if (rule_is_activation(rule, 0) && rule_is_activation(rule, 1))
        return sum(rule, rule->inputs[0], rule->inputs[1]);
    return sum_with_concrete(rule, rule_is_activation(rule, 0) ? 0 : 1);
}

enum status rule_Sub(struct rule *rule)
{
    double number;
    TRY(need_pair(rule));
    if (rule_is_activation(rule, 0) && rule_is_activation(rule, 1)) {
        const struct import_value *x = rule->inputs[0];
        struct import_value negative = *rule->inputs[1];
        if (rule_is_row_of(&negative, x)) {
            const struct term *mean = rule_get(rule, &negative);
            if (mean->kind != TERM_MEAN || mean->x != x->term || mean->groups > 0)
                return rule_refuse(rule, "%s is subtracted from rows, which is not their mean",
                                   term_kind_name(mean->kind));
            return rule_unary(rule, TERM_CENTRED);
        }
        negative.term = term_scale(&rule->im->terms, negative.term, -1, rule->im->node);
        return sum(rule, x, &negative);
    }
    if (rule_is_activation(rule, 0) && rule_number(rule, 1, &number))
        return offset(rule, rule->inputs[0], -number);
    return rule_refuse(rule, "only a difference of two activations, or of one and a number, is supported");
}

/* Weights of a row that is masked entirely are NaN and replaced by zero in some exports; with a causal mask
 * every row sees itself. Otherwise a mask that is selected instead of added. */
enum status rule_Where(struct rule *rule)
{
    double number;
    if (rule->input_count != 3 || !rule->inputs[0] || !rule->inputs[1] || !rule->inputs[2])
        return status_fail(rule->trace, INVALID, "%u inputs, expected three", rule->input_count);
    if (rule_is_activation(rule, 0)) {
        const struct term *test = rule_get(rule, rule->inputs[0]);
        if (test->kind == TERM_IS_NAN && rule_number(rule, 1, &number) && number == 0 &&
            rule_is_activation(rule, 2) && rule->inputs[2]->term == test->x &&
            term_get(&rule->im->terms, test->x)->kind == TERM_SOFTMAX) {
            rule_set(rule, 0, test->x, &rule->inputs[2]->view);
            return OK;
        }
        return rule_refuse(rule, "a choice that depends on %s is not supported", term_kind_name(test->kind));
    }
    return rule_select_mask(rule);
}
