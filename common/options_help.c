/* What an option table says to people: --help and the README's table. */
#include "common/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/option_rows.h"
#include "common/options_text.h"

enum { NAME_COLUMN = 2, HELP_COLUMN = 30, NOTE_COLUMN = 14, LINE_WIDTH = 80 };

/* "-s, --service URL", or the variable of a row without a flag; owned by the caller. */
static char *left_column(const struct option_spec *row)
{
    char *value = option_value_name(row);
    char *text;

    if (row->flag == NULL)
        text = mem_copy_string(row->variable);
    else
        text = mem_format("%c%c%s --%s%s%s", row->letter != 0 ? '-' : ' ',
                          row->letter != 0 ? row->letter : ' ', row->letter != 0 ? "," : " ",
                          row->flag, value == NULL ? "" : " ", value == NULL ? "" : value);
    free(value);
    return text;
}

/* "help [VARIABLE; default: x]"; owned by the caller. */
static char *right_column(const struct option_spec *row)
{
    char *remarks = option_remarks(row);
    char *text =
        *remarks == '\0' ? mem_copy_string(row->help) : mem_format("%s [%s]", row->help, remarks);

    free(remarks);
    return text;
}

/* Prints the words with all lines beginning at `indent`; the first is there already. */
static void print_wrapped(const char *text, size_t indent, FILE *out)
{
    size_t column = indent;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > LINE_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', out);
}

/* Two columns; the right one begins at `indent`. */
static void print_entry(const char *left, const char *right, size_t indent, FILE *out)
{
    size_t column = NAME_COLUMN + strlen(left);

    fprintf(out, "%*s%s", NAME_COLUMN, "", left);
    if (column + 2 > indent)
        fprintf(out, "\n%*s", (int)indent, "");
    else
        fprintf(out, "%*s", (int)(indent - column), "");
    print_wrapped(right, indent, out);
}

static void print_row(const struct option_spec *row, FILE *out)
{
    char *left = left_column(row);
    char *right = right_column(row);

    print_entry(left, right, HELP_COLUMN, out);
    free(left);
    free(right);
}

static void print_flags(const struct option_table *table, FILE *out)
{
    const char *heading = "Options";
    const char *printed = NULL;

    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        if (row->heading != NULL)
            heading = row->heading;
        if (row->flag == NULL)
            continue;
        if (heading != printed)
            fprintf(out, "\n%s:\n", heading);
        printed = heading;
        print_row(row, out);
    }
    fputs("\nMore:\n", out);
    print_entry("-h, --help", "print this and exit", HELP_COLUMN, out);
    print_entry("-V, --version", "print the version, and those of libraries, and exit", HELP_COLUMN,
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
            fputs("\nEnvironment variables without an option:\n", out);
        begun = true;
        print_row(row, out);
    }
}

static void print_commands(const struct option_table *table, FILE *out)
{
    const struct option_command *command = table->commands;

    /* The other commands are of interest where none was given, which means the first. */
    if (command == NULL || table->command > 1)
        return;
    fputs("\nCommands:\n", out);
    for (; command->name != NULL; command++)
        print_entry(command->name, command->help, NOTE_COLUMN, out);
    if (table->commands[0].table != NULL)
        fprintf(out, "\n%s COMMAND --help tells more.\n", table->program);
}

static void print_notes(const struct option_table *table, FILE *out)
{
    const struct option_note *note = table->notes;

    for (; note != NULL && note->name != NULL; note++) {
        if (note->heading != NULL)
            fprintf(out, "\n%s:\n", note->heading);
        print_entry(note->name, note->text, NOTE_COLUMN, out);
    }
}

static bool ends_line(const char *text)
{
    size_t len = strlen(text);

    return len == 0 || text[len - 1] == '\n';
}

/* Lines under a heading; whether they end with a newline is left to the table. */
static void print_block(const char *heading, const char *lines, FILE *out)
{
    if (lines != NULL)
        fprintf(out, "%s\n%s%s", heading, lines, ends_line(lines) ? "" : "\n");
}

void options_print_help(const struct option_table *table, FILE *out)
{
    print_block("Usage:", table->synopsis, out);
    if (table->description != NULL) {
        fputc('\n', out);
        print_wrapped(table->description, 0, out);
    }
    print_commands(table, out);
    print_block("\nExamples:", table->examples, out);
    print_flags(table, out);
    print_variables(table, out);
    print_notes(table, out);
}

static void print_escaped(const char *text, FILE *out)
{
    static const char *const replacements[] = {"\\|"};

    option_put_replaced(text, "|", replacements, out);
}

static void print_cell_names(const struct option_spec *row, FILE *out)
{
    char *value = option_value_name(row);

    fputs("| ", out);
    if (row->flag != NULL) {
        fprintf(out, "`--%s", row->flag);
        if (value != NULL) {
            fputc(' ', out);
            print_escaped(value, out);
        }
        fputc('`', out);
    }
    if (row->letter != 0)
        fprintf(out, ", `-%c`", row->letter);
    fputs(" | ", out);
    if (row->variable != NULL)
        fprintf(out, "`%s`", row->variable);
    if (row->fallback != NULL)
        fprintf(out, ", else `%s`", row->fallback);
    if (row->type == OPTION_SECRET && row->variable != NULL)
        fprintf(out, " or `%s_FILE`", row->variable);
    free(value);
}

/* "`exec`, `check`: " in front of what only they have. */
static void print_cell_commands(const struct option_table *table, const struct option_spec *row,
                                FILE *out)
{
    static const char *const replacements[] = {"`, `", ""};
    char *names = option_command_names(table, row);

    if (names != NULL) {
        fputc('`', out);
        option_put_replaced(names, ", ", replacements, out);
        fputs("`: ", out);
    }
    free(names);
}

void options_print_markdown(const struct option_table *table, FILE *out)
{
    fputs("| option | variable | default | meaning |\n|---|---|---|---|\n", out);
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        print_cell_names(row, out);
        fputs(" | ", out);
        if (row->required)
            fputs("required", out);
        else if (row->preset != NULL && row->type != OPTION_SECRET)
            fprintf(out, "`%s`", row->preset);
        fputs(" | ", out);
        print_cell_commands(table, row, out);
        print_escaped(row->help, out);
        fputs(" |\n", out);
    }
}
