/* Values of single options; used by the option engine only. */
#ifndef COMMON_OPTIONS_VALUE_H
#define COMMON_OPTIONS_VALUE_H

#include "common/options.h"

/* Stores what `text` says at `out`, of the C type that the row's type names; an older string there
 * is overwritten and freed. Returns false, storing nothing, when `text` has not the row's form. */
bool option_store(const struct option_spec *row, const char *text, void *out);

/* Prints what the row expects: "a port (0 to 65535)". */
void option_put_expected(const struct option_spec *row, FILE *out);

#endif
