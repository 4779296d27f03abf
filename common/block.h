/* Memory with several holders: what a socket was read into, and whoever keeps some of it. */
#ifndef COMMON_BLOCK_H
#define COMMON_BLOCK_H

#include "common/bytes.h"

/* May be read; `data` has `size` bytes. */
struct block {
    size_t size;
    unsigned holders;
    uint8_t *data;
};

/* With one holder; not zeroed. Large ones begin at a page boundary: copies to and from there are
 * half as fast again. */
struct block *block_new(size_t size);
struct block *block_hold(struct block *block);
/* The last one frees it. NULL-safe. */
void block_drop(struct block *block);
/* Whether `bytes` lie in it. */
bool block_contains(const struct block *block, struct bytes bytes);

#endif
