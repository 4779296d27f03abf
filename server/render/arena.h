/* Memory that is freed all at once: what one rendering needs. */
#ifndef SERVER_RENDER_ARENA_H
#define SERVER_RENDER_ARENA_H

#include "common/bytes.h"

struct arena_block;

/* Embedded by value; zeroed is empty. */
struct arena {
    struct arena_block *newest;
};

/* Zeroed and aligned for anything; never NULL; gone with arena_clear(). */
void *arena_new(struct arena *arena, size_t size);
void *arena_new_array(struct arena *arena, size_t count, size_t size);
/* The characters and a NUL. */
char *arena_copy(struct arena *arena, struct bytes text);
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void arena_clear(struct arena *arena);

#endif
