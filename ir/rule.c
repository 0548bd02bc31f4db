/* Applying dimension rules. A rule is read in three passes: bind the names that stand alone on an axis; solve
 * the sizes of names inside terms from axes and attributes (one unknown per equation at a time); unify the
 * terms with the axes. */
#include "ir/rule.h"
#include "ir/rule_special.h"
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { MAX_NAMES = 12, MAX_ITEMS = 96 };

/* A parsed axis expression: a tree in an array; a name, a number, a product or a sum. */
enum item_kind { ITEM_NAME, ITEM_NUMBER, ITEM_PRODUCT, ITEM_SUM };
struct item {
    enum item_kind kind;
    int64_t number; /* index of a name, or the number */
    uint32_t child; /* first child; children are chained by `next` */
    uint32_t next;  /* ID_NONE at the end */
};

struct name {
    struct str text;
    uint32_t term; /* DIM_NONE until bound */
    int64_t size;  /* 0 until known */
};

struct scope {
    struct graph *graph;
    struct node *node;
    struct trace *trace;
    struct name names[MAX_NAMES];
    uint32_t name_count;
    struct item items[MAX_ITEMS];
    uint32_t item_count;
    bool has_rest; /* what `...` stands for */
    uint32_t rest_rank, rest[VALUE_MAX_RANK];
};

/* ---- reading ---- */

static void skip_blanks(const char **at)
{
    while (**at == ' ')
        (*at)++;
}

static uint32_t add_item(struct scope *s, enum item_kind kind, int64_t number)
{
    assert(s->item_count < MAX_ITEMS);
    s->items[s->item_count] =
        (struct item){.kind = kind, .number = number, .child = ID_NONE, .next = ID_NONE};
    return s->item_count++;
}

static uint32_t find_name(struct scope *s, struct str text)
{
    for (uint32_t i = 0; i < s->name_count; i++)
        if (str_equal(s->names[i].text, text))
            return i;
    assert(s->name_count < MAX_NAMES);
    s->names[s->name_count] = (struct name){.text = text, .term = DIM_NONE};
    return s->name_count++;
}

static struct str read_word(const char **at)
{
    const char *start = *at;
    while (isalnum((unsigned char)**at) || **at == '_')
        (*at)++;
    assert(*at > start);
    return (struct str){start, (size_t)(*at - start)};
}

static uint32_t read_term(struct scope *s, const char **at);

static uint32_t read_atom(struct scope *s, const char **at)
{
    if (**at == '(') {
        (*at)++;
        uint32_t item = read_term(s, at);
        assert(**at == ')');
        (*at)++;
        return item;
    }
    struct str word = read_word(at);
    if (isdigit((unsigned char)word.data[0])) {
        int64_t number = 0;
        bool is_number = str_to_i64(word, &number);
        assert(is_number);
        (void)is_number;
        return add_item(s, ITEM_NUMBER, number);
    }
    return add_item(s, ITEM_NAME, find_name(s, word));
}

/* atom, or atoms joined by * or by + */
static uint32_t read_term(struct scope *s, const char **at)
{
    uint32_t first = read_atom(s, at);
    if (**at != '*' && **at != '+')
        return first;
    char joint = **at;
    uint32_t whole = add_item(s, joint == '*' ? ITEM_PRODUCT : ITEM_SUM, 0), last = first;
    s->items[whole].child = first;
    while (**at == joint) {
        (*at)++;
        uint32_t next = read_atom(s, at);
        s->items[last].next = next;
        last = next;
    }
    return whole;
}

/* The axes of one operand: expressions of its explicit axes, and whether `...` stands in front. */
struct pattern {
    bool has_rest, is_integer;
    uint32_t count, axes[VALUE_MAX_RANK];
};

static struct pattern read_pattern(struct scope *s, const char **at)
{
    struct pattern p = {0};
    skip_blanks(at);
    if (**at == '#') {
        p.is_integer = true;
        (*at)++;
    }
    if (strncmp(*at, "...", 3) == 0) {
        p.has_rest = true;
        *at += 3;
    }
    for (skip_blanks(at); **at && !strchr(",;-", **at); skip_blanks(at)) {
        assert(p.count < VALUE_MAX_RANK);
        p.axes[p.count++] = read_term(s, at);
    }
    return p;
}

struct rule {
    struct pattern inputs[NODE_MAX_INPUTS], results[NODE_MAX_RESULTS];
    const char *statements; /* after the first semicolon, or "" */
};

