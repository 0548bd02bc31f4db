/* diff: two models. Compares the structure line by line, then weight by weight. */
#include "cli/command.h"
#include "ir/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PANEL = 65536 };

/* The largest difference between two weights of one shape. */
static double largest_difference(const struct tensor_view *a, const struct tensor_view *b)
{
    double largest = 0;
    int64_t count = tensor_view_count(a);
    float *x = malloc(2 * PANEL * sizeof *x);
    if (!x)
        BUG("out of memory");
    for (int64_t first = 0; first < count; first += PANEL) {
        int64_t n = count - first < PANEL ? count - first : PANEL;
        tensor_view_read_f32(a, first, n, x);
        tensor_view_read_f32(b, first, n, x + PANEL);
        for (int64_t i = 0; i < n; i++) {
            double d = fabs((double)x[i] - (double)x[PANEL + i]);
            largest = d > largest || d != d ? d : largest;
        }
    }
    free(x);
    return largest;
}

static bool same_shape(const struct tensor_view *a, const struct tensor_view *b)
{
    bool same = a->rank == b->rank && a->dtype != DTYPE_I32 && b->dtype != DTYPE_I32;
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

static void report(const struct command *command, const char *what, struct str name, double difference)
{
    if (command_is_json(command))
        print_json(json_pack("{s:s,s:s%,s:o}", "difference", what, "weight", name.data, name.length,
                             "largest", isfinite(difference) ? json_real(difference) : json_null()));
    else if (strcmp(what, "shape") == 0)
        printf("shape of " STR_FORMAT " differs\n", STR_ARGUMENT(name));
    else
        printf("%s " STR_FORMAT ": largest difference %.9g\n", what, STR_ARGUMENT(name), difference);
}

static uint32_t compare_weights(const struct command *command, const struct graph *a, const struct graph *b)
{
    uint32_t differences = 0;
    for (uint32_t i = 0; i < a->tensors.count && i < b->tensors.count; i++) {
        const struct tensor *x = &a->tensors.items[i], *y = &b->tensors.items[i];
        if (!same_shape(&x->view, &y->view)) {
            report(command, "shape", x->name, INFINITY);
            differences++;
        } else if (x->view.base && y->view.base) {
            double difference = largest_difference(&x->view, &y->view);
            if (difference != 0)
                report(command, "weight", x->name, difference);
            differences += difference != 0;
        }
    }
    return differences;
}

/* The text without weights' ids: what the graphs compute, whatever their weights. */
static bool same_structure(const struct graph *a, const struct graph *b)
{
    struct graph *copies[2] = {graph_canonicalise(a), graph_canonicalise(b)};
    struct hash128 hashes[2];
    for (int c = 0; c < 2; c++) {
        for (uint32_t i = 0; i < copies[c]->tensors.count; i++)
            copies[c]->tensors.items[i].has_id = false;
        hashes[c] = graph_hash(copies[c]);
    }
    graph_destroy(copies[0]);
    graph_destroy(copies[1]);
    return hash128_equal(hashes[0], hashes[1]);
}

enum status command_diff(struct command *command, struct trace *trace)
{
    struct model_source a, b;
    struct source_options options = command_source(command);
    TRY(model_source_open(&a, command->arguments[0], &options, trace));
    enum status status = model_source_open(&b, command->arguments[1], &options, trace);
    if (status != OK) {
        model_source_release(&a);
        return status;
    }
    struct graph *x = graph_canonicalise(a.graph), *y = graph_canonicalise(b.graph);
    bool structure = same_structure(x, y);
    if (!structure && !command_is_json(command))
        printf("the graphs differ in structure: %u and %u nodes, %lld and %lld parameters\n", x->nodes.count,
               y->nodes.count, (long long)graph_parameters(x), (long long)graph_parameters(y));
    uint32_t differences = compare_weights(command, x, y) + !structure;
    graph_destroy(x);
    graph_destroy(y);
    model_source_release(&b);
    model_source_release(&a);
    return differences == 0 ? OK : status_fail(trace, DIFFERS, "%u differences", differences);
}
