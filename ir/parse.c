/* Parsing the text form, a line at a time. Every node goes through its dimension rule again; what the rule
 * yields must agree with the types that are written. Messages say file, line and column. */
#include "base/map.h"
#include "ir/build.h"
#include "ir/text.h"
#include <assert.h>
#include <ctype.h>
#include <float.h>
#include <inttypes.h>
#include <string.h>

enum { MAX_DEPTH = 16 };

struct parser {
    struct graph *graph;
    const char *name;
    struct trace *trace;
    struct str text;
    size_t at, line_start;
    uint32_t line;
    struct map leaves; /* "d3" -> term */
    struct arena scratch;
    VEC(uint32_t) values; /* printed number -> value id */
};

static enum status error(struct parser *p, const char *expected)
{
    size_t end = p->at;
    while (end < p->text.length && end - p->at < 24 && p->text.data[end] != '\n')
        end++;
    return status_fail(p->trace, INVALID, "%s:%" PRIu32 ":%zu: expected %s, found \"%.*s\"", p->name, p->line,
                       p->at - p->line_start + 1, expected, (int)(end - p->at), p->text.data + p->at);
}

static char peek(const struct parser *p)
{
    return p->at < p->text.length ? p->text.data[p->at] : '\0';
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ')
        p->at++;
}

static bool accept(struct parser *p, const char *token)
{
    skip_blanks(p);
    size_t length = strlen(token);
    if (p->text.length - p->at < length || memcmp(p->text.data + p->at, token, length) != 0)
        return false;
    p->at += length;
    return true;
}

static enum status expect(struct parser *p, const char *token)
{
    return accept(p, token) ? OK : error(p, token);
}

static struct str read_word(struct parser *p)
{
    skip_blanks(p);
    size_t start = p->at;
    while (isalnum((unsigned char)peek(p)) || (peek(p) != '\0' && strchr("_.-+", peek(p))))
        p->at++;
    return (struct str){p->text.data + start, p->at - start};
}

static enum status read_integer(struct parser *p, int64_t *out)
{
    size_t start = p->at;
    if (str_to_i64(read_word(p), out))
        return OK;
    p->at = start;
    return error(p, "a number");
}

/* ---- types ---- */

static enum status read_size(struct parser *p, int64_t *out)
{
    skip_blanks(p);
    size_t start = p->at;
    while (isdigit((unsigned char)peek(p)))
        p->at++;
    if (str_to_i64((struct str){p->text.data + start, p->at - start}, out) && *out > 0)
        return OK;
    p->at = start;
    return error(p, "a size of at least 1");
}

/* d3:64, d3, b, 1 */
static enum status read_leaf(struct parser *p, uint32_t *out)
{
    int64_t size = 0;
    skip_blanks(p);
    if (isdigit((unsigned char)peek(p))) {
        TRY(read_size(p, &size));
        *out = dims_leaf(&p->graph->dims, size);
        return OK;
    }
    size_t start = p->at;
    while (isalnum((unsigned char)peek(p)) || peek(p) == '_')
        p->at++;
    struct str name = {p->text.data + start, p->at - start};
    if (name.length == 0)
        return error(p, "an axis");
    if (map_find_text(&p->leaves, name, out))
        return OK;
    bool numbered = name.data[0] == 'd' && name.length > 1 && isdigit((unsigned char)name.data[1]);
    if (numbered) {
        TRY(expect(p, ":"));
        TRY(read_size(p, &size));
        *out = dims_leaf(&p->graph->dims, size);
    } else {
        *out = dims_symbol(&p->graph->dims, name);
    }
    map_add_text(&p->leaves, &p->scratch, name, *out);
    return OK;
}

