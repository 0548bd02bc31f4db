#include "ir/work.h"

static double last(const struct place *place)
{
    return place->rank ? (double)place->dims[place->rank - 1] : 1;
}

/* Linear layers: every element of the result is a sum over the last axis of x. */
static double linear(const struct node *node, const struct place *places)
{
    return 2 * (double)places[node->results[0]].count * last(&places[node->inputs[0]]);
}

/* Weight gradients: a sum over the rows of x. */
static double transposed(const struct node *node, const struct place *places)
{
    const struct place *x = &places[node->inputs[0]];
    return 2 * (double)places[node->results[0]].count * ((double)x->count / last(x));
}

/* Pairs of a query and a key that it sees, over all sequences. q [b, s, n*h] */
static double pairs(const struct node *node, const struct place *q)
{
    double length = (double)q->dims[1], window = (double)node_integer(node, ATTRIBUTE_window);
    if (!node_integer(node, ATTRIBUTE_causal))
        return (double)q->dims[0] * length * length;
    if (window == 0 || window > length)
        window = length;
    return (double)q->dims[0] * (window * (window + 1) / 2 + (length - window) * window);
}

/* Scores, and the product with the values. */
static double attend(const struct node *node, const struct place *places)
{
    const struct place *q = &places[node->inputs[0]];
    return 2 * pairs(node, q) * (last(q) + last(&places[node->results[0]]));
}

/* Scores again; products with the output's gradient for weights and values; gradients of queries and keys. */
static double attend_back(const struct node *node, const struct place *places)
{
    const struct place *q = &places[node->inputs[0]], *gradient = &places[node->inputs[3]];
    return 2 * pairs(node, q) * (3 * last(q) + 2 * last(gradient));
}

typedef double count_function(const struct node *node, const struct place *places);

/* Ops made of products. */
static count_function *const counts[OP_COUNT] = {
    [OP_matmul_nt] = linear,
    [OP_matmul_nn] = linear,
    [OP_matmul_tn] = transposed,
    [OP_attention] = attend,
    [OP_sloped_attention] = attend,
    [OP_attention_grad] = attend_back,
    [OP_sloped_attention_grad] = attend_back,
};

struct work work_of(const struct node *node, const struct place *places)
{
    struct work work = {0};
    for (uint32_t i = 0; i < node->input_count + node->result_count; i++) {
        uint32_t value = i < node->input_count ? node->inputs[i] : node->results[i - node->input_count];
        double count = (double)places[value].count;
        work.bytes += 4 * count;
        work.operations = count > work.operations ? count : work.operations;
    }
    if (counts[node->op])
        work.operations = counts[node->op](node, places);
    return work;
}

/* Does input `i` of node `n` come from outside, and has no node before read it? */
static bool is_first_read(const struct node *nodes, uint32_t n, uint32_t i)
{
    uint32_t value = nodes[n].inputs[i];
    for (uint32_t j = 0; j < i; j++)
        if (nodes[n].inputs[j] == value)
            return false;
    for (uint32_t m = 0; m < n; m++) {
        if (nodes[m].results[0] == value)
            return false;
        for (uint32_t j = 0; j < nodes[m].input_count; j++)
            if (nodes[m].inputs[j] == value)
                return false;
    }
    return true;
}

struct work work_of_chain(const struct node *nodes, uint32_t count, const struct place *places)
{
    struct work work = {0};
    for (uint32_t n = 0; n < count; n++) {
        work.operations += work_of(&nodes[n], places).operations;
        for (uint32_t i = 0; i < nodes[n].input_count; i++)
            if (is_first_read(nodes, n, i))
                work.bytes += 4 * (double)places[nodes[n].inputs[i]].count;
        for (uint32_t r = 0; r < nodes[n].result_count; r++)
            if (places[nodes[n].results[r]].kind != PLACE_PASSED)
                work.bytes += 4 * (double)places[nodes[n].results[r]].count;
    }
    return work;
}
