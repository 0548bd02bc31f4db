/* What a model's file takes and gives besides tokens and logits: a mask of padding, positions, and the
 * key-value cache. The program has none of it (it computes a whole sequence); an ONNX export has it again.
 * All zero: nothing but tokens and logits. */
#ifndef IR_INTERFACE_H
#define IR_INTERFACE_H

#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

struct arena;

/* Element types; the numbers are those of ONNX's TensorProto.DataType. */
enum interface_type {
    INTERFACE_FLOAT = 1,
    INTERFACE_INT32 = 6,
    INTERFACE_INT64 = 7,
    INTERFACE_BOOL = 9,
};
const char *interface_type_name(enum interface_type type); /* "int64" */
bool interface_type_from_name(struct str name, enum interface_type *out);

struct interface_input {
    struct str name; /* "": there is none */
    enum interface_type type;
    uint32_t rank; /* 2: [batch, sequence]; positions may be [sequence] */
};

/* The order of the axes of cached keys or values: b batch, n heads, s positions, h channels of a head. */
enum interface_layout { LAYOUT_BNSH, LAYOUT_BSNH, LAYOUT_BNHS, INTERFACE_LAYOUTS };
extern const char *const interface_layouts[INTERFACE_LAYOUTS]; /* "bnsh", ... */
bool interface_layout_from_name(struct str name, enum interface_layout *out);

enum interface_part { PAST_KEY, PAST_VALUE, PRESENT_KEY, PRESENT_VALUE, CACHE_PARTS };
enum { CACHE_KINDS = 2 }; /* keys, values: part % CACHE_KINDS */

struct interface {
    struct interface_input mask;      /* of padding, over all positions, those of the cache included */
    struct interface_input positions; /* of the tokens */
    /* Without an input for positions, rows of learned ones are numbered over all tokens, those that the mask
     * hides among them; else over the tokens that it shows. */
    bool numbers_hidden;
    struct str cache[CACHE_PARTS]; /* names in which % stands for a layer's number; "": no cache */
    enum interface_layout layouts[CACHE_KINDS];
};

bool interface_has_cache(const struct interface *interface);
bool interface_is_empty(const struct interface *interface);
bool interface_is_equal(const struct interface *a, const struct interface *b);
/* Can the name stand in the text of a graph: printable ASCII without blanks and #, and in the names of a
 * cache one %. */
bool interface_is_name(struct str name);
bool interface_is_pattern(struct str name);
/* The name of a layer's part; on the arena. */
const char *interface_cache_name(struct arena *arena, struct str pattern, uint32_t layer);
/* The names that Hugging Face's exporters use. */
extern const struct interface interface_usual;
/* The word of a mask's line that says so. */
extern const char *const interface_numbers_hidden;
/* Lines of a graph's text: "interface mask attention_mask int64", ... */
void interface_print(const struct interface *interface, struct builder *out);
/* A copy whose names are on the arena. */
struct interface interface_copy(const struct interface *interface, struct arena *arena);

#endif
