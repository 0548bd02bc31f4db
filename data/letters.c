/* Mappings of one character to one are utf8proc's. Those to several (Unicode's SpecialCasing) follow from
 * full case folding: "ß" folds to "ss", whose title case is "Ss". */
#include "data/letters.h"
#include "data/utf8.h"
#include <utf8proc.h>

/* The character at `at`, or -1; *next is behind it. */
static int32_t read_at(struct str text, size_t at, size_t *next)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text.data + at, (utf8proc_ssize_t)(text.length - at), &c);
    *next = at + (n > 0 ? (size_t)n : 1);
    return n > 0 ? c : -1;
}

/* Where the character begins that ends before `end` > 0. */
static size_t step_back(struct str text, size_t end)
{
    size_t at = end - 1;
    while (at > 0 && end - at < 4 && ((unsigned char)text.data[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static bool is_space(int32_t c)
{
    return c >= 0 && (utf8_is_space((uint32_t)c) || (c >= 0x1c && c <= 0x1f));
}

size_t letters_spaces_at_end(struct str text)
{
    size_t end = text.length, next;
    while (end > 0) {
        size_t at = step_back(text, end);
        if (!is_space(read_at(text, at, &next)) || next != end)
            break;
        end = at;
    }
    return text.length - end;
}

struct str letters_strip(struct str text)
{
    size_t next, first = 0;
    text.length -= letters_spaces_at_end(text);
    while (first < text.length && is_space(read_at(text, first, &next)))
        first = next;
    return (struct str){text.data + first, text.length - first};
}

static bool is_cased(int32_t c)
{
    return c >= 0 && (utf8proc_tolower(c) != c || utf8proc_toupper(c) != c || utf8proc_totitle(c) != c);
}

/* Unicode's Case_Ignorable, as its categories and word breaks give it. */
static bool is_ignored(int32_t c)
{
    static const int32_t marks[] = {'\'',   '.',    ':',    0xb7,   0x387,  0x55f,  0x5f4,  0x2018, 0x2019,
                                    0x2024, 0x2027, 0xfe13, 0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    if (c < 0)
        return false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (c == marks[i])
            return true;
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
           category == UTF8PROC_CATEGORY_SK;
}

/* A sigma behind a letter and before none is the one that ends words. */
static bool ends_a_word(struct str text, size_t at, size_t next)
{
    int32_t c = -1;
    size_t behind;
    while (at > 0) {
        at = step_back(text, at);
        c = read_at(text, at, &behind);
        if (!is_ignored(c))
            break;
    }
    if (!is_cased(c))
        return false;
    do
        c = next < text.length ? read_at(text, next, &next) : -1;
    while (is_ignored(c));
    return !is_cased(c);
}

static void add(struct builder *out, int32_t c)
{
    utf8proc_uint8_t bytes[4];
    builder_add(out, (const char *)bytes, (size_t)utf8proc_encode_char(c, bytes));
}

/* Full case folding, where it has several characters; 0: it has one. */
static int fold(int32_t out[8], int32_t c)
{
    int last = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(c, out, 8, UTF8PROC_CASEFOLD, &last);
    return n > 1 && n <= 8 ? (int)n : 0;
}

static void add_title(struct builder *out, int32_t c)
{
    enum { SHARP_S = 0xdf }; /* utf8proc's is the capital sharp s */
    int32_t folded[8];
    bool has_none = utf8proc_totitle(c) == c && utf8proc_tolower(c) == c;
    int count = has_none || c == SHARP_S ? fold(folded, c) : 0;
    add(out, utf8proc_totitle(count > 0 ? folded[0] : c));
    for (int i = 1; i < count; i++)
        add(out, folded[i]);
}

static void add_small(struct builder *out, int32_t c)
{
    enum { DOTTED_I = 0x130, DOT_ABOVE = 0x307 };
    if (c != DOTTED_I) {
        add(out, utf8proc_tolower(c));
        return;
    }
    add(out, 'i');
    add(out, DOT_ABOVE);
}

void letters_capitalise(struct builder *out, struct str text)
{
    enum { SIGMA = 0x3a3, LAST_SIGMA = 0x3c2 };
    for (size_t at = 0, next; at < text.length; at = next) {
        int32_t c = read_at(text, at, &next);
        if (c >= 0 && at == 0)
            add_title(out, c);
        else if (c == SIGMA && ends_a_word(text, at, next))
            add(out, LAST_SIGMA);
        else if (c >= 0)
            add_small(out, c);
    }
}
