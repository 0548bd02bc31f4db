/* What pruning may do to the weights that stay, before the others go.
 *
 * The head-residual rule (Minitron, arXiv 2407.14679): of L heads, ranked, K <= L <= 2K stay,
 * and head i of them, i in [2K - L + 1, K], takes over the difference to head j = 2K - i + 1 that goes: head
 * i becomes head i + (head i - head j) as printed, or head i + (head j - head i) with the sign of LaCo (arXiv
 * 2402.11187). (The paper prints i >= 2K - L, for which there would be no head j.) What is added is weights:
 * rows of the query projection; of keys' and values' too where each query head has its own.
 *
 * Bias compensation (FLAP, arXiv 2312.11983): channels that go are taken for their means over the calibration
 * data instead of for 0; what the projection that read them made of the means becomes a bias.
 *
 * Rescaling of RMS norms: of d channels with mean squares e, d' stay. A norm then divides by the root of the
 * mean over fewer channels; its weight is multiplied by sqrt((sum of e over those that stay / d') / (sum of e
 * / d)), so that what it gives stays the same where the share of these sums is that of the calibration data.
 *
 * New bytes lie on the context's arena. */
#ifndef PASSES_AMEND_H
#define PASSES_AMEND_H

#include "passes/plan.h"

enum residual_rule { RESIDUAL_NONE, RESIDUAL_PAPER, RESIDUAL_LACO };
enum residual_pairs { PAIRS_IN_GROUP, PAIRS_GLOBAL }; /* where j is looked for */

struct amend_request {
    enum residual_rule rule;
    enum residual_pairs pairs;
    bool compensate;
    bool rescale;
};

/* The rank j, from 1, of the head whose difference head i takes over; 0: none. 1 <= i <= kept <= heads. */
uint32_t amend_partner(uint32_t heads, uint32_t kept, uint32_t i);

/* A copy of plan->graph with amended weights, to be destroyed by the caller; plan->graph and plan->keeps are
 * of it from then on. INVALID: more than half of the heads go; scores, means (a score stage with metric flap)
 * or energies are missing. UNSUPPORTED: a norm that is to be rescaled is none of RMS, or shares its weight.
 */
enum status amend(struct graph **out, struct plan *plan, const struct amend_request *request,
                  struct trace *trace) MUST_CHECK;

#endif
