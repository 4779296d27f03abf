/* Allocation that aborts when memory is gone. */
#include "common/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void out_of_memory(void)
{
    static const char text[] = "out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);

    (void)ignored;
    abort();
}

static void *checked(void *memory)
{
    if (memory == NULL)
        out_of_memory();
    return memory;
}

void mem_setup(void)
{
#ifdef M_TRIM_THRESHOLD /* glibc; other allocators have their own ways */
    /* Measured with buffers of 256 KiB that fill and empty in turns: 0.3 µs each instead of 100 to
     * 150 µs, as much as all other work on so many bytes. */
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
}

void *mem_new(size_t size)
{
    return mem_new_array(1, size);
}

void *mem_new_array(size_t count, size_t size)
{
    /* calloc(0) may answer NULL, which would look like a failure. */
    return checked(count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size));
}

void *mem_aligned(size_t alignment, size_t size)
{
    return checked(aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1)));
}

void *mem_resize(void *memory, size_t size)
{
    return checked(realloc(memory, size == 0 ? 1 : size));
}

char *mem_copy_string(const char *string)
{
    return mem_copy_chars(string, strlen(string));
}

char *mem_copy_chars(const char *data, size_t len)
{
    char *copy = mem_new(len + 1);

    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *mem_format_list(const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) < 0)
        out_of_memory();
    return text;
}

char *mem_format(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = mem_format_list(format, arguments);
    va_end(arguments);
    return text;
}

void mem_free_secret(void *memory, size_t len)
{
    if (memory == NULL)
        return;
    explicit_bzero(memory, len);
    free(memory);
}
