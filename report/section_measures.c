/* What evaluate and answer measured: one table of all models in the form of the papers, a row a model, then
 * what each stage measured. Intervals are of 95 %. */
#include "pipeline/training_plan.h"
#include "report/page.h"
#include "report/sections.h"
#include <math.h>
#include <string.h>

enum { MOST_COLUMNS = 24, MOST_CELLS = 4 /* of a column */ };

static double number(const json_t *report, const char *key)
{
    return json_number_value(json_object_get(report, key));
}

static struct str printed(struct arena *arena, const json_t *report, const char *key)
{
    return json_object_get(report, key) ? str_from(arena_printf(arena, "%.4f", number(report, key)))
                                        : STR("");
}

static struct str count(struct arena *arena, const json_t *report, const char *key)
{
    char digits[PAGE_NUMBER_SIZE];
    return str_from(arena_printf(arena, "%s", page_number(digits, (int64_t)number(report, key))));
}

/* A mean with 1.96 of its standard errors, of which `errors` has the member `error`; or the mean alone. */
static struct str interval(struct arena *arena, const json_t *report, const char *key, const json_t *errors,
                           const char *error)
{
    if (!json_object_get(report, key))
        return STR("");
    if (!json_object_get(errors, error))
        return printed(arena, report, key);
    return str_from(arena_printf(arena, "%.4f ± %.4f", number(report, key), 1.96 * number(errors, error)));
}

/* e to the ends of the interval of the loss. */
static struct str perplexity(struct arena *arena, const json_t *report, const json_t *errors)
{
    if (!json_object_get(errors, "loss_error"))
        return printed(arena, report, "perplexity");
    double loss = number(report, "loss"), reach = 1.96 * number(errors, "loss_error");
    return str_from(arena_printf(arena, "%#.4g (%#.4g – %#.4g)", number(report, "perplexity"),
                                 exp(loss - reach), exp(loss + reach)));
}

/* What a stage measured, and what intervals are made of; NULL where there is none. Release both. */
struct measured {
    json_t *report, *errors;
};

static enum status read_measured(struct measured *out, const struct run *run, uint32_t stage,
                                 struct trace *trace)
{
    *out = (struct measured){0};
    TRY(section_json(&out->report, run, stage, "report", trace));
    enum status status = section_json(&out->errors, run, stage, "windows", trace);
    if (status != OK)
        json_decref(out->report);
    return status;
}

static void release_measured(struct measured *m)
{
    json_decref(m->report);
    json_decref(m->errors);
}

/* ---- all models ---- */

/* What two stages have in common that measure the same of different models. */
struct column {
    const char *what; /* kind, input, teacher and settings */
    const char *heading;
    bool answers, compares;
    uint32_t first; /* cell */
};

struct summary {
    const struct run *run;
    struct arena *arena;
    struct column columns[MOST_COLUMNS];
    uint32_t count, cells;
};

static bool is_measure(const struct stage_entry *e)
{
    return strcmp(e->kind->name, "evaluate") == 0 || strcmp(e->kind->name, "answer") == 0;
}

static const char *what_it_measures(const struct summary *s, const struct stage_entry *e)
{
    struct builder text = {0};
    builder_printf(&text, "%s %u %u\n", e->kind->name, e->data,
                   e->teacher_count > 0 ? e->teachers[0].stage : STAGE_NONE);
    settings_print(&e->settings, &text);
    const char *what = arena_printf(s->arena, "%s", builder_text(&text));
    builder_release(&text);
    return what;
}

static const char *heading_of(const struct summary *s, const struct stage_entry *e)
{
    const struct input_entry *input = &s->run->pipeline.inputs.items[e->data];
    if (strcmp(e->kind->name, "evaluate") == 0)
        return arena_printf(s->arena, "%s, windows of %lld", input->name,
                            (long long)settings_integer(&e->settings, "length"));
    return arena_printf(s->arena, "%s, %lld shots", input->name,
                        (long long)settings_integer(&e->settings, "shots"));
}

