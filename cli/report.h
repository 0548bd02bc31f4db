/* What run and verify print: a line a stage while they go, tables of all evaluations at the end. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/command.h"

enum { REPORT_MAX_ROWS = 64 };

struct report_row {
    char stage[72];
    double loss, perplexity, bits_per_byte, tokens_per_second; /* the last 0 when cached */
    double divergence, agreement; /* from and with a teacher; agreement below 0: there is none */
    int64_t parameters;
};

/* Answers to a task. */
struct report_answers {
    char stage[72], task[16];
    double accuracy, accuracy_error, normalised, normalised_error, perplexity; /* below 0: none */
    int64_t items;
};

struct report {
    bool json;
    struct report_row rows[REPORT_MAX_ROWS];
    struct report_answers answers[REPORT_MAX_ROWS];
    uint32_t count, answer_count;
};

/* Events that print; `report` must outlive them. */
struct run_events report_events(struct report *report);
void report_print_tables(const struct report *report); /* nothing without rows, or with --json */

#endif
