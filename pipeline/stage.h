/* What a stage's function sees: its settings, the models and texts it takes, the executor, the store; and how
 * it hands over what it made. Results are a pure function of the key: nothing else may reach hashed bytes. */
#ifndef PIPELINE_STAGE_H
#define PIPELINE_STAGE_H

#include "base/arena.h"
#include "base/status.h"
#include "data/corpus.h"
#include "data/partition.h"
#include "data/task.h"
#include "data/tokenizer.h"
#include "ir/executor.h"
#include "pipeline/model.h"
#include "pipeline/pipeline.h"
#include "store/key.h"
#include "store/stage_lock.h"
#include <jansson.h>

struct run;

struct stage_run {
    struct run *run;
    const struct stage_entry *entry;
    uint32_t number;
    struct hash128 key;
    struct arena arena;         /* lives as long as the stage runs */
    struct store_result result; /* outputs so far, on `arena` */
    struct stage_lock lock;     /* keeps what the stage uses from gc */
    json_t *record;             /* the run record so far: free to hold times, devices, paths */
};

#define STAGE(kind, version, output, makes_model, summary) \
    enum status stage_##kind(struct stage_run *stage, struct trace *trace) MUST_CHECK;
#include "pipeline/stages.def"

/* What the stage takes, opened; release each. */
enum status stage_model(struct model *out, struct stage_run *stage, uint32_t from,
                        struct trace *trace) MUST_CHECK;
enum status stage_corpus(struct corpus *out, struct partition *part, struct stage_run *stage, uint32_t input,
                         struct tokenizer *tokenizer, struct trace *trace) MUST_CHECK;
/* The items of a task, an input, as `shots` and `items` of the stage say. */
enum status stage_task(struct task *out, const struct stage_run *stage, uint32_t input,
                       struct trace *trace) MUST_CHECK;
/* A stage that runs its model on its text: opens both, calls `work`, releases both. */
typedef enum status stage_work(struct stage_run *stage, const struct model *model,
                               const struct corpus *corpus, struct partition part, struct trace *trace);
enum status stage_on_text(struct stage_run *stage, stage_work *work, struct trace *trace) MUST_CHECK;
/* The executor of the run, made when first asked for. */
enum status stage_executor(struct executor **out, struct stage_run *stage, struct trace *trace) MUST_CHECK;

/* Hands over outputs. `sha256` may be NULL. */
void stage_add_output(struct stage_run *stage, const char *name, struct hash128 id, const char *sha256);
/* Stores `graph` with its weights as outputs "model", "names" and "tokenizer". */
enum status stage_add_model(struct stage_run *stage, const struct graph *graph, struct str tokenizer,
                            struct trace *trace) MUST_CHECK;
void stage_add_model_ids(struct stage_run *stage, const struct model_ids *ids);
/* Stores `text` as an object of that kind and output of that name. */
enum status stage_add_text(struct stage_run *stage, const char *name, const char *kind, struct str text,
                           struct trace *trace) MUST_CHECK;
/* JSON with sorted keys and full digits: the canonical form of reports; takes the reference. */
enum status stage_add_json(struct stage_run *stage, const char *name, const char *kind, json_t *json,
                           struct trace *trace) MUST_CHECK;

/* The graph of init's settings `arch`, whose weights have no content yet. */
enum status stage_init_shape(struct graph **out, const struct settings *settings,
                             struct trace *trace) MUST_CHECK;

/* A cached export: do its files still have the bytes that were written? */
bool stage_export_is_there(const struct run *run, uint32_t number, const struct store_result *result);

/* Nonzero when the user wants to stop. */
const volatile sig_atomic_t *stage_stop(const struct stage_run *stage);
struct store *stage_store(const struct stage_run *stage);

#endif
