/* What --version says. */
#include "common/version.h"

#include <string.h>

/* Prints the number alone: libwebsockets appends the commit it was made of. */
static void print_word(const char *text, FILE *out)
{
    fprintf(out, "%.*s", (int)strcspn(text, " -"), text);
}

void version_print(const char *program, const struct version_of *libraries, FILE *out)
{
    fprintf(out, "%s %s\n", program, ELECTRIC_VERSION);
    for (; libraries->library != NULL; libraries++) {
        fprintf(out, "  %-14s ", libraries->library);
        print_word(libraries->running, out);
        fputs(" (built with ", out);
        print_word(libraries->built, out);
        fputs(")\n", out);
    }
}
