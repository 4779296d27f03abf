/* Counted memory. */
#include "common/block.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/memory.h"

#define PAGE ((size_t)4096)
#define LARGE (16 * PAGE)

struct block *block_new(size_t size)
{
    struct block *block = mem_new(sizeof *block);

    block->size = size;
    block->holders = 1;
    block->data = mem_aligned(size < LARGE ? sizeof(max_align_t) : PAGE, size);
    return block;
}

struct block *block_hold(struct block *block)
{
    block->holders++;
    return block;
}

static void free_block(struct block *block)
{
    free(block->data);
    free(block);
}

void block_drop(struct block *block)
{
    if (block != NULL && --block->holders == 0)
        free_block(block);
}

bool block_contains(const struct block *block, struct bytes bytes)
{
    uintptr_t begin = (uintptr_t)block->data, at = (uintptr_t)bytes.data;

    return at >= begin && at - begin <= block->size && bytes.len <= block->size - (at - begin);
}
