/* The values of options: what each type accepts, and how it is said. */
#include "common/options_value.h"

#include "common/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool parse_number(const char *text, unsigned long *out, const char **rest)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoul(text, &end, 10);
    *rest = end;
    return errno == 0;
}

/* A number and one of `units`, which ends with a NULL name; the name "" stands for none. */
struct unit {
    const char *name;
    unsigned long factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, unsigned long *out)
{
    unsigned long number, product;
    const char *rest;

    if (!parse_number(text, &number, &rest))
        return false;
    while (units->name != NULL && strcasecmp(units->name, rest) != 0)
        units++;
    if (units->name == NULL || __builtin_mul_overflow(number, units->factor, &product))
        return false;
    *out = product;
    return true;
}

static bool parse_seconds(const char *text, unsigned long *milliseconds)
{
    static const struct unit units[] = {{"", 1000},   {"ms", 1},      {"s", 1000},
                                        {"m", 60000}, {"h", 3600000}, {NULL, 0}};

    if (strcasecmp(text, "off") != 0)
        return parse_with_unit(text, units, milliseconds);
    *milliseconds = 0;
    return true;
}

static bool parse_size(const char *text, unsigned long *bytes)
{
    static const struct unit units[] = {
        {"", 1},         {"B", 1},           {"kB", 1000},       {"KiB", 1UL << 10},
        {"MB", 1000000}, {"MiB", 1UL << 20}, {"GB", 1000000000}, {"GiB", 1UL << 30},
        {NULL, 0},
    };

    return parse_with_unit(text, units, bytes) && *bytes <= SIZE_MAX;
}

static bool parse_count(const struct option_spec *row, const char *text, unsigned long *out)
{
    unsigned long number;
    const char *rest;

    if (!parse_number(text, &number, &rest) || *rest != '\0' || number < row->min ||
        (row->max != 0 && number > row->max))
        return false;
    *out = number;
    return true;
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(words[i], text) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool parse_choice(const struct option_spec *row, const char *text, int *out)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (strcasecmp(row->choices[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void set_string(char **out, const char *text)
{
    mem_free_secret(*out, *out == NULL ? 0 : strlen(*out));
    *out = mem_copy_string(text);
}

bool option_store(const struct option_spec *row, const char *text, void *out)
{
    unsigned long number = 0;

    switch (row->type) {
    case OPTION_STRING:
    case OPTION_SECRET:
        set_string(out, text);
        return true;
    case OPTION_BOOL:
        return parse_bool(text, out);
    case OPTION_COUNT:
        return parse_count(row, text, out);
    case OPTION_PORT: {
        const struct option_spec range = {.max = UINT16_MAX};
        if (!parse_count(&range, text, &number))
            return false;
        *(unsigned *)out = (unsigned)number;
        return true;
    }
    case OPTION_SECONDS:
        return parse_seconds(text, out);
    case OPTION_SIZE:
        if (!parse_size(text, &number))
            return false;
        *(size_t *)out = number;
        return true;
    case OPTION_CHOICE:
        return parse_choice(row, text, out);
    }
    return false;
}

void option_put_expected(const struct option_spec *row, FILE *out)
{
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_SECRET:
        fputs("text", out);
        break;
    case OPTION_BOOL:
        fputs("true or false", out);
        break;
    case OPTION_COUNT:
        if (row->max != 0)
            fprintf(out, "a number from %lu to %lu", row->min, row->max);
        else
            fprintf(out, "a number of at least %lu", row->min);
        break;
    case OPTION_PORT:
        fputs("a port (0 to 65535)", out);
        break;
    case OPTION_SECONDS:
        fputs("a duration (10s, 500ms, 2m, 1h or off)", out);
        break;
    case OPTION_SIZE:
        fputs("a size (4194304, 256kB, 4MiB)", out);
        break;
    case OPTION_CHOICE:
        fputs("one of ", out);
        for (size_t i = 0; row->choices[i] != NULL; i++)
            fprintf(out, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
        break;
    }
}
