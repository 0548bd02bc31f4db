/* A cache is understood when its inputs have two names but for a number that counts the layers, and the sizes
 * that the attention with that number has. */
#include "frontend/interface.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { MOST_LAYERS = 1 << 16 };

static void add_input(struct importer *im, struct interface_input *out, const struct declared *in,
                      const char *usual)
{
    struct str name = str_from(in->name);
    if (out->name.length > 0 || (in->type != ONNX_FLOAT && in->type != ONNX_INT32 && in->type != ONNX_INT64 &&
                                 in->type != ONNX_BOOL)) {
        import_note(im, "input '%s' (%s) is not kept for export", in->name, onnx_type_name(in->type));
        return;
    }
    if (!interface_is_name(name))
        name = str_from(usual);
    *out = (struct interface_input){name, (enum interface_type)in->type, in->rank};
}

void interface_add_mask(struct importer *im, const struct declared *in)
{
    add_input(im, &im->interface->mask, in, "attention_mask");
}

void interface_add_positions(struct importer *im, const struct declared *in)
{
    add_input(im, &im->interface->positions, in, "position_ids");
}

void interface_add_table(struct importer *im, bool from_mask)
{
    im->interface->counts_shown |= from_mask;
    im->interface->numbers_all |= !from_mask;
}

/* Only where a mask could number learned positions, and no input does. */
static bool numbers_hidden(struct importer *im, const struct interface *found)
{
    const struct interface_parts *parts = im->interface;
    if (found->mask.name.length == 0 || found->positions.name.length > 0)
        return false;
    if (parts->counts_shown && parts->numbers_all)
        import_note(im,
                    "some learned positions count what '" STR_FORMAT
                    "' shows, some all tokens; exports count what it shows",
                    STR_ARGUMENT(found->mask.name));
    return parts->numbers_all && !parts->counts_shown;
}

/* The first number of a name becomes its %. */
static bool split_name(struct importer *im, struct cache_place *out, const char *name)
{
    size_t before = strcspn(name, "0123456789"), digits = strspn(name + before, "0123456789");
    uint64_t layer;
    if (digits == 0 || !str_to_u64((struct str){name + before, digits}, &layer) || layer >= MOST_LAYERS)
        return false;
    out->layer = (uint32_t)layer;
    out->pattern = str_from(arena_printf(im->arena, "%.*s%%%s", (int)before, name, name + before + digits));
    return interface_is_pattern(out->pattern);
}

/* One axis of positions besides the batch; builders of fused attention leave the size of a head open. */
static bool find_layout(struct cache_place *out, const struct declared *in)
{
    if (in->rank != 4)
        return false;
    if (in->dims[2] < 0 && in->dims[1] >= 0)
        out->layout = LAYOUT_BNSH;
    else if (in->dims[1] < 0 && in->dims[2] >= 0)
        out->layout = LAYOUT_BSNH;
    else if (in->dims[3] < 0 && in->dims[1] >= 0)
        out->layout = LAYOUT_BNHS;
    else
        return false;
    out->heads = in->dims[out->layout == LAYOUT_BSNH ? 2 : 1];
    out->channels = in->dims[out->layout == LAYOUT_BNHS ? 2 : 3];
    return true;
}

void interface_add_past(struct importer *im, const struct declared *in)
{
    struct cache_place place = {0};
    place.is_understood = split_name(im, &place, in->name) && find_layout(&place, in);
    *VEC_PUSH(im->arena, &im->interface->past) = place;
    if (in->type != ONNX_FLOAT)
        im->interface->stored = in->type;
}

void interface_add_output(struct importer *im, const char *name)
{
    struct cache_place place = {0};
    place.is_understood = split_name(im, &place, name);
    *VEC_PUSH(im->arena, &im->interface->present) = place;
}

/* ---- keys or values ---- */

enum kind { KIND_KEY, KIND_VALUE, KIND_UNKNOWN };

static bool has_word(struct str text, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= text.length; i++) {
        size_t k = 0;
        while (k < length && tolower((unsigned char)text.data[i + k]) == word[k])
            k++;
        if (k == length)
            return true;
    }
    return false;
}

/* A letter that stands alone: k_cache. */
static bool has_letter(struct str text, char letter)
{
    for (size_t i = 0; i < text.length; i++) {
        bool begins = i == 0 || !isalpha((unsigned char)text.data[i - 1]);
        bool ends = i + 1 == text.length || !isalpha((unsigned char)text.data[i + 1]);
        if (begins && ends && tolower((unsigned char)text.data[i]) == letter)
            return true;
    }
    return false;
}

static enum kind kind_of_part(struct str part)
{
    bool is_key = has_word(part, "key"), is_value = has_word(part, "value");
    if (!is_key && !is_value) {
        is_key = has_letter(part, 'k');
        is_value = has_letter(part, 'v');
    }
    return is_key == is_value ? KIND_UNKNOWN : is_key ? KIND_KEY : KIND_VALUE;
}

