/* Quoting. */
#include "server/render/sql.h"

#include <string.h>

void sql_append(struct buffer *sql, const char *text)
{
    buffer_append(sql, bytes_of_string(text));
}

static void append_quoted(struct buffer *sql, const char *text, char quote)
{
    const struct bytes mark = bytes_of(&quote, 1);

    buffer_append(sql, mark);
    for (const char *next; (next = strchr(text, quote)) != NULL; text = next + 1) {
        buffer_append(sql, bytes_of(text, (size_t)(next - text) + 1));
        buffer_append(sql, mark);
    }
    sql_append(sql, text);
    buffer_append(sql, mark);
}

void sql_identifier(struct buffer *sql, const char *name)
{
    append_quoted(sql, name, '"');
}

void sql_qualified(struct buffer *sql, const char *schema, const char *name)
{
    sql_identifier(sql, schema);
    sql_append(sql, ".");
    sql_identifier(sql, name);
}

void sql_literal(struct buffer *sql, const char *text)
{
    append_quoted(sql, text, '\'');
}

void sql_names(struct buffer *sql, const struct model_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        sql_append(sql, i == 0 ? "(" : ", ");
        sql_identifier(sql, names->items[i]);
    }
    sql_append(sql, ")");
}
