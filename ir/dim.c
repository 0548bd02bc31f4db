/* Dimension terms with union-find. A term that has been unified with another points to it through `parent`; a
 * leaf that has been refined points to the product or sum that it turned out to be. Roots with lower ids win,
 * so numbering does not depend on the order of unification. */
#include "ir/dim.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

static uint32_t add_term(struct dims *dims, enum dim_kind kind, int64_t size)
{
    uint32_t id = dims->terms.count;
    *VEC_PUSH(dims->arena, &dims->terms) = (struct dim_term){.kind = kind, .parent = id, .size = size};
    return id;
}

static struct dim_term *root(const struct dims *dims, uint32_t term)
{
    return &dims->terms.items[dims_find(dims, term)];
}

uint32_t dims_leaf(struct dims *dims, int64_t size)
{
    assert(size > 0);
    return add_term(dims, DIM_LEAF, size);
}

uint32_t dims_symbol(struct dims *dims, struct str name)
{
    for (uint32_t i = 0; i < dims->terms.count; i++)
        if (dims->terms.items[i].symbol.length > 0 && str_equal(dims->terms.items[i].symbol, name))
            return i;
    uint32_t id = add_term(dims, DIM_LEAF, DIM_UNKNOWN);
    dims->terms.items[id].symbol.data = arena_copy_string(dims->arena, name.data, name.length);
    dims->terms.items[id].symbol.length = name.length;
    return id;
}

static uint32_t add_compound(struct dims *dims, enum dim_kind kind, const uint32_t *children, uint32_t count)
{
    int64_t size = kind == DIM_PRODUCT;
    for (uint32_t i = 0; i < count; i++) {
        int64_t part = dims_size(dims, children[i]);
        if (part == DIM_UNKNOWN || size == DIM_UNKNOWN)
            size = DIM_UNKNOWN;
        else
            size = kind == DIM_PRODUCT ? size * part : size + part;
    }
    uint32_t id = add_term(dims, kind, size);
    dims->terms.items[id].first_child = dims->children.count;
    dims->terms.items[id].child_count = count;
    for (uint32_t i = 0; i < count; i++)
        *VEC_PUSH(dims->arena, &dims->children) = children[i];
    return id;
}

uint32_t dims_product(struct dims *dims, const uint32_t *factors, uint32_t count)
{
    uint32_t kept[DIM_MAX_FACTORS], kept_count = 0;
    assert(count <= DIM_MAX_FACTORS);
    for (uint32_t i = 0; i < count; i++)
        if (dims_size(dims, factors[i]) != 1)
            kept[kept_count++] = factors[i];
    if (kept_count == 0)
        return count > 0 ? factors[0] : dims_leaf(dims, 1);
    return kept_count == 1 ? kept[0] : add_compound(dims, DIM_PRODUCT, kept, kept_count);
}

uint32_t dims_sum(struct dims *dims, const uint32_t *parts, uint32_t count)
{
    assert(count > 0 && count <= DIM_MAX_FACTORS);
    return count == 1 ? parts[0] : add_compound(dims, DIM_SUM, parts, count);
}

uint32_t dims_find(const struct dims *dims, uint32_t term)
{
    assert(term < dims->terms.count);
    while (dims->terms.items[term].parent != term)
        term = dims->terms.items[term].parent;
    return term;
}

int64_t dims_size(const struct dims *dims, uint32_t term)
{
    return root(dims, term)->size;
}

bool dims_is_leaf(const struct dims *dims, uint32_t term)
{
    return root(dims, term)->kind == DIM_LEAF;
}

/* Flattens nested compounds of one kind; anything else is an item of its own. */
static uint32_t flatten(const struct dims *dims, uint32_t term, enum dim_kind kind, uint32_t *out,
                        uint32_t count)
{
    uint32_t id = dims_find(dims, term);
    const struct dim_term *t = &dims->terms.items[id];
    if (t->kind != kind) {
        if (count == DIM_MAX_FACTORS)
            BUG("a dimension term has more than %d items", DIM_MAX_FACTORS);
        out[count] = id;
        return count + 1;
    }
    for (uint32_t i = 0; i < t->child_count; i++)
        count = flatten(dims, dims->children.items[t->first_child + i], kind, out, count);
    return count;
}

