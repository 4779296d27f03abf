/* What an option table says to people: --help and the README's table. */
#include "common/options.h"

#include "common/memory.h"
#include "common/option_rows.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_COLUMN = 2, HELP_COLUMN = 30, LINE_WIDTH = 80 };

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

/* Owned by the caller; NULL for a flag without a value. */
static char *value_name(const struct option_spec *row)
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

/* "-s, --service URL", or the variable of a row without a flag; owned by the caller. */
static char *left_column(const struct option_spec *row)
{
    char *value = value_name(row);
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

/* That a switch is off until it is given goes without saying. */
static bool is_plain_switch(const struct option_spec *row)
{
    return row->type == OPTION_BOOL && row->preset != NULL && strcmp(row->preset, "false") == 0;
}

/* "help [VARIABLE; default: x]"; owned by the caller. */
static char *right_column(const struct option_spec *row)
{
    char *notes = NULL;
    size_t size;
    FILE *out = open_memstream(&notes, &size);

    if (out == NULL)
        abort();
    fputs(row->help, out);
    const char *separator = " [";
    if (row->flag != NULL && row->variable != NULL) {
        fprintf(out, "%s%s", separator, row->variable);
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
    if (row->preset != NULL && row->type != OPTION_SECRET && !is_plain_switch(row)) {
        fprintf(out, "%sdefault: %s", separator, row->preset);
        separator = "; ";
    } else if (row->required) {
        fprintf(out, "%srequired", separator);
        separator = "; ";
    }
    if (strcmp(separator, "; ") == 0)
        fputc(']', out);
    if (fclose(out) != 0)
        abort();
    return notes;
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

static void print_entry(const char *left, const char *right, FILE *out)
{
    size_t column = NAME_COLUMN + strlen(left);

    fprintf(out, "%*s%s", NAME_COLUMN, "", left);
    if (column + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", (int)(HELP_COLUMN - column), "");
    print_wrapped(right, HELP_COLUMN, out);
}

static void print_rows(const struct option_table *table, bool with_flag, FILE *out)
{
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        if ((row->flag != NULL) != with_flag)
            continue;
        char *left = left_column(row);
        char *right = right_column(row);
        print_entry(left, right, out);
        free(left);
        free(right);
    }
}

static bool has_variable_only(const struct option_table *table)
{
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row))
        if (row->flag == NULL)
            return true;
    return false;
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
    fputs("\nOptions:\n", out);
    print_rows(table, true, out);
    print_entry("-h, --help", "print this and exit", out);
    print_entry("-V, --version", "print the version and exit", out);
    if (has_variable_only(table)) {
        fputs("\nEnvironment variables without an option:\n", out);
        print_rows(table, false, out);
    }
    print_block("\nExamples:", table->examples, out);
}

static void print_escaped(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_cell_names(const struct option_spec *row, FILE *out)
{
    char *value = value_name(row);

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
static void print_commands(const struct option_table *table, const struct option_spec *row,
                           FILE *out)
{
    const char *separator = "";

    if (row->commands == 0 || table->command_names == NULL)
        return;
    for (size_t i = 0; table->command_names[i] != NULL; i++) {
        if ((row->commands & (1u << i)) == 0)
            continue;
        fprintf(out, "%s`%s`", separator, table->command_names[i]);
        separator = ", ";
    }
    fputs(": ", out);
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
        print_commands(table, row, out);
        print_escaped(row->help, out);
        fputs(" |\n", out);
    }
}
