/* Walking over the rows of an option table that the command in question has. */
#ifndef COMMON_OPTION_ROWS_H
#define COMMON_OPTION_ROWS_H

#include "common/options.h"

static inline bool option_is_end(const struct option_spec *row)
{
    return row->flag == NULL && row->variable == NULL && row->letter == 0;
}

static inline bool option_belongs(const struct option_table *table, const struct option_spec *row)
{
    return table->command == 0 || row->commands == 0 || (row->commands & table->command) != 0;
}

static inline const struct option_spec *option_skip(const struct option_table *table,
                                                    const struct option_spec *row)
{
    while (!option_is_end(row) && !option_belongs(table, row))
        row++;
    return option_is_end(row) ? NULL : row;
}

/* NULL: there is none. */
static inline const struct option_spec *option_first(const struct option_table *table)
{
    return option_skip(table, table->rows);
}

static inline const struct option_spec *option_next(const struct option_table *table,
                                                    const struct option_spec *row)
{
    return option_skip(table, row + 1);
}

#endif
