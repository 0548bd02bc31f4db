/* The weights of a decoder that is being built: taken from the files by role, unpacked, and turned to rows of
 * outputs [out, in]. Nothing is copied but norms that add one. */
#ifndef FRONTEND_DECODER_WEIGHTS_H
#define FRONTEND_DECODER_WEIGHTS_H

#include "frontend/decoder.h"

struct decoder {
    struct importer im;
    const struct decoder_config *config;
    struct weight_set *weights;
    size_t prefix; /* characters that the file's names lack in front */
    uint32_t frequencies, local_frequencies;
    uint32_t slopes; /* 1 + number; 0: none */
    struct trace *trace;
};

/* Rows of a stored matrix: of each run of `head` of its `total` rows, `count` from `first`. */
struct decoder_rows {
    enum weight_role role;
    int64_t total, head, first, count;
    bool is_paired; /* stored so that neighbouring rows of a head rotate together */
    bool is_table;  /* [rows, channels] also where linear layers are stored transposed */
};

static inline struct decoder_rows decoder_rows_all(enum weight_role role, int64_t count)
{
    return (struct decoder_rows){.role = role, .total = count, .head = count, .count = count};
}

/* Rows [first, first + count). */
static inline struct decoder_rows decoder_rows_some(enum weight_role role, int64_t total, int64_t first,
                                                    int64_t count)
{
    return (struct decoder_rows){.role = role, .total = total, .head = total, .first = first, .count = count};
}

void decoder_find_prefix(struct decoder *d); /* before any of the others */
const char *decoder_weight_name(struct decoder *d, enum weight_role role, int64_t layer,
                                enum weight_part part);
bool decoder_has_weight(struct decoder *d, enum weight_role role, int64_t layer);

/* The number of the importer's weight: [rows, columns], or [rows] for a bias. */
enum status decoder_take_rows(struct decoder *d, uint32_t *weight, const struct decoder_rows *rows,
                              int64_t layer, enum weight_part part, int64_t columns) MUST_CHECK;
enum status decoder_take_vector(struct decoder *d, uint32_t *weight, enum weight_role role, int64_t layer,
                                enum weight_part part, int64_t size) MUST_CHECK;
/* What a norm multiplies by, the form's one added. */
enum status decoder_take_norm(struct decoder *d, uint32_t *weight, enum weight_role role, int64_t layer,
                              int64_t size) MUST_CHECK;

#endif
