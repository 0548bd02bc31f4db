/* A pipeline's results as one HTML page that needs no network and no script: what the store holds of it is
 * shown, and what has not been run is said so. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "search/rank.h"

/* A search as such a page: candidates, rankings at each point, and the results of the best candidate. The
 * ranking was made in mode RUN_DRY; NULL where no stage ranks the candidates. */
enum status report_make_search(struct builder *page, const struct search *search,
                               const struct ranking *ranking, struct trace *trace) MUST_CHECK;

/* Of a run in mode RUN_DRY whose stages have been looked up (run_stages). Appends the page to `page`. */
enum status report_make(struct builder *page, const struct run *run, struct trace *trace) MUST_CHECK;

#endif
