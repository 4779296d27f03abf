/* What all that is written about options has in common. */
#include "common/options_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* "text|json"; owned by the caller. */
static char *join_choices(const struct option_spec *row)
{
    char *joined = mem_copy_string(row->choices[0]);

    for (size_t i = 1; row->choices[i] != NULL; i++) {
        char *longer = mem_format("%s|%s", joined, row->choices[i]);
        free(joined);
        joined = longer;
    }
    return joined;
}

char *option_value_name(const struct option_spec *row)
{
    if (row->value_name != NULL)
        return mem_copy_string(row->value_name);
    switch (row->type) {
    case OPTION_STRING:
        return mem_copy_string("TEXT");
    case OPTION_SECRET:
        return mem_copy_string("FILE");
    case OPTION_BOOL:
        return NULL;
    case OPTION_COUNT:
        return mem_copy_string("N");
    case OPTION_PORT:
        return mem_copy_string("PORT");
    case OPTION_SECONDS:
        return mem_copy_string("DURATION");
    case OPTION_SIZE:
        return mem_copy_string("SIZE");
    case OPTION_CHOICE:
        return join_choices(row);
    }
    return NULL;
}

/* That a switch is off until it is given goes without saying. */
static bool is_plain_switch(const struct option_spec *row)
{
    return row->type == OPTION_BOOL && row->preset != NULL && strcmp(row->preset, "false") == 0;
}

char *option_remarks(const struct option_spec *row)
{
    char *remarks = NULL;
    const char *separator = "";
    size_t size;
    FILE *out = open_memstream(&remarks, &size);

    if (out == NULL)
        abort();
    if (row->flag != NULL && row->variable != NULL) {
        fputs(row->variable, out);
        separator = "; ";
    }
    if (row->fallback != NULL) {
        fprintf(out, "%selse %s", separator, row->fallback);
        separator = "; ";
    }
    if (row->type == OPTION_SECRET && row->variable != NULL) {
        fprintf(out, "%sor a file named by %s_FILE", separator, row->variable);
        separator = "; ";
    }
    if (row->preset != NULL && row->type != OPTION_SECRET && !is_plain_switch(row))
        fprintf(out, "%sdefault: %s", separator, row->preset);
    else if (row->required)
        fprintf(out, "%srequired", separator);
    if (fclose(out) != 0)
        abort();
    return remarks;
}

char *option_command_names(const struct option_table *table, const struct option_spec *row)
{
    char *names = NULL;

    if (row->commands == 0 || table->commands == NULL)
        return NULL;
    for (size_t i = 0; table->commands[i].name != NULL; i++) {
        if ((row->commands & (1u << i)) == 0)
            continue;
        char *longer = names == NULL ? mem_copy_string(table->commands[i].name)
                                     : mem_format("%s, %s", names, table->commands[i].name);
        free(names);
        names = longer;
    }
    return names;
}

bool option_names_file(const struct option_spec *row)
{
    char *name = option_value_name(row);
    bool is = name != NULL && (strstr(name, "FILE") != NULL || strstr(name, "PATH") != NULL ||
                               strstr(name, "DIRECTORY") != NULL);

    free(name);
    return is;
}

void option_put_replaced(const char *text, const char *special, const char *const *replacements,
                         FILE *out)
{
    for (; *text != '\0'; text++) {
        const char *found = strchr(special, *text);
        if (found != NULL)
            fputs(replacements[found - special], out);
        else
            fputc(*text, out);
    }
}
