/* Every choice becomes a row of tokens; rows of about one length go through one session together, the shorter
 * ones padded on the right, where a causal model cannot see. */
#include "measure/answer.h"
#include "base/log.h"
#include "base/vec.h"
#include "data/letters.h"
#include "measure/loss_graph.h"
#include "measure/session.h"
#include "shaders/scalar/scalar.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Lengths are rounded up to STEP, so that few sessions serve; a batch has about TOKENS. */
enum { STEP = 32, TOKENS = 1024 };

/* A choice: the model sees ids[0 .. count - 2], and what follows ids[context - 1 ..] is scored. */
struct request {
    int32_t *ids;
    uint32_t count, context; /* tokens in all, and before the continuation: at least 1 */
    uint32_t choice;
};

struct answerer {
    struct arena arena;
    struct executor *executor;
    const struct graph *model;
    const struct task *task;
    struct tokenizer *tokenizer;
    const struct answer_options *options;
    struct answer_score *scores;
    struct request *requests; /* by ascending length; [task->choices.count] */
    struct progress progress;
};

static enum status encode(struct token_list *out, struct answerer *a, struct str text, bool begins,
                          struct trace *trace)
{
    if (begins && tokenizer_puts_bos(a->tokenizer) && tokenizer_bos(a->tokenizer) >= 0)
        token_list_add(out, tokenizer_bos(a->tokenizer));
    return tokenizer_encode(a->tokenizer, text, out, trace);
}

/* The token that stands for an empty context. */
static enum status add_prefix(struct token_list *out, const struct tokenizer *tokenizer, struct trace *trace)
{
    int32_t id = tokenizer_bos(tokenizer) >= 0 ? tokenizer_bos(tokenizer) : tokenizer_eos(tokenizer);
    if (id < 0)
        return status_fail(
            trace, INVALID,
            "texts without a context need a token before them, but the tokenizer has none that "
            "begins or ends a text");
    token_list_add(out, id);
    return OK;
}

/* All tokens of a choice to `ids`; *context are the context's. */
static enum status encode_choice(struct token_list *ids, size_t *context, struct answerer *a,
                                 const struct task_choice *choice, struct trace *trace)
{
    if (choice->context.length == 0) {
        TRY(add_prefix(ids, a->tokenizer, trace));
        *context = 1;
        return encode(ids, a, choice->continuation, false, trace);
    }
    struct token_list alone = {0};
    struct builder whole = {0};
    struct str before = choice->context;
    builder_add(&whole, before.data, before.length);
    builder_add(&whole, choice->continuation.data, choice->continuation.length);
    before.length -= letters_spaces_at_end(before);
    enum status status = encode(&alone, a, before, true, trace);
    if (status == OK)
        status = encode(ids, a, (struct str){builder_text(&whole), whole.length}, true, trace);
    *context = alone.count;
    token_list_release(&alone);
    builder_release(&whole);
    return status;
}

static enum status make_request(struct request *out, struct answerer *a, uint32_t choice, struct trace *trace)
{
    struct token_list ids = {0};
    size_t context = 0;
    enum status status = encode_choice(&ids, &context, a, &a->task->choices.items[choice], trace);
    if (status == OK && (context == 0 || context >= ids.count))
        status =
            status_fail(trace, INVALID, "expected tokens before and in the continuation, found %zu of %zu",
                        context, ids.count);
    if (status == OK) {
        size_t most = a->options->length ? (size_t)a->options->length + 1 : ids.count;
        size_t first = ids.count > most ? ids.count - most : 0;
        out->count = (uint32_t)(ids.count - first);
        out->context = (uint32_t)(context > first ? context - first : 1);
        out->choice = choice;
        out->ids = ARENA_ARRAY(&a->arena, int32_t, out->count);
        memcpy(out->ids, ids.items + first, out->count * sizeof *out->ids);
    }
    token_list_release(&ids);
    return status;
}

static int by_length(const void *a, const void *b)
{
    const struct request *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return x->choice < y->choice ? -1 : 1;
}

static enum status make_requests(struct answerer *a, struct trace *trace)
{
    uint32_t count = a->task->choices.count;
    a->requests = ARENA_ARRAY(&a->arena, struct request, count);
    for (uint32_t item = 0; item < a->task->items.count; item++) {
        const struct task_item *of = &a->task->items.items[item];
        for (uint32_t i = of->first; i < of->first + of->count; i++) {
            enum status status = make_request(&a->requests[i], a, i, trace);
            if (status != OK) {
                trace_add(trace, "in choice %u of item %u", i - of->first, item);
                return status;
            }
        }
    }
    qsort(a->requests, count, sizeof *a->requests, by_length);
    return OK;
}