static enum status read_term(struct parser *p, uint32_t depth, uint32_t *out)
{
    if (!accept(p, "("))
        return read_leaf(p, out);
    if (depth == MAX_DEPTH)
        return error(p, "fewer nested parentheses");
    uint32_t items[DIM_MAX_FACTORS], count = 0;
    char joint = '\0';
    do {
        if (count == DIM_MAX_FACTORS)
            return error(p, "fewer factors");
        TRY(read_term(p, depth + 1, &items[count++]));
        skip_blanks(p);
        if (peek(p) == '*' || peek(p) == '+') {
            if (joint && peek(p) != joint)
                return error(p, "one kind of operator between parentheses");
            joint = peek(p);
        }
    } while (joint && accept(p, (char[]){joint, '\0'}));
    TRY(expect(p, ")"));
    int64_t total = joint == '+' ? 0 : 1; /* sizes of a hostile text may overflow */
    for (uint32_t i = 0; i < count; i++) {
        int64_t size = dims_size(&p->graph->dims, items[i]);
        if (size != DIM_UNKNOWN && (joint == '+' ? __builtin_add_overflow(total, size, &total)
                                                 : __builtin_mul_overflow(total, size, &total)))
            return error(p, "a smaller axis");
    }
    *out =
        joint == '+' ? dims_sum(&p->graph->dims, items, count) : dims_product(&p->graph->dims, items, count);
    return OK;
}

struct type {
    enum dtype dtype;
    uint32_t rank, axes[VALUE_MAX_RANK];
};

/* "%3: f32[b, s, d1]"; numbers ascend by one */
static enum status read_typed_value(struct parser *p, uint32_t offset, struct type *out)
{
    int64_t number = 0;
    TRY(expect(p, "%"));
    TRY(read_integer(p, &number));
    if (number != (int64_t)p->values.count + offset)
        return error(p, "values numbered one after another");
    TRY(expect(p, ":"));
    size_t start = p->at;
    if (!dtype_from_name(read_word(p), &out->dtype) || (out->dtype != DTYPE_F32 && out->dtype != DTYPE_I32)) {
        p->at = start;
        return error(p, "f32 or i32");
    }
    TRY(expect(p, "["));
    out->rank = 0;
    while (!accept(p, "]")) {
        if (out->rank == VALUE_MAX_RANK)
            return error(p, "at most 4 axes");
        if (out->rank > 0)
            TRY(expect(p, ","));
        TRY(read_term(p, 0, &out->axes[out->rank++]));
    }
    return OK;
}

static enum status read_operand(struct parser *p, uint32_t *out)
{
    int64_t number = 0;
    TRY(expect(p, "%"));
    size_t start = p->at;
    TRY(read_integer(p, &number));
    if (number < 0 || number >= p->values.count) {
        p->at = start;
        return error(p, "a value that is defined above");
    }
    *out = p->values.items[number];
    return OK;
}

/* The rest of the line after "#", without blanks around it; empty when there is none. */
static enum status read_end(struct parser *p, struct str *note)
{
    skip_blanks(p);
    *note = (struct str){"", 0};
    if (accept(p, "#")) {
        skip_blanks(p);
        size_t start = p->at;
        while (p->at < p->text.length && peek(p) != '\n')
            p->at++;
        *note = (struct str){p->text.data + start, p->at - start};
    }
    if (p->at < p->text.length && peek(p) != '\n')
        return error(p, "the end of the line");
    p->at += p->at < p->text.length;
    p->line++;
    p->line_start = p->at;
    return OK;
}

/* ---- lines ---- */

static const char *keep_name(struct parser *p, struct str name)
{
    return arena_copy_string(&p->graph->arena, name.data, name.length);
}

static enum status read_input(struct parser *p)
{
    struct type type;
    struct str note;
    TRY(read_typed_value(p, 0, &type));
    struct str name = read_word(p);
    if (name.length == 0)
        return error(p, "a name");
    TRY(read_end(p, &note));
    *VEC_PUSH(&p->scratch, &p->values) =
        build_input(p->graph, keep_name(p, name), type.dtype, type.rank, type.axes);
    return OK;
}

