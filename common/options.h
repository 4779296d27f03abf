/* The option engine: one row of a table is one option: its flag, environment variable, default,
 * validation and help. Precedence: flag, environment, default. The commands of a program may share
 * rows. */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The type says which C type stands at the row's offset. */
enum option_type {
    OPTION_STRING, /* char * */
    OPTION_SECRET, /* char *; has no flag, printed as ***, VAR_FILE names a file to read it from */
    OPTION_BOOL,   /* bool; as a flag it takes no value, in the environment true/false, yes/no, 1/0,
                      on/off */
    OPTION_COUNT,  /* unsigned long, within min and max */
    OPTION_PORT,   /* unsigned, 0 to 65535; 0 asks the system for a free one */
    OPTION_SECONDS, /* unsigned long, milliseconds inside; given as 10, 10s, 500ms, 2m or `off` (0)
                     */
    OPTION_SIZE,    /* size_t, bytes; given as 4194304, 4MiB, 256kB */
    OPTION_CHOICE,  /* int: the index into `choices` */
};

struct option_spec {
    const char *heading;  /* begins a group of rows in the help; NULL: in the group before */
    const char *flag;     /* "http-port", without dashes; NULL: no flag */
    char letter;          /* 's' for -s; 0: none */
    const char *variable; /* NULL: no environment variable */
    const char *fallback; /* a second variable asked when the first is unset, or NULL */
    enum option_type type;
    const char *preset; /* default as text; NULL: none (zero, NULL, false) */
    size_t offset;      /* of the value in the settings struct */
    bool required;
    unsigned long min, max;     /* COUNT; max 0: no limit */
    const char *const *choices; /* CHOICE: NULL-terminated */
    const char *value_name;     /* "URL", "PORT" …; NULL: from the type */
    const char *help;           /* one sentence, lower case, no full stop */
    /* Further validation of a STRING or SECRET; may be NULL. Describes what is wrong in `error`,
     * whose message must not quote a secret. */
    bool (*check)(const char *value, struct error *error);
    unsigned commands; /* in a program of several commands: bits of those that have it; 0: all */
};

/* A word in front of the options that says what to do. */
struct option_command {
    const char *name;
    const char *help;                 /* as a row's */
    const struct option_table *table; /* how its own help reads, or NULL */
    bool runs_another;                /* a command line of its own follows behind "--" */
};

/* Something to know beside the options: an exit status, a variable of others, a file. */
struct option_note {
    const char *heading; /* "Exit status"; NULL: as the note before */
    const char *name;
    const char *text;
};

/* A program's options and how its help and its manual page read. */
struct option_table {
    const char *program;
    unsigned section;                /* of the manual */
    const char *summary;             /* what it is, in a few words, for the manual */
    const char *synopsis;            /* lines under "Usage:" */
    const char *description;         /* a paragraph */
    const char *examples;            /* lines under "Examples:" */
    const char *see_also;            /* manual pages: "psql(1), systemd(1)"; or NULL */
    const struct option_note *notes; /* ends with an all-zero one; NULL: there are none */
    const struct option_spec *rows;  /* ends with an all-zero row */
    /* The bit of the command that is meant: other commands' rows are as if they were not there.
     * 0: all rows count. */
    unsigned command;
    /* By bit, ending with an all-zero one; the first is meant when none is given. NULL in a program
     * without commands. */
    const struct option_command *commands;
};

/* Fills `settings` (zeroed by the caller). All problems are collected, one line each, in `problems`
 * (owned by the caller, freed with free(); NULL when there are none) and STATUS_USAGE is returned.
 * `positional` receives the index of the first argument that is no option, argc when there is none.
 * `--` ends options. An empty environment variable counts as unset. --help and --version are
 * accepted without effect: ask options_wants() first. */
enum status options_read(const struct option_table *table, int argc, char **argv, void *settings,
                         int *positional, char **problems);
/* Whether `flag`, "help" (also -h) or "version" (also -V), stands among the options, read as
 * options_read() does; to be asked before it, so that help is given even when values are wrong. */
bool options_wants(const struct option_table *table, int argc, char **argv, const char *flag);
/* The value given with this flag, of several the last; NULL: none. For what must be known before
 * the environment is read. */
const char *options_given(const struct option_table *table, int argc, char **argv,
                          const char *flag);
/* Frees strings in `settings`, overwriting secrets. */
void options_clear(const struct option_table *table, void *settings);

/* Where a value came from: "flag", "environment", "default"; for messages. Speaks of the latest
 * options_read() in this process. */
const char *options_source(const struct option_table *table, const char *flag_or_variable);

void options_print_help(const struct option_table *table, FILE *out);
/* A Markdown table of the rows, which the README holds and a test compares. */
void options_print_markdown(const struct option_table *table, FILE *out);
/* A manual page, in man(7); with the synopses and examples of all commands. */
void options_print_man(const struct option_table *table, FILE *out);
/* A completion script for "bash", "zsh" or "fish"; false for any other shell. */
bool options_print_completion(const struct option_table *table, const char *shell, FILE *out);

/* Serves what the build asks of a program: --options-markdown, --options-man and --completion SHELL
 * as the only arguments. Whether it was one of them. */
bool options_describe(const struct option_table *table, int argc, char **argv, FILE *out);

#endif
