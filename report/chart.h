/* Curves and heat maps as SVG. */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H

#include "base/str.h"

struct chart_series {
    const char *name;
    const double
        *values; /* [count], at 1, 2, .. count times `step`; numbers that are not finite are left out */
    uint32_t count;
};

/* Lines over one axis; at most 64 series. Long ones are drawn as means of neighbours. */
void chart_lines(struct builder *page, const char *across, const char *up, const struct chart_series *series,
                 uint32_t count);

/* A row for each of `rows` arrays of `columns` numbers, darker for higher between least and largest; wide
 * rows are drawn as means of neighbours. */
void chart_heat(struct builder *page, const float *const *rows, const uint32_t *columns, uint32_t count,
                double least, double largest);

#endif
