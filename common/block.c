/* Counted memory. */
#include "common/block.h"

#include <stdlib.h>

#include "common/memory.h"

struct block *block_new(size_t size)
{
    struct block *block = mem_resize(NULL, sizeof *block + size);

    block->size = size;
    block->holders = 1;
    return block;
}

struct block *block_hold(struct block *block)
{
    block->holders++;
    return block;
}

void block_drop(struct block *block)
{
    if (block != NULL && --block->holders == 0)
        free(block);
}

bool block_contains(const struct block *block, struct bytes bytes)
{
    uintptr_t begin = (uintptr_t)block->data, at = (uintptr_t)bytes.data;

    return at >= begin && at - begin <= block->size && bytes.len <= block->size - (at - begin);
}
