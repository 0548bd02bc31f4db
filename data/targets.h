/* Targets: what a teacher was asked beforehand about tokens, for students to learn from without it. Of each
 * token they have the largest log-probabilities of the next one with their ids, ascending, and the logarithm
 * of what all others come to together.
 *
 * A window of them is kept as bytes: planes of ids (the first, then the gaps between them), of
 * log-probabilities and of rests, least significant byte first, all of the first bytes, then all of the
 * second, and so on; which compresses well and depends on nothing but the numbers. */
#ifndef DATA_TARGETS_H
#define DATA_TARGETS_H

#include "base/status.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct targets {
    uint32_t tokens, kept;
    int32_t *ids; /* [tokens, kept], ascending in each row */
    float *logs;  /* [tokens, kept] */
    float *rest;  /* [tokens]; -128 where nothing is left */
};

void targets_init(struct targets *out, uint32_t tokens, uint32_t kept); /* the product is checked: aborts */
void targets_release(struct targets *targets);                          /* accepts zeroed memory */

/* How a window is kept. */
enum targets_type { TARGETS_F32, TARGETS_F16 };
bool targets_type_from_name(struct str name, enum targets_type *out); /* "f32", "f16" */

struct targets_form {
    uint32_t tokens, kept; /* of a window */
    uint32_t vocabulary;   /* ids are below it */
    enum targets_type type;
};

size_t targets_size(const struct targets_form *form); /* bytes of a window */
/* `at` has room for them; `from` has the form's tokens. */
void targets_encode(uint8_t *at, const struct targets_form *form, const struct targets *from);
/* Into tokens [first, first + form's) of `out`, which keeps as many a token. CORRUPT: ids that do not ascend
 * below the vocabulary, numbers that are no logarithms of probabilities. */
enum status targets_decode(struct targets *out, uint32_t first, const struct targets_form *form,
                           const uint8_t *bytes, struct trace *trace) MUST_CHECK;

#endif