uint32_t dims_factors(const struct dims *dims, uint32_t term, uint32_t out[DIM_MAX_FACTORS])
{
    return flatten(dims, term, DIM_PRODUCT, out, 0);
}

uint32_t dims_parts(const struct dims *dims, uint32_t term, uint32_t out[DIM_MAX_FACTORS])
{
    return flatten(dims, term, DIM_SUM, out, 0);
}

static uint32_t collect_leaves(const struct dims *dims, uint32_t term, uint32_t *out, uint32_t count)
{
    uint32_t id = dims_find(dims, term);
    const struct dim_term *t = &dims->terms.items[id];
    if (t->kind == DIM_LEAF) {
        for (uint32_t i = 0; i < count; i++)
            if (out[i] == id)
                return count;
        if (count == DIM_MAX_FACTORS)
            BUG("a dimension term has more than %d leaves", DIM_MAX_FACTORS);
        out[count] = id;
        return count + 1;
    }
    for (uint32_t i = 0; i < t->child_count; i++)
        count = collect_leaves(dims, dims->children.items[t->first_child + i], out, count);
    return count;
}

uint32_t dims_leaves(const struct dims *dims, uint32_t term, uint32_t out[DIM_MAX_FACTORS])
{
    return collect_leaves(dims, term, out, 0);
}

bool dims_equal(const struct dims *dims, uint32_t a, uint32_t b)
{
    uint32_t x = dims_find(dims, a), y = dims_find(dims, b);
    if (x == y)
        return true;
    const struct dim_term *tx = &dims->terms.items[x], *ty = &dims->terms.items[y];
    if (tx->kind != ty->kind || tx->kind == DIM_LEAF)
        return tx->size == 1 && ty->size == 1;
    uint32_t left[DIM_MAX_FACTORS], right[DIM_MAX_FACTORS];
    uint32_t count = flatten(dims, x, tx->kind, left, 0);
    if (flatten(dims, y, ty->kind, right, 0) != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!dims_equal(dims, left[i], right[i]))
            return false;
    return true;
}

void dims_add_fact(struct dims *dims, uint32_t term, enum dim_fact fact)
{
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(dims, term, leaves);
    for (uint32_t i = 0; i < count; i++)
        dims->terms.items[leaves[i]].facts |= fact;
}

void dims_freeze(struct dims *dims, uint32_t term, struct str reason)
{
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(dims, term, leaves);
    for (uint32_t i = 0; i < count; i++) {
        struct dim_term *leaf = &dims->terms.items[leaves[i]];
        if (leaf->size == DIM_UNKNOWN || leaf->size == 1 || (leaf->facts & FACT_FROZEN))
            continue;
        leaf->facts |= FACT_FROZEN;
        leaf->reason.data = arena_copy_string(dims->arena, reason.data, reason.length);
        leaf->reason.length = reason.length;
    }
}

struct unifier {
    struct dims *dims;
    const char *why; /* set on conflict */
};

static bool conflict(struct unifier *u, const char *what, int64_t a, int64_t b)
{
    u->why = arena_printf(u->dims->arena, "%s %" PRId64 " and %" PRId64, what, a, b);
    return false;
}

/* leaf := term; what is known of the leaf is known of all leaves below. */
static bool bind(struct unifier *u, uint32_t leaf, uint32_t term)
{
    struct dims *dims = u->dims;
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(dims, term, leaves);
    for (uint32_t i = 0; i < count; i++)
        if (leaves[i] == leaf)
            return conflict(u, "an axis would contain itself, sizes", dims_size(dims, leaf),
                            dims_size(dims, term));
    struct dim_term old = dims->terms.items[leaf];
    dims->terms.items[leaf].parent = term;
    for (uint32_t i = 0; i < count; i++)
        dims->terms.items[leaves[i]].facts |= old.facts & ~(uint32_t)FACT_FROZEN;
    if (old.facts & FACT_FROZEN)
        dims_freeze(dims, term, old.reason);
    return true;
}

