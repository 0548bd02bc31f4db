/* diff: two models. Compares the structure, then weight by weight, bit by bit. Or two scores: how far they
 * agree. */
#include "cli/command.h"
#include "cli/scores_view.h"
#include "ir/text.h"
#include "pipeline/scores_source.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PANEL = 65536 };

struct difference {
    int64_t elements; /* that differ in their bits: equal NaNs are equal */
    double largest;   /* NaN where one of the two is no number */
};

static void read_elements(const struct tensor_view *view, int64_t first, int64_t count, uint32_t *out)
{
    if (view->dtype == DTYPE_I32)
        tensor_view_read_raw(view, first, count, out);
    else
        tensor_view_read_f32(view, first, count, (float *)(void *)out);
}

static double value_of(enum dtype dtype, uint32_t bits)
{
    float real;
    memcpy(&real, &bits, sizeof real);
    return dtype == DTYPE_I32 ? (double)(int32_t)bits : (double)real;
}

static void compare_element(struct difference *d, enum dtype dtype, uint32_t x, uint32_t y)
{
    double distance = fabs(value_of(dtype, x) - value_of(dtype, y));
    d->elements++;
    if (distance > d->largest || isnan(distance))
        d->largest = distance;
}

/* Two weights of one shape. */
static struct difference compare_weight(const struct tensor_view *a, const struct tensor_view *b)
{
    struct difference difference = {0};
    int64_t count = tensor_view_count(a);
    uint32_t *x = malloc(2 * PANEL * sizeof *x), *y = x + PANEL;
    if (!x)
        BUG("out of memory");
    for (int64_t first = 0; first < count; first += PANEL) {
        int64_t n = count - first < PANEL ? count - first : PANEL;
        read_elements(a, first, n, x);
        read_elements(b, first, n, y);
        for (int64_t i = 0; i < n; i++)
            if (x[i] != y[i])
                compare_element(&difference, a->dtype, x[i], y[i]);
        tensor_view_drop(a, first, n);
        tensor_view_drop(b, first, n);
    }
    free(x);
    return difference;
}

