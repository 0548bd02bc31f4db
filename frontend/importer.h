/* The state of one import: the values of the ONNX graph as far as they have been interpreted.
 *
 * A value is concrete (one array for each probe; often the same one), a stored tensor that nothing had to
 * read yet, or an activation: a term and a view of it. The rules of frontend/onnx_ops.def turn the inputs of
 * a node into its outputs. */
#ifndef FRONTEND_IMPORTER_H
#define FRONTEND_IMPORTER_H

#include "frontend/evaluate.h"
#include "frontend/term.h"
#include "frontend/view.h"

enum value_kind { VALUE_UNSET, VALUE_CONCRETE, VALUE_ACTIVATION };

struct import_value {
    enum value_kind kind;
    const struct array *at[PROBES]; /* concrete; NULL while nothing has read the stored tensor */
    const struct onnx_data *data;   /* stored tensor behind a concrete value, or NULL */
    bool from_mask;                 /* concrete: elements depend on those of a mask of padding */
    bool has_weight;                /* concrete, and `weight` shows its elements in the file */
    uint32_t term;                  /* activation */
    union {
        struct tensor_view weight; /* concrete */
        struct view view;          /* activation */
    };
};

/* A rotary table, read at the probes: row p, column j. */
struct rotary_table {
    const struct array *array[PROBES]; /* identity, to find it again */
    struct view view;                  /* that it was applied under */
    int64_t columns;
    enum array_function function;
    double *values[PROBES]; /* [sequence, columns] */
    double *angles[PROBES]; /* the same, NULL when only the values are known */
    const struct onnx_data *stored;
};

struct frequencies {
    int64_t count;
    float *values;
};

/* A mask that mask_check_limits found right. */
struct checked_mask {
    uint32_t value;
    int64_t window; /* positions that it shows at most, the last ones; 0: all before */
};

struct interface_parts; /* frontend/interface.h */
struct mix;             /* frontend/mix.h */
struct mask_history;    /* frontend/mask_limits.c */

struct importer {
    struct onnx_file *file; /* NULL when the terms come from a description (frontend/decoder.h) */
    struct imported_model *model;
    struct arena *arena; /* the file's */
    struct array_room room;
    struct map names; /* ONNX value name -> index */
    VEC(struct import_value) values;
    uint32_t *order; /* nodes in topological order, those that the logits need */
    uint32_t order_count;
    uint32_t logits; /* value */
    struct term_set terms;
    VEC(struct tensor_view) weights;
    struct map weight_numbers; /* bytes of a view -> number */
    VEC(struct mix *) mixes;
    VEC(struct rotary_table) tables;
    VEC(struct frequencies) frequencies;
    VEC(struct frequencies) slopes; /* of attention, one a head */
    VEC(struct array *) masks;      /* [heads or 1, sequence, sequence] at each probe: entry 2 * n + probe */
    int64_t narrowed;               /* channels in lists of kept ones */
    struct mask_history *mask_history;
    VEC(int64_t) mask_windows; /* of each mask, as far as the probes do not show it */
    VEC(struct checked_mask) checked_masks;
    struct interface_parts *interface;
    uint32_t node; /* being interpreted */
    struct trace *trace;
};

/* What a rule sees: a node with at least one activation among its inputs. */
struct rule {
    struct importer *im;
    const Onnx__NodeProto *node;
    uint32_t input_count, output_count;
    struct import_value *inputs[EVALUATE_MAX_INPUTS]; /* NULL where absent */
    struct import_value outputs[EVALUATE_MAX_OUTPUTS];
    struct trace *trace;
};

enum status import_interpret(struct importer *im,
                             struct trace *trace) MUST_CHECK; /* every node of im->order */
void import_note(struct importer *im, const char *format, ...) PRINTF_LIKE(2, 3);
void import_note_storage(struct importer *im); /* of weights that are not stored as f32 */

/* The arrays of a concrete value, reading the stored tensor when needed. */
enum status import_materialise(struct importer *im, struct import_value *value,
                               struct trace *trace) MUST_CHECK;
uint32_t import_weight(struct importer *im, const struct tensor_view *view); /* number of a weight */
/* Carries out a node on arrays. */
enum status import_evaluate(struct importer *im, const Onnx__NodeProto *node,
                            struct evaluation *e) MUST_CHECK;

/* frontend/order.c: names, declared inputs, topological order, specialised inputs. */
enum status import_order(struct importer *im, struct trace *trace) MUST_CHECK;