static void read_rule(struct rule *rule, struct scope *s, const struct op_info *op)
{
    const char *at = op->rule;
    for (uint32_t i = 0; i < op->inputs; i++) {
        rule->inputs[i] = read_pattern(s, &at);
        at += *at == ',';
    }
    assert(at[0] == '-' && at[1] == '>');
    at += 2;
    for (uint32_t i = 0; i < op->results; i++) {
        rule->results[i] = read_pattern(s, &at);
        at += *at == ',';
    }
    assert(*at == ';' || *at == '\0');
    rule->statements = *at == ';' ? at + 1 : "";
}

/* ---- unifying ---- */

static struct str operand_text(struct scope *s, uint32_t input)
{
    struct builder b = {0};
    const struct value *v = graph_value(s->graph, s->node->inputs[input]);
    for (uint32_t i = 0; i < v->rank; i++) {
        builder_add_text(&b, i == 0 ? "[" : ", ");
        dims_print(&s->graph->dims, v->axes[i], &b);
    }
    builder_add_text(&b, v->rank == 0 ? "[]" : "]");
    struct str text = {arena_copy_string(&s->graph->arena, b.data, b.length), b.length};
    builder_release(&b);
    return text;
}

static enum status mismatch(struct scope *s, uint32_t input, const char *what)
{
    struct str text = operand_text(s, input);
    return status_fail(s->trace, INVALID, "%s: input %" PRIu32 " has shape " STR_FORMAT ": %s (rule \"%s\")",
                       op_table[s->node->op].name, input, STR_ARGUMENT(text), what,
                       op_table[s->node->op].rule);
}

/* Terms that must be the same. A conflict of structure freezes leaves; sizes that cannot agree are an error.
 */
static enum status join(struct scope *s, uint32_t input, uint32_t a, uint32_t b)
{
    struct str why;
    int64_t x = dims_size(&s->graph->dims, a), y = dims_size(&s->graph->dims, b);
    if (dims_unify(&s->graph->dims, a, b, &why) || (x == y && x != DIM_UNKNOWN))
        return OK;
    return mismatch(s, input, arena_printf(&s->graph->arena, STR_FORMAT, STR_ARGUMENT(why)));
}

/* First pass over an operand: `...`, plain names and numbers. */
static enum status bind_axes(struct scope *s, const struct pattern *p, uint32_t input)
{
    const struct value *v = graph_value(s->graph, s->node->inputs[input]);
    if ((v->dtype == DTYPE_I32) != p->is_integer)
        return mismatch(s, input, p->is_integer ? "expected i32 elements" : "expected f32 elements");
    if (p->has_rest ? v->rank < p->count : v->rank != p->count)
        return mismatch(s, input, "wrong number of axes");
    uint32_t lead = v->rank - p->count;
    if (p->has_rest && s->has_rest && s->rest_rank != lead)
        return mismatch(s, input, "its leading axes differ from those of another input");
    for (uint32_t i = 0; p->has_rest && i < lead; i++) {
        if (s->has_rest)
            TRY(join(s, input, s->rest[i], v->axes[i]));
        s->rest[i] = s->has_rest ? s->rest[i] : v->axes[i];
    }
    if (p->has_rest && !s->has_rest)
        s->has_rest = true, s->rest_rank = lead;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct item *item = &s->items[p->axes[i]];
        uint32_t axis = v->axes[lead + i];
        if (item->kind == ITEM_NUMBER && dims_size(&s->graph->dims, axis) != item->number)
            return mismatch(s, input, "an axis of fixed size has another size");
        if (item->kind != ITEM_NAME)
            continue;
        struct name *name = &s->names[item->number];
        if (name->term != DIM_NONE)
            TRY(join(s, input, name->term, axis));
        else
            name->term = axis, name->size = dims_size(&s->graph->dims, axis);
    }
    return OK;
}

/* The size of an expression, 0 when a name in it is not known yet. */
static int64_t known_size(const struct scope *s, uint32_t item)
{
    const struct item *it = &s->items[item];
    if (it->kind == ITEM_NUMBER)
        return it->number;
    if (it->kind == ITEM_NAME)
        return s->names[it->number].size;
    int64_t size = it->kind == ITEM_PRODUCT;
    for (uint32_t c = it->child; c != ID_NONE; c = s->items[c].next) {
        int64_t part = known_size(s, c);
        if (part <= 0)
            return part;
        size = it->kind == ITEM_PRODUCT ? size * part : size + part;
    }
    return size;
}

