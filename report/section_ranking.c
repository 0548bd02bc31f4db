/* See section_ranking.h. */
#include "report/section_ranking.h"
#include "report/chart.h"
#include "report/page.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST_POINTS = 24, MOST_CELLS = 12 };

/* A column for each size that the file varies. */
static uint32_t add_size_headings(const char **headings, const struct search *search)
{
    static const char *const names[SIZE_COUNT] = {"layers", "hidden", "heads", "KV heads", "MLP"};
    uint32_t count = 0;
    for (int d = 0; d < SIZE_COUNT; d++)
        if (search->space.is_varied[d])
            headings[count++] = names[d];
    return count;
}

static void add_candidate(struct builder *page, const struct search *search, const struct candidate *c,
                          struct arena *arena)
{
    char digits[PAGE_NUMBER_SIZE];
    struct str cells[MOST_CELLS] = {str_from(c->label)};
    uint32_t count = 1;
    for (int d = 0; d < SIZE_COUNT; d++)
        if (search->space.is_varied[d])
            cells[count++] = str_from(arena_printf(arena, "%" PRId64, c->sizes.of[d]));
    for (int m = 0; m < COST_COUNT; m++)
        cells[count++] = str_from(arena_printf(arena, "%s", page_number(digits, c->cost.of[m])));
    if (search->space.latency.is_set)
        cells[count++] =
            isnan(c->latency) ? STR("not measured") : str_from(arena_printf(arena, "%.4f", c->latency * 1e3));
    page_row(page, cells, count);
}

void section_candidates(struct builder *page, const struct search *search)
{
    static const char *const costs[COST_COUNT] = {"parameters", "non-embedding", "bytes of memory",
                                                  "FLOPs/token"};
    struct arena arena = {0};
    const struct candidates *all = &search->candidates;
    const struct circumstances *c = &search->space.circumstances;
    const char *headings[MOST_CELLS] = {"candidate"};
    uint32_t count = 1 + add_size_headings(headings + 1, search);
    for (int m = 0; m < COST_COUNT; m++)
        headings[count++] = costs[m];
    if (search->space.latency.is_set)
        headings[count++] = "ms a token";
    page_section(page, "candidates", "Candidates");
    page_table_begin(page, headings, count);
    for (uint32_t i = 0; i < all->items.count; i++)
        add_candidate(page, search, &all->items.items[i], &arena);
    page_table_end(page);
    builder_printf(page,
                   "<p class=\"soft\">%u of %" PRIu64 " combinations. Memory: weights in %" PRId64
                   " bits, keys and values of %" PRId64 " × %" PRId64 " tokens in %" PRId64
                   " bits; FLOPs of one token that attends to %" PRId64 ".</p>\n",
                   all->items.count, all->combinations, c->weight_bits, c->batch, c->context, c->cache_bits,
                   c->context);
    arena_release(&arena);
}

/* ---- rankings ---- */

/* Everything about one measure. */
struct board {
    struct builder *page;
    const struct search *search;
    const struct ranking *ranking;
    uint32_t measure;
    uint32_t first, points; /* of the ranking's points: the last MOST_POINTS */
    struct arena arena;
    uint32_t **ranks; /* [candidates][points], from 1; 0: none */
    const char **names;
};

static const struct rank_order *order_at(const struct board *b, uint32_t point)
{
    return &b->ranking->points.items[b->first + point].by[b->measure];
}

static const char *point_name(struct board *b, uint32_t point)
{
    uint32_t step = b->ranking->points.items[b->first + point].step;
    return step ? arena_printf(&b->arena, "%" PRIu32 " steps", step) : "untrained";
}

static void find_ranks(struct board *b)
{
    uint32_t candidates = b->ranking->candidates;
    b->ranks = ARENA_ARRAY(&b->arena, uint32_t *, candidates);
    b->names = ARENA_ARRAY(&b->arena, const char *, candidates);
    for (uint32_t c = 0; c < candidates; c++) {
        b->ranks[c] = ARENA_ARRAY(&b->arena, uint32_t, b->points);
        b->names[c] = b->search->candidates.items.items[c].label;
    }
    for (uint32_t p = 0; p < b->points; p++)
        for (uint32_t i = 0; i < order_at(b, p)->count; i++)
            b->ranks[order_at(b, p)->order[i]][p] = i + 1;
}

static void draw(struct board *b)
{
    const char **points = ARENA_ARRAY(&b->arena, const char *, b->points);
    const uint32_t **ranks = ARENA_ARRAY(&b->arena, const uint32_t *, b->ranking->candidates);
    for (uint32_t p = 0; p < b->points; p++)
        points[p] = point_name(b, p);
    for (uint32_t c = 0; c < b->ranking->candidates; c++)
        ranks[c] = b->ranks[c];
    struct chart_ranks chart = {b->names, ranks, b->ranking->candidates, b->points, points};
    chart_ranks(b->page, &chart);
}

