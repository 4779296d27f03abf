/* What --version says. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#include <stdio.h>

struct version_of {
    const char *library;
    const char *running; /* what is loaded; other words may follow it */
    const char *built;   /* what we were compiled with */
};

/* The program's own line, and one a library; `libraries` ends with an all-NULL row. */
void version_print(const char *program, const struct version_of *libraries, FILE *out);

#endif