/* For rules (frontend/rules.c). */
enum status rule_refuse(struct rule *rule, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
bool rule_is_activation(const struct rule *rule, uint32_t slot);
bool rule_is_concrete(const struct rule *rule, uint32_t slot);
/* The number that a concrete input is, at every probe; false when it is not one number. */
bool rule_number(struct rule *rule, uint32_t slot, double *out);
/* Prepares `e` with the concrete inputs of the node at a probe (activations are NULL), for the evaluate_*
 * readers. */
enum status rule_evaluation(struct rule *rule, uint32_t probe, struct evaluation *e) MUST_CHECK;
void rule_set(struct rule *rule, uint32_t output, uint32_t term, const struct view *view);
uint32_t rule_term(struct rule *rule, struct term term); /* adds it, with the node as origin */
const struct term *rule_get(const struct rule *rule, const struct import_value *value);
/* A concrete input that is a vector of `size`, whatever axes of size 1 it has; its weight number. A vector
 * that the file computes (a weight plus one) becomes a weight of the model's own. */
bool rule_vector(struct rule *rule, uint32_t slot, int64_t size, uint32_t *weight);

/* A pointwise step over input 0. */
enum status rule_unary(struct rule *rule, enum term_kind kind) MUST_CHECK;

/* The same value with no other channels than its view shows: a slice of a linear layer is a linear layer with
 * some rows of its weight, so packed queries, keys and values, packed gate and up, come apart. False when the
 * expression is not of that kind; *out is then the value as it is. `whole` is how many neighbouring channels
 * stay together (1, or the channels of a head). frontend/narrow.c */
bool rule_narrow(struct rule *rule, struct import_value *out, const struct import_value *value,
                 int64_t whole);
/* Channels [first, first + count) of each of the heads of `head` channels of a term; TERM_NONE as above. */
uint32_t rule_take_channels(struct rule *rule, uint32_t term, int64_t head, int64_t first, int64_t count);
/* The listed channels of each of its heads, in that order. */
uint32_t rule_order_channels(struct rule *rule, uint32_t term, int64_t head, const int64_t *channels,
                             int64_t count);

/* Does `row` have one element where `x` has a row of channels (of a head)? frontend/rules_norm.c */
bool rule_is_row_of(const struct import_value *row, const struct import_value *x);
/* x times such a row, which must be what normalises x. */
enum status rule_times_row(struct rule *rule, const struct import_value *x,
                           const struct import_value *row) MUST_CHECK;
/* x * (1 + erf(...)) and x * (1 + tanh(...)): the GELU that the product of a and b is, times *factor;
 * TERM_NONE when it is none. frontend/rules_activation.c */
uint32_t rule_gelu_product(struct rule *rule, uint32_t a, uint32_t b, double *factor);
/* x plus rows of a stored table, one a position. frontend/rules_positions.c */
enum status rule_add_positions(struct rule *rule, const struct import_value *x, uint32_t slot) MUST_CHECK;

/* Parts of rules that other rules call. */
enum status rule_add_mask(struct rule *rule, const struct import_value *scores,
                          uint32_t mask_slot) MUST_CHECK;
enum status rule_select_mask(struct rule *rule) MUST_CHECK; /* Where(condition, scores, number) */
enum status rule_scores(struct rule *rule) MUST_CHECK;
/* Attention over [batch, heads, sequence, channels], keys and values of fewer heads repeated in place; `mask`
 * is a concrete value or NULL. Sets output 0, of the same axes. */
struct attention_operands {
    struct import_value q, k, v;
    struct import_value *mask;
    double scale, softcap;
    bool is_causal;
    int64_t window; /* of causal attention; 0: none */
};
enum status rule_attend(struct rule *rule, const struct attention_operands *operands) MUST_CHECK;
/* [batch, sequence, heads * channels] as [batch, heads, sequence, channels], and back. */
bool rule_split_heads(struct import_value *x, int64_t heads);
bool rule_merge_heads(struct import_value *x);
/* x times the transpose of a stored weight [out, in]. */
enum status rule_linear(struct rule *rule, const struct import_value *x,
                        const struct import_value *weight) MUST_CHECK;
/* The norm of input 0 by the weight in input 1, and a bias in input 2; epsilon where the node has none. */
enum status rule_norm(struct rule *rule, bool is_centred, double epsilon) MUST_CHECK;
enum status rule_weigh(struct rule *rule) MUST_CHECK;
enum status rule_table_product(struct rule *rule, const struct import_value *x,
                               uint32_t table_slot) MUST_CHECK;

/* A mask that is right at the probes must stay so at every length, but for a window of so many positions (0:
 * none), which they may be too short to show (frontend/mask_limits.c). */
enum status mask_check_limits(struct rule *rule, const struct import_value *value,
                              int64_t *window) MUST_CHECK;

/* The rules, one an operator with activations. */
#define RULE(name) enum status rule_##name(struct rule *rule) MUST_CHECK
RULE(Add);
RULE(Sub);
RULE(Mul);
RULE(Div);
RULE(Pow);
RULE(Neg);
RULE(Sqrt);
RULE(Reciprocal);
RULE(Exp);
RULE(Sigmoid);
RULE(Swish);
RULE(Relu);
RULE(Tanh);
RULE(Erf);
RULE(Gelu);
RULE(IsNaN);
RULE(Where);
RULE(Shape);
RULE(Identity);
RULE(Reshape);
RULE(Flatten);
RULE(Transpose);
RULE(Unsqueeze);
RULE(Squeeze);
RULE(Expand);
RULE(Tile);
RULE(Slice);
RULE(Split);
RULE(Concat);
RULE(Gather);
RULE(GatherND);
RULE(MatMul);
RULE(Gemm);
RULE(Softmax);
RULE(ReduceMean);
RULE(ReduceSum);
RULE(RMSNormalization);
RULE(LayerNormalization);
RULE(RotaryEmbedding);
RULE(Attention);
RULE(SkipSimplifiedLayerNormalization);
RULE(SkipLayerNormalization);
RULE(contrib_RotaryEmbedding);
RULE(GroupQueryAttention);
RULE(MultiHeadAttention);
RULE(FastGelu);
RULE(BiasGelu);
RULE(MatMulNBits);
RULE(GatherBlockQuantized);
RULE(DequantizeLinear);
#undef RULE

#endif
