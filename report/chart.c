/* Coordinates are of a drawing WIDTH wide, which the page scales down where there is less room. */
#include "report/chart.h"
#include "report/page.h"
#include <math.h>
#include <stdio.h>

enum { WIDTH = 480, LEFT = 76, RIGHT = 12, TOP = 10, BOTTOM = 40, POINTS = 240, TICKS = 4 };
enum { HEAT_COLUMNS = 96, HEAT_LABEL = 28, COLOURS = 6 };
enum { RANK_WIDTH = 720, RANK_ROW = 22, RANK_LEFT = 34, RANK_NAME = 230, RANK_TOP = 14 };

struct range {
    double least, largest;
};

static const char *colour(uint32_t i)
{
    static const char *const names[COLOURS] = {"var(--a)", "var(--b)", "var(--c)",
                                               "var(--d)", "var(--e)", "var(--f)"};
    return names[i % COLOURS];
}

/* The stroke of line i of `count`: a colour, or one colour from faint to dark. */
static void add_stroke(struct builder *page, uint32_t i, uint32_t count)
{
    if (count <= COLOURS)
        builder_printf(page, "stroke=\"%s\"", colour(i));
    else
        builder_printf(page, "stroke=\"var(--ink)\" stroke-opacity=\"%.2f\"",
                       0.25 + 0.75 * i / (double)(count - 1));
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

static double up(double y, struct range range, int height)
{
    double span = range.largest - range.least;
    return height - BOTTOM - (height - TOP - BOTTOM) * (span > 0 ? (y - range.least) / span : 0.5);
}

static void draw_axes(struct builder *page, const char *x_name, const char *y_name, struct range range,
                      uint32_t most, int height)
{
    int up_ticks = height > CHART_LOW ? TICKS : TICKS / 2;
    int ticks = most - 1 < TICKS ? (int)most - 1 : TICKS; /* steps are whole */
    for (int i = 0; i <= up_ticks; i++) {
        double y = range.least + (range.largest - range.least) * i / up_ticks, at = up(y, range, height);
        builder_printf(page,
                       "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/>"
                       "<text class=\"soft\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
                       LEFT, WIDTH - RIGHT, at, at, LEFT - 6, at + 4, y);
    }
    for (int i = 0; i <= ticks; i++) {
        double x = ticks ? round(1 + ((double)most - 1) * i / ticks) : 1;
        builder_printf(page, "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.0f</text>\n",
                       across(x, most), height - BOTTOM + 16, i > 0 && i == ticks ? "end" : "middle", x);
    }
    builder_printf(page, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                   (LEFT + WIDTH) / 2, height - 6, x_name);
    builder_printf(
        page,
        "<text class=\"soft\" x=\"14\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 14 %d)\">%s"
        "</text>\n",
        height / 2, height / 2, y_name);
}

static void draw_line(struct builder *page, const struct chart_series *s, struct range range, uint32_t most,
                      int height, uint32_t number, uint32_t of)
{
    uint32_t points = s->count < POINTS ? s->count : POINTS;
    builder_add_text(page, "<polyline fill=\"none\" ");
    add_stroke(page, number, of);
    builder_add_text(page, " stroke-width=\"1.5\" points=\"");
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
            builder_printf(page, "%.1f,%.1f ", across((first + end + 1) / 2.0, most),
                           up(sum / used, range, height));
    }
    builder_add_text(page, "\"/>\n");
}

void chart_lines(struct builder *page, const char *x_name, const char *y_name,
                 const struct chart_series *series, uint32_t count, const char *each,
                 enum chart_height height)
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
    builder_printf(page, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n", WIDTH, (int)height,
                   WIDTH);
    draw_axes(page, x_name, y_name, range, most, (int)height);
    for (uint32_t s = 0; s < count; s++)
        draw_line(page, &series[s], range, most, (int)height, s, count);
    builder_add_text(page, "</svg>\n");
    if (count > COLOURS)
        builder_printf(page, "<p class=\"soft\">%u %s, from the first (faint) to the last</p>\n", count,
                       each);
    if (count < 2 || count > COLOURS)
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
    int height = count > 40 ? 6 : count > 12 ? 12 : 18, label = count > 1 && height >= 12 ? HEAT_LABEL : 0;
    builder_printf(page, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n", WIDTH,
                   (int)count * height + 2, WIDTH);
    for (uint32_t r = 0; r < count; r++) {
        uint32_t cells = columns[r] < HEAT_COLUMNS ? columns[r] : HEAT_COLUMNS;
        double width = (double)(WIDTH - label) / (cells ? cells : 1);
        if (label && (height > 12 || r % 2 == 0)) /* numbers are higher than a low row */
            builder_printf(page, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%u</text>",
                           label - 8, (int)r * height + (height > 12 ? height - 4 : 10), r);
        for (uint32_t c = 0; c < cells; c++) {
            double value = mean_of(rows[r], (uint32_t)((uint64_t)columns[r] * c / cells),
                                   (uint32_t)((uint64_t)columns[r] * (c + 1) / cells));
            double shade = largest > least ? (value - least) / (largest - least) : 0.5;
            builder_printf(page,
                           "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"var(--ink)\" "
                           "fill-opacity=\"%.2f\"/>",
                           label + c * width, (int)r * height, width + 0.05, height - 1,
                           isfinite(shade) ? 0.04 + 0.96 * shade : 0);
        }
        builder_add_text(page, "\n");
    }
    builder_add_text(page, "</svg>\n");
}

