/* UTF-8 checking by utf8proc, with a fast path for runs of ASCII. */
#include "data/utf8.h"

#include <string.h>
#include <utf8proc.h>

size_t utf8_find_invalid(struct str text)
{
    size_t at = 0;
    while (at < text.length) {
        uint64_t eight;
        if (text.length - at >= sizeof eight) {
            memcpy(&eight, text.data + at, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                at += sizeof eight;
                continue;
            }
        }
        utf8proc_int32_t character;
        size_t left = text.length - at < 4 ? text.length - at : 4;
        utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)text.data + at, (utf8proc_ssize_t)left, &character);
        if (length <= 0)
            return at;
        at += (size_t)length;
    }
    return at;
}

enum status utf8_check(struct str text, const char *name, struct trace *trace)
{
    size_t at = utf8_find_invalid(text);
    if (at == text.length)
        return OK;
    return status_fail(trace, INVALID, "%s is not UTF-8: byte 0x%02x at offset %zu begins no valid character",
                       name, (unsigned char)text.data[at], at);
}

void utf8_add_valid(struct builder *out, struct str text)
{
    while (text.length > 0) {
        size_t valid = utf8_find_invalid(text);
        builder_add(out, text.data, valid);
        if (valid == text.length)
            return;
        builder_add_text(out, "\xef\xbf\xbd");
        text = (struct str){text.data + valid + 1, text.length - valid - 1};
    }
}

size_t utf8_read(struct str text, uint32_t *out)
{
    const unsigned char *byte = (const unsigned char *)text.data;
    if (byte[0] < 0x80) {
        *out = byte[0];
        return 1;
    }
    if (byte[0] < 0xe0) {
        *out = (byte[0] & 0x1fu) << 6 | (byte[1] & 0x3fu);
        return 2;
    }
    if (byte[0] < 0xf0) {
        *out = (byte[0] & 0x0fu) << 12 | (byte[1] & 0x3fu) << 6 | (byte[2] & 0x3fu);
        return 3;
    }
    *out = (byte[0] & 0x07u) << 18 | (byte[1] & 0x3fu) << 12 | (byte[2] & 0x3fu) << 6 | (byte[3] & 0x3fu);
    return 4;
}

size_t utf8_write(char out[4], uint32_t character)
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)character, (utf8proc_uint8_t *)out);
}

size_t utf8_step_back(const char *text, size_t end)
{
    do
        end--;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80);
    return end;
}

bool utf8_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}