static bool unify(struct unifier *u, uint32_t a, uint32_t b);

/* Splits off `size` on the major side of a leaf (of a product: leaf = first * rest; of a sum: leaf = first +
 * rest). */
static bool split(struct unifier *u, enum dim_kind kind, uint32_t leaf, int64_t size, uint32_t *first,
                  uint32_t *rest)
{
    struct dims *dims = u->dims;
    int64_t whole = dims_size(dims, leaf);
    if (!dims_is_leaf(dims, leaf))
        return conflict(
            u, kind == DIM_SUM ? "a boundary inside a product, sizes" : "a factor inside a sum, sizes", whole,
            size);
    *first = dims_leaf(dims, size);
    *rest = dims_leaf(dims, kind == DIM_PRODUCT ? whole / size : whole - size);
    uint32_t both[2] = {*first, *rest};
    return bind(u, dims_find(dims, leaf), add_compound(dims, kind, both, 2));
}

struct walk {
    uint32_t items[DIM_MAX_FACTORS];
    uint32_t next, count;
};

/* Replaces the item at `next` by its flattened form, when it has become a compound of that kind. */
static void refresh(const struct dims *dims, struct walk *w, enum dim_kind kind)
{
    uint32_t parts[DIM_MAX_FACTORS], count = flatten(dims, w->items[w->next], kind, parts, 0);
    uint32_t tail = w->count - w->next - 1;
    if (w->next + count + tail > DIM_MAX_FACTORS)
        BUG("a dimension term has more than %d items", DIM_MAX_FACTORS);
    memmove(&w->items[w->next + count], &w->items[w->next + 1], tail * sizeof *w->items);
    memcpy(&w->items[w->next], parts, count * sizeof *parts);
    w->count = w->next + count + tail;
}

/* Walks two lists of factors (or parts) from the major end, splitting the larger leaf where sizes differ. */
static bool unify_lists(struct unifier *u, enum dim_kind kind, uint32_t a, uint32_t b)
{
    struct walk left = {.count = 0}, right = {.count = 0};
    left.count = flatten(u->dims, a, kind, left.items, 0);
    right.count = flatten(u->dims, b, kind, right.items, 0);
    while (left.next < left.count && right.next < right.count) {
        refresh(u->dims, &left, kind);
        refresh(u->dims, &right, kind);
        uint32_t x = left.items[left.next], y = right.items[right.next];
        int64_t sx = dims_size(u->dims, x), sy = dims_size(u->dims, y);
        if (sx == sy) {
            if (!unify(u, x, y))
                return false;
            left.next++, right.next++;
            continue;
        }
        if (sx == DIM_UNKNOWN || sy == DIM_UNKNOWN)
            return conflict(u, "a dynamic and a static axis meet, sizes", sx, sy);
        struct walk *big = sx > sy ? &left : &right, *small = sx > sy ? &right : &left;
        int64_t whole = sx > sy ? sx : sy, part = sx > sy ? sy : sx;
        if (kind == DIM_PRODUCT && whole % part != 0)
            return conflict(u, "incompatible factors", sx, sy);
        uint32_t first, rest;
        if (!split(u, kind, big->items[big->next], part, &first, &rest) ||
            !unify(u, first, small->items[small->next]))
            return false;
        big->items[big->next] = rest;
        small->next++;
    }
    return true;
}

/* k*x against a sum of k equal parts: k selects a part and must stay; every part is x. */
static bool unify_product_sum(struct unifier *u, uint32_t product, uint32_t sum)
{
    struct dims *dims = u->dims;
    uint32_t factors[DIM_MAX_FACTORS], factor_count = dims_factors(dims, product, factors);
    uint32_t parts[DIM_MAX_FACTORS], part_count = dims_parts(dims, sum, parts);
    bool equal = dims_size(dims, factors[0]) == part_count;
    for (uint32_t i = 1; i < part_count; i++)
        equal = equal && dims_size(dims, parts[i]) == dims_size(dims, parts[0]);
    if (!equal)
        return conflict(u, "a product meets a concatenation, sizes", dims_size(dims, product),
                        dims_size(dims, sum));
    dims_freeze(dims, factors[0], STR("it selects a part of a concatenation"));
    uint32_t rest = dims_product(dims, factors + 1, factor_count - 1);
    for (uint32_t i = 0; i < part_count; i++)
        if (!unify(u, parts[i], rest))
            return false;
    return true;
}

