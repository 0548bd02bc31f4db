/* One record of a published file as an item: the forms that task.def names. */
#ifndef DATA_TASK_FORMS_H
#define DATA_TASK_FORMS_H

#include "data/task.h"
#include <jansson.h>

enum { TASK_MAX_CHOICES = 16 };

/* A record, in the form that its file has. */
struct task_record {
    const json_t *object;     /* of a JSON line, or NULL */
    const struct str *fields; /* of a row of values */
    uint32_t field_count;
    struct str label;    /* from the file of labels, or empty */
    const char *subject; /* "abstract algebra", from the file's name */
};

/* What a form finds. Texts live in the arena, or as long as the record. */
struct task_draft {
    struct str description;                /* before the first item or example */
    struct str contexts[TASK_MAX_CHOICES]; /* of each choice; with has_one_context that of all is the first */
    struct str choices[TASK_MAX_CHOICES];
    bool has_one_context;
    uint32_t count, gold;
};

typedef enum status task_form(struct task_draft *out, const struct task_record *record, struct arena *arena,
                              struct trace *trace);
#define TASK(name, form, metrics, summary) task_form task_form_##form;
#include "data/task.def"

#endif
