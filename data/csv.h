/* Records of comma-separated values (RFC 4180): fields in quotes may hold commas, line ends and doubled
 * quotes. */
#ifndef DATA_CSV_H
#define DATA_CSV_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

enum { CSV_MAX_FIELDS = 16 };

struct csv {
    struct str text; /* borrowed */
    size_t at;
    uint64_t line; /* that the record read last begins on, from 1 */
    uint64_t lines;
};

/* The fields of the next record, copied to `arena`; *count is 0 at the end. INVALID names the line. */
enum status csv_read(struct str fields[CSV_MAX_FIELDS], uint32_t *count, struct csv *csv, struct arena *arena,
                     struct trace *trace) MUST_CHECK;

#endif
