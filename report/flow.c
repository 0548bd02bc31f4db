/* One stage a row, in the order of the file; edges run down on the left: the further a stage reaches back,
 * the further out its edge. */
#include "report/flow.h"
#include "base/hash.h"
#include "report/page.h"

enum { WIDTH = 720, ROW = 46, BOX = 34, LEFT = 150, LANE = 14 };

enum edge { EDGE_MODEL, EDGE_TEACHER, EDGE_SCORES, EDGE_LIKE, EDGE_KINDS };
static const struct {
    const char *name, *stroke, *dashes;
} edges[EDGE_KINDS] = {{"model", "var(--a)", ""},
                       {"teacher", "var(--b)", "6 3"},
                       {"scores", "var(--c)", "2 3"},
                       {"same shape", "var(--d)", "1 4"}};

static void draw_edge(struct builder *page, uint32_t from, uint32_t to, enum edge kind)
{
    int reach = (int)(to - from) < 9 ? (int)(to - from) : 9, out = LEFT - 8 - LANE * reach;
    int top = (int)from * ROW + BOX / 2 + 5 + (int)kind, bottom = (int)to * ROW + BOX / 2 - 5 + 3 * (int)kind;
    builder_printf(page,
                   "<path d=\"M%d %d H%d V%d H%d\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" "
                   "stroke-dasharray=\"%s\" marker-end=\"url(#tip%d)\"/>\n",
                   LEFT, top, out + (int)kind * 3, bottom, LEFT - 3, edges[kind].stroke, edges[kind].dashes,
                   (int)kind);
}

static void draw_stage(struct builder *page, const struct run *run, uint32_t number)
{
    const struct stage_entry *e = &run->pipeline.stages.items[number];
    const struct store_output *output = run_output(run, number);
    char hex[HASH128_HEX] = "not run";
    int y = (int)number * ROW;
    if (output)
        hash128_to_hex(output->id, hex);
    builder_printf(page,
                   "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\" fill=\"var(--box)\" "
                   "stroke=\"var(--line)\"/><text x=\"%d\" y=\"%d\" font-weight=\"600\">",
                   LEFT, y + 1, WIDTH - LEFT - 2, BOX, LEFT + 12, y + BOX / 2 + 5);
    page_add_text(page, str_from(e->name));
    builder_printf(page, "</text><text class=\"soft\" x=\"%d\" y=\"%d\">%s</text>", LEFT + 190,
                   y + BOX / 2 + 5, e->kind->name);
    builder_printf(page, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s%s</text>\n",
                   WIDTH - 14, y + BOX / 2 + 5, output ? "xxh3:" : "", hex);
}

/* The edges of one kind that end at a stage; whether there are any. */
static bool draw_edges(struct builder *page, const struct stage_entry *e, uint32_t number, enum edge kind)
{
    const uint32_t from[EDGE_KINDS] = {e->model, STAGE_NONE, e->scores, e->like};
    for (uint32_t i = 0; kind == EDGE_TEACHER && i < e->teacher_count; i++)
        draw_edge(page, e->teachers[i].stage, number, kind);
    if (from[kind] != STAGE_NONE)
        draw_edge(page, from[kind], number, kind);
    return from[kind] != STAGE_NONE || (kind == EDGE_TEACHER && e->teacher_count > 0);
}

void flow_draw(struct builder *page, const struct run *run)
{
    uint32_t count = run->pipeline.stages.count;
    bool is_used[EDGE_KINDS] = {false};
    builder_printf(page,
                   "<div class=\"wide least\"><svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n<defs>",
                   WIDTH, (int)count * ROW, WIDTH);
    for (int kind = 0; kind < EDGE_KINDS; kind++)
        builder_printf(page,
                       "<marker id=\"tip%d\" markerWidth=\"7\" markerHeight=\"7\" refX=\"5\" refY=\"3.5\" "
                       "orient=\"auto\" markerUnits=\"userSpaceOnUse\"><path d=\"M0 0L7 3.5L0 7z\" "
                       "fill=\"%s\"/></marker>",
                       kind, edges[kind].stroke);
    builder_add_text(page, "</defs>\n");
    for (uint32_t i = 0; i < count; i++)
        for (enum edge kind = 0; kind < EDGE_KINDS; kind++)
            is_used[kind] = draw_edges(page, &run->pipeline.stages.items[i], i, kind) || is_used[kind];
    for (uint32_t i = 0; i < count; i++)
        draw_stage(page, run, i);
    builder_add_text(page, "</svg></div>\n<p class=\"soft\">");
    for (int kind = 0; kind < EDGE_KINDS; kind++)
        if (is_used[kind])
            builder_printf(page, "<span class=\"key\"><i style=\"background:%s\"></i>%s</span>",
                           edges[kind].stroke, edges[kind].name);
    builder_add_text(page, "</p>\n");
}
