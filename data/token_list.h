/* A growing list of token ids on the heap, longer than 2^32 if need be. Zero-initialise; release it. */
#ifndef DATA_TOKEN_LIST_H
#define DATA_TOKEN_LIST_H

#include <stddef.h>
#include <stdint.h>

struct token_list {
    int32_t *items; /* NULL when empty */
    size_t count, capacity;
};

/* Makes room for `more` further ids behind the present ones and returns its start; count stays. */
int32_t *token_list_reserve(struct token_list *list, size_t more);
void token_list_add(struct token_list *list, int32_t id);
void token_list_release(struct token_list *list); /* accepts zeroed memory */

#endif
