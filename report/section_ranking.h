/* Sections of a search: its candidates with what each costs, and their order at each point of the training.
 */
#ifndef REPORT_SECTION_RANKING_H
#define REPORT_SECTION_RANKING_H

#include "base/str.h"
#include "search/rank.h"

void section_candidates(struct builder *page, const struct search *search);
/* By each measure: ranks as lines, values as a table, and Kendall's tau, which tells when they have settled.
 */
void section_rankings(struct builder *page, const struct search *search, const struct ranking *ranking);

/* The candidate that is first at the last point that ranks any, by the measure that decides; UINT32_MAX:
 * none. *point is its number. */
uint32_t section_best(uint32_t *point, const struct ranking *ranking);

#endif