/* expression = size: finds the one unknown in it, if there is one. False when it does not divide. */
static bool solve(struct scope *s, uint32_t item, int64_t size)
{
    const struct item *it = &s->items[item];
    if (size <= 0)
        return false;
    if (it->kind == ITEM_NUMBER)
        return it->number == size;
    if (it->kind == ITEM_NAME) {
        struct name *name = &s->names[it->number];
        if (name->size == 0)
            name->size = size;
        return name->size == size;
    }
    int64_t known = it->kind == ITEM_PRODUCT, unknown_count = 0;
    uint32_t unknown = ID_NONE;
    bool same = true;
    for (uint32_t c = it->child; c != ID_NONE; c = s->items[c].next) {
        int64_t part = known_size(s, c);
        if (part == 0) {
            same = same && (unknown == ID_NONE ||
                            (s->items[c].kind == ITEM_NAME && s->items[unknown].kind == ITEM_NAME &&
                             s->items[c].number == s->items[unknown].number));
            unknown = c, unknown_count++;
        } else {
            known = it->kind == ITEM_PRODUCT ? known * part : known + part;
        }
    }
    if (unknown_count == 0)
        return known == size;
    if (unknown_count > 1 && !(same && it->kind == ITEM_SUM))
        return true; /* another equation must tell */
    if (it->kind == ITEM_PRODUCT)
        return size % known == 0 && solve(s, unknown, size / known);
    return (size - known) % unknown_count == 0 && solve(s, unknown, (size - known) / unknown_count);
}

/* One sweep over all equations: operand axes and attributes. */
static enum status solve_sizes(struct scope *s, const struct rule *rule)
{
    for (uint32_t i = 0; i < s->node->input_count; i++) {
        const struct pattern *p = &rule->inputs[i];
        const struct value *v = graph_value(s->graph, s->node->inputs[i]);
        for (uint32_t a = 0; a < p->count; a++) {
            int64_t size = dims_size(&s->graph->dims, v->axes[v->rank - p->count + a]);
            if (s->items[p->axes[a]].kind != ITEM_NAME && size != DIM_UNKNOWN && !solve(s, p->axes[a], size))
                return mismatch(s, i, "an axis does not factor as the rule and the attributes say");
        }
    }
    return OK;
}

/* The term of an expression; names that stand in terms only become new leaves. */
static uint32_t make_term(struct scope *s, uint32_t item)
{
    struct dims *dims = &s->graph->dims;
    const struct item *it = &s->items[item];
    if (it->kind == ITEM_NUMBER)
        return dims_leaf(dims, it->number);
    if (it->kind == ITEM_NAME) {
        struct name *name = &s->names[it->number];
        if (name->term == DIM_NONE && name->size > 0)
            name->term = dims_leaf(dims, name->size);
        return name->term;
    }
    uint32_t children[DIM_MAX_FACTORS], count = 0;
    for (uint32_t c = it->child; c != ID_NONE; c = s->items[c].next) {
        children[count] = make_term(s, c);
        if (children[count++] == DIM_NONE)
            return DIM_NONE;
    }
    return it->kind == ITEM_PRODUCT ? dims_product(dims, children, count) : dims_sum(dims, children, count);
}

static enum status unify_terms(struct scope *s, const struct rule *rule)
{
    for (uint32_t i = 0; i < s->node->input_count; i++) {
        const struct pattern *p = &rule->inputs[i];
        for (uint32_t a = 0; a < p->count; a++) {
            enum item_kind kind = s->items[p->axes[a]].kind;
            if (kind == ITEM_NAME || kind == ITEM_NUMBER)
                continue;
            uint32_t term = make_term(s, p->axes[a]);
            if (term == DIM_NONE)
                return mismatch(s, i, "the size of a part of an axis cannot be determined");
            const struct value *v = graph_value(s->graph, s->node->inputs[i]);
            TRY(join(s, i, term, v->axes[v->rank - p->count + a]));
        }
    }
    return OK;
}

/* ---- statements ---- */

static const struct {
    const char *word;
    enum dim_fact fact;
} fact_words[] = {{"contract", FACT_CONTRACTED},
                  {"normalise", FACT_NORMALISER},
                  {"domain", FACT_DOMAIN},
                  {"position", FACT_POSITION},
                  {"pair", FACT_PAIRED}};