/* The stage's column, or NULL where there are too many. */
static struct column *find_column(struct summary *s, const struct stage_entry *e)
{
    const char *what = what_it_measures(s, e);
    for (uint32_t i = 0; i < s->count; i++)
        if (strcmp(s->columns[i].what, what) == 0)
            return &s->columns[i];
    if (s->count == MOST_COLUMNS)
        return NULL;
    struct column *c = &s->columns[s->count++];
    *c = (struct column){what, heading_of(s, e), strcmp(e->kind->name, "answer") == 0, e->teacher_count > 0,
                         s->cells};
    s->cells += c->compares ? 4 : 2;
    return c;
}

/* Tokens that the training stages of this pipeline have shown the model and what it came from. */
static int64_t tokens_trained(const struct run *run, uint32_t stage)
{
    int64_t tokens = 0;
    for (uint32_t at = stage; at != STAGE_NONE; at = run->pipeline.stages.items[at].model) {
        const struct stage_entry *e = &run->pipeline.stages.items[at];
        if (!training_plan_is_for(e))
            continue;
        int64_t stop = settings_integer(&e->settings, "stop");
        int64_t steps = stop ? stop : settings_integer(&e->settings, "steps");
        for (uint32_t i = 0; i < training_phases(e); i++) {
            int64_t first = training_first_step(e, i), end = training_first_step(e, i + 1);
            end = end < steps ? end : steps;
            if (end > first)
                tokens += (end - first) * training_integer(e, i, "batch") * training_integer(e, i, "length");
        }
    }
    return tokens;
}

static enum status fill_cells(struct str *cells, struct summary *s, uint32_t stage, bool *has_any,
                              struct trace *trace)
{
    const struct stage_entry *e = &s->run->pipeline.stages.items[stage];
    struct measured m;
    TRY(read_measured(&m, s->run, stage, trace));
    const json_t *report = m.report, *errors = m.errors;
    const struct column *c = report ? find_column(s, e) : NULL;
    if (c && c->answers) {
        cells[c->first] = interval(s->arena, report, "accuracy", report, "accuracy_error");
        cells[c->first + 1] = interval(s->arena, report, "normalised", report, "normalised_error");
    } else if (c) {
        cells[c->first] = interval(s->arena, report, "loss", errors, "loss_error");
        cells[c->first + 1] = perplexity(s->arena, report, errors);
    }
    if (c && c->compares) {
        cells[c->first + 2] = interval(s->arena, report, "divergence", errors, "divergence_error");
        cells[c->first + 3] = interval(s->arena, report, "agreement", errors, "agreement_error");
    }
    *has_any = *has_any || c;
    release_measured(&m);
    return OK;
}

static enum status add_row(struct builder *page, struct summary *s, uint32_t model, struct trace *trace)
{
    char tokens[PAGE_NUMBER_SIZE], parameters[PAGE_NUMBER_SIZE], outside[PAGE_NUMBER_SIZE];
    struct str cells[4 + MOST_CELLS * MOST_COLUMNS] = {str_from(s->run->pipeline.stages.items[model].name)};
    struct section_size size;
    bool has_any = false;
    for (uint32_t i = model; i < s->run->pipeline.stages.count; i++) {
        const struct stage_entry *e = &s->run->pipeline.stages.items[i];
        if (is_measure(e) && e->model == model)
            TRY(fill_cells(cells + 4, s, i, &has_any, trace));
    }
    if (!has_any)
        return OK;
    TRY(section_size_of(&size, s->run, model, trace));
    cells[1] = str_from(page_number(parameters, size.parameters));
    cells[2] = str_from(page_number(outside, size.non_embedding));
    cells[3] = str_from(page_number(tokens, tokens_trained(s->run, model)));
    page_row(page, cells, 4 + s->cells);
    return OK;
}

