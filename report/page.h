/* HTML and SVG as text in a builder. What comes from users is escaped here. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "base/str.h"

/* With links to the sections of `body`, which the caller adds after. */
void page_begin(struct builder *page, const char *title, const struct builder *body);
void page_end(struct builder *page);
/* A heading that the contents link to; `id` and title are words of ours. */
void page_section(struct builder *page, const char *id, const char *title);
/* Things two in a row where there is room, else one below the other. */
void page_pair_begin(struct builder *page);
void page_pair_next(struct builder *page);
void page_pair_end(struct builder *page);

/* With the characters that mean something in HTML written as entities. */
void page_add_text(struct builder *page, struct str text);

/* A table: rows of cells, of which the first row are headings. A cell that looks like a number is set to the
 * right. */
void page_table_begin(struct builder *page, const char *const *headings, uint32_t count);
void page_row(struct builder *page, const struct str *cells, uint32_t count);
void page_table_end(struct builder *page);

/* 1234567 as "1,234,567"; room for every number. */
enum { PAGE_NUMBER_SIZE = 32 };
const char *page_number(char out[PAGE_NUMBER_SIZE], int64_t number);

#endif
