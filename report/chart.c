/* Coordinates are of a drawing WIDTH wide, which the page scales. */
#include "report/chart.h"
#include "report/page.h"
#include <math.h>
#include <stdio.h>

enum { WIDTH = 720, HEIGHT = 260, LEFT = 76, RIGHT = 12, TOP = 10, BOTTOM = 40, POINTS = 400, TICKS = 5 };
enum { HEAT_COLUMNS = 128, HEAT_LABEL = 36, COLOURS = 6 };

struct range {
    double least, largest;
};

static const char *colour(uint32_t i)
{
    static const char *const names[COLOURS] = {"var(--a)", "var(--b)", "var(--c)",
                                               "var(--d)", "var(--e)", "var(--f)"};
    return names[i % COLOURS];
}

static void include(struct range *range, double value)
{
    if (!isfinite(value))
        return;
    range->least = value < range->least ? value : range->least;
    range->largest = value > range->largest ? value : range->largest;
}

static double across(double x, double most)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (most > 1 ? (x - 1) / (most - 1) : 0.5);
}

static double up(double y, struct range range)
{
    double span = range.largest - range.least;
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (span > 0 ? (y - range.least) / span : 0.5);
}

static void draw_axes(struct builder *page, const char *x_name, const char *y_name, struct range range,
                      uint32_t most)
{
    int ticks = most - 1 < TICKS ? (int)most - 1 : TICKS; /* steps are whole */
    for (int i = 0; i <= TICKS; i++) {
        double y = range.least + (range.largest - range.least) * i / TICKS, at = up(y, range);
        builder_printf(page,
                       "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/>"
                       "<text class=\"soft\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
                       LEFT, WIDTH - RIGHT, at, at, LEFT - 6, at + 4, y);
    }
    for (int i = 0; i <= ticks; i++) {
        double x = ticks ? round(1 + ((double)most - 1) * i / ticks) : 1;
        builder_printf(page, "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.0f</text>\n",
                       across(x, most), HEIGHT - BOTTOM + 16, i > 0 && i == ticks ? "end" : "middle", x);
    }
    builder_printf(page, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                   (LEFT + WIDTH) / 2, HEIGHT - 6, x_name);
    builder_printf(
        page,
        "<text class=\"soft\" x=\"14\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 14 %d)\">%s"
        "</text>\n",
        HEIGHT / 2, HEIGHT / 2, y_name);
}

static void draw_line(struct builder *page, const struct chart_series *s, struct range range, uint32_t most,
                      const char *stroke)
{
    uint32_t points = s->count < POINTS ? s->count : POINTS;
    builder_printf(page, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", stroke);
    for (uint32_t p = 0; p < points; p++) {
        uint32_t first = (uint32_t)((uint64_t)s->count * p / points),
                 end = (uint32_t)((uint64_t)s->count * (p + 1) / points), used = 0;
        double sum = 0;
        for (uint32_t i = first; i < end; i++)
            if (isfinite(s->values[i])) {
                sum += s->values[i];
                used++;
            }
        if (used)
            builder_printf(page, "%.1f,%.1f ", across((first + end + 1) / 2.0, most), up(sum / used, range));
    }
    builder_add_text(page, "\"/>\n");
}

void chart_lines(struct builder *page, const char *x_name, const char *y_name,
                 const struct chart_series *series, uint32_t count)
{
    struct range range = {INFINITY, -INFINITY};
    uint32_t most = 1;
    for (uint32_t s = 0; s < count; s++) {
        most = series[s].count > most ? series[s].count : most;
        for (uint32_t i = 0; i < series[s].count; i++)
            include(&range, series[s].values[i]);
    }
    if (!(range.least <= range.largest))
        return;
    builder_printf(page, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n", WIDTH, HEIGHT, WIDTH);
    draw_axes(page, x_name, y_name, range, most);
    for (uint32_t s = 0; s < count; s++)
        draw_line(page, &series[s], range, most, colour(s));
    builder_add_text(page, "</svg>\n");
    if (count < 2)
        return;
    builder_add_text(page, "<p class=\"soft\">");
    for (uint32_t s = 0; s < count; s++) {
        builder_printf(page, "<span class=\"key\"><i style=\"background:%s\"></i>", colour(s));
        page_add_text(page, str_from(series[s].name));
        builder_add_text(page, "</span>");
    }
    builder_add_text(page, "</p>\n");
}

static double mean_of(const float *values, uint32_t first, uint32_t end)
{
    double sum = 0;
    for (uint32_t i = first; i < end; i++)
        sum += (double)values[i];
    return sum / (double)(end - first);
}

void chart_heat(struct builder *page, const float *const *rows, const uint32_t *columns, uint32_t count,
                double least, double largest)
{
    int height = count > 40 ? 6 : count > 12 ? 12 : 18;
    builder_printf(page, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n", WIDTH,
                   (int)count * height + 2, WIDTH);
    for (uint32_t r = 0; r < count; r++) {
        uint32_t cells = columns[r] < HEAT_COLUMNS ? columns[r] : HEAT_COLUMNS;
        double width = (double)(WIDTH - HEAT_LABEL) / (cells ? cells : 1);
        if (height >= 12)
            builder_printf(page, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%u</text>",
                           HEAT_LABEL - 8, (int)r * height + height - 4, r);
        for (uint32_t c = 0; c < cells; c++) {
            double value = mean_of(rows[r], (uint32_t)((uint64_t)columns[r] * c / cells),
                                   (uint32_t)((uint64_t)columns[r] * (c + 1) / cells));
            double shade = largest > least ? (value - least) / (largest - least) : 0.5;
            builder_printf(page,
                           "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"var(--ink)\" "
                           "fill-opacity=\"%.2f\"/>",
                           HEAT_LABEL + c * width, (int)r * height, width + 0.05, height - 1,
                           isfinite(shade) ? 0.04 + 0.96 * shade : 0);
        }
        builder_add_text(page, "\n");
    }
    builder_add_text(page, "</svg>\n");
}