/* A session for rows of `length` tokens, and what goes in and comes out. */
struct batch_of_rows {
    struct graph *graph;
    struct session session;
    uint32_t rows, length;
    int32_t *tokens, *labels;         /* [rows, length] */
    float *weights, *losses, *logits; /* [rows, length] twice; [vocabulary] or NULL */
    int64_t vocabulary;
};

static uint32_t room_of(const struct request *request)
{
    return (request->count - 1 + STEP - 1) / STEP * STEP;
}

static enum status open_rows(struct batch_of_rows *b, struct answerer *a, uint32_t length, uint32_t requests,
                             struct trace *trace)
{
    bool with_logits = a->task->metrics == TASK_COMPLETION;
    uint32_t most = length < TOKENS ? TOKENS / length : 1;
    *b = (struct batch_of_rows){.rows = requests < most ? requests : most, .length = length};
    size_t count = (size_t)b->rows * length;
    TRY(loss_graph_build(&b->graph, a->model, (int64_t)count, with_logits ? LOSS_EACH_AND_LOGITS : LOSS_EACH,
                         NULL, trace));
    struct dim_binding dims[2];
    uint32_t dim_count = session_dims(dims, b->graph, b->rows, length);
    TRY(session_create(&b->session, a->executor, b->graph, dims, dim_count, SESSION_UPLOAD, trace));
    b->tokens = ARENA_ARRAY(&a->arena, int32_t, count);
    b->labels = ARENA_ARRAY(&a->arena, int32_t, count);
    b->weights = ARENA_ARRAY(&a->arena, float, count);
    b->losses = ARENA_ARRAY(&a->arena, float, count);
    if (with_logits) {
        char name[LOSS_NAME_SIZE];
        int64_t rows = (int64_t)(count < LOSS_CHUNK ? count : LOSS_CHUNK);
        b->vocabulary =
            session_count(&b->session, graph_find_output(b->graph, loss_output_name(name, "logits", 0))) /
            rows;
        b->logits = ARENA_ARRAY(&a->arena, float, (size_t)b->vocabulary);
    }
    return OK;
}

static void close_rows(struct batch_of_rows *b)
{
    session_release(&b->session);
    graph_destroy(b->graph);
}

static void fill_rows(struct batch_of_rows *b, const struct request *requests, uint32_t count)
{
    size_t all = (size_t)b->rows * b->length;
    memset(b->tokens, 0, all * sizeof *b->tokens);
    memset(b->labels, 0, all * sizeof *b->labels);
    memset(b->weights, 0, all * sizeof *b->weights);
    for (uint32_t r = 0; r < count; r++) {
        const struct request *q = &requests[r];
        memcpy(b->tokens + (size_t)r * b->length, q->ids, (q->count - 1) * sizeof *q->ids);
        for (uint32_t i = q->context; i < q->count; i++) {
            b->labels[(size_t)r * b->length + i - 1] = q->ids[i];
            b->weights[(size_t)r * b->length + i - 1] = 1;
        }
    }
}

static enum status read_losses(struct batch_of_rows *b, struct trace *trace)
{
    char name[LOSS_NAME_SIZE];
    size_t all = (size_t)b->rows * b->length;
    for (size_t first = 0; first < all; first += LOSS_CHUNK)
        TRY(session_read(&b->session, loss_output_name(name, "losses", (int64_t)(first / LOSS_CHUNK)),
                         b->losses + first, trace));
    return OK;
}

/* Whether no token has a larger logit than the label; the first of equals wins. */
static enum status is_first_choice(bool *out, struct batch_of_rows *b, size_t at, struct trace *trace)
{
    char name[LOSS_NAME_SIZE];
    TRY(session_read_part(&b->session, loss_output_name(name, "logits", (int64_t)(at / LOSS_CHUNK)),
                          (int64_t)(at % LOSS_CHUNK) * b->vocabulary, b->vocabulary, b->logits, trace));
    int64_t best = 0;
    for (int64_t v = 1; v < b->vocabulary; v++)
        if (b->logits[v] > b->logits[best])
            best = v;
    *out = best == b->labels[at];
    return OK;
}

static enum status score_row(struct answer_score *out, struct batch_of_rows *b, uint32_t row,
                             const struct request *q, struct trace *trace)
{
    *out = (struct answer_score){.tokens = q->count - q->context, .is_greedy = b->logits != NULL};
    for (uint32_t i = q->context; i < q->count; i++) {
        size_t at = (size_t)row * b->length + i - 1;
        out->log_likelihood -= (double)b->losses[at];
        if (out->is_greedy)
            TRY(is_first_choice(&out->is_greedy, b, at, trace));
    }
    return OK;
}