static bool same_shape(const struct tensor_view *a, const struct tensor_view *b)
{
    bool same = a->rank == b->rank && (a->dtype == DTYPE_I32) == (b->dtype == DTYPE_I32);
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

/* ---- what is printed: a record a difference, then the sum ---- */

static json_t *shape_json(const struct tensor_view *view)
{
    json_t *dims = json_array();
    for (uint32_t i = 0; i < view->rank; i++)
        json_array_append_new(dims, json_integer((json_int_t)view->dims[i]));
    return dims;
}

static void report_structure(const struct command *command, const struct graph *a, const struct graph *b)
{
    json_int_t parameters[] = {(json_int_t)graph_parameters(a), (json_int_t)graph_parameters(b)};
    if (command_is_json(command))
        print_json(json_pack("{s:s,s:[i,i],s:[I,I]}", "difference", "structure", "nodes", (int)a->nodes.count,
                             (int)b->nodes.count, "parameters", parameters[0], parameters[1]));
    else
        printf("the graphs differ in structure: %u and %u nodes, %lld and %lld parameters\n", a->nodes.count,
               b->nodes.count, (long long)parameters[0], (long long)parameters[1]);
}

static void report_shape(const struct command *command, const struct tensor *a, const struct tensor *b)
{
    if (command_is_json(command))
        print_json(json_pack("{s:s,s:s%,s:[o,o]}", "difference", "shape", "weight", a->name.data,
                             a->name.length, "shapes", shape_json(&a->view), shape_json(&b->view)));
    else
        printf("shape of " STR_FORMAT " differs\n", STR_ARGUMENT(a->name));
}

static void report_weight(const struct command *command, const struct tensor *a, struct difference d)
{
    if (command_is_json(command))
        print_json(json_pack("{s:s,s:s%,s:I,s:o}", "difference", "weight", "weight", a->name.data,
                             a->name.length, "elements", (json_int_t)d.elements, "largest",
                             isfinite(d.largest) ? json_real(d.largest) : json_null()));
    else
        printf("weight " STR_FORMAT ": %lld elements differ, the largest difference is %.9g\n",
               STR_ARGUMENT(a->name), (long long)d.elements, fabs(d.largest));
}

static void report_sum(const struct command *command, uint32_t differences)
{
    if (command_is_json(command))
        print_json(json_pack("{s:b,s:I}", "same", differences == 0, "differences", (json_int_t)differences));
    else if (differences == 0)
        printf("same\n");
}

static uint32_t compare_weights(const struct command *command, const struct graph *a, const struct graph *b)
{
    uint32_t differences = 0;
    for (uint32_t i = 0; i < a->tensors.count && i < b->tensors.count; i++) {
        const struct tensor *x = &a->tensors.items[i], *y = &b->tensors.items[i];
        if (!same_shape(&x->view, &y->view)) {
            report_shape(command, x, y);
            differences++;
        } else if (x->view.base && y->view.base) {
            struct difference difference = compare_weight(&x->view, &y->view);
            if (difference.elements > 0)
                report_weight(command, x, difference);
            differences += difference.elements > 0;
        }
    }
    return differences;
}

static bool report_interface(const struct command *command, const struct graph *a, const struct graph *b)
{
    if (interface_is_equal(&a->interface, &b->interface))
        return false;
    struct builder texts[2] = {0};
    interface_print(&a->interface, &texts[0]);
    interface_print(&b->interface, &texts[1]);
    if (command_is_json(command))
        print_json(json_pack("{s:s,s:[s,s]}", "difference", "interface", "interfaces",
                             builder_text(&texts[0]), builder_text(&texts[1])));
    else
        printf("the files that ONNX exports would be take and give other things:\n%s-\n%s",
               builder_text(&texts[0]), builder_text(&texts[1]));
    builder_release(&texts[0]);
    builder_release(&texts[1]);
    return true;
}

/* The text without weights' ids and interface: what the graphs compute, whatever their weights. */
static bool same_structure(const struct graph *a, const struct graph *b)
{
    struct graph *copies[2] = {graph_canonicalise(a), graph_canonicalise(b)};
    struct hash128 hashes[2];
    for (int c = 0; c < 2; c++) {
        for (uint32_t i = 0; i < copies[c]->tensors.count; i++)
            copies[c]->tensors.items[i].has_id = false;
        copies[c]->interface = (struct interface){.mask = {.rank = 0}};
        hashes[c] = graph_hash(copies[c]);
    }
    graph_destroy(copies[0]);
    graph_destroy(copies[1]);
    return hash128_equal(hashes[0], hashes[1]);
}

static enum status diff_scores(const struct command *command, const struct source_options *options,
                               struct trace *trace)
{
    const char *keep = command_option(command, "keep");
    struct arena arena = {0};
    struct scores a, b;
    double share = 0.5;
    uint32_t differences = 0;
    if (keep && (!str_to_double(str_from(keep), &share) || !(share > 0 && share <= 1)))
        return status_fail(trace, INVALID, "--keep: expected a number above 0, at most 1, found \"%s\"",
                           keep);
    enum status status = scores_source_open(&a, &arena, command->arguments[0], options, trace);
    if (status == OK)
        status = scores_source_open(&b, &arena, command->arguments[1], options, trace);
    if (status == OK)
        differences = scores_view_compare(command, &a, &b, share);
    if (status == OK)
        report_sum(command, differences);
    if (status == OK && differences > 0)
        status = status_fail(trace, DIFFERS, "%u differences", differences);
    arena_release(&arena);
    return status;
}

enum status command_diff(struct command *command, struct trace *trace)
{
    struct model_source a, b;
    struct source_options options = command_source(command);
    if (scores_source_is(command->arguments[0], &options))
        return diff_scores(command, &options, trace);
    TRY(model_source_open(&a, command->arguments[0], &options, trace));
    enum status status = model_source_open(&b, command->arguments[1], &options, trace);
    if (status != OK) {
        model_source_release(&a);
        return status;
    }
    struct graph *x = graph_canonicalise(a.graph), *y = graph_canonicalise(b.graph);
    bool structure = same_structure(x, y);
    if (!structure)
        report_structure(command, x, y);
    uint32_t differences = report_interface(command, x, y);
    differences += compare_weights(command, x, y) + !structure;
    report_sum(command, differences);
    graph_destroy(x);
    graph_destroy(y);
    model_source_release(&b);
    model_source_release(&a);
    return differences == 0 ? OK : status_fail(trace, DIFFERS, "%u differences", differences);
}
