/* Both models run on the same tokens; logits are compared on the host, in double. */
#include "measure/probe.h"
#include "measure/session.h"
#include "shaders/scalar/scalar.h"
#include <stdlib.h>

enum { TOKENS = PROBE_ROWS * PROBE_LENGTH, PROBE_SEED = 0x70726f62 }; /* "prob" */

static int64_t columns_of(const struct graph *graph)
{
    const struct value *v = graph_value(graph, graph_find_output(graph, "logits"));
    return dims_size(&graph->dims, v->axes[v->rank - 1]);
}

/* logits [TOKENS, columns], on the heap */
static enum status run_model(float **out, struct executor *executor, const struct graph *graph,
                             const int32_t *tokens, struct trace *trace)
{
    struct session session = {0};
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, graph, PROBE_ROWS, PROBE_LENGTH);
    TRY(session_create(&session, executor, graph, dims, count, SESSION_LEND, trace));
    *out = malloc((size_t)(TOKENS * columns_of(graph)) * sizeof **out);
    if (!*out)
        BUG("out of memory");
    enum status status = session_write(&session, "tokens", tokens, trace);
    if (status == OK)
        status = session_run(&session, trace);
    if (status == OK)
        status = session_read(&session, "logits", *out, trace);
    session_release(&session);
    return status;
}

/* log of the sum of exponentials, by golden scalars */
static double log_sum(const float *x, int64_t count, float *top)
{
    double sum = 0;
    *top = x[0];
    for (int64_t i = 1; i < count; i++)
        *top = gm_max(*top, x[i]);
    for (int64_t i = 0; i < count; i++)
        sum += (double)gm_exp(x[i] - *top);
    return (double)gm_log((float)sum);
}

static double divergence(const float *before, const float *after, int64_t columns)
{
    float p_top, q_top;
    double p_sum = log_sum(before, columns, &p_top), q_sum = log_sum(after, columns, &q_top), total = 0;
    for (int64_t i = 0; i < columns; i++) {
        double p = (double)before[i] - (double)p_top - p_sum, q = (double)after[i] - (double)q_top - q_sum;
        total += (double)gm_exp((float)p) * (p - q);
    }
    return total;
}

static void compare(struct probe *out, const float *before, const float *after, int64_t before_columns,
                    int64_t after_columns, const uint32_t *kept)
{
    double total = 0;
    for (int64_t t = 0; t < TOKENS; t++) {
        const float *x = before + t * before_columns, *y = after + t * after_columns;
        for (int64_t c = 0; c < after_columns; c++) {
            double was = (double)x[kept ? kept[c] : c], change = was - (double)y[c];
            out->drift = change > out->drift ? change : -change > out->drift ? -change : out->drift;
            out->largest = was > out->largest ? was : -was > out->largest ? -was : out->largest;
        }
        if (before_columns == after_columns)
            total += divergence(x, y, after_columns);
    }
    out->divergence = total / TOKENS;
}

enum status measure_probe(struct probe *out, struct executor *executor, const struct graph *before,
                          const struct graph *after, const uint32_t *kept, uint32_t kept_count,
                          struct trace *trace)
{
    int64_t before_columns = columns_of(before), after_columns = columns_of(after);
    *out = (struct probe){.columns = after_columns};
    if ((kept_count ? (int64_t)kept_count : before_columns) != after_columns)
        BUG("a rewrite changed the vocabulary without saying which tokens were kept");
    int32_t old_tokens[TOKENS], new_tokens[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++) {
        struct gm_words words = gm_philox((struct gm_words){.x = i}, PROBE_SEED, 0);
        new_tokens[i] = (int32_t)(words.x % (uint32_t)after_columns);
        old_tokens[i] = kept_count ? (int32_t)kept[new_tokens[i]] : new_tokens[i];
    }
    float *x = NULL, *y = NULL;
    enum status status = run_model(&x, executor, before, old_tokens, trace);
    if (status == OK)
        status = run_model(&y, executor, after, new_tokens, trace);
    if (status == OK)
        compare(out, x, y, before_columns, after_columns, kept_count ? kept : NULL);
    free(x);
    free(y);
    return status;
}
