/* Small allocations that abort when memory is gone; what a peer can make grow lives in buffers. */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* Once, at the start of main(): keeps the allocator from giving the memory of a buffer back to the
 * system each time one empties, and from fetching it again, page fault by page fault, for the next
 * read. At most 16 MiB stay unused. */
void mem_setup(void);

/* Zeroed; never NULL. Free with free(). */
void *mem_new(size_t size);
void *mem_new_array(size_t count, size_t size);
/* Not zeroed, at a multiple of `alignment`, which is a power of two; never NULL. */
void *mem_aligned(size_t alignment, size_t size);
/* As realloc(), for own tables that grow; never NULL. */
void *mem_resize(void *memory, size_t size);
char *mem_copy_string(const char *string);
char *mem_copy_chars(const char *data, size_t len);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *mem_format_list(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
/* Overwrites before freeing, in a way the compiler keeps; NULL-safe. */
void mem_free_secret(void *memory, size_t len);

#endif
