/* Printing stages, steps and the table. */
#include "cli/report.h"
#include "pipeline/export_form.h"
#include "store/id.h"
#include <stdio.h>
#include <string.h>

static void print_stage_json(const struct stage_event *e)
{
    char id[STORE_ID_TEXT] = "";
    if (e->has_id)
        store_id_to_text(e->id, id);
    json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:s,s:f}", "stage", e->entry->name, "kind",
                             e->entry->kind->name, "status", stage_status_name(e->status), "id", id, "sha256",
                             e->has_id ? e->sha256 : "", "seconds", e->seconds);
    if (e->why)
        json_object_set_new(line, "why", json_string(e->why));
    if (e->report)
        json_object_set_new(line, "report", json_deep_copy(e->report));
    print_json(line);
}

/* Where what an export wrote is. */
static void print_exports(const struct stage_event *e)
{
    if (e->status != STAGE_RAN && e->status != STAGE_CACHED)
        return;
    for (uint32_t i = 0; i < EXPORT_FORMS; i++)
        if (strcmp(e->entry->kind->name, "export") == 0 &&
            settings_has(&e->entry->settings, export_forms[i].name))
            printf("  %-16s %s\n", export_forms[i].name,
                   settings_text(&e->entry->settings, export_forms[i].name));
}

static void print_stage_text(const struct stage_event *e)
{
    char id[STORE_ID_TEXT] = "", time[32] = "";
    if (e->has_id)
        store_id_to_text(e->id, id);
    if (e->status == STAGE_RAN || e->status == STAGE_SAME || e->status == STAGE_DIFFERS)
        snprintf(time, sizeof time, "%.1f s", e->seconds);
    printf("%-18s %-8s %8s  %.21s%s%s%s\n", e->entry->name, stage_status_name(e->status), time, id,
           e->why ? "(" : "", e->why ? e->why : "", e->why ? ")" : "");
    print_exports(e);
    fflush(stdout);
}

static double number(const json_t *report, const char *key)
{
    return json_number_value(json_object_get(report, key));
}

static double number_or_none(const json_t *report, const char *key)
{
    return json_object_get(report, key) ? number(report, key) : -1;
}

static void keep_row(struct report *report, const struct stage_event *e)
{
    if (!e->report || !json_object_get(e->report, "loss") || report->count == REPORT_MAX_ROWS)
        return;
    struct report_row *row = &report->rows[report->count++];
    snprintf(row->stage, sizeof row->stage, "%s", e->entry->name);
    row->loss = number(e->report, "loss");
    row->perplexity = number(e->report, "perplexity");
    row->bits_per_byte = number(e->report, "bits_per_byte");
    row->divergence = number(e->report, "divergence");
    row->agreement = number_or_none(e->report, "agreement");
    row->parameters = (int64_t)number(e->report, "parameters");
    row->tokens_per_second = e->seconds > 0 ? number(e->report, "tokens") / e->seconds : 0;
}

static void keep_answers(struct report *report, const struct stage_event *e)
{
    const char *task = json_string_value(json_object_get(e->report, "task"));
    if (!task || report->answer_count == REPORT_MAX_ROWS)
        return;
    struct report_answers *row = &report->answers[report->answer_count++];
    snprintf(row->stage, sizeof row->stage, "%s", e->entry->name);
    snprintf(row->task, sizeof row->task, "%s", task);
    row->items = (int64_t)number(e->report, "items");
    row->accuracy = number(e->report, "accuracy");
    row->accuracy_error = number(e->report, "accuracy_error");
    row->normalised = number_or_none(e->report, "normalised");
    row->normalised_error = number_or_none(e->report, "normalised_error");
    row->perplexity = number_or_none(e->report, "perplexity");
}

static void on_stage(void *context, const struct stage_event *event)
{
    struct report *report = context;
    if (report->json)
        print_stage_json(event);
    else
        print_stage_text(event);
    keep_row(report, event);
    keep_answers(report, event);
}

static void on_step(void *context, const struct step_event *e)
{
    const struct report *report = context;
    if (report->json)
        print_json(json_pack("{s:s,s:I,s:f,s:f,s:f,s:f}", "stage", e->entry->name, "step",
                             (json_int_t)e->step, "loss", e->loss, "lr", e->rate, "grad_norm", e->norm,
                             "tokens_per_s", e->tokens_per_second));
}

struct run_events report_events(struct report *report)
{
    return (struct run_events){on_stage, on_step, report};
}

static void print_evaluations(const struct report *report)
{
    bool compares = false;
    for (uint32_t i = 0; i < report->count; i++)
        compares = compares || report->rows[i].agreement >= 0;
    if (report->count == 0)
        return;
    printf("\n%-18s %11s %9s %11s %10s %9s%s\n", "evaluation", "parameters", "loss", "perplexity",
           "bits/byte", "tokens/s", compares ? " divergence same token" : "");
    for (uint32_t i = 0; i < report->count; i++) {
        const struct report_row *r = &report->rows[i];
        char speed[24] = "cached";
        if (r->tokens_per_second > 0)
            snprintf(speed, sizeof speed, "%.0f", r->tokens_per_second);
        printf("%-18s %11lld %9.4f %11.3f %10.4f %9s", r->stage, (long long)r->parameters, r->loss,
               r->perplexity, r->bits_per_byte, speed);
        if (r->agreement >= 0)
            printf(" %10.4f %10.4f", r->divergence, r->agreement);
        printf("\n");
    }
}

static void print_answers(const struct report *report)
{
    if (report->answer_count == 0)
        return;
    printf("\n%-18s %-10s %6s %18s %18s %11s\n", "answers", "task", "items", "accuracy", "normalised",
           "perplexity");
    for (uint32_t i = 0; i < report->answer_count; i++) {
        const struct report_answers *r = &report->answers[i];
        printf("%-18s %-10s %6lld   %.4f +- %.4f", r->stage, r->task, (long long)r->items, r->accuracy,
               r->accuracy_error);
        if (r->normalised >= 0)
            printf("   %.4f +- %.4f", r->normalised, r->normalised_error);
        if (r->perplexity >= 0)
            printf("%30.3f", r->perplexity);
        printf("\n");
    }
}

void report_print_tables(const struct report *report)
{
    if (report->json)
        return;
    print_evaluations(report);
    print_answers(report);
}
