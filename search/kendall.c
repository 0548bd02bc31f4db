/* Pair by pair: a search has hundreds of candidates, not millions. */
#include "search/kendall.h"
#include <math.h>

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

double kendall_tau(const double *x, const double *y, uint32_t count)
{
    uint64_t same = 0, opposite = 0, tied_x = 0, tied_y = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = i + 1; k < count; k++) {
            int a = order(x[i], x[k]), b = order(y[i], y[k]);
            same += a * b > 0;
            opposite += a * b < 0;
            tied_x += a == 0 && b != 0;
            tied_y += a != 0 && b == 0;
        }
    double untied = (double)(same + opposite);
    double scale = sqrt((untied + (double)tied_x) * (untied + (double)tied_y));
    return scale > 0 ? ((double)same - (double)opposite) / scale : NAN;
}
