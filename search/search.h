/* A search file: a pipeline file with a part `search` (docs/search.md). Its candidates are known once it is
 * read; its stages, if it has any, say how they are ranked (search/rank.h). */
#ifndef SEARCH_SEARCH_H
#define SEARCH_SEARCH_H

#include "pipeline/pipeline.h"
#include "search/space.h"

struct search {
    struct arena arena;
    struct pipeline pipeline; /* its arena holds the settings too */
    struct settings settings; /* of kind "search" */
    struct space space;
    struct candidates candidates;
};

/* Opens the model that is the base, if it is one, for its shape alone. INVALID: the file is wrong, or there
 * is no candidate. *out is released on failure. */
enum status search_read(struct search *out, const char *path, struct trace *trace) MUST_CHECK;
/* The input whose model is the base; NULL of a description. */
const struct input_entry *search_base_input(const struct search *search);
void search_release(struct search *search); /* accepts zeroed memory */

#endif