/* ---- ranks ---- */

static double rank_across(const struct chart_ranks *r, uint32_t point)
{
    double room = RANK_WIDTH - RANK_LEFT - RANK_NAME - 8;
    return RANK_LEFT + (r->points > 1 ? room * point / (r->points - 1) : room / 2);
}

static double rank_up(uint32_t rank)
{
    return RANK_TOP + (rank - 1) * RANK_ROW + RANK_ROW / 2.0;
}

/* The last point with a rank. */
static uint32_t last_ranked(const struct chart_ranks *r, uint32_t thing)
{
    uint32_t last = 0;
    for (uint32_t p = 0; p < r->points; p++)
        if (r->ranks[thing][p])
            last = p;
    return last;
}

/* The best at the last point have colours; the others recede. */
static void draw_ranks_of(struct builder *page, const struct chart_ranks *r, uint32_t thing)
{
    uint32_t last = last_ranked(r, thing), rank = r->ranks[thing][last];
    bool is_last = last + 1 == r->points, stands_out = is_last && rank <= COLOURS;
    const char *stroke = stands_out ? colour(rank - 1) : "var(--soft)";
    builder_printf(page,
                   "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-opacity=\"%s\" "
                   "points=\"",
                   stroke, stands_out ? "2.5" : "1.2", stands_out ? "1" : "0.6");
    for (uint32_t p = 0; p < r->points; p++)
        if (r->ranks[thing][p])
            builder_printf(page, "%.1f,%.1f ", rank_across(r, p), rank_up(r->ranks[thing][p]));
    builder_add_text(page, "\"/>");
    for (uint32_t p = 0; p < r->points; p++)
        if (r->ranks[thing][p])
            builder_printf(page, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"/>", rank_across(r, p),
                           rank_up(r->ranks[thing][p]), stands_out ? "4" : "2.5", stroke);
    if (is_last) {
        builder_printf(page, "<text x=\"%.1f\" y=\"%.1f\"%s>", rank_across(r, last) + 10, rank_up(rank) + 4,
                       stands_out ? "" : " class=\"soft\"");
        page_add_text(page, str_from(r->names[thing]));
        builder_add_text(page, "</text>");
    }
    builder_add_text(page, "\n");
}

static uint32_t worst_rank(const struct chart_ranks *r)
{
    uint32_t worst = 1;
    for (uint32_t t = 0; t < r->count; t++)
        for (uint32_t p = 0; p < r->points; p++)
            worst = r->ranks[t][p] > worst ? r->ranks[t][p] : worst;
    return worst;
}

void chart_ranks(struct builder *page, const struct chart_ranks *ranks)
{
    uint32_t worst = worst_rank(ranks);
    int bottom = RANK_TOP + (int)worst * RANK_ROW, height = bottom + 26;
    builder_printf(page, "<div class=\"wide least\"><svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n",
                   RANK_WIDTH, height, RANK_WIDTH);
    for (uint32_t rank = 1; rank <= worst; rank++)
        builder_printf(page, "<text class=\"soft\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%u</text>",
                       RANK_LEFT - 14, rank_up(rank) + 4, rank);
    for (uint32_t p = 0; p < ranks->points; p++) {
        double x = rank_across(ranks, p);
        builder_printf(page,
                       "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"var(--line)\"/>"
                       "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">",
                       x, x, RANK_TOP, bottom, p ? x : x - RANK_LEFT, bottom + 18, p ? "middle" : "start");
        page_add_text(page, str_from(ranks->point_names[p]));
        builder_add_text(page, "</text>\n");
    }
    for (uint32_t t = 0; t < ranks->count; t++)
        draw_ranks_of(page, ranks, t);
    builder_add_text(page, "</svg></div>\n");
}
