/* The characters from U+0100 on stand, in order, for the bytes that are not visible themselves. */
#include "data/byte_alphabet.h"

#include "data/utf8.h"
#include <string.h>

static bool is_visible(uint32_t byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

uint32_t byte_alphabet_character(uint8_t byte)
{
    if (is_visible(byte))
        return byte;
    uint32_t hidden_before = 0;
    for (uint32_t other = 0; other < byte; other++)
        hidden_before += !is_visible(other);
    return 0x100 + hidden_before;
}

int byte_alphabet_byte(uint32_t character)
{
    if (character < 0x100)
        return is_visible(character) ? (int)character : -1;
    uint32_t hidden = character - 0x100;
    for (int byte = 0; byte < 0x100; byte++)
        if (!is_visible((uint32_t)byte) && hidden-- == 0)
            return byte;
    return -1;
}

bool byte_alphabet_decode(struct str *out, struct arena *arena, struct str piece)
{
    char *bytes = arena_alloc(arena, piece.length + 1);
    size_t count = 0;
    for (size_t at = 0; at < piece.length;) {
        uint32_t character;
        at += utf8_read((struct str){piece.data + at, piece.length - at}, &character);
        int byte = byte_alphabet_byte(character);
        if (byte < 0)
            return false;
        bytes[count++] = (char)byte;
    }
    *out = (struct str){bytes, count};
    return true;
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

int byte_piece_value(struct str piece)
{
    if (piece.length != 6 || memcmp(piece.data, "<0x", 3) != 0 || piece.data[5] != '>')
        return -1;
    int high = digit_value(piece.data[3]), low = digit_value(piece.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}
