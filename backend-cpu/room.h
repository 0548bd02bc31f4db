/* Memory for operands. Large pieces get large pages where the system has them: an op that walks through
 * megabytes otherwise waits for the table of pages. */
#ifndef BACKEND_CPU_ROOM_H
#define BACKEND_CPU_ROOM_H

#include <stddef.h>

void *room_allocate(size_t bytes); /* aligned to 64; NULL when there is none; free() it */

#endif