static bool unify(struct unifier *u, uint32_t a, uint32_t b)
{
    struct dims *dims = u->dims;
    uint32_t x = dims_find(dims, a), y = dims_find(dims, b);
    if (x == y)
        return true;
    struct dim_term tx = dims->terms.items[x], ty = dims->terms.items[y];
    if (tx.size != ty.size)
        return conflict(u, "sizes differ,", tx.size, ty.size);
    if (tx.size == DIM_UNKNOWN && tx.kind == DIM_LEAF && ty.kind == DIM_LEAF &&
        !str_equal(tx.symbol, ty.symbol)) {
        u->why = arena_printf(dims->arena, "axes " STR_FORMAT " and " STR_FORMAT " meet",
                              STR_ARGUMENT(tx.symbol), STR_ARGUMENT(ty.symbol));
        return false;
    }
    if (tx.kind == DIM_LEAF && ty.kind == DIM_LEAF)
        return x < y ? bind(u, y, x) : bind(u, x, y);
    if (tx.kind == DIM_LEAF)
        return bind(u, x, y);
    if (ty.kind == DIM_LEAF)
        return bind(u, y, x);
    if (tx.kind == ty.kind)
        return unify_lists(u, tx.kind, x, y);
    return tx.kind == DIM_PRODUCT ? unify_product_sum(u, x, y) : unify_product_sum(u, y, x);
}

bool dims_unify(struct dims *dims, uint32_t a, uint32_t b, struct str *why)
{
    struct unifier u = {.dims = dims};
    if (unify(&u, a, b))
        return true;
    *why = str_from(u.why);
    dims_freeze(dims, a, *why);
    dims_freeze(dims, b, *why);
    return false;
}

void dims_print(const struct dims *dims, uint32_t term, struct builder *out)
{
    uint32_t id = dims_find(dims, term);
    const struct dim_term *t = &dims->terms.items[id];
    if (t->kind == DIM_LEAF) {
        if (t->symbol.length > 0)
            builder_add(out, t->symbol.data, t->symbol.length);
        else
            builder_printf(out, "%" PRId64, t->size);
        return;
    }
    uint32_t items[DIM_MAX_FACTORS], count = flatten(dims, id, t->kind, items, 0);
    for (uint32_t i = 0; i < count; i++) {
        builder_add_text(out, i == 0 ? "(" : t->kind == DIM_PRODUCT ? "*" : "+");
        dims_print(dims, items[i], out);
    }
    builder_add_text(out, ")");
}

int64_t dims_evaluate(const struct dims *dims, uint32_t term, const struct dim_binding *bindings,
                      uint32_t count)
{
    const struct dim_term *t = root(dims, term);
    if (t->size != DIM_UNKNOWN)
        return t->size;
    if (t->kind == DIM_LEAF) {
        for (uint32_t i = 0; i < count; i++)
            if (str_equal(bindings[i].symbol, t->symbol))
                return bindings[i].size;
        return DIM_UNKNOWN;
    }
    int64_t size = t->kind == DIM_PRODUCT;
    for (uint32_t i = 0; i < t->child_count; i++) {
        int64_t part = dims_evaluate(dims, dims->children.items[t->first_child + i], bindings, count);
        bool overflow =
            part == DIM_UNKNOWN || (t->kind == DIM_PRODUCT ? __builtin_mul_overflow(size, part, &size)
                                                           : __builtin_add_overflow(size, part, &size));
        if (overflow)
            return DIM_UNKNOWN;
    }
    return size;
}
