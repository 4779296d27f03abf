/* Copies that end at an unreadable page. */
#include "tests/support/guarded.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t readable_size(size_t len)
{
    return (len + page_size() - 1) / page_size() * page_size();
}

struct bytes guarded_copy(const void *data, size_t len)
{
    size_t readable = readable_size(len);
    uint8_t *memory = mmap(NULL, readable + page_size(), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory + readable, page_size(), PROT_NONE) != 0)
        abort();
    uint8_t *copy = memory + readable - len;
    if (len > 0)
        memcpy(copy, data, len);
    return bytes_of(copy, len);
}

void guarded_free(struct bytes copy)
{
    size_t readable = readable_size(copy.len);
    uint8_t *memory = (uint8_t *)(uintptr_t)copy.data + copy.len - readable;

    munmap(memory, readable + page_size());
}
