/* libyaml's document, copied into a tree on our arena. */
#include "pipeline/yaml.h"
#include "data/utf8.h"
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 64, MOST_SHOWN = 100 };

struct reader {
    yaml_document_t *document;
    struct arena *arena;
    const char *name;
    struct str text;
    struct trace *trace;
    bool *seen; /* by libyaml's node number */
};

enum status yaml_fail(struct trace *trace, const char *name, const struct yaml_value *at, const char *format,
                      ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status_fail(trace, INVALID, "%s:%u:%u: %s", name, at->line, at->column, message);
}

/* No more than the beginning: somebody may have given a book. */
static void describe_text(const struct yaml_value *v, struct builder *out)
{
    size_t shown = v->text.length;
    if (shown > MOST_SHOWN) /* libyaml's texts are UTF-8: what ends between characters */
        shown = utf8_step_back(v->text.data, MOST_SHOWN + 1);
    builder_add_text(out, v->quoted ? "the quoted text \"" : "\"");
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)v->text.data[i];
        if (c < ' ')
            builder_printf(out, "\\x%02x", c);
        else
            builder_add(out, &v->text.data[i], 1);
    }
    builder_add_text(out, shown < v->text.length ? "...\"" : "\"");
}

/* What stands there, as a message names it. */
static void describe(const struct yaml_value *v, struct builder *out)
{
    if (v->kind == YAML_LIST)
        builder_add_text(out, v->count == 0 ? "an empty list" : "a list");
    else if (v->kind == YAML_MAP && v->count == 0)
        builder_add_text(out, "an empty map");
    else if (v->kind == YAML_MAP)
        builder_printf(out, "a map with %u key%s", v->count, v->count == 1 ? "" : "s");
    else if (v->text.length == 0)
        builder_add_text(out, "nothing");
    else
        describe_text(v, out);
}

enum status yaml_fail_expected(struct trace *trace, const char *name, const struct yaml_value *at,
                               const char *what, const char *expected)
{
    struct builder found = {0};
    describe(at, &found);
    enum status status = yaml_fail(trace, name, at, "%s%sexpected %s, found %s", what, *what ? ": " : "",
                                   expected, builder_text(&found));
    builder_release(&found);
    return status;
}

const struct yaml_value *yaml_find(const struct yaml_value *map, const char *key)
{
    for (uint32_t i = 0; map && map->kind == YAML_MAP && i < map->count; i++)
        if (str_is(map->keys[i]->text, key))
            return map->items[i];
    return NULL;
}

static enum status copy(struct reader *r, int number, uint32_t depth, struct yaml_value **out);

static enum status copy_list(struct reader *r, const yaml_node_t *node, uint32_t depth, struct yaml_value *v)
{
    v->kind = YAML_LIST;
    v->count = (uint32_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    v->items = ARENA_ARRAY(r->arena, struct yaml_value *, v->count + 1);
    for (uint32_t i = 0; i < v->count; i++)
        TRY(copy(r, node->data.sequence.items.start[i], depth + 1, &v->items[i]));
    return OK;
}

static enum status copy_map(struct reader *r, const yaml_node_t *node, uint32_t depth, struct yaml_value *v)
{
    v->kind = YAML_MAP;
    uint32_t count = (uint32_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    v->keys = ARENA_ARRAY(r->arena, struct yaml_value *, count + 1);
    v->items = ARENA_ARRAY(r->arena, struct yaml_value *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct yaml_value *key = NULL;
        TRY(copy(r, node->data.mapping.pairs.start[i].key, depth + 1, &key));
        if (key->kind != YAML_TEXT)
            return yaml_fail(r->trace, r->name, key, "expected a word as key");
        for (uint32_t k = 0; k < v->count; k++)
            if (str_equal(v->keys[k]->text, key->text))
                return yaml_fail(r->trace, r->name, key,
                                 "key \"" STR_FORMAT "\" stands twice, first in line %u",
                                 STR_ARGUMENT(key->text), v->keys[k]->line);
        v->keys[v->count] = key;
        TRY(copy(r, node->data.mapping.pairs.start[i].value, depth + 1, &v->items[v->count]));
        v->count++;
    }
    return OK;
}

static enum status copy(struct reader *r, int number, uint32_t depth, struct yaml_value **out)
{
    const yaml_node_t *node = yaml_document_get_node(r->document, number);
    struct yaml_value *v = *out = ARENA_NEW(r->arena, struct yaml_value);
    v->line = (uint32_t)node->start_mark.line + 1;
    v->column = (uint32_t)node->start_mark.column + 1;
    if (depth > MAX_DEPTH)
        return yaml_fail(r->trace, r->name, v, "more than %d levels", MAX_DEPTH);
    if (r->seen[number])
        return yaml_fail(r->trace, r->name, v, "aliases are not supported: write the value out");
    r->seen[number] = true;
    if (node->type == YAML_SEQUENCE_NODE)
        return copy_list(r, node, depth, v);
    if (node->type == YAML_MAPPING_NODE)
        return copy_map(r, node, depth, v);
    v->kind = YAML_TEXT;
    v->quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    v->text.length = node->data.scalar.length;
    v->text.data = arena_copy_string(r->arena, (const char *)node->data.scalar.value, v->text.length);
    return OK;
}

/* Is that character a tab? libyaml counts characters, without the mark that a file may begin with. */
static bool is_tab(struct str text, size_t character)
{
    size_t at = str_starts_with(text, "\xef\xbb\xbf") ? 3 : 0, end = utf8_find_invalid(text);
    uint32_t skipped;
    for (; at < end && character > 0; character--)
        at += utf8_read((struct str){text.data + at, end - at}, &skipped);
    return at < end && text.data[at] == '\t';
}

/* What libyaml says of the place; of a tab it says no more than that it cannot be there. */
static const char *problem_of(const struct reader *r, const yaml_parser_t *parser)
{
    if (is_tab(r->text, parser->problem_mark.index))
        return "expected blanks, found a tab";
    return parser->problem ? parser->problem : "not YAML";
}

static enum status read_document(struct yaml_value **out, yaml_parser_t *parser, struct reader *r)
{
    yaml_document_t document;
    struct yaml_value at = {.line = 1, .column = 1};
    if (!yaml_parser_load(parser, &document)) {
        at.line = (uint32_t)parser->problem_mark.line + 1;
        at.column = (uint32_t)parser->problem_mark.column + 1;
        return yaml_fail(r->trace, r->name, &at, "%s", problem_of(r, parser));
    }
    yaml_node_t *root = yaml_document_get_root_node(&document);
    enum status status;
    if (!root) {
        status = yaml_fail(r->trace, r->name, &at, "the file is empty");
    } else {
        r->document = &document;
        r->seen = ARENA_ARRAY(r->arena, bool, (size_t)(document.nodes.top - document.nodes.start) + 1);
        status = copy(r, 1, 0, out);
    }
    yaml_document_delete(&document);
    return status;
}

enum status yaml_read(struct yaml_value **out, struct arena *arena, struct str text, const char *name,
                      struct trace *trace)
{
    yaml_parser_t parser;
    struct reader r = {.arena = arena, .name = name, .text = text, .trace = trace};
    if (!yaml_parser_initialize(&parser))
        BUG("out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.length);
    enum status status = read_document(out, &parser, &r);
    yaml_document_t rest;
    if (status == OK && yaml_parser_load(&parser, &rest)) {
        if (yaml_document_get_root_node(&rest))
            status =
                status_fail(trace, INVALID, "%s: expected one document, found another after \"---\"", name);
        yaml_document_delete(&rest);
    }
    yaml_parser_delete(&parser);
    return status;
}
