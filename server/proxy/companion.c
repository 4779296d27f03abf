/* Names of companion databases. */
#include "server/proxy/companion.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX "__electric"
enum {
    NAME_MAX_LEN = COMPANION_NAME_SIZE - 1,
    PLAIN_MAX = NAME_MAX_LEN - (sizeof(SUFFIX) - 1),
    NUMBER_LEN = 9, /* "_" and eight hex digits */
};

/* FNV-1a: tells apart names that begin alike. */
static uint32_t number_of(const char *name)
{
    uint32_t hash = 2166136261U;

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619U;
    return hash;
}

void companion_name(const char *database, char name[COMPANION_NAME_SIZE])
{
    size_t len = strlen(database);

    if (len <= PLAIN_MAX) {
        (void)snprintf(name, COMPANION_NAME_SIZE, "%s" SUFFIX, database);
        return;
    }
    /* Not inside a character of UTF-8, of which Postgres would refuse a part. */
    for (len = PLAIN_MAX - NUMBER_LEN; ((uint8_t)database[len] & 0xC0) == 0x80;)
        len--;
    (void)snprintf(name, COMPANION_NAME_SIZE, "%.*s_%08x" SUFFIX, (int)len, database,
                   (unsigned)number_of(database));
}
