/* What a pass did to a model, stored beside its result. measure/ adds what needs execution. */
#ifndef PASSES_RECEIPT_H
#define PASSES_RECEIPT_H

#include "ir/graph.h"

enum contract {
    CONTRACT_EXACT,         /* computes what the masked graph computes */
    CONTRACT_RENORMALISING, /* except that means run over fewer elements */
    CONTRACT_APPROXIMATE,   /* no such statement */
};
const char *contract_name(enum contract contract);

/* Floating-point operations of a forward pass: `token` for each token (2*K*N a matmul), and `key` for each
 * key that a token attends to (attention's scores and values). A token at position p of a causal model costs
 * token + (p+1)*key. */
struct flops {
    int64_t token, key;
};
struct flops flops_count(const struct graph *graph);

struct receipt {
    enum contract contract;
    int64_t parameters_before, parameters_after;
    struct flops flops_before, flops_after;
    uint32_t folded_heads; /* that took over the difference to one that went */
    uint32_t compensated;  /* projections whose bias stands for channels that went */
    uint32_t rescaled_norms;
    bool measured;           /* the rest is set, by measure/ */
    double max_logit_change; /* over a fixed probe batch */
    double kl;               /* mean KL(before || after) per token, nats */
};

#endif
