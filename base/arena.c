/* See base/arena.h. An arena is a list of chunks, each twice as large as the one before up to a limit; only
 * the newest is allocated from. A request that is large next to a chunk gets its own, put behind the newest
 * so that the room left there is not lost. */
#include "base/arena.h"
#include "base/file.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_CHUNK = 1 << 12, LARGEST_CHUNK = 1 << 20 };

struct arena_chunk {
    struct arena_chunk *next; /* older */
    size_t size, used;        /* of `bytes` */
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

/* Zeroed, because calloc gets large chunks from the kernel without touching them. */
static struct arena_chunk *chunk_create(size_t size)
{
    size_t whole;
    struct arena_chunk *chunk = NULL;
    if (size_add(size, sizeof *chunk, &whole))
        chunk = calloc(1, whole);
    if (!chunk) {
        fprintf(stderr, "espalier: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    chunk->size = size;
    return chunk;
}

static struct arena_chunk *add_newest(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = chunk_create(size);
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

/* A chunk with `size` bytes free, which may be the newest or one made for this request alone. */
static struct arena_chunk *chunk_with_room(struct arena *arena, size_t size)
{
    struct arena_chunk *newest = arena->chunks;
    if (newest && size <= newest->size - newest->used)
        return newest;
    size_t next_size = newest && newest->size >= FIRST_CHUNK ? 2 * newest->size : FIRST_CHUNK;
    if (next_size > LARGEST_CHUNK)
        next_size = LARGEST_CHUNK;
    if (size <= next_size / 4)
        return add_newest(arena, next_size);
    if (!newest)
        return add_newest(arena, size);
    struct arena_chunk *own = chunk_create(size);
    own->next = newest->next;
    newest->next = own;
    return own;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT)
        BUG("an allocation of %zu bytes", size);
    size_t rounded = size ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    struct arena_chunk *chunk = chunk_with_room(arena, rounded);
    void *memory = chunk->bytes + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (!size_multiply(count, size, &bytes))
        BUG("an array of %zu items of %zu bytes", count, size);
    return arena_alloc(arena, bytes);
}

char *arena_copy_string(struct arena *arena, const char *text, size_t length)
{
    size_t bytes;
    if (!size_add(length, 1, &bytes))
        BUG("a string of %zu bytes", length);
    char *copy = arena_alloc(arena, bytes);
    if (length)
        memcpy(copy, text, length);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        BUG("cannot format \"%s\"", format);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

static void release_list(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *kept = arena->chunks;
    arena->used = 0;
    if (!kept)
        return;
    release_list(kept->next);
    kept->next = NULL;
    memset(kept->bytes, 0, kept->used);
    kept->used = 0;
}

void arena_release(struct arena *arena)
{
    release_list(arena->chunks);
    *arena = (struct arena){0};
}
