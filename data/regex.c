/* Oniguruma, which the library that these files are made for uses itself: the same syntax, the same meaning.
 */
#include "data/regex.h"

#include "base/file.h"
#include <assert.h>
#include <oniguruma.h>
#include <stdlib.h>
#include <string.h>

/* Backtracking: how often at one place of the text, besides so many times for every byte of it; how often in
 * one search; and how many places to go back to. */
#define MATCH_LIMIT (UINT64_C(1) << 24)
#define SEARCH_LIMIT (UINT64_C(1) << 31)
enum { MATCH_LIMIT_A_BYTE = 64, STACK_LIMIT = 1 << 23 };

static const OnigUChar *bytes_of(struct str text)
{
    return (const OnigUChar *)(text.data ? text.data : "");
}

static void initialize(void)
{
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    if (onig_initialize(encodings, 1) != ONIG_NORMAL)
        BUG("Oniguruma cannot be initialised");
}

static void keep_literal(struct regex *out, struct str text)
{
    char *copy = malloc(text.length + 1);
    if (!copy)
        BUG("out of memory for a pattern");
    memcpy(copy, bytes_of(text), text.length);
    out->literal = (struct str){copy, text.length};
}

enum status regex_open(struct regex *out, struct str pattern, enum regex_kind kind, struct trace *trace)
{
    *out = (struct regex){0};
    if (pattern.length > REGEX_PATTERN_LIMIT)
        return status_fail(trace, UNSUPPORTED, "a pattern has %zu bytes, more than the %d allowed",
                           pattern.length, REGEX_PATTERN_LIMIT);
    if (kind == REGEX_LITERAL) {
        keep_literal(out, pattern);
        return OK;
    }
    initialize();
    OnigRegex code = NULL;
    OnigErrorInfo info = {0};
    const OnigUChar *start = bytes_of(pattern);
    int error = onig_new(&code, start, start + pattern.length, ONIG_OPTION_NONE, ONIG_ENCODING_UTF8,
                         ONIG_SYNTAX_RUBY, &info);
    if (error != ONIG_NORMAL) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        int length = onig_error_code_to_str(why, error, &info);
        return status_fail(trace, INVALID, "the pattern %.*s is wrong: %.*s", (int)pattern.length,
                           pattern.data, length, (const char *)why);
    }
    out->code = code;
    out->window = REGEX_WINDOW;
    out->region = onig_region_new();
    OnigMatchParam *limits = onig_new_match_param();
    out->limits = limits;
    if (!out->region || !limits || onig_initialize_match_param(limits) != ONIG_NORMAL ||
        onig_set_retry_limit_in_search_of_match_param(limits, SEARCH_LIMIT) != ONIG_NORMAL ||
        onig_set_match_stack_limit_size_of_match_param(limits, STACK_LIMIT) != ONIG_NORMAL)
        BUG("out of memory for a pattern");
    return OK;
}

void regex_release(struct regex *regex)
{
    free((char *)(uintptr_t)regex->literal.data);
    if (regex->code)
        onig_free(regex->code);
    if (regex->region)
        onig_region_free(regex->region, 1);
    if (regex->limits)
        onig_free_match_param(regex->limits);
    *regex = (struct regex){0};
}

static struct regex_match find_literal(struct str literal, struct str text, size_t from)
{
    const char *found =
        memmem((const char *)bytes_of(text) + from, text.length - from, literal.data, literal.length);
    size_t at = found ? (size_t)(found - text.data) : 0;
    return found ? (struct regex_match){at, at + literal.length, true} : (struct regex_match){0};
}

static enum status search(struct regex_match *out, const struct regex *regex, struct str text, size_t from,
                          struct trace *trace)
{
    *out = (struct regex_match){0};
    const OnigUChar *start = bytes_of(text), *end = start + text.length;
    OnigRegion *region = regex->region;
    onig_set_retry_limit_in_match_of_match_param(regex->limits,
                                                 MATCH_LIMIT + MATCH_LIMIT_A_BYTE * text.length);
    int place = onig_search_with_param(regex->code, start, end, start + from, end, region, ONIG_OPTION_NONE,
                                       regex->limits);
    if (place == ONIG_MISMATCH)
        return OK;
    if (place < 0) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        int length = onig_error_code_to_str(why, place);
        return status_fail(trace, UNSUPPORTED,
                           "searching for a tokenizer's pattern from byte %zu of a text of %zu: %.*s", from,
                           text.length, length, (const char *)why);
    }
    size_t first = (size_t)region->beg[0], last = (size_t)region->end[0];
    if (first > last || first < from || last > text.length)
        return status_fail(trace, UNSUPPORTED, "a tokenizer's pattern matched backwards");
    *out = (struct regex_match){first, last, true};
    return OK;
}

/* The boundary of a character at `at` or before. */
static size_t boundary(struct str text, size_t at)
{
    while (at > 0 && at < text.length && ((unsigned char)text.data[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* Oniguruma counts in `int`, so a long text is searched a window at a time. What ends near the window's end
 * might go on behind it: it is searched again with the window further on. */
static enum status search_windows(struct regex_match *out, const struct regex *regex, struct str text,
                                  size_t from, struct trace *trace)
{
    size_t back = regex->window / 16, ahead = regex->window / 4;
    for (;;) {
        size_t base = from > back ? boundary(text, from - back) : 0;
        size_t end = text.length - base > regex->window ? boundary(text, base + regex->window) : text.length;
        TRY(search(out, regex, (struct str){text.data + base, end - base}, from - base, trace));
        out->start += base;
        out->end += base;
        if (end == text.length || (out->is_found && out->end + ahead <= end))
            return OK;
        size_t next = out->is_found ? out->start : boundary(text, end - ahead);
        if (next <= from)
            return status_fail(trace, UNSUPPORTED,
                               "a tokenizer's pattern matches more than %zu bytes of the text",
                               end - from - ahead);
        from = next;
    }
}

enum status regex_find(struct regex_match *out, const struct regex *regex, struct str text, size_t from,
                       struct trace *trace)
{
    assert((regex->code || regex->literal.data) && from <= text.length);
    if (regex->literal.data) {
        *out = find_literal(regex->literal, text, from);
        return OK;
    }
    return text.length <= regex->window ? search(out, regex, text, from, trace)
                                        : search_windows(out, regex, text, from, trace);
}
