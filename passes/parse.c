/* Parsing "prune{ffn=512,heads=6} remove_layers{layers=1+3}". */
#include "passes/pass.h"
#include <inttypes.h>
#include <string.h>

enum { MAX_ITEMS = 1 << 24 }; /* of one option: no text makes us fill the memory */

struct reader {
    struct str text;
    size_t at;
    struct arena *arena;
    struct trace *trace;
};

static enum status error(const struct reader *r, size_t at, const char *expected)
{
    size_t left = r->text.length - at;
    if (left == 0)
        return status_fail(r->trace, INVALID, "passes, position %zu: expected %s, found the end", at + 1,
                           expected);
    return status_fail(r->trace, INVALID, "passes, position %zu: expected %s, found \"%.*s\"", at + 1,
                       expected, (int)(left > 24 ? 24 : left), r->text.data + at);
}

static bool accept(struct reader *r, char c)
{
    if (r->at == r->text.length || r->text.data[r->at] != c)
        return false;
    r->at++;
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9');
}

static struct str read_word(struct reader *r)
{
    size_t start = r->at;
    while (r->at < r->text.length && is_word(r->text.data[r->at]))
        r->at++;
    return (struct str){r->text.data + start, r->at - start};
}

static enum status read_number(struct reader *r, int64_t *out)
{
    size_t start = r->at;
    while (r->at < r->text.length && r->text.data[r->at] >= '0' && r->text.data[r->at] <= '9')
        r->at++;
    if (str_to_i64((struct str){r->text.data + start, r->at - start}, out))
        return OK;
    return error(r, start, "a number");
}

/* Whether `word` is one of the blank-separated `words`. */
static bool is_among(struct str word, const char *words)
{
    while (*words) {
        const char *end = strchrnul(words, ' ');
        if (str_equal(word, (struct str){words, (size_t)(end - words)}))
            return true;
        words = *end ? end + 1 : end;
    }
    return false;
}

static enum status read_option(struct reader *r, const struct pass_info *pass, struct pass_option *option)
{
    VEC(int64_t) values = {0};
    option->at = r->at + 1;
    option->key = read_word(r);
    if (!is_among(option->key, pass->options))
        return error(r, option->at - 1,
                     arena_printf(r->arena, "an option of %s (%s)", pass->name, pass->options));
    if (!accept(r, '='))
        return error(r, r->at, "=");
    do {
        size_t start = r->at;
        int64_t first, last;
        TRY(read_number(r, &first));
        last = first;
        if (accept(r, '-'))
            TRY(read_number(r, &last));
        if (last < first || last - first >= MAX_ITEMS - (int64_t)values.count)
            return error(r, start, "an ascending range of sane length");
        for (int64_t v = first; v <= last; v++)
            *VEC_PUSH(r->arena, &values) = v;
    } while (accept(r, '+'));
    option->values = values.items;
    option->count = values.count;
    return OK;
}

static const char *pass_names(struct arena *arena)
{
    const char *names = "the name of a pass (";
    for (uint32_t i = 0; i < PASS_COUNT; i++)
        names = arena_printf(arena, "%s%s%s", names, i ? " " : "", pass_table[i].name);
    return arena_printf(arena, "%s)", names);
}

static enum status read_call(struct reader *r, struct pass_call *call)
{
    VEC(struct pass_option) options = {0};
    size_t start = r->at;
    struct str name = read_word(r);
    for (call->pass = 0; call->pass < PASS_COUNT; call->pass++)
        if (str_is(name, pass_table[call->pass].name))
            break;
    if (call->pass == PASS_COUNT)
        return error(r, start, pass_names(r->arena));
    call->at = start + 1;
    if (accept(r, '{') && !accept(r, '}')) {
        do {
            struct pass_option option;
            TRY(read_option(r, &pass_table[call->pass], &option));
            for (uint32_t i = 0; i < options.count; i++)
                if (str_equal(options.items[i].key, option.key))
                    return error(r, option.at - 1, "each option once");
            *VEC_PUSH(r->arena, &options) = option;
        } while (accept(r, ','));
        if (!accept(r, '}'))
            return error(r, r->at, "+, a comma or }");
    }
    call->options = options.items;
    call->option_count = options.count;
    if (r->at < r->text.length && r->text.data[r->at] != ' ')
        return error(r, r->at, "a blank between passes");
    return OK;
}

enum status pass_parse(const struct pass_call **calls, uint32_t *count, struct arena *arena, struct str text,
                       struct trace *trace)
{
    struct reader r = {.text = text, .arena = arena, .trace = trace};
    VEC(struct pass_call) list = {0};
    while (accept(&r, ' '))
        ;
    while (r.at < text.length) {
        struct pass_call call = {0};
        TRY(read_call(&r, &call));
        *VEC_PUSH(arena, &list) = call;
        while (accept(&r, ' '))
            ;
    }
    *calls = list.items;
    *count = list.count;
    return OK;
}
