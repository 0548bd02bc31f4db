#include "backend-cpu/room.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { LARGE_PAGE = 2 << 20, LARGE_FROM = 4 << 20 };

void *room_allocate(size_t bytes)
{
    size_t unit = bytes >= LARGE_FROM ? LARGE_PAGE : 64;
    size_t size = (bytes + unit - 1) / unit * unit;
    void *room = aligned_alloc(unit, size ? size : unit);
    if (room && unit == LARGE_PAGE)
        (void)madvise(room, size, MADV_HUGEPAGE); /* advice: nothing depends on it */
    return room;
}