enum statement_use { USE_SOLVE, USE_FACTS, USE_FIND };

/* Goes through the statements: solves attribute equations, adds facts, or finds the term of attribute `key`.
 */
static enum status run_statements(struct scope *s, const char *at, enum statement_use use,
                                  enum attribute_key key, uint32_t *found)
{
    while (*at) {
        skip_blanks(&at);
        struct str word = read_word(&at);
        skip_blanks(&at);
        if (*at == '=') {
            at++;
            skip_blanks(&at);
            enum attribute_key this_key;
            bool known = attribute_from_name(word, &this_key);
            assert(known);
            (void)known;
            uint32_t item = read_term(s, &at);
            int64_t value = use == USE_SOLVE ? node_integer(s->node, this_key) : 0;
            if (use == USE_SOLVE && !solve(s, item, value))
                return status_fail(s->trace, INVALID,
                                   "%s: attribute " STR_FORMAT " = %" PRId64 " does not fit the shapes",
                                   op_table[s->node->op].name, STR_ARGUMENT(word), value);
            if (use == USE_FIND && this_key == key)
                *found = make_term(s, item);
        } else {
            uint32_t name = find_name(s, read_word(&at));
            for (size_t i = 0; use == USE_FACTS && i < sizeof fact_words / sizeof *fact_words; i++)
                if (str_is(word, fact_words[i].word))
                    dims_add_fact(&s->graph->dims, s->names[name].term, fact_words[i].fact);
        }
        skip_blanks(&at);
        at += *at == ';';
    }
    return OK;
}

static enum status match_inputs(struct scope *s, struct rule *rule)
{
    read_rule(rule, s, &op_table[s->node->op]);
    for (uint32_t i = 0; i < s->node->input_count; i++)
        TRY(bind_axes(s, &rule->inputs[i], i));
    uint32_t items = s->item_count;
    for (int sweep = 0; sweep < 3; sweep++) {
        s->item_count = items; /* statements are read anew each time */
        TRY(run_statements(s, rule->statements, USE_SOLVE, 0, NULL));
        TRY(solve_sizes(s, rule));
    }
    return unify_terms(s, rule);
}

enum status rule_apply(struct graph *graph, struct node *node, struct rule_result results[NODE_MAX_RESULTS],
                       struct trace *trace)
{
    const struct op_info *op = &op_table[node->op];
    rule_function *special = rule_special_find(op->rule);
    if (special)
        return special(graph, node, results, trace);
    struct scope s = {.graph = graph, .node = node, .trace = trace};
    struct rule rule = {0};
    TRY(match_inputs(&s, &rule));
    uint32_t items = s.item_count;
    TRY(run_statements(&s, rule.statements, USE_FACTS, 0, NULL));
    s.item_count = items;
    for (uint32_t r = 0; r < op->results; r++) {
        const struct pattern *p = &rule.results[r];
        results[r] = (struct rule_result){.dtype = DTYPE_F32, .rank = p->has_rest ? s.rest_rank : 0};
        memcpy(results[r].axes, s.rest, results[r].rank * sizeof *s.rest);
        if (results[r].rank + p->count > VALUE_MAX_RANK)
            return status_fail(trace, INVALID,
                               "%s: result %" PRIu32 " would have %" PRIu32 " axes, at most %d", op->name, r,
                               results[r].rank + p->count, VALUE_MAX_RANK);
        for (uint32_t a = 0; a < p->count; a++) {
            uint32_t term = make_term(&s, p->axes[a]);
            if (term == DIM_NONE)
                return status_fail(trace, INVALID,
                                   "%s: the size of an axis of result %" PRIu32 " cannot be determined",
                                   op->name, r);
            results[r].axes[results[r].rank++] = term;
        }
    }
    return OK;
}

uint32_t rule_attribute_term(struct graph *graph, const struct node *node, enum attribute_key key)
{
    if (rule_special_find(op_table[node->op].rule) || !strchr(op_table[node->op].rule, '='))
        return DIM_NONE;
    struct node copy = *node;
    struct scope s = {.graph = graph, .node = &copy};
    struct rule rule = {0};
    uint32_t found = DIM_NONE;
    if (match_inputs(&s, &rule) != OK || run_statements(&s, rule.statements, USE_FIND, key, &found) != OK)
        BUG("%s no longer fits its rule", op_table[node->op].name);
    return found;
}
