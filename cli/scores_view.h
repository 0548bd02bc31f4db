/* Scores for people: `inspect` draws them, `diff` compares two. */
#ifndef CLI_SCORES_VIEW_H
#define CLI_SCORES_VIEW_H

#include "cli/command.h"
#include "passes/scores.h"

void scores_view_print(const struct command *command, const struct scores *scores);
/* `share` of the elements is kept at the cut. Returns how many scores differ in a value, or are in one only.
 */
uint32_t scores_view_compare(const struct command *command, const struct scores *a, const struct scores *b,
                             double share);

#endif
