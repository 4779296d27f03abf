/* An option table as completions for bash, zsh and fish. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/option_rows.h"
#include "common/options.h"
#include "common/options_text.h"

static bool takes_value(const struct option_spec *row)
{
    return row->type != OPTION_BOOL;
}

/* The program's name as a shell function's: "_electric_tunnel"; owned by the caller. */
static char *function_name(const struct option_table *table)
{
    char *name = mem_format("_%s", table->program);

    for (char *at = name; *at != '\0'; at++)
        if (*at == '-')
            *at = '_';
    return name;
}

/* The table with the rows of one command alone; of a program without commands, all rows. */
static struct option_table of_command(const struct option_table *table, size_t index)
{
    struct option_table narrowed = *table;

    narrowed.command = table->commands == NULL ? 0 : 1u << index;
    return narrowed;
}

static size_t command_count(const struct option_table *table)
{
    size_t count = 0;

    while (table->commands != NULL && table->commands[count].name != NULL)
        count++;
    return count;
}

static void put_choices(const struct option_spec *row, FILE *out)
{
    for (size_t i = 0; row->choices[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", row->choices[i]);
}

static bool runs_another(const struct option_table *table)
{
    for (size_t i = 0; i < command_count(table); i++)
        if (table->commands[i].runs_another)
            return true;
    return false;
}

/* ---- bash --------------------------------------------------------------------------------------
 */

/* "--service|-s" as a pattern. */
static void bash_put_pattern(const struct option_spec *row, FILE *out)
{
    fprintf(out, "    --%s", row->flag);
    if (row->letter != 0)
        fprintf(out, " | -%c", row->letter);
    fputs(")\n", out);
}

/* One arm for each option with a value. */
static void bash_put_values(const struct option_table *table, FILE *out)
{
    fputs("    case $before in\n", out);
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        if (row->flag == NULL || !takes_value(row))
            continue;
        bash_put_pattern(row, out);
        if (row->type == OPTION_CHOICE) {
            fputs("        mapfile -t COMPREPLY < <(compgen -W '", out);
            put_choices(row, out);
            fputs("' -- \"$word\")\n", out);
        } else if (option_names_file(row)) {
            fputs("        compopt -o filenames 2>/dev/null\n"
                  "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n",
                  out);
        }
        fputs("        return\n        ;;\n", out);
    }
    fputs("    esac\n", out);
}

/* An arm of a case: what may follow the command. */
static void bash_put_flags(const struct option_table *table, const char *pattern, size_t index,
                           FILE *out)
{
    struct option_table own = of_command(table, index);

    fprintf(out, "    %s) words='", pattern);
    for (const struct option_spec *row = option_first(&own); row != NULL;
         row = option_next(&own, row))
        if (row->flag != NULL)
            fprintf(out, "--%s ", row->flag);
    fputs("--help --version' ;;\n", out);
}

/* What may be said depends on the command, which is the first word. */
static void bash_put_words(const struct option_table *table, FILE *out)
{
    fputs("    case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < command_count(table); i++)
        bash_put_flags(table, table->commands[i].name, i, out);
    bash_put_flags(table, "*", 0, out);
    fputs("    esac\n", out);
    if (table->commands == NULL)
        return;
    fputs("    if ((COMP_CWORD == 1)); then\n        words+='", out);
    for (size_t i = 0; i < command_count(table); i++)
        fprintf(out, " %s", table->commands[i].name);
    fputs("'\n    fi\n", out);
}

/* Behind "--" stands another command line, which bash-completion knows how to complete. */
static void bash_put_another(FILE *out)
{
    fputs("    local i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
          "            if declare -F _command_offset >/dev/null; then\n"
          "                _command_offset $((i + 1))\n"
          "            elif ((i + 1 == COMP_CWORD)); then\n"
          "                mapfile -t COMPREPLY < <(compgen -c -- \"$word\")\n"
          "            else\n"
          "                mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
          "            fi\n"
          "            return\n"
          "        fi\n"
          "    done\n",
          out);
}

static void print_bash(const struct option_table *table, FILE *out)
{
    char *name = function_name(table);

    fprintf(out, "# Completion of %s for bash; made by its --completion bash.\n", table->program);
    fprintf(out, "%s()\n{\n", name);
    fputs("    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words\n"
          "    # bash takes the = of --option=value for a word\n"
          "    if [[ $word == = ]]; then\n"
          "        word=\n"
          "    elif [[ $before == = ]]; then\n"
          "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    COMPREPLY=()\n",
          out);
    if (runs_another(table))
        bash_put_another(out);
    bash_put_values(table, out);
    bash_put_words(table, out);
    fputs("    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\n", out);
    fprintf(out, "complete -F %s %s\n", name, table->program);
    free(name);
}

/* ---- zsh ---------------------------------------------------------------------------------------
 */

/* Inside single quotes, and inside the brackets and between the colons of _arguments. */
static void zsh_put(const char *text, FILE *out)
{
    static const char *const replacements[] = {"'\\''", "\\[", "\\]", "\\:", "\\\\"};

    option_put_replaced(text, "'[]:\\", replacements, out);
}

/* "  '(-s --service)'{-s+,--service=}'[where …]:URL:'" */
static void zsh_put_row(const struct option_spec *row, FILE *out)
{
    char *value = option_value_name(row);
    const char *equals = takes_value(row) ? "=" : "";

    if (row->letter != 0)
        fprintf(out, "        '(-%c --%s)'{-%c%s,--%s%s}'[", row->letter, row->flag, row->letter,
                takes_value(row) ? "+" : "", row->flag, equals);
    else
        fprintf(out, "        '--%s%s[", row->flag, equals);
    zsh_put(row->help, out);
    fputc(']', out);
    if (value != NULL && row->type == OPTION_CHOICE) {
        fprintf(out, ":%s:(", row->flag);
        put_choices(row, out);
        fputc(')', out);
    } else if (value != NULL) {
        fputc(':', out);
        zsh_put(value, out);
        fputs(option_names_file(row) ? ":_files" : ":", out);
    }
    fputs("'\n", out);
    free(value);
}

static void zsh_put_rows(const struct option_table *table, const char *pattern, size_t index,
                         FILE *out)
{
    struct option_table own = of_command(table, index);

    fprintf(out, "    %s) options=(\n", pattern);
    for (const struct option_spec *row = option_first(&own); row != NULL;
         row = option_next(&own, row))
        if (row->flag != NULL)
            zsh_put_row(row, out);
    fputs("    ) ;;\n", out);
}

/* The options of each command, and of none. */
static void zsh_put_options(const struct option_table *table, FILE *out)
{
    fputs("    case ${words[2]} in\n", out);
    for (size_t i = 0; i < command_count(table); i++)
        zsh_put_rows(table, table->commands[i].name, i, out);
    zsh_put_rows(table, "*", 0, out);
    fputs("    esac\n", out);
}

static void zsh_put_commands(const struct option_table *table, FILE *out)
{
    const struct option_command *command = table->commands;

    if (command == NULL)
        return;
    fputs("    commands=(\n", out);
    for (; command->name != NULL; command++) {
        fprintf(out, "        '%s:", command->name);
        zsh_put(command->help, out);
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then\n"
          "        _describe -t commands command commands\n"
          "        return\n"
          "    fi\n"
          "    if [[ -n ${commands[(r)${words[2]}:*]} ]]; then\n"
          "        shift words\n"
          "        ((CURRENT--))\n"
          "    fi\n",
          out);
}

/* The file has the function's name, with the dash, as zsh's own do. */
static void print_zsh(const struct option_table *table, FILE *out)
{
    char *name = mem_format("_%s", table->program);

    fprintf(out, "#compdef %s\n# Completion for zsh; made by %s --completion zsh.\n",
            table->program, table->program);
    fprintf(out, "%s()\n{\n    local -a options commands\n", name);
    zsh_put_options(table, out);
    zsh_put_commands(table, out);
    fputs("    _arguments -s -S $options \\\n"
          "        '(-h --help)'{-h,--help}'[print a summary of the options and exit]' \\\n"
          "        '(-V --version)'{-V,--version}'[print the version and exit]'",
          out);
    fputs(runs_another(table) ? " \\\n        '*:::command line:_normal'\n}\n" : "\n}\n", out);
    /* Autoloaded, the file is the function's body; sourced, it only defines it. */
    fprintf(out,
            "if [[ ${funcstack[1]} == %s ]]; then\n    %s \"$@\"\nelse\n    compdef %s %s\nfi\n",
            name, name, name, table->program);
    free(name);
}

/* ---- fish --------------------------------------------------------------------------------------
 */

static void fish_put(const char *text, FILE *out)
{
    static const char *const replacements[] = {"\\'", "\\\\"};

    fputc('\'', out);
    option_put_replaced(text, "'\\", replacements, out);
    fputc('\'', out);
}

/* When to offer a row that only some commands have; the first is meant when none was given. */
static void fish_put_condition(const struct option_table *table, const struct option_spec *row,
                               FILE *out)
{
    if (row->commands == 0 || table->commands == NULL)
        return;
    fputs(" -n '__fish_seen_subcommand_from", out);
    for (size_t i = 0; i < command_count(table); i++)
        if ((row->commands & (1u << i)) != 0)
            fprintf(out, " %s", table->commands[i].name);
    if ((row->commands & 1u) != 0) {
        fputs("; or not __fish_seen_subcommand_from", out);
        for (size_t i = 0; i < command_count(table); i++)
            fprintf(out, " %s", table->commands[i].name);
    }
    fputc('\'', out);
}

static void fish_put_row(const struct option_table *table, const struct option_spec *row, FILE *out)
{
    fprintf(out, "complete -c %s", table->program);
    fish_put_condition(table, row, out);
    fprintf(out, " -l %s", row->flag);
    if (row->letter != 0)
        fprintf(out, " -s %c", row->letter);
    if (row->type == OPTION_CHOICE) {
        fputs(" -x -a '", out);
        put_choices(row, out);
        fputc('\'', out);
    } else if (takes_value(row)) {
        fputs(option_names_file(row) ? " -r -F" : " -x", out);
    }
    fputs(" -d ", out);
    fish_put(row->help, out);
    fputc('\n', out);
}

static void fish_put_commands(const struct option_table *table, FILE *out)
{
    const struct option_command *command = table->commands;

    for (; command != NULL && command->name != NULL; command++) {
        fprintf(out, "complete -c %s -n __fish_is_first_token -a %s -d ", table->program,
                command->name);
        fish_put(command->help, out);
        fputc('\n', out);
        if (command->runs_another)
            fprintf(out,
                    "complete -c %s -n '__fish_seen_subcommand_from %s; and contains -- -- "
                    "(commandline -opc)' -a '(__fish_complete_subcommand --fcs-skip=3)'\n",
                    table->program, command->name);
    }
}

static void print_fish(const struct option_table *table, FILE *out)
{
    fprintf(out, "# Completion for fish; made by %s --completion fish.\ncomplete -c %s -f\n",
            table->program, table->program);
    fish_put_commands(table, out);
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row))
        if (row->flag != NULL)
            fish_put_row(table, row, out);
    fprintf(out, "complete -c %s -s h -l help -d 'print a summary of the options and exit'\n",
            table->program);
    fprintf(out, "complete -c %s -s V -l version -d 'print the version and exit'\n",
            table->program);
}

bool options_print_completion(const struct option_table *table, const char *shell, FILE *out)
{
    static const struct {
        const char *shell;
        void (*print)(const struct option_table *table, FILE *out);
    } printers[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

    for (size_t i = 0; i < sizeof printers / sizeof printers[0]; i++) {
        if (strcmp(shell, printers[i].shell) == 0) {
            printers[i].print(table, out);
            return true;
        }
    }
    return false;
}

bool options_describe(const struct option_table *table, int argc, char **argv, FILE *out)
{
    if (argc == 2 && strcmp(argv[1], "--options-markdown") == 0)
        options_print_markdown(table, out);
    else if (argc == 2 && strcmp(argv[1], "--options-man") == 0)
        options_print_man(table, out);
    else
        return argc == 3 && strcmp(argv[1], "--completion") == 0 &&
               options_print_completion(table, argv[2], out);
    return true;
}
