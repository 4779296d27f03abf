/* A list of blocks, of which the newest has room at its end. */
#include "server/render/arena.h"

#include "common/memory.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 8192 };

struct arena_block {
    struct arena_block *older;
    size_t used, size;
    alignas(max_align_t) unsigned char memory[];
};

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_new(sizeof *block + size);

    block->size = size;
    block->older = arena->newest;
    arena->newest = block;
    return block;
}

void *arena_new(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->newest;
    size_t room = block == NULL ? 0 : block->size - block->used;

    /* More than memory has: let the allocation fail as such. */
    if (size > SIZE_MAX / 2)
        abort();
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (block == NULL || size > room)
        block = add_block(arena, size > BLOCK_SIZE ? size : BLOCK_SIZE);
    void *memory = block->memory + block->used;
    block->used += size;
    return memory;
}

void *arena_new_array(struct arena *arena, size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / 2 / size)
        abort();
    return arena_new(arena, count * size);
}

char *arena_copy(struct arena *arena, struct bytes text)
{
    char *copy = arena_new(arena, text.len + 1);

    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    return copy;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    char *text, *copy;

    va_start(arguments, format);
    text = mem_format_list(format, arguments);
    va_end(arguments);
    copy = arena_copy(arena, bytes_of_string(text));
    free(text);
    return copy;
}

void arena_clear(struct arena *arena)
{
    while (arena->newest != NULL) {
        struct arena_block *block = arena->newest;
        arena->newest = block->older;
        free(block);
    }
}
