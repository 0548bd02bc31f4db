/* Reads the pieces, finds the cuts of each, sorts the pieces by score, writes JSON with jansson. */
#include "data/llama2c.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "data/byte_alphabet.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BOS_ID = 1, FIRST_BYTE = 3, FIRST_PIECE = 259, PIECE_LIMIT = 4096 };

struct piece {
    struct str text; /* spaces as U+2581 */
    float score;
};

struct vocabulary {
    struct arena arena;
    VEC(struct piece) pieces;
    struct map ids; /* of the pieces from FIRST_PIECE on */
};

/* --- reading --- */

static uint32_t read_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static struct str with_markers(struct arena *arena, struct str text)
{
    char *marked = arena_array(arena, text.length + 1, 3);
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ' ')
            count += utf8_write(marked + count, 0x2581);
        else
            marked[count++] = text.data[i];
    }
    return (struct str){marked, count};
}

static enum status check_piece(struct vocabulary *v, struct str text, float score, size_t at,
                               struct trace *trace)
{
    uint32_t id = v->pieces.count;
    if (!isfinite(score))
        return status_fail(trace, INVALID, "token %u at offset %zu: its score is not finite", id, at);
    if (utf8_find_invalid(text) != text.length || memchr(text.data, 0, text.length))
        return status_fail(trace, INVALID, "token %u at offset %zu: its piece is not UTF-8 text", id, at);
    if (id >= FIRST_BYTE && id < FIRST_PIECE && byte_piece_value(text) != (int)id - FIRST_BYTE)
        return status_fail(trace, INVALID,
                           "token %u at offset %zu: expected the piece <0x%02X>, found \"%.*s\"", id, at,
                           id - FIRST_BYTE, (int)text.length, text.data);
    return OK;
}

static enum status read_piece(struct vocabulary *v, struct str file, size_t *at, struct trace *trace)
{
    size_t start = *at, left = file.length - start;
    uint32_t bits, length;
    float score;
    if (left < 8)
        return status_fail(trace, INVALID, "token %u at offset %zu: the file ends within it", v->pieces.count,
                           start);
    bits = read_u32(file.data + start);
    memcpy(&score, &bits, sizeof score);
    length = read_u32(file.data + start + 4);
    if (length == 0 || length > PIECE_LIMIT || length > left - 8)
        return status_fail(trace, INVALID,
                           "token %u at offset %zu: a piece of %u bytes, with %zu left in the file",
                           v->pieces.count, start, length, left - 8);
    struct str text = {file.data + start + 8, length};
    TRY(check_piece(v, text, score, start, trace));
    text = with_markers(&v->arena, text);
    uint32_t id = v->pieces.count;
    if (id >= FIRST_PIECE && !map_add_text(&v->ids, &v->arena, text, id))
        return status_fail(trace, INVALID, "token %u at offset %zu: the piece \"%.*s\" is there already", id,
                           start, (int)text.length, text.data);
    *VEC_PUSH(&v->arena, &v->pieces) = (struct piece){text, score};
    *at = start + 8 + length;
    return OK;
}

static enum status read_pieces(struct vocabulary *v, struct str file, struct trace *trace)
{
    size_t at = 4;
    if (file.length < 4)
        return status_fail(trace, INVALID, "expected a llama2.c tokenizer, found a file of %zu bytes",
                           file.length);
    while (at < file.length) {
        if (v->pieces.count >= TOKENIZER_ID_LIMIT)
            return status_fail(trace, INVALID, "more than %d tokens", TOKENIZER_ID_LIMIT);
        TRY(read_piece(v, file, &at, trace));
    }
    if (v->pieces.count <= FIRST_PIECE)
        return status_fail(trace, INVALID, "expected 3 special tokens, 256 bytes and pieces, found %u tokens",
                           v->pieces.count);
    return OK;
}

/* --- merges --- */

static int compare_by_score(const void *a, const void *b, void *payload)
{
    const struct vocabulary *v = payload;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    float left = v->pieces.items[x].score, right = v->pieces.items[y].score;
    if (left != right)
        return left > right ? -1 : 1;
    return x < y ? -1 : x > y;
}

struct cuts {
    uint32_t *items; /* lengths of the left part, ascending */
    uint32_t count;
};

static struct cuts find_cuts(struct vocabulary *v, struct str text)
{
    struct cuts cuts = {ARENA_ARRAY(&v->arena, uint32_t, text.length), 0};
    for (uint32_t at = 1; at < text.length; at++) {
        struct str left = {text.data, at}, right = {text.data + at, text.length - at};
        if (((unsigned char)text.data[at] & 0xc0) != 0x80 && map_find_text(&v->ids, left, NULL) &&
            map_find_text(&v->ids, right, NULL))
            cuts.items[cuts.count++] = at;
    }
    return cuts;
}

/* T cut at `first` is (A, B), cut at `second` (B, C): |B| = second, so |A| = |T| - second, and A must match.
 */
static bool goes_before(struct str text, uint32_t first, uint32_t second)
{
    return first != second && first + second == text.length &&
           memcmp(text.data + first, text.data, second) == 0;
}

/* The position in `cuts` of one that no other remaining cut goes before; the first one where they go in
 * circles, as in runs of one character. */
