/* Option values of every type, and the walk over the arguments: one argument a line. */
#include "common/options.h"

#include "common/memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char *text;
    char *second;
    bool on;
    unsigned long count;
    unsigned port;
    unsigned long seconds;
    size_t size;
    int choice;
};

#define FIELD(name) .offset = offsetof(struct settings, name)

static const char *const choices[] = {"text", "json", NULL};

static const struct option_spec rows[] = {
    {.flag = "text", .letter = 't', .type = OPTION_STRING, FIELD(text), .help = ""},
    {.flag = "second", .type = OPTION_STRING, .required = true, FIELD(second), .help = ""},
    {.flag = "on", .letter = 'o', .type = OPTION_BOOL, FIELD(on), .help = ""},
    {.flag = "count",
     .letter = 'c',
     .type = OPTION_COUNT,
     .min = 1,
     .max = 9,
     FIELD(count),
     .help = ""},
    {.flag = "port", .letter = 'p', .type = OPTION_PORT, FIELD(port), .help = ""},
    {.flag = "seconds", .type = OPTION_SECONDS, FIELD(seconds), .help = ""},
    {.flag = "size", .type = OPTION_SIZE, FIELD(size), .help = ""},
    {.flag = "choice", .type = OPTION_CHOICE, .choices = choices, FIELD(choice), .help = ""},
    {0},
};

static const struct option_table table = {.program = "fuzz", .rows = rows};

enum { ARGUMENTS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_copy_chars((const char *)data, size);
    char *argv[ARGUMENTS_MAX + 1] = {text};
    int argc = 1;
    struct settings settings = {0};
    int positional;
    char *problems;

    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && argc < ARGUMENTS_MAX;)
        argv[argc++] = line;
    enum status status = options_read(&table, argc, argv, &settings, &positional, &problems);
    assert(positional >= 1 && positional <= argc);
    assert((status == STATUS_OK) == (problems == NULL));
    assert(settings.port <= 65535 && settings.count <= 9);
    assert(settings.choice == 0 || settings.choice == 1);
    options_wants(&table, argc, argv, "help");
    free(problems);
    options_clear(&table, &settings);
    free(text);
    return 0;
}
