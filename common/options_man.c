/* An option table as a manual page, in the macros of man(7). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/option_rows.h"
#include "common/options.h"
#include "common/options_text.h"

/* Characters that troff would take for its own, or print as typographic ones. A line must not begin
 * with a dot or an apostrophe; the latter never stays one. */
static void put(const char *text, FILE *out)
{
    static const char *const replacements[] = {"\\e", "\\-", "\\(aq", "\\(ga", "\\(ha", "\\(ti"};

    if (*text == '.')
        fputs("\\&", out);
    option_put_replaced(text, "\\-'`^~", replacements, out);
}

static void put_capitals(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        fputc(toupper((unsigned char)*text), out);
}

/* The text's lines as they are, without what they all are indented by. */
static void put_lines(const char *lines, FILE *out)
{
    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n");
        char *line = strndup(lines, len);

        if (line == NULL)
            abort();
        put(strncmp(line, "  ", 2) == 0 ? line + 2 : line, out);
        fputc('\n', out);
        free(line);
        lines += len + (lines[len] == '\n');
    }
}

/* Under a heading, lines that are not filled: those of the program, then those of its commands. */
static void print_literal(const struct option_table *table, const char *heading,
                          const char *(*lines_of)(const struct option_table *table), FILE *out)
{
    const struct option_command *command = table->commands;

    fprintf(out, ".SH %s\n.EX\n", heading);
    if (lines_of(table) != NULL)
        put_lines(lines_of(table), out);
    for (; command != NULL && command->name != NULL; command++)
        if (command->table != NULL && lines_of(command->table) != NULL)
            put_lines(lines_of(command->table), out);
    fputs(".EE\n", out);
}

static const char *synopsis_of(const struct option_table *table)
{
    return table->synopsis;
}

static const char *examples_of(const struct option_table *table)
{
    return table->examples;
}

static void print_term(const char *name, const char *text, FILE *out)
{
    fputs(".TP\n\\fB", out);
    put(name, out);
    fputs("\\fR\n", out);
    put(text, out);
    fputc('\n', out);
}

static void print_flag_names(const struct option_spec *row, FILE *out)
{
    char *value = option_value_name(row);

    fputs(".TP\n", out);
    if (row->letter != 0)
        fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
    fputs("\\fB\\-\\-", out);
    put(row->flag, out);
    fputs("\\fR", out);
    if (value != NULL) {
        fputs(" \\fI", out);
        put(value, out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    free(value);
}

static void print_meaning(const struct option_table *table, const struct option_spec *row,
                          FILE *out)
{
    char *remarks = option_remarks(row);
    char *commands = option_command_names(table, row);

    if (commands != NULL) {
        put(commands, out);
        fputs(": ", out);
    }
    put(row->help, out);
    if (*remarks != '\0') {
        fputs(" [", out);
        put(remarks, out);
        fputc(']', out);
    }
    fputc('\n', out);
    free(remarks);
    free(commands);
}

static void print_flags(const struct option_table *table, FILE *out)
{
    fputs(".SH OPTIONS\n", out);
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        if (row->heading != NULL && row->flag != NULL) {
            fputs(".SS ", out);
            put(row->heading, out);
            fputc('\n', out);
        }
        if (row->flag == NULL)
            continue;
        print_flag_names(row, out);
        print_meaning(table, row, out);
    }
    fputs(".SS More\n", out);
    fputs(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint a summary of the options and exit\n", out);
    fputs(".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\n"
          "print the version, and those of libraries, and exit\n",
          out);
}

static void print_variables(const struct option_table *table, FILE *out)
{
    bool begun = false;

    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        if (row->flag != NULL)
            continue;
        if (!begun)
            fputs(".SH ENVIRONMENT\nBeside the variables named with the options:\n", out);
        begun = true;
        fprintf(out, ".TP\n\\fB%s\\fR\n", row->variable);
        print_meaning(table, row, out);
    }
}

static void print_commands(const struct option_table *table, FILE *out)
{
    const struct option_command *command = table->commands;

    if (command == NULL)
        return;
    fputs(".SH COMMANDS\n", out);
    for (; command->name != NULL; command++) {
        print_term(command->name, command->help, out);
        if (command->table != NULL && command->table->description != NULL) {
            fputs(".IP\n", out);
            put(command->table->description, out);
            fputc('\n', out);
        }
    }
}

static void print_notes(const struct option_table *table, FILE *out)
{
    const struct option_note *note = table->notes;

    for (; note != NULL && note->name != NULL; note++) {
        if (note->heading != NULL) {
            fputs(".SH ", out);
            put_capitals(note->heading, out);
            fputc('\n', out);
        }
        print_term(note->name, note->text, out);
    }
}

/* "psql(1), systemd(1)" with the names in bold. */
static void print_see_also(const char *pages, FILE *out)
{
    if (pages == NULL)
        return;
    fputs(".SH SEE ALSO\n", out);
    while (*pages != '\0') {
        size_t name = strcspn(pages, "(");
        size_t rest = strcspn(pages + name, " ");

        fprintf(out, ".BR %.*s %.*s\n", (int)name, pages, (int)rest, pages + name);
        pages += name + rest + strspn(pages + name + rest, " ");
    }
}

void options_print_man(const struct option_table *table, FILE *out)
{
    fputs(".TH ", out);
    put_capitals(table->program, out);
    fprintf(out, " %u \"%s\" \"%s %s\"\n", table->section, ELECTRIC_RELEASE_DATE, table->program,
            ELECTRIC_VERSION);
    fprintf(out, ".SH NAME\n%s \\- %s\n", table->program, table->summary);
    print_literal(table, "SYNOPSIS", synopsis_of, out);
    fputs(".SH DESCRIPTION\n", out);
    put(table->description, out);
    fputc('\n', out);
    print_commands(table, out);
    print_flags(table, out);
    print_variables(table, out);
    print_notes(table, out);
    print_literal(table, "EXAMPLES", examples_of, out);
    print_see_also(table->see_also, out);
}
