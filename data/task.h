/* Evaluation tasks: items of a published file as texts to continue. An item has choices, each a context and a
 * continuation; one of them is right. Read whole: published files are a few megabytes. */
#ifndef DATA_TASK_H
#define DATA_TASK_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/vec.h"

enum task_kind {
#define TASK(name, form, metrics, summary) TASK_##name,
#include "data/task.def"
    TASK_KIND_COUNT
};

enum task_metrics { TASK_CHOICE, TASK_CHOICE_NORMALISED, TASK_COMPLETION };

struct task_choice {
    struct str context;      /* empty: the continuation begins the text */
    struct str continuation; /* with the blank before it */
    uint32_t characters;     /* of the continuation without that blank: what CHOICE_NORMALISED divides by */
};

struct task_item {
    uint32_t first, count; /* of `choices` */
    uint32_t gold;         /* 0 .. count - 1 */
};

struct task {
    struct arena arena; /* holds the texts */
    enum task_kind kind;
    enum task_metrics metrics;
    VEC(struct task_item) items;
    VEC(struct task_choice) choices;
};

struct task_options {
    const char *labels; /* file with the right choice of each item, a line each; NULL: in the items */
    const char
        *examples; /* file of the same form, whose first `shots` items, answered, go before every item */
    uint32_t shots;
    uint64_t limit; /* items at most; 0: all */
};

bool task_kind_from_name(struct str name, enum task_kind *out);
const char *task_name(enum task_kind kind);
enum task_metrics task_metrics_of(enum task_kind kind);
const char *task_names(void); /* of all, with commas */

/* INVALID names the file and the line or row. INVALID also when there are no items. */
enum status task_open(struct task *out, enum task_kind kind, const char *path,
                      const struct task_options *options, struct trace *trace) MUST_CHECK;
void task_release(struct task *task); /* accepts zeroed memory */

#endif
