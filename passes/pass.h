/* Running passes: by name with options, and the checks around each of them.
 *
 * A pass is one file and one row of passes.def. It reads a graph and makes a new one; bytes of weights are
 * never touched. The runner verifies the result, and, where assertions are on and the graph is small, also
 * clones it, prints it, parses it back and compares the hashes. Results are canonical (graph_canonicalise).
 */
#ifndef PASSES_PASS_H
#define PASSES_PASS_H

#include "base/arena.h"
#include "base/status.h"
#include "base/vec.h"
#include "ir/graph.h"
#include "passes/receipt.h"
#include "passes/scores.h"

enum pass_kind { PASS_WIDTH, PASS_DEPTH, PASS_SHAPE };

struct pass_option {
    struct str key;
    const int64_t *values; /* at least one */
    uint32_t count;
    size_t at; /* position in the text, for messages */
};

struct pass_call {
    uint32_t pass; /* index into pass_table */
    const struct pass_option *options;
    uint32_t option_count;
    size_t at;
};

/* Tokens kept by a vocabulary pruning: new id i was kept[i]. count 0: unchanged. */
struct token_remap {
    const uint32_t *kept;
    uint32_t count, count_before;
};

struct pass_context {
    const struct scores *scores; /* may be NULL */
    struct arena arena;          /* remap lives here; pass_context_release() frees it */
    struct receipt receipt;      /* over all passes run with this context */
    enum contract contract;      /* of the pass that runs: it raises it above CONTRACT_EXACT where due */
    struct token_remap remap;    /* composed over all of them */
    VEC(struct str) notes;       /* what the user should know, on `arena` */
    uint32_t runs;               /* passes run */
    uint32_t round_trips;        /* of these, printed and parsed back */
};
void pass_context_release(struct pass_context *context);

typedef enum status pass_function(struct graph **out, const struct graph *graph, const struct pass_call *call,
                                  struct pass_context *context, struct trace *trace);

#define PASS(name, ...) pass_function pass_##name;
#include "passes/passes.def"

struct pass_info {
    const char *name;
    const char *summary;
    const char *options; /* names, blank-separated */
    enum pass_kind kind;
    enum contract contract; /* the weakest it may give */
    pass_function *run;
};
enum {
#define PASS(name, ...) PASS_##name,
#include "passes/passes.def"
    PASS_COUNT
};
extern const struct pass_info pass_table[PASS_COUNT];

/* Runs one pass. *out is a new graph. */
enum status pass_run(struct graph **out, const struct graph *graph, const struct pass_call *call,
                     struct pass_context *context, struct trace *trace) MUST_CHECK;
/* Runs them one after another; scores apply to the first pass only that needs them by layer number, so prune
 * width before depth. No call at all gives the canonical graph. */
enum status pass_run_all(struct graph **out, const struct graph *graph, const struct pass_call *calls,
                         uint32_t count, struct pass_context *context, struct trace *trace) MUST_CHECK;

/* What pass_run does around a pass, for callers that have no call (prune_to_shape). pass_begin resets the
 * pass's contract; pass_finish canonicalises *graph in place, verifies, counts, completes the receipt. On
 * failure *graph is destroyed and NULL. */
void pass_begin(const struct graph *before, struct pass_context *context);
enum status pass_finish(struct graph **graph, struct pass_context *context, struct trace *trace) MUST_CHECK;

/* Options of a call. pass_option_get: NULL when absent. _size: one positive number; 0 when absent.
 * _positions: ascending, on the context's arena; NULL and 0 when absent. */
const struct pass_option *pass_option_get(const struct pass_call *call, const char *key);
enum status pass_option_size(int64_t *out, const struct pass_call *call, const char *key,
                             struct trace *trace) MUST_CHECK;
enum status pass_option_positions(const uint32_t **out, uint32_t *count, const struct pass_call *call,
                                  const char *key, struct pass_context *context,
                                  struct trace *trace) MUST_CHECK;

/* Parses "prune{ffn=512,heads=6} remove_layers{layers=1+3}". Grammar:
 *   passes = { pass }          pass   = name [ "{" [ option { "," option } ] "}" ]
 *   option = name "=" item { "+" item }      item = number [ "-" number ]     (a range, both ends included)
 * Blanks may stand between passes. INVALID names the position (counted from 1). Allocates from `arena`. */
enum status pass_parse(const struct pass_call **calls, uint32_t *count, struct arena *arena, struct str text,
                       struct trace *trace) MUST_CHECK;

#endif