/* What follows the number says it, else what stands before it: past_key_values.%.key, past_value_%. */
static enum kind kind_of(struct str pattern)
{
    const char *place = memchr(pattern.data, '%', pattern.length);
    size_t before = (size_t)(place - pattern.data);
    struct str front = {pattern.data, before}, behind = {place + 1, pattern.length - before - 1};
    enum kind kind = kind_of_part(behind);
    return kind == KIND_UNKNOWN ? kind_of_part(front) : kind;
}

/* ---- does it fit the graph? ---- */

/* One name for each attention of the graph, counted from 0. */
static const char *collect(struct importer *im, const struct cache_place *places, uint32_t count,
                           uint32_t layers, enum kind kind, const struct cache_place **out)
{
    const struct cache_place *first = NULL;
    uint32_t found = 0;
    memset(out, 0, layers * sizeof *out);
    for (uint32_t i = 0; i < count; i++) {
        const struct cache_place *place = &places[i];
        if (!place->is_understood || kind_of(place->pattern) != kind)
            continue;
        first = first ? first : place;
        if (!str_equal(place->pattern, first->pattern))
            return "the names of its layers differ in more than a number";
        if (place->layer >= layers || out[place->layer])
            return "its layers are not counted from 0";
        out[place->layer] = place;
        found++;
    }
    return found == layers ? NULL
                           : arena_printf(im->arena, "there are %" PRIu32 " %s for %" PRIu32 " attentions",
                                          found, kind == KIND_KEY ? "keys" : "values", layers);
}

static const char *check_sizes(struct importer *im, const struct graph *graph, enum kind kind,
                               const struct cache_place *const *places)
{
    uint32_t layer = 0;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (node->op != OP_attention && node->op != OP_sloped_attention)
            continue;
        const struct value *x = graph_value(graph, node->inputs[kind == KIND_KEY ? 1 : 2]);
        int64_t heads = node_integer(node, ATTRIBUTE_kv_heads);
        int64_t channels = dims_size(&graph->dims, x->axes[2]) / heads;
        const struct cache_place *place = places[layer];
        if ((place->heads >= 0 && place->heads != heads) ||
            (place->channels >= 0 && place->channels != channels))
            return arena_printf(im->arena,
                                "layer %" PRIu32 " caches %" PRId64 " heads of %" PRId64
                                " channels, its attention has %" PRId64 " of %" PRId64,
                                layer, place->heads, place->channels, heads, channels);
        if (place->layout != places[0]->layout)
            return "the order of its axes differs between layers";
        layer++;
    }
    return NULL;
}

static uint32_t count_attentions(const struct graph *graph)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        count += graph->nodes.items[n].op == OP_attention || graph->nodes.items[n].op == OP_sloped_attention;
    return count;
}

/* NULL, or why the cache is not understood. */
static const char *take_cache(struct importer *im, const struct graph *graph, struct interface *out)
{
    const struct interface_parts *parts = im->interface;
    uint32_t layers = count_attentions(graph);
    const struct cache_place **places = ARENA_ARRAY(im->arena, const struct cache_place *, layers + 1);
    for (uint32_t i = 0; i < parts->past.count; i++)
        if (!parts->past.items[i].is_understood || kind_of(parts->past.items[i].pattern) == KIND_UNKNOWN)
            return "its inputs are not keys and values [batch, heads, positions, channels] with a number in "
                   "their names";
    for (int kind = KIND_KEY; kind <= KIND_VALUE; kind++) {
        const char *why = collect(im, parts->past.items, parts->past.count, layers, (enum kind)kind, places);
        if (!why)
            why = check_sizes(im, graph, (enum kind)kind, places);
        if (why)
            return why;
        out->cache[PAST_KEY + kind] = places[0]->pattern;
        out->layouts[kind] = places[0]->layout;
        why = collect(im, parts->present.items, parts->present.count, layers, (enum kind)kind, places);
        out->cache[PRESENT_KEY + kind] = why ? interface_usual.cache[PRESENT_KEY + kind] : places[0]->pattern;
    }
    return NULL;
}

void interface_finish(struct importer *im, struct graph *graph)
{
    const struct interface_parts *parts = im->interface;
    struct interface found = {.mask = parts->mask, .positions = parts->positions};
    found.numbers_hidden = numbers_hidden(im, &found);
    if (parts->past.count > 0) {
        struct interface with = found;
        const char *why =
            count_attentions(graph) > 0 ? take_cache(im, graph, &with) : "there is no attention";
        if (why)
            import_note(im, "the %u inputs of the key-value cache are dropped: %s", parts->past.count, why);
        else
            import_note(im,
                        "took the %u inputs of the key-value cache as empty; an ONNX export has them again",
                        parts->past.count);
        if (!why && parts->stored != 0)
            import_note(im, "the cache holds %s; exports hold FLOAT", onnx_type_name(parts->stored));
        found = why ? found : with;
    }
    graph->interface = interface_copy(&found, &graph->arena);
}
