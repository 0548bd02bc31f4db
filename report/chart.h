/* Curves, heat maps and rankings as SVG. They are as wide as the page lets them be: what is of half size
 * stands two in a row where there is room (page_pair_begin), and is legible in a narrow window. */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H

#include "base/str.h"

struct chart_series {
    const char *name;
    const double
        *values; /* [count], at 1, 2, .. count times `step`; numbers that are not finite are left out */
    uint32_t count;
};

enum chart_height { CHART_LOW = 140, CHART_HIGH = 220 };

/* Lines over one axis. Long ones are drawn as means of neighbours. Each has a colour of its own while there
 * are colours; more than those go from faint to dark in their order, `each` saying what they are ("layers").
 */
void chart_lines(struct builder *page, const char *across, const char *up, const struct chart_series *series,
                 uint32_t count, const char *each, enum chart_height height);

/* A row for each of `rows` arrays of `columns` numbers, darker for higher between least and largest; wide
 * rows are drawn as means of neighbours. A single row has no number. */
void chart_heat(struct builder *page, const float *const *rows, const uint32_t *columns, uint32_t count,
                double least, double largest);

/* A line for each of `count` things through its ranks [points], from 1; 0: it is not ranked there, and its
 * line ends. Things are named where their lines end, points below. Names have at most 28 letters. */
struct chart_ranks {
    const char *const *names;
    const uint32_t *const *ranks;
    uint32_t count, points;
    const char *const *point_names;
};
void chart_ranks(struct builder *page, const struct chart_ranks *ranks);

#endif