static enum status read_tensor(struct parser *p)
{
    struct type type;
    TRY(read_typed_value(p, 0, &type));
    struct tensor_view view = {.dtype = type.dtype, .rank = type.rank};
    size_t bytes = 4;
    for (uint32_t i = type.rank; i-- > 0;) {
        view.dims[i] = dims_size(&p->graph->dims, type.axes[i]);
        view.strides[i] = (int64_t)(bytes / 4);
        if (view.dims[i] == DIM_UNKNOWN || !size_multiply(bytes, (size_t)view.dims[i], &bytes) ||
            bytes > INT64_MAX)
            return error(p, "a tensor of known size");
    }
    if (accept(p, "stored") && !dtype_from_name(read_word(p), &view.dtype))
        return error(p, "an element type");
    struct hash128 id = {0};
    struct str note;
    bool has_id = accept(p, "xxh3:");
    if (has_id && !hash128_from_hex(read_word(p), &id))
        return error(p, "32 hexadecimal digits");
    if (!has_id)
        TRY(expect(p, "-"));
    TRY(read_end(p, &note));
    *VEC_PUSH(&p->scratch, &p->values) = build_tensor(p->graph, note, &view, type.axes);
    VEC_LAST(&p->graph->tensors).id = id;
    VEC_LAST(&p->graph->tensors).has_id = has_id;
    return OK;
}

static enum status read_output(struct parser *p)
{
    uint32_t value;
    struct str note;
    TRY(read_operand(p, &value));
    struct str name = read_word(p);
    if (name.length == 0)
        return error(p, "a name");
    TRY(read_end(p, &note));
    build_output(p->graph, keep_name(p, name), value);
    return OK;
}

static enum status read_attributes(struct parser *p, enum op op,
                                   struct attribute attributes[OP_MAX_ATTRIBUTES])
{
    enum attribute_key keys[OP_MAX_ATTRIBUTES];
    uint32_t count = op_attributes(op, keys);
    for (uint32_t i = 0; i < count; i++) {
        attributes[i] = (struct attribute){.key = keys[i]};
        if (attribute_is_option(keys[i]) && !accept(p, attribute_table[keys[i]].name))
            continue;
        if (!attribute_is_option(keys[i]))
            TRY(expect(p, attribute_table[keys[i]].name));
        TRY(expect(p, "="));
        if (attribute_is_integer(keys[i])) {
            TRY(read_integer(p, &attributes[i].integer));
            continue;
        }
        double value;
        size_t start = p->at;
        if (!str_to_double(read_word(p), &value) || value > (double)FLT_MAX || value < -(double)FLT_MAX) {
            p->at = start;
            return error(p, "a number");
        }
        attributes[i].real = (float)value;
    }
    return OK;
}

/* What the rule inferred must be what is written. */
static enum status check_type(struct parser *p, uint32_t value, const struct type *type)
{
    const struct value v = *graph_value(p->graph, value);
    if (v.rank != type->rank || v.dtype != type->dtype)
        return error(p, "a result type of another rank or element type");
    for (uint32_t i = 0; i < v.rank; i++) {
        struct str why;
        if (!dims_unify(&p->graph->dims, v.axes[i], type->axes[i], &why))
            return status_fail(p->trace, INVALID, "%s:%" PRIu32 ": result axis %" PRIu32 ": " STR_FORMAT,
                               p->name, p->line, i, STR_ARGUMENT(why));
    }
    return OK;
}

static enum status read_node(struct parser *p)
{
    struct type types[NODE_MAX_RESULTS];
    uint32_t count = 0, inputs[NODE_MAX_INPUTS], results[NODE_MAX_RESULTS];
    do {
        if (count == NODE_MAX_RESULTS)
            return error(p, "fewer results");
        TRY(read_typed_value(p, count, &types[count]));
        count++;
    } while (accept(p, ","));
    TRY(expect(p, "="));
    skip_blanks(p);
    size_t start = p->at;
    enum op op;
    if (!op_from_name(read_word(p), &op) || op_table[op].results != count) {
        p->at = start;
        return error(p, "an op with as many results");
    }
    for (uint32_t i = 0; i < op_table[op].inputs; i++)
        TRY(read_operand(p, &inputs[i]));
    struct attribute attributes[OP_MAX_ATTRIBUTES];
    TRY(read_attributes(p, op, attributes));
    TRY_WITH(p->trace, build_node(p->graph, op, inputs, attributes, results, p->trace),
             "while reading %s:%" PRIu32, p->name, p->line);
    for (uint32_t r = 0; r < count; r++) {
        TRY(check_type(p, results[r], &types[r]));
        *VEC_PUSH(&p->scratch, &p->values) = results[r];
    }
    struct str note;
    TRY(read_end(p, &note));
    VEC_LAST(&p->graph->nodes).origin = (struct str){keep_name(p, note), note.length};
    return OK;
}