/* Requests [first, end) have one room. */
static enum status answer_room(struct answerer *a, uint32_t first, uint32_t end, struct trace *trace)
{
    struct batch_of_rows b = {0};
    enum status status = open_rows(&b, a, room_of(&a->requests[first]), end - first, trace);
    for (uint32_t at = first; status == OK && at < end; at += b.rows) {
        uint32_t count = end - at < b.rows ? end - at : b.rows;
        if (a->options->stop && *a->options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while answering");
        if (status == OK) {
            fill_rows(&b, a->requests + at, count);
            status = session_write(&b.session, "tokens", b.tokens, trace);
        }
        if (status == OK)
            status = session_write(&b.session, "labels", b.labels, trace);
        if (status == OK)
            status = session_write(&b.session, "weights", b.weights, trace);
        if (status == OK)
            status = session_run(&b.session, trace);
        if (status == OK)
            status = read_losses(&b, trace);
        for (uint32_t r = 0; status == OK && r < count; r++)
            status = score_row(&a->scores[a->requests[at + r].choice], &b, r, &a->requests[at + r], trace);
        if (a->options->label)
            progress_update(&a->progress, at + count, NULL);
    }
    close_rows(&b);
    return status;
}

static enum status answer_all(struct answerer *a, struct trace *trace)
{
    TRY(make_requests(a, trace));
    uint32_t count = a->task->choices.count;
    enum status status = OK;
    if (a->options->label)
        progress_start(&a->progress, a->options->label, "choices", 0, count);
    for (uint32_t first = 0, end; status == OK && first < count; first = end) {
        for (end = first + 1; end < count && room_of(&a->requests[end]) == room_of(&a->requests[first]);)
            end++;
        status = answer_room(a, first, end, trace);
    }
    if (a->options->label)
        progress_finish(&a->progress);
    return status;
}

enum status measure_answers(struct answer_score *scores, struct executor *executor, const struct graph *model,
                            const struct task *task, struct tokenizer *tokenizer,
                            const struct answer_options *options, struct trace *trace)
{
    struct answerer a = {.executor = executor,
                         .model = model,
                         .task = task,
                         .tokenizer = tokenizer,
                         .options = options,
                         .scores = scores};
    enum status status = answer_all(&a, trace);
    arena_release(&a.arena);
    return status;
}

uint32_t answer_choice(const struct task *task, const struct answer_score *scores, uint32_t item,
                       bool is_normalised)
{
    const struct task_item *of = &task->items.items[item];
    uint32_t best = 0;
    double largest = 0;
    for (uint32_t i = 0; i < of->count; i++) {
        double score = scores[of->first + i].log_likelihood;
        if (is_normalised)
            score /= (double)task->choices.items[of->first + i].characters;
        if (i == 0 || score > largest) {
            best = i;
            largest = score;
        }
    }
    return best;
}

static double margin_of(const struct task_item *item, const struct answer_score *scores)
{
    double best = 0, gold = scores[item->first + item->gold].log_likelihood;
    bool has_others = false;
    for (uint32_t i = 0; i < item->count; i++) {
        double other = scores[item->first + i].log_likelihood;
        if (i == item->gold || (has_others && other <= best))
            continue;
        best = other;
        has_others = true;
    }
    return has_others ? gold - best : 0;
}

static struct answer_mean mean_of_hits(uint64_t hits, uint64_t count)
{
    double p = (double)hits / (double)count;
    struct answer_mean mean = {.value = p};
    if (count > 1)
        mean.error = sqrt(p * (1 - p) / (double)(count - 1));
    return mean;
}

struct answer_result answer_summary(const struct task *task, const struct answer_score *scores)
{
    uint64_t right = 0, right_normalised = 0;
    double sum = 0, margins = 0;
    for (uint32_t i = 0; i < task->items.count; i++) {
        const struct task_item *item = &task->items.items[i];
        margins += margin_of(item, scores);
        sum += scores[item->first].log_likelihood;
        if (task->metrics == TASK_COMPLETION)
            right += scores[item->first].is_greedy;
        else
            right += answer_choice(task, scores, i, false) == item->gold;
        right_normalised += answer_choice(task, scores, i, true) == item->gold;
    }
    uint64_t count = task->items.count;
    return (struct answer_result){.items = count,
                                  .accuracy = mean_of_hits(right, count),
                                  .normalised = mean_of_hits(right_normalised, count),
                                  .margin = margins / (double)count,
                                  .perplexity = (double)gm_exp((float)(-sum / (double)count))};
}
