/* What all that is written about options has in common; used by the option engine only. */
#ifndef COMMON_OPTIONS_TEXT_H
#define COMMON_OPTIONS_TEXT_H

#include "common/options.h"

/* "URL", "text|json"; NULL for a switch. Owned by the caller. */
char *option_value_name(const struct option_spec *row);

/* Where else the value may come from, its default: "VARIABLE; default: x", "" for nothing. Owned by
 * the caller. */
char *option_remarks(const struct option_spec *row);

/* "exec, check", the commands that alone have the row, or NULL. Owned by the caller. */
char *option_command_names(const struct option_table *table, const struct option_spec *row);

/* Whether a value of it names a file or a directory. */
bool option_names_file(const struct option_spec *row);

/* Prints `text`, each character found in `special` as its turn in `replacements`. */
void option_put_replaced(const char *text, const char *special, const char *const *replacements,
                         FILE *out);

#endif