/* ---- interface ---- */

static struct str read_name(struct parser *p)
{
    skip_blanks(p);
    size_t start = p->at;
    while (peek(p) > ' ' && peek(p) != '#')
        p->at++;
    return (struct str){p->text.data + start, p->at - start};
}

/* NAME TYPE, and the number of axes of positions. */
static enum status read_interface_input(struct parser *p, struct interface_input *out, bool has_rank)
{
    int64_t rank = 2;
    if (out->name.length > 0)
        return error(p, "each input once");
    out->name = read_name(p);
    if (!interface_is_name(out->name))
        return error(p, "a name");
    if (!interface_type_from_name(read_word(p), &out->type))
        return error(p, "int64, int32, bool or float");
    if (has_rank)
        TRY(read_integer(p, &rank));
    if (rank != 1 && rank != 2)
        return error(p, "1 or 2 axes");
    out->rank = (uint32_t)rank;
    return OK;
}

/* A mask, and the word that follows where positions are numbered without it. */
static enum status read_mask(struct parser *p, struct interface *out)
{
    TRY(read_interface_input(p, &out->mask, false));
    size_t start = p->at;
    struct str word = read_word(p);
    out->numbers_hidden = str_is(word, interface_numbers_hidden);
    if (word.length == 0 || out->numbers_hidden)
        return OK;
    p->at = start;
    return error(p, "numbers_hidden or the end of the line");
}

static enum status read_cache(struct parser *p, struct interface *out)
{
    if (interface_has_cache(out))
        return error(p, "one cache");
    for (int part = 0; part < CACHE_PARTS; part++) {
        out->cache[part] = read_name(p);
        if (!interface_is_pattern(out->cache[part]))
            return error(p, "a name with one %");
    }
    for (int kind = 0; kind < CACHE_KINDS; kind++)
        if (!interface_layout_from_name(read_word(p), &out->layouts[kind]))
            return error(p, "bnsh, bsnh or bnhs");
    return OK;
}

static enum status read_interface(struct parser *p)
{
    struct interface *interface = &p->graph->interface;
    struct str note, part = read_word(p);
    if (str_is(part, "mask"))
        TRY(read_mask(p, interface));
    else if (str_is(part, "positions"))
        TRY(read_interface_input(p, &interface->positions, true));
    else if (str_is(part, "cache"))
        TRY(read_cache(p, interface));
    else
        return error(p, "mask, positions or cache");
    *interface = interface_copy(interface, &p->graph->arena);
    return read_end(p, &note);
}

static enum status read_lines(struct parser *p)
{
    struct str note;
    TRY(expect(p, "espalier-ir 1"));
    TRY(read_end(p, &note));
    while (p->at < p->text.length) {
        skip_blanks(p);
        if (peek(p) == '\n' || peek(p) == '#')
            TRY(read_end(p, &note));
        else if (accept(p, "input"))
            TRY(read_input(p));
        else if (accept(p, "interface"))
            TRY(read_interface(p));
        else if (accept(p, "tensor"))
            TRY(read_tensor(p));
        else if (accept(p, "output"))
            TRY(read_output(p));
        else
            TRY(read_node(p));
    }
    return OK;
}

enum status graph_parse(struct graph **out, struct str text, const char *name, struct trace *trace)
{
    struct parser p = {.graph = graph_create(), .name = name, .trace = trace, .text = text, .line = 1};
    enum status status = read_lines(&p);
    arena_release(&p.scratch);
    if (status != OK)
        graph_destroy(p.graph);
    else
        *out = p.graph;
    return status;
}