static void add_values_of(struct board *b, uint32_t candidate)
{
    struct str cells[1 + MOST_POINTS] = {str_from(b->names[candidate])};
    for (uint32_t p = 0; p < b->points; p++)
        cells[1 + p] = b->ranks[candidate][p]
                           ? str_from(arena_printf(&b->arena, "%.4f (%" PRIu32 ")",
                                                   order_at(b, p)->value[candidate], b->ranks[candidate][p]))
                           : STR("");
    page_row(b->page, cells, 1 + b->points);
}

static struct str tau_cell(struct board *b, double tau)
{
    return isnan(tau) ? STR("") : str_from(arena_printf(&b->arena, "%.2f", tau));
}

/* Rows of Kendall's tau below the values. */
static void add_taus(struct board *b)
{
    const struct rank_point *points = b->ranking->points.items + b->first;
    struct str before[1 + MOST_POINTS] = {STR("Kendall's tau with the point before")},
                          last[1 + MOST_POINTS] = {STR("Kendall's tau with the last point")},
                          decides[1 + MOST_POINTS] = {STR("Kendall's tau with the order that decides")};
    for (uint32_t p = 0; p < b->points; p++) {
        before[1 + p] = tau_cell(b, points[p].by[b->measure].tau);
        last[1 + p] = tau_cell(b, rank_agreement(b->ranking, b->measure, &points[p], &points[b->points - 1]));
        decides[1 + p] = tau_cell(b, rank_concord(b->ranking, &points[p], b->measure, b->ranking->decides));
    }
    if (b->points > 1) {
        page_row(b->page, before, 1 + b->points);
        page_row(b->page, last, 1 + b->points);
    }
    if (b->measure != b->ranking->decides)
        page_row(b->page, decides, 1 + b->points);
}

/* In the order of the last point, then those that were dropped, the last of them first. */
static void add_table(struct board *b)
{
    const char *headings[1 + MOST_POINTS] = {"candidate"};
    bool *is_shown = ARENA_ARRAY(&b->arena, bool, b->ranking->candidates);
    for (uint32_t p = 0; p < b->points; p++)
        headings[1 + p] = point_name(b, p);
    page_table_begin(b->page, headings, 1 + b->points);
    for (uint32_t p = b->points; p-- > 0;)
        for (uint32_t i = 0; i < order_at(b, p)->count; i++) {
            uint32_t candidate = order_at(b, p)->order[i];
            if (!is_shown[candidate])
                add_values_of(b, candidate);
            is_shown[candidate] = true;
        }
    add_taus(b);
    page_table_end(b->page);
}

static void add_measure(struct board *b)
{
    const struct rank_measure *m = &b->ranking->measures.items[b->measure];
    builder_printf(b->page, "<h3>By %s of ", m->quantity);
    page_add_text(b->page, str_from(m->name));
    builder_printf(
        b->page, " <span class=\"soft\">%s is best%s</span></h3>\n", m->is_high_best ? "highest" : "lowest",
        b->ranking->measures.count > 1 && b->measure == b->ranking->decides ? "; this one decides" : "");
    find_ranks(b);
    draw(b);
    add_table(b);
}

/* How many points rank any candidate. */
static uint32_t count_points(const struct ranking *ranking)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < ranking->points.count; p++)
        if (ranking->points.items[p].by[ranking->decides].count > 0)
            count = p + 1;
    return count;
}

void section_rankings(struct builder *page, const struct search *search, const struct ranking *ranking)
{
    uint32_t points = count_points(ranking);
    page_section(page, "ranking", "Ranking");
    if (points == 0) {
        builder_add_text(page, "<p class=\"soft\">No candidate has been measured.</p>\n");
        return;
    }
    if (ranking->is_settled)
        builder_printf(page, "<p>The order has settled after %" PRIu32 " steps.</p>\n",
                       ranking->points.items[points - 1].step);
    for (uint32_t m = 0; m < ranking->measures.count; m++) {
        struct board board = {.page = page, .search = search, .ranking = ranking, .measure = m};
        board.first = points > MOST_POINTS ? points - MOST_POINTS : 0;
        board.points = points - board.first;
        add_measure(&board);
        arena_release(&board.arena);
    }
}

uint32_t section_best(uint32_t *point, const struct ranking *ranking)
{
    uint32_t points = count_points(ranking);
    if (points == 0)
        return UINT32_MAX;
    *point = points - 1;
    return ranking->points.items[points - 1].by[ranking->decides].order[0];
}
