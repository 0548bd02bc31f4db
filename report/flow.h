/* The stages of a pipeline as a graph: what takes whose model, teacher and scores, with hashes. */
#ifndef REPORT_FLOW_H
#define REPORT_FLOW_H

#include "base/str.h"
#include "pipeline/run.h"

void flow_draw(struct builder *page, const struct run *run);

#endif
