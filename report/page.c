/* One file that needs nothing else: the style is within, there is no script. Colours follow what the reader's
 * system prefers. */
#include "report/page.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LONG_CELL = 36 }; /* bytes beyond which a cell may break */

static const char style[] =
    ":root{color-scheme:light dark;--back:#fff;--text:#1c2024;--soft:#60646c;--line:#d9d9e0;--box:#f5f6f8;--ink:#2563eb;--a:#2563eb;--b:#c2410c;"
    "--c:#15803d;--d:#7e22ce;--e:#a16207;--f:#0e7490}"
    "@media(prefers-color-scheme:dark){:root{--back:#15171a;--text:#e6e8eb;--soft:#9ba1a6;--line:#34383d;--box:#1e2125;"
    "--ink:#7aa7ff;--a:#7aa7ff;--b:#ff9d66;--c:#6ee787;--d:#d2a8ff;--e:#e3c05c;--f:#5cd0e6}}"
    "body{font:15px/1.5 system-ui,sans-serif;background:var(--back);color:var(--text);margin:0 auto;max-width:74rem;"
    "padding:1.5rem}"
    "h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid "
    "var(--line)}h3{font-size:1rem;margin:1.2rem 0 .4rem}p{margin:.4rem 0}.soft{color:var(--soft)}"
    "a{color:var(--ink)}nav{margin:.8rem 0}nav a{margin-right:1rem;white-space:nowrap}.wide{overflow-x:auto;background:"
    "linear-gradient(to left,var(--back) 40%,transparent) right/4rem 100% no-repeat local,"
    "linear-gradient(to left,var(--line),transparent) right/1.2rem 100% no-repeat scroll}"
    ".wide td:first-child,.wide th:first-child{position:sticky;left:0;background:var(--back)}"
    ".least svg{max-width:none}"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:.4rem 2rem;align-items:"
    "start}.pair>div{min-width:0}"
    ".texts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:.6rem}"
    ".texts p{background:var(--box);border:1px solid var(--line);border-radius:6px;padding:.5rem .7rem;margin:0;"
    "white-space:pre-wrap;overflow-wrap:anywhere}.texts small{display:block;color:var(--soft);white-space:normal}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}"
    "th,td{padding:.25rem .55rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}"
    "td.n{text-align:right}td.w{white-space:normal;min-width:14rem}th{color:var(--soft);font-weight:600;white-space:normal;vertical-align:bottom}code{font:.85em ui-monospace,monospace}"
    "svg{max-width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--text)}"
    "svg .soft{fill:var(--soft)}@media(max-width:40rem){body{padding:1rem}th{white-space:nowrap}}.key{display:inline-block;margin-right:1rem}"
    ".key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:2px}";

#define HEADING "<h2 id=\""

/* Links to the headings of page_section. */
static void add_contents(struct builder *page, const char *body)
{
    builder_add_text(page, "<nav>");
    for (const char *at = body; (at = strstr(at, HEADING)); at++) {
        const char *id = at + strlen(HEADING), *title = strchr(id, '>') + 1;
        builder_printf(page, "<a href=\"#%.*s\">%.*s</a> ", (int)strcspn(id, "\""), id,
                       (int)strcspn(title, "<"), title);
    }
    builder_add_text(page, "</nav>\n");
}

void page_begin(struct builder *page, const char *title, const struct builder *body)
{
    builder_add_text(page,
                     "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    page_add_text(page, str_from(title));
    builder_printf(page, "</title>\n<style>%s</style>\n<h1>", style);
    page_add_text(page, str_from(title));
    builder_add_text(page, "</h1>\n");
    add_contents(page, builder_text(body));
}

void page_end(struct builder *page)
{
    builder_add_text(page, "</html>\n");
}

void page_section(struct builder *page, const char *id, const char *title)
{
    builder_printf(page, HEADING "%s\">%s</h2>\n", id, title);
}

void page_pair_begin(struct builder *page)
{
    builder_add_text(page, "<div class=\"pair\"><div>\n");
}

void page_pair_next(struct builder *page)
{
    builder_add_text(page, "</div><div>\n");
}

void page_pair_end(struct builder *page)
{
    builder_add_text(page, "</div></div>\n");
}

void page_add_text(struct builder *page, struct str text)
{
    for (size_t i = 0; i < text.length; i++)
        switch (text.data[i]) {
        case '<':
            builder_add_text(page, "&lt;");
            break;
        case '>':
            builder_add_text(page, "&gt;");
            break;
        case '&':
            builder_add_text(page, "&amp;");
            break;
        case '"':
            builder_add_text(page, "&quot;");
            break;
        default:
            if ((unsigned char)text.data[i] < 0x20 && text.data[i] != '\n' && text.data[i] != '\t')
                builder_add_text(page, "\xef\xbf\xbd"); /* HTML has no other control characters */
            else
                builder_add(page, &text.data[i], 1);
        }
}

void page_table_begin(struct builder *page, const char *const *headings, uint32_t count)
{
    builder_add_text(page, "<div class=\"wide\"><table><tr>");
    for (uint32_t i = 0; i < count; i++)
        builder_printf(page, "<th>%s</th>", headings[i]);
    builder_add_text(page, "</tr>\n");
}

static bool looks_like_number(struct str cell)
{
    size_t i = 0;
    static const char parts[] = "0123456789.,-+e %()\xc2\xb1\xe2\x80\x93"; /* plus-minus and en dash too */
    while (i < cell.length && strchr(parts, cell.data[i]))
        i++;
    return i > 0 && i == cell.length && cell.data[0] != 'e';
}

void page_row(struct builder *page, const struct str *cells, uint32_t count)
{
    builder_add_text(page, "<tr>");
    for (uint32_t i = 0; i < count; i++) {
        builder_add_text(page, looks_like_number(cells[i])   ? "<td class=\"n\">"
                               : cells[i].length > LONG_CELL ? "<td class=\"w\">"
                                                             : "<td>");
        page_add_text(page, cells[i]);
        builder_add_text(page, "</td>");
    }
    builder_add_text(page, "</tr>\n");
}

void page_table_end(struct builder *page)
{
    builder_add_text(page, "</table></div>\n");
}

const char *page_number(char out[PAGE_NUMBER_SIZE], int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number), to = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}
