/* Dimension rules that a line cannot say, found by name. */
#ifndef IR_RULE_SPECIAL_H
#define IR_RULE_SPECIAL_H

#include "ir/rule.h"

typedef enum status rule_function(struct graph *graph, struct node *node,
                                  struct rule_result results[NODE_MAX_RESULTS], struct trace *trace);

/* The function of a rule that is a single name ("broadcast"), or NULL when the rule is a line. */
rule_function *rule_special_find(const char *rule);

#endif
