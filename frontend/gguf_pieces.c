/* Every way to cut a piece in two others becomes a merge, and pieces come by falling score. Of the cuts of
 * one piece T, (A, B) goes before (B, C) where T = AB = BC: both overlap in ABC, and the leftmost is merged
 * first. Pieces of one score
 * have no order among them, but "the leftmost" is not a rank. That is accepted only of runs of one character
 * (LLaMA's pieces of several blanks), where trying all lengths shows that both ways end in the same pieces.
 */
#include "frontend/gguf_pieces.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

enum { TOKEN_NORMAL = 1, CUTS_LIMIT = 256 };

struct piece {
    struct str text;
    float score;
    uint32_t id;
};

struct pieces {
    struct arena arena;
    struct piece *items;
    uint32_t count;
    struct map ids;
};

struct cuts {
    uint32_t at[CUTS_LIMIT]; /* lengths of the left part, ascending */
    uint32_t count;
};

static float score_at(const struct gguf_entry *scores, uint64_t i)
{
    float score;
    memcpy(&score, scores->data + i * sizeof score, sizeof score);
    return score;
}

/* The pieces that are merged from others or may be a part of them. */
static const char *read_pieces(struct pieces *p, const struct gguf_entry *tokens,
                               const struct gguf_entry *scores, const struct gguf_entry *types)
{
    struct str text;
    size_t at = 0;
    p->items = ARENA_ARRAY(&p->arena, struct piece, tokens->count);
    for (uint64_t i = 0; gguf_next_text(tokens, &at, &text); i++) {
        if ((types && gguf_item(types, i) != TOKEN_NORMAL) || text.length == 0)
            continue;
        float score = score_at(scores, i);
        if (score != score)
            return "a score is no number";
        if (text.length > CUTS_LIMIT)
            return "a piece is longer than 256 bytes";
        p->items[p->count++] = (struct piece){text, score, (uint32_t)i};
        map_add_text(&p->ids, &p->arena, text, (uint32_t)i);
    }
    return NULL;
}

static int compare_by_score(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void find_cuts(struct cuts *out, const struct pieces *p, struct str text)
{
    out->count = 0;
    for (uint32_t at = 1; at < text.length; at++)
        if (((unsigned char)text.data[at] & 0xc0) != 0x80 &&
            map_find_text(&p->ids, (struct str){text.data, at}, NULL) &&
            map_find_text(&p->ids, (struct str){text.data + at, text.length - at}, NULL))
            out->at[out->count++] = at;
}

/* T cut at `first` is (A, B), cut at `second` (B, C): |B| = second, so |A| = |T| - second, and A must match.
 */
static bool goes_before(struct str text, uint32_t first, uint32_t second)
{
    return first != second && first + second == text.length &&
           memcmp(text.data + first, text.data, second) == 0;
}

/* One that no other remaining cut goes before; the first one where they go in circles, as in runs of one
 * character. */
static uint32_t pick_cut(const struct cuts *cuts, struct str text)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        bool is_free = true;
        for (uint32_t k = 0; k < cuts->count && is_free; k++)
            is_free = !goes_before(text, cuts->at[k], cuts->at[i]);
        if (is_free)
            return i;
    }
    return 0;
}

static bool add_cuts(json_t *merges, struct cuts *cuts, struct str text)
{
    while (cuts->count > 0) {
        uint32_t pick = pick_cut(cuts, text), left = cuts->at[pick];
        json_t *merge = json_pack("[s%, s%]", text.data, (size_t)left, text.data + left, text.length - left);
        if (!merge || json_array_append_new(merges, merge) != 0)
            return false;
        memmove(cuts->at + pick, cuts->at + pick + 1, (cuts->count - pick - 1) * sizeof *cuts->at);
        cuts->count--;
    }
    return true;
}

/* ---- runs ---- */

enum { RUN_LIMIT = 64 }; /* characters of a piece that is a run */

/* Pieces of equal score that are runs of one character: ranks[a][b] is that of the merge of a and b
 * characters, 0 where there is none. */
struct runs {
    struct str character;
    uint32_t longest, next_rank;
    uint32_t ranks[RUN_LIMIT + 1][RUN_LIMIT + 1];
};

