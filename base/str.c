/* See base/str.h. */
#include "base/str.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_from(const char *text)
{
    return (struct str){text, strlen(text)};
}

bool str_equal(struct str a, struct str b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool str_is(struct str a, const char *text)
{
    return str_equal(a, str_from(text));
}

bool str_starts_with(struct str a, const char *prefix)
{
    size_t length = strlen(prefix);
    return a.length >= length && (length == 0 || memcmp(a.data, prefix, length) == 0);
}

bool str_ends_with(struct str a, const char *ending)
{
    size_t length = strlen(ending);
    return a.length >= length && (length == 0 || memcmp(a.data + a.length - length, ending, length) == 0);
}

int str_compare(struct str a, struct str b)
{
    size_t shared = a.length < b.length ? a.length : b.length;
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* Bytes of the character that begins here, or 0 when it is no UTF-8 (RFC 3629, section 4) or controls. */
static size_t printable_length(const unsigned char *c)
{
    if (c[0] < 0x80)
        return c[0] >= ' ' && c[0] != 0x7f;
    if (c[0] < 0xc2 || c[0] > 0xf4)
        return 0;
    size_t length = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < length; i++) /* stops at the end, whose 0 continues nothing */
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool is_control = c[0] == 0xc2 && c[1] < 0xa0,
         is_overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool is_none = (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf4 && c[1] >= 0x90);
    return is_control || is_overlong || is_none ? 0 : length;
}

void str_make_printable(char *text, const char *kept)
{
    while (*text) {
        size_t length = strchr(kept, *text) ? 1 : printable_length((const unsigned char *)text);
        if (length == 0)
            *text = '?';
        text += length > 0 ? length : 1;
    }
}

bool str_to_u64(struct str text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.length == 0)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool str_to_i64(struct str text, int64_t *out)
{
    bool negative = text.length > 0 && text.data[0] == '-';
    uint64_t size;
    if (!str_to_u64((struct str){text.data + negative, text.length - negative}, &size))
        return false;
    if (size > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

/* Whether strtod reads exactly a decimal number here: no blanks, sign "+", hexadecimal, "inf" or "nan". */
static bool looks_decimal(struct str text)
{
    if (text.length == 0 || text.data[0] == '+')
        return false;
    for (size_t i = 0; i < text.length; i++)
        if (!text.data[i] || !strchr("0123456789+-.eE", text.data[i]))
            return false;
    return true;
}

bool str_to_double(struct str text, double *out)
{
    char copy[512], *end;
    if (text.length >= sizeof copy || !looks_decimal(text))
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    /* Never fails for "C". Made anew each time, as base keeps no state; numbers are few and short. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double value = strtod_l(copy, &end, c_locale);
    freelocale(c_locale);
    if (end != copy + text.length || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* Room for `extra` more bytes and the NUL. */
static void grow(struct builder *b, size_t extra)
{
    size_t needed;
    if (__builtin_add_overflow(b->length, extra, &needed) || __builtin_add_overflow(needed, 1, &needed))
        BUG("a text of more than %zu bytes", b->length);
    if (needed <= b->capacity)
        return;
    size_t capacity = b->capacity > SIZE_MAX / 2 ? needed : 2 * b->capacity;
    if (capacity < needed)
        capacity = needed < 64 ? 64 : needed;
    b->data = realloc(b->data, capacity);
    if (!b->data) {
        fprintf(stderr, "espalier: out of memory (%zu bytes wanted)\n", capacity);
        abort();
    }
    b->capacity = capacity;
}

void builder_add(struct builder *b, const char *bytes, size_t length)
{
    grow(b, length);
    if (length)
        memcpy(b->data + b->length, bytes, length);
    b->length += length;
    b->data[b->length] = '\0';
}

void builder_add_text(struct builder *b, const char *text)
{
    builder_add(b, text, strlen(text));
}

void builder_printf(struct builder *b, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        BUG("cannot format \"%s\"", format);
    grow(b, (size_t)length);
    vsnprintf(b->data + b->length, (size_t)length + 1, format, again);
    va_end(again);
    b->length += (size_t)length;
}

const char *builder_text(const struct builder *b)
{
    return b->data ? b->data : "";
}

void builder_clear(struct builder *b)
{
    b->length = 0;
    if (b->data)
        b->data[0] = '\0';
}

void builder_release(struct builder *b)
{
    free(b->data);
    *b = (struct builder){0};
}
