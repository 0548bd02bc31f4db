/* PCRE2, compiled just in time where the machine can. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/regex.h"

#include <assert.h>
#include <pcre2.h>

enum { MATCH_LIMIT = 1000000, STACK_START = 32 << 10, STACK_LIMIT = 4 << 20, HEAP_LIMIT_KIB = 64 << 10 };

enum status regex_open(struct regex *out, struct str pattern, enum regex_kind kind, struct trace *trace)
{
    *out = (struct regex){0};
    if (pattern.length > REGEX_PATTERN_LIMIT)
        return status_fail(trace, UNSUPPORTED, "a pattern has %zu bytes, more than the %d allowed",
                           pattern.length, REGEX_PATTERN_LIMIT);
    uint32_t options = PCRE2_UTF | (kind == REGEX_LITERAL ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE);
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern.data, pattern.length, options, &error, &offset, NULL);
    if (!code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(error, why, sizeof why);
        return status_fail(trace, INVALID, "the pattern %.*s is wrong at byte %zu: %s", (int)pattern.length,
                           pattern.data, (size_t)offset, (const char *)why);
    }
    out->code = code;
    out->match = pcre2_match_data_create(1, NULL); /* only where the whole match lies */
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    out->context = context;
    if (!out->match || !context)
        BUG("out of memory for a pattern");
    pcre2_set_match_limit(context, MATCH_LIMIT);
    pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
    if (pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0) { /* else the interpreter runs it */
        pcre2_jit_stack *stack = pcre2_jit_stack_create(STACK_START, STACK_LIMIT, NULL);
        out->stack = stack;
        pcre2_jit_stack_assign(context, NULL, stack);
    }
    return OK;
}

void regex_release(struct regex *regex)
{
    pcre2_code_free(regex->code);
    pcre2_match_data_free(regex->match);
    pcre2_match_context_free(regex->context);
    pcre2_jit_stack_free(regex->stack);
    *regex = (struct regex){0};
}

enum status regex_find(struct regex_match *out, const struct regex *regex, struct str text, size_t from,
                       struct trace *trace)
{
    assert(regex->code && from <= text.length);
    *out = (struct regex_match){0};
    int count = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.length, from, PCRE2_NO_UTF_CHECK,
                            regex->match, regex->context);
    if (count == PCRE2_ERROR_NOMATCH)
        return OK;
    if (count < 0) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(count, why, sizeof why);
        return status_fail(trace, UNSUPPORTED,
                           "searching for a tokenizer's pattern from byte %zu of a text of %zu: %s", from,
                           text.length, (const char *)why);
    }
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(regex->match);
    if (range[0] > range[1] || range[0] < from) /* \K in a lookaround can do that */
        return status_fail(trace, UNSUPPORTED, "a tokenizer's pattern matched backwards");
    *out = (struct regex_match){range[0], range[1], true};
    return OK;
}