/* How many characters the run has; 0 when it is none, or of another character. */
static uint32_t run_length(struct runs *runs, struct str text)
{
    size_t size = 1;
    while (size < text.length && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size++;
    if (!runs->character.data)
        runs->character = (struct str){text.data, size};
    if (size != runs->character.length || text.length % size != 0 || text.length / size > RUN_LIMIT)
        return 0;
    for (size_t at = 0; at < text.length; at += size)
        if (memcmp(text.data + at, runs->character.data, size) != 0)
            return 0;
    return (uint32_t)(text.length / size);
}

/* Adds a piece's merges, which are those from number `first` on; false when it is no such run. */
static bool add_run(struct runs *runs, struct str text, const json_t *merges, size_t first)
{
    uint32_t length = run_length(runs, text);
    if (length == 0)
        return false;
    if (length > runs->longest)
        runs->longest = length;
    for (size_t i = first; i < json_array_size(merges); i++) {
        const json_t *left = json_array_get(json_array_get(merges, i), 0);
        size_t count = json_string_length(left) / runs->character.length;
        runs->ranks[count][length - count] = ++runs->next_rank;
    }
    return true;
}

/* Merges `count` characters down to pieces: always the leftmost pair, or that of the lowest rank. */
static uint32_t merge_run(const struct runs *runs, uint32_t *lengths, uint32_t count, bool by_rank)
{
    for (;;) {
        uint32_t best = UINT32_MAX, place = 0;
        for (uint32_t i = 0; i + 1 < count; i++) {
            uint32_t a = lengths[i], b = lengths[i + 1], rank = a + b <= RUN_LIMIT ? runs->ranks[a][b] : 0;
            if (rank && (by_rank ? rank < best : best == UINT32_MAX)) {
                best = rank;
                place = i;
            }
        }
        if (best == UINT32_MAX)
            return count;
        lengths[place] += lengths[place + 1];
        memmove(lengths + place + 1, lengths + place + 2, (--count - place - 1) * sizeof *lengths);
    }
}

/* Runs of up to four times the longest piece: beyond, what is left behind full pieces repeats. */
static bool ranks_say_leftmost(const struct runs *runs)
{
    uint32_t left[4 * RUN_LIMIT], ranked[4 * RUN_LIMIT];
    for (uint32_t count = 2; count <= 4 * runs->longest; count++) {
        for (uint32_t i = 0; i < count; i++)
            left[i] = ranked[i] = 1;
        uint32_t pieces = merge_run(runs, left, count, false);
        if (merge_run(runs, ranked, count, true) != pieces ||
            memcmp(left, ranked, pieces * sizeof *left) != 0)
            return false;
    }
    return true;
}

/* ---- all of them ---- */

/* Adds the merges of `count` pieces of one score. */
static const char *add_equals(json_t *merges, const struct pieces *p, const struct piece *pieces,
                              uint32_t count)
{
    struct runs *runs = calloc(1, sizeof *runs);
    const char *reason = runs ? NULL : "there is no memory";
    uint32_t merged = 0;
    bool are_runs = true;
    for (uint32_t i = 0; i < count && !reason; i++) {
        struct cuts cuts;
        size_t first = json_array_size(merges);
        find_cuts(&cuts, p, pieces[i].text);
        merged += cuts.count > 0;
        if (!add_cuts(merges, &cuts, pieces[i].text))
            reason = "a piece is no text";
        if (json_array_size(merges) > first)
            are_runs = are_runs && add_run(runs, pieces[i].text, merges, first);
    }
    if (!reason && merged > 1 && (!are_runs || !ranks_say_leftmost(runs)))
        reason = "two of its pieces have the same score";
    free(runs);
    return reason;
}

static const char *add_merges(json_t *merges, struct pieces *p)
{
    const char *reason = NULL;
    if (p->count > 0)
        qsort(p->items, p->count, sizeof *p->items, compare_by_score);
    for (uint32_t i = 0, count; i < p->count && !reason; i += count) {
        for (count = 1; i + count < p->count && p->items[i + count].score == p->items[i].score;)
            count++;
        reason = add_equals(merges, p, &p->items[i], count);
    }
    return reason;
}

json_t *gguf_merges_of_scores(const struct gguf_entry *tokens, const struct gguf_entry *scores,
                              const struct gguf_entry *types, const char **reason)
{
    struct pieces pieces = {0};
    json_t *merges = json_array();
    *reason = read_pieces(&pieces, tokens, scores, types);
    if (!*reason)
        *reason = add_merges(merges, &pieces);
    arena_release(&pieces.arena);
    if (!*reason)
        return merges;
    json_decref(merges);
    return NULL;
}