static uint32_t pick_cut(struct cuts cuts, struct str text)
{
    for (uint32_t i = 0; i < cuts.count; i++) {
        bool is_free = true;
        for (uint32_t k = 0; k < cuts.count && is_free; k++)
            is_free = !goes_before(text, cuts.items[k], cuts.items[i]);
        if (is_free)
            return i;
    }
    return 0;
}

static void add_merges(json_t *merges, struct vocabulary *v, struct str text)
{
    struct cuts cuts = find_cuts(v, text);
    while (cuts.count > 0) {
        uint32_t pick = pick_cut(cuts, text), left = cuts.items[pick];
        json_array_append_new(
            merges, json_pack("[s%, s%]", text.data, (size_t)left, text.data + left, text.length - left));
        memmove(cuts.items + pick, cuts.items + pick + 1, (cuts.count - pick - 1) * sizeof *cuts.items);
        cuts.count--;
    }
}

static enum status make_merges(json_t *merges, struct vocabulary *v, struct trace *trace)
{
    uint32_t count = v->pieces.count - FIRST_PIECE;
    uint32_t *order = ARENA_ARRAY(&v->arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        order[i] = FIRST_PIECE + i;
    qsort_r(order, count, sizeof *order, compare_by_score, v);
    const struct piece *before = NULL; /* the last one that is merged from others */
    for (uint32_t i = 0; i < count; i++) {
        const struct piece *piece = &v->pieces.items[order[i]];
        if (find_cuts(v, piece->text).count == 0)
            continue;
        if (before && before->score == piece->score)
            return status_fail(trace, UNSUPPORTED, "the pieces \"%.*s\" and \"%.*s\" have the same score",
                               (int)before->text.length, before->text.data, (int)piece->text.length,
                               piece->text.data);
        before = piece;
        add_merges(merges, v, piece->text);
    }
    return OK;
}

/* --- writing --- */

static const char *const special_names[FIRST_BYTE] = {"<unk>", "<s>", "</s>"};

static json_t *make_vocabulary(const struct vocabulary *v)
{
    json_t *vocab = json_object();
    for (uint32_t id = 0; id < v->pieces.count; id++) {
        struct str text = id < FIRST_BYTE ? str_from(special_names[id]) : v->pieces.items[id].text;
        char *name = strndup(text.data, text.length);
        json_object_set_new(vocab, name, json_integer(id));
        free(name);
    }
    return vocab;
}

static json_t *make_added_tokens(void)
{
    json_t *added = json_array();
    for (int id = 0; id < FIRST_BYTE; id++)
        json_array_append_new(added, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                                               special_names[id], "single_word", 0, "lstrip", 0, "rstrip", 0,
                                               "normalized", 0, "special", 1));
    return added;
}

/* The begin token before a text, as llama2.c prepares what its models are trained on. */
static json_t *make_template(void)
{
    const char *bos = special_names[BOS_ID];
    json_t *single = json_pack("[{s:{s:s, s:i}}, {s:{s:s, s:i}}]", "SpecialToken", "id", bos, "type_id", 0,
                               "Sequence", "id", "A", "type_id", 0);
    json_t *pair = json_pack("[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}]",
                             "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id", "A", "type_id", 0,
                             "SpecialToken", "id", bos, "type_id", 1, "Sequence", "id", "B", "type_id", 1);
    return json_pack("{s:s, s:o, s:o, s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing", "single",
                     single, "pair", pair, "special_tokens", bos, "id", bos, "ids", BOS_ID, "tokens", bos);
}

/* Steals `vocab` and `merges`. */
static json_t *make_root(json_t *vocab, json_t *merges)
{
    static const char marker[] = "\xe2\x96\x81";
    json_t *normalizer = json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence",
                                   "normalizers", "type", "Prepend", "prepend", marker, "type", "Replace",
                                   "pattern", "String", " ", "content", marker);
    json_t *decoder =
        json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence",
                  "decoders", "type", "Replace", "pattern", "String", marker, "content", " ", "type",
                  "ByteFallback", "type", "Fuse", "type", "Strip", "content", " ", "start", 1, "stop", 0);
    json_t *model =
        json_pack("{s:s, s:n, s:s, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                  special_names[0], "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                  "byte_fallback", 1, "ignore_merges", 0, "vocab", vocab, "merges", merges);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:n, s:o, s:o, s:o}", "version", "1.0", "truncation",
                     "padding", "added_tokens", make_added_tokens(), "normalizer", normalizer,
                     "pre_tokenizer", "post_processor", make_template(), "decoder", decoder, "model", model);
}

static void write_json(struct builder *out, const json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(1));
    if (!text)
        BUG("a tokenizer.json cannot be printed");
    builder_add_text(out, text);
    builder_add_text(out, "\n");
    free(text);
}

enum status llama2c_convert(struct builder *out, struct str file, struct trace *trace)
{
    struct vocabulary v = {0};
    json_t *merges = json_array();
    enum status status = read_pieces(&v, file, trace);
    if (status == OK)
        status = make_merges(merges, &v, trace);
    if (status == OK) {
        json_t *root = make_root(make_vocabulary(&v), json_incref(merges));
        write_json(out, root);
        json_decref(root);
    }
    json_decref(merges);
    arena_release(&v.arena);
    return status;
}
