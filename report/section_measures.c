/* What evaluate and answer measured, a row a stage. */
#include "report/page.h"
#include "report/sections.h"

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

/* A mean with 1.96 of its standard errors. */
static struct str interval(struct arena *arena, const json_t *report, const char *key, const char *error)
{
    return json_object_get(report, key) ? str_from(arena_printf(arena, "%.4f +- %.4f", number(report, key),
                                                                1.96 * number(report, error)))
                                        : STR("");
}

typedef uint32_t row_function(struct str *cells, struct arena *arena, const json_t *report);

static uint32_t text_row(struct str *cells, struct arena *arena, const json_t *r)
{
    cells[1] = count(arena, r, "parameters");
    cells[2] = printed(arena, r, "loss");
    cells[3] = printed(arena, r, "perplexity");
    cells[4] = printed(arena, r, "bits_per_byte");
    cells[5] = count(arena, r, "tokens");
    return 6;
}

static uint32_t answer_row(struct str *cells, struct arena *arena, const json_t *r)
{
    cells[1] = str_from(json_string_value(json_object_get(r, "task")));
    cells[2] = count(arena, r, "items");
    cells[3] = interval(arena, r, "accuracy", "accuracy_error");
    cells[4] = interval(arena, r, "normalised", "normalised_error");
    cells[5] = printed(arena, r, "perplexity");
    return 6;
}

/* Rows of the stages whose report has the member `key`. */
static enum status measures(struct builder *page, const struct run *run, struct arena *arena, const char *id,
                            const char *title, const char *key, const char *const headings[6],
                            row_function *fill, struct trace *trace)
{
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        json_t *report;
        struct str cells[6] = {str_from(run->pipeline.stages.items[i].name)};
        TRY(section_json(&report, run, i, "report", trace));
        if (report && json_object_get(report, key)) {
            if (!is_begun) {
                page_section(page, id, title);
                page_table_begin(page, headings, 6);
                is_begun = true;
            }
            page_row(page, cells, fill(cells, arena, report));
        }
        json_decref(report);
    }
    if (is_begun)
        page_table_end(page);
    return OK;
}

enum status section_texts(struct builder *page, const struct run *run, struct arena *arena,
                          struct trace *trace)
{
    static const char *const headings[6] = {"stage",      "parameters",  "nats a token",
                                            "perplexity", "bits a byte", "tokens"};
    return measures(page, run, arena, "texts", "Loss on text", "loss", headings, text_row, trace);
}

enum status section_answers(struct builder *page, const struct run *run, struct arena *arena,
                            struct trace *trace)
{
    static const char *const headings[6] = {
        "stage", "task", "items", "accuracy, 95 %", "normalised, 95 %", "perplexity"};
    return measures(page, run, arena, "answers", "Answers to tasks", "task", headings, answer_row, trace);
}
