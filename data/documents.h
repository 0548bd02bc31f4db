/* The documents of a file of text or JSON-lines, one after the other. Empty ones are passed over. */
#ifndef DATA_DOCUMENTS_H
#define DATA_DOCUMENTS_H

#include "base/status.h"
#include "base/str.h"
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct documents {
    struct str file;      /* borrowed */
    const char *field;    /* JSON-lines: the member with the text; NULL for a text file */
    struct str delimiter; /* text: what stands between documents; empty: the file is one */
    size_t at;            /* where the next begins */
    uint64_t line;        /* JSON-lines: number of the line read last, from 1 */
    size_t start;         /* text: where the document read last begins */
    json_t *root;         /* JSON-lines: what the document read last lives in */
};

/* The next document; length 0 at the end. It lives until the next call. INVALID names the line. */
enum status documents_read(struct str *out, struct documents *documents, struct trace *trace) MUST_CHECK;
/* Adds to the trace where the document read last is. */
void documents_trace(const struct documents *documents, struct trace *trace);
void documents_release(struct documents *documents); /* accepts zeroed memory */

#endif