enum status section_evaluation(struct builder *page, const struct run *run, struct arena *arena,
                               struct trace *trace)
{
    struct summary s = {.run = run, .arena = arena};
    const struct pipeline *p = &run->pipeline;
    for (uint32_t i = 0; i < p->stages.count; i++)
        if (is_measure(&p->stages.items[i]) && run->done[i])
            find_column(&s, &p->stages.items[i]);
    if (s.count == 0)
        return OK;
    const char *headings[4 + MOST_CELLS * MOST_COLUMNS] = {"model", "parameters", "non-embedding",
                                                           "tokens trained here"};
    for (uint32_t c = 0; c < s.count; c++) {
        headings[4 + s.columns[c].first] = arena_printf(
            arena, s.columns[c].answers ? "%s: accuracy" : "%s: nats a token", s.columns[c].heading);
        headings[5 + s.columns[c].first] = s.columns[c].answers ? "normalised" : "perplexity";
        if (!s.columns[c].compares)
            continue;
        headings[6 + s.columns[c].first] = "divergence from teacher";
        headings[7 + s.columns[c].first] = "same likeliest token";
    }
    page_section(page, "evaluation", "Evaluation");
    page_table_begin(page, headings, 4 + s.cells);
    for (uint32_t i = 0; i < p->stages.count; i++)
        if (p->stages.items[i].kind->makes_model && run->done[i])
            TRY(add_row(page, &s, i, trace));
    page_table_end(page);
    builder_add_text(page, "<p class=\"soft\">± and ranges: 95 %, of losses over windows of the text, of "
                           "accuracies over items.</p>\n");
    return OK;
}

/* ---- stage by stage ---- */

typedef uint32_t row_function(struct str *cells, struct arena *arena, const json_t *report,
                              const json_t *errors);

static uint32_t text_row(struct str *cells, struct arena *arena, const json_t *r, const json_t *errors)
{
    cells[1] = interval(arena, r, "loss", errors, "loss_error");
    cells[2] = perplexity(arena, r, errors);
    cells[3] = printed(arena, r, "bits_per_byte");
    cells[4] = count(arena, r, "tokens");
    cells[5] = errors ? count(arena, errors, "windows") : STR("");
    return 6;
}

static uint32_t teacher_row(struct str *cells, struct arena *arena, const json_t *r, const json_t *errors)
{
    cells[1] = interval(arena, r, "divergence", errors, "divergence_error");
    cells[2] = interval(arena, r, "agreement", errors, "agreement_error");
    cells[3] = count(arena, r, "tokens");
    cells[4] = errors ? count(arena, errors, "windows") : STR("");
    return 5;
}

static uint32_t answer_row(struct str *cells, struct arena *arena, const json_t *r, const json_t *errors)
{
    (void)errors;
    cells[1] = str_from(json_string_value(json_object_get(r, "task")));
    cells[2] = count(arena, r, "items");
    cells[3] = interval(arena, r, "accuracy", r, "accuracy_error");
    cells[4] = interval(arena, r, "normalised", r, "normalised_error");
    cells[5] = printed(arena, r, "perplexity");
    return 6;
}

/* Rows of the stages whose report has the member `key`; headings end with NULL. */
static enum status measures(struct builder *page, const struct run *run, struct arena *arena, const char *id,
                            const char *title, const char *key, const char *const headings[7],
                            row_function *fill, struct trace *trace)
{
    uint32_t columns = 0;
    while (headings[columns])
        columns++;
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        struct measured m;
        struct str cells[6] = {str_from(run->pipeline.stages.items[i].name)};
        TRY(read_measured(&m, run, i, trace));
        if (m.report && json_object_get(m.report, key)) {
            if (!is_begun) {
                page_section(page, id, title);
                page_table_begin(page, headings, columns);
                is_begun = true;
            }
            page_row(page, cells, fill(cells, arena, m.report, m.errors));
        }
        release_measured(&m);
    }
    if (is_begun)
        page_table_end(page);
    return OK;
}

enum status section_texts(struct builder *page, const struct run *run, struct arena *arena,
                          struct trace *trace)
{
    static const char *const headings[7] = {"stage",       "nats a token", "perplexity",
                                            "bits a byte", "tokens",       "windows"};
    static const char *const of_teachers[7] = {"stage", "divergence from teacher", "same likeliest token",
                                               "tokens", "windows"};
    TRY(measures(page, run, arena, "texts", "Text, stage by stage", "loss", headings, text_row, trace));
    return measures(page, run, arena, "teachers", "Distance from the teacher, stage by stage", "divergence",
                    of_teachers, teacher_row, trace);
}

enum status section_answers(struct builder *page, const struct run *run, struct arena *arena,
                            struct trace *trace)
{
    static const char *const headings[7] = {"stage", "task", "items", "accuracy", "normalised", "perplexity"};
    return measures(page, run, arena, "answers", "Tasks, stage by stage", "task", headings, answer_row,
                    trace);
}
