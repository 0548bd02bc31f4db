/* See report.h. */
#include "report/report.h"
#include "report/flow.h"
#include "report/page.h"
#include "report/section_ranking.h"
#include "report/sections.h"
#include "store/object.h"

enum status section_json(json_t **out, const struct run *run, uint32_t stage, const char *output,
                         struct trace *trace)
{
    const struct store_output *found =
        run->done[stage] ? store_result_find(&run->results[stage], output) : NULL;
    struct store_object object = {0};
    *out = NULL;
    if (!found)
        return OK;
    TRY(store_open_object(&object, run->store, found->id, NULL, OBJECT_TRUST, trace));
    *out = json_loadb((const char *)object.data, object.size, 0, NULL);
    store_object_release(&object);
    return *out ? OK
                : status_fail(trace, CORRUPT, "output \"%s\" of stage \"%s\" is not JSON", output,
                              run->pipeline.stages.items[stage].name);
}

static void add_summary(struct builder *page, const struct run *run)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++)
        done += run->done[i];
    builder_add_text(page, "<p class=\"soft\">");
    page_add_text(page, str_from(run->pipeline.path));
    builder_printf(page, " &middot; %u of %u stages in the store &middot; numerics %s</p>\n", done,
                   run->pipeline.stages.count, run->numerics);
}

static const char *title_of(const struct run *run)
{
    return run->pipeline.name && *run->pipeline.name ? run->pipeline.name : run->pipeline.path;
}

/* The sections of a pipeline's stages. */
static enum status add_sections(struct builder *body, const struct run *run, struct trace *trace)
{
    static section_function *const sections[] = {
        section_evaluation, section_texts,    section_answers, section_samples, section_models,
        section_rewrites,   section_training, section_scores,  section_inputs,  section_records};
    struct arena arena = {0};
    enum status status = OK;
    page_section(body, "flow", "Stages");
    flow_draw(body, run);
    for (size_t i = 0; status == OK && i < sizeof sections / sizeof *sections; i++)
        status = sections[i](body, run, &arena, trace);
    arena_release(&arena);
    return status;
}

static void finish(struct builder *page, const char *title, const struct builder *body)
{
    page_begin(page, title, body);
    builder_add(page, builder_text(body), body->length);
    page_end(page);
}

enum status report_make(struct builder *page, const struct run *run, struct trace *trace)
{
    struct builder body = {0};
    add_summary(&body, run);
    enum status status = add_sections(&body, run, trace);
    if (status == OK)
        finish(page, title_of(run), &body);
    builder_release(&body);
    return status;
}

/* ---- searches ---- */

/* A run of some of another's stages, which are all that they take. It owns nothing. */
struct excerpt {
    struct run run;
    struct arena arena;
    const struct run *of;
    uint32_t *numbers; /* of `of`'s stages here, or STAGE_NONE */
};

static void begin_excerpt(struct excerpt *x, const struct run *of)
{
    uint32_t count = of->pipeline.stages.count;
    *x = (struct excerpt){.run = *of, .of = of};
    x->run.pipeline.stages.items = ARENA_ARRAY(&x->arena, struct stage_entry, count);
    x->run.pipeline.stages.count = 0;
    x->run.results = ARENA_ARRAY(&x->arena, struct store_result, count);
    x->run.keys = ARENA_ARRAY(&x->arena, struct hash128, count);
    x->run.done = ARENA_ARRAY(&x->arena, bool, count);
    x->numbers = ARENA_ARRAY(&x->arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        x->numbers[i] = STAGE_NONE;
}

/* What a stage takes is in the excerpt already. */
static void renumber(const struct excerpt *x, uint32_t *stage)
{
    *stage = *stage == STAGE_NONE ? STAGE_NONE : x->numbers[*stage];
}

static void add_to_excerpt(struct excerpt *x, uint32_t stage)
{
    if (stage == STAGE_NONE || x->numbers[stage] != STAGE_NONE)
        return;
    uint32_t number = x->numbers[stage] = x->run.pipeline.stages.count++;
    struct stage_entry *e = &x->run.pipeline.stages.items[number];
    *e = x->of->pipeline.stages.items[stage];
    struct stage_teacher *teachers = ARENA_ARRAY(&x->arena, struct stage_teacher, e->teacher_count + 1);
    for (uint32_t i = 0; i < e->teacher_count; i++) {
        teachers[i] = e->teachers[i];
        renumber(x, &teachers[i].stage);
    }
    e->teachers = teachers;
    renumber(x, &e->model);
    renumber(x, &e->scores);
    renumber(x, &e->like);
    x->run.results[number] = x->of->results[stage];
    x->run.keys[number] = x->of->keys[stage];
    x->run.done[number] = x->of->done[stage];
}

/* What all candidates share, and the best candidate as it is right after pruning and at the last point. */
static enum status add_best(struct builder *body, const struct search *search, const struct ranking *ranking,
                            struct trace *trace)
{
    struct excerpt x;
    uint32_t point = 0, best = section_best(&point, ranking);
    begin_excerpt(&x, &ranking->run);
    for (uint32_t i = 0; i < ranking->layout.shared; i++)
        add_to_excerpt(&x, i);
    if (best != UINT32_MAX) {
        builder_add_text(body, "<p>Below: what all candidates share, and the first of the last ranking, <b>");
        page_add_text(body, str_from(search->candidates.items.items[best].label));
        builder_add_text(body, "</b>.</p>\n");
        add_to_excerpt(&x, rank_stage_of_pruning(ranking, best));
        for (uint32_t m = 0; m < ranking->measures.count && ranking->layout.is_first_untrained; m++)
            add_to_excerpt(&x, rank_stage_of_measure(ranking, best, 0, m));
        add_to_excerpt(&x, rank_stage_of_training(ranking, best, point));
        for (uint32_t m = 0; m < ranking->measures.count; m++)
            add_to_excerpt(&x, rank_stage_of_measure(ranking, best, point, m));
    }
    enum status status = add_sections(body, &x.run, trace);
    arena_release(&x.arena);
    return status;
}

enum status report_make_search(struct builder *page, const struct search *search,
                               const struct ranking *ranking, struct trace *trace)
{
    const struct pipeline *p = ranking ? &ranking->run.pipeline : &search->pipeline;
    struct builder body = {0};
    enum status status = OK;
    builder_add_text(&body, "<p class=\"soft\">");
    page_add_text(&body, str_from(p->path));
    builder_printf(&body, " &middot; a search of %u candidates &middot; numerics %s</p>\n",
                   search->candidates.items.count,
                   ranking ? ranking->run.numerics : numerics_identity(p->numerics));
    if (ranking)
        section_rankings(&body, search, ranking);
    section_candidates(&body, search);
    if (ranking)
        status = add_best(&body, search, ranking, trace);
    if (status == OK)
        finish(page, p->name && *p->name ? p->name : p->path, &body);
    builder_release(&body);
    return status;
}
