/* Grammar of permissions. */
#include "server/ddlx/permissions.h"

#include <string.h>

/* Reads and writes one thing of a list. */
typedef bool list_item(struct parser *parser);

static bool expect_list(struct parser *parser, list_item *item, char separator)
{
    parser_write(parser, "[");
    for (;;) {
        if (!item(parser))
            return false;
        if (!parser_accept_symbol(parser, separator))
            break;
        parser_write(parser, ",");
    }
    parser_write(parser, "]");
    return true;
}

static void write_key(struct parser *parser, const char *key)
{
    parser_write(parser, "\"");
    parser_write(parser, key);
    parser_write(parser, "\":");
}

static void write_text(struct parser *parser, struct bytes text)
{
    parser_write(parser, "\"");
    literal_write_all(parser->call, text, literal_write_json);
    parser_write(parser, "\"");
}

/* The parts of a name from `from` up to `to`, as one string. */
static void write_name(struct parser *parser, const struct name *name, size_t from, size_t to)
{
    parser_write(parser, "\"");
    parser_write_name(parser, name, from, to, literal_write_json);
    parser_write(parser, "\"");
}

static void write_string(struct parser *parser, struct literal *string, size_t until)
{
    parser_write(parser, "\"");
    parser_write_string(parser, string, until, literal_write_json);
    parser_write(parser, "\"");
}

/* -- tables, columns, expressions ------------------------------------------------------------- */

static bool expect_column(struct parser *parser)
{
    struct name column;

    if (!parser_accept_name(parser, &column, 1))
        return false;
    write_name(parser, &column, 0, 1);
    return true;
}

static bool expect_table(struct parser *parser)
{
    struct name table;

    if (!parser_accept_name(parser, &table, TABLE_PARTS))
        return false;
    write_name(parser, &table, 0, table.count);
    return true;
}

/* table.column; the two under keys of their own. */
static bool write_table_column(struct parser *parser, const struct name *name,
                               const char *table_key, const char *column_key)
{
    if (name->count < 2)
        return false;
    write_key(parser, table_key);
    write_name(parser, name, 0, name->count - 1);
    parser_write(parser, ",");
    write_key(parser, column_key);
    write_name(parser, name, name->count - 1, name->count);
    return true;
}

static bool expect_table_column(struct parser *parser, const char *table_key,
                                const char *column_key)
{
    struct name name;

    return parser_accept_name(parser, &name, NAME_PARTS) &&
           write_table_column(parser, &name, table_key, column_key);
}

/* [USING column[/column...]] [keyword (expression)] */
static bool expect_clauses(struct parser *parser, const char *keyword)
{
    struct bytes expression;

    if (parser_accept_word(parser, "using")) {
        parser_write(parser, ",");
        write_key(parser, "using");
        if (!expect_list(parser, expect_column, '/'))
            return false;
    }
    if (parser_accept_word(parser, keyword)) {
        if (!parser_expect_expression(parser, &expression))
            return false;
        parser_write(parser, ",");
        write_key(parser, keyword);
        write_text(parser, expression);
    }
    return true;
}

/* -- roles ------------------------------------------------------------------------------------- */

/* What stands for a role differs between those that are granted something and those that are
 * assigned. */
struct role_grammar {
    const char *key;   /* of the role's name */
    bool has_specials; /* ANYONE, AUTHENTICATED */
    bool has_columns;  /* table.column, which names the role */
    const char *hint;
};

static const struct role_grammar grantee = {
    .key = "name",
    .has_specials = true,
    .hint = "A role is written 'role', 'scope:role', scope:'role', (scope, 'role'), ANYONE or "
            "AUTHENTICATED; neither scope nor role may be empty.",
};

static const struct role_grammar assignee = {
    .key = "role",
    .has_columns = true,
    .hint =
        "A role is written 'role', 'scope:role', scope:'role', (scope, 'role'), table.column or "
        "(scope, table.column); neither scope nor role may be empty.",
};

/* How a string divides into scope and role. */
struct role_parts {
    bool has_scope;
    size_t scope; /* units in front of the colon */
    bool has_blank;
};

/* The first colon divides, unless it stands in the quoted name of a scope. */
static struct role_parts divide_role(struct literal string, bool may_have_scope)
{
    struct role_parts parts = {.has_scope = false};
    struct literal_unit unit;
    bool quoted = false, blank = true;

    for (size_t i = 0; (unit = literal_next(&string)).type != LITERAL_END; i++) {
        if (unit.value == '"')
            quoted = !quoted;
        if (unit.value == ':' && !quoted && may_have_scope && !parts.has_scope) {
            parts = (struct role_parts){.has_scope = true, .scope = i, .has_blank = blank};
            blank = true;
        } else if (unit.value != ' ') {
            blank = false;
        }
    }
    parts.has_blank = parts.has_blank || blank;
    return parts;
}

/* 'role' or, if that may be, 'scope:role'. */
static bool expect_role_string(struct parser *parser, const struct role_grammar *grammar,
                               bool may_have_scope)
{
    struct scan_token token = parser->token;
    struct role_parts parts;
    struct literal string;

    if (!parser_accept_string(parser, &string))
        return parser_refuse(parser, parser->token, grammar->hint);
    parts = divide_role(string, may_have_scope);
    if (parts.has_blank)
        return parser_refuse(parser, token, grammar->hint);
    if (parts.has_scope) {
        write_key(parser, "scope");
        write_string(parser, &string, parts.scope);
        parser_write(parser, ",");
        literal_next(&string); /* the colon */
    }
    write_key(parser, grammar->key);
    write_string(parser, &string, SIZE_MAX);
    return true;
}

static void write_scope(struct parser *parser, const struct name *scope)
{
    write_key(parser, "scope");
    write_name(parser, scope, 0, scope->count);
    parser_write(parser, ",");
}

/* ({scope | NULL}, {'role' | table.column}), behind the parenthesis. */
static bool expect_role_pair(struct parser *parser, const struct role_grammar *grammar)
{
    struct name name;

    if (!parser_accept_word(parser, "null")) {
        if (!parser_accept_name(parser, &name, TABLE_PARTS))
            return parser_refuse(parser, parser->token, grammar->hint);
        write_scope(parser, &name);
    }
    if (!parser_accept_symbol(parser, ','))
        return parser_refuse(parser, parser->token, grammar->hint);
    if (parser->token.type == SCAN_STRING || !grammar->has_columns) {
        if (!expect_role_string(parser, grammar, false))
            return false;
    } else if (!expect_table_column(parser, "role_table", "role_column")) {
        return parser_refuse(parser, parser->token, grammar->hint);
    }
    return parser_accept_symbol(parser, ')') || parser_refuse(parser, parser->token, grammar->hint);
}

static bool write_special(struct parser *parser, const struct name *name)
{
    struct bytes text = parser->scanner.text;

    if (name->count != 1)
        return false;
    if (scan_is_word(text, name->parts[0], "anyone"))
        parser_write(parser, "\"special\":\"anyone\"");
    else if (scan_is_word(text, name->parts[0], "authenticated"))
        parser_write(parser, "\"special\":\"authenticated\"");
    else
        return false;
    return true;
}

static bool expect_role(struct parser *parser, const struct role_grammar *grammar)
{
    struct scan_token first = parser->token;
    struct name name;

    if (first.type == SCAN_STRING)
        return expect_role_string(parser, grammar, true);
    if (parser_accept_symbol(parser, '('))
        return expect_role_pair(parser, grammar);
    if (!parser_accept_name(parser, &name, NAME_PARTS))
        return parser_refuse(parser, parser->token, grammar->hint);
    if (name.count <= TABLE_PARTS && parser_accept_symbol(parser, ':')) {
        write_scope(parser, &name);
        return expect_role_string(parser, grammar, false);
    }
    if (grammar->has_specials && write_special(parser, &name))
        return true;
    if (grammar->has_columns && write_table_column(parser, &name, "role_table", "role_column"))
        return true;
    return parser_refuse(parser, first, grammar->hint);
}

static bool expect_grantee(struct parser *parser)
{
    parser_write(parser, "{");
    if (!expect_role(parser, &grantee))
        return false;
    parser_write(parser, "}");
    return true;
}

/* -- commands ---------------------------------------------------------------------------------- */

static bool expect_privilege(struct parser *parser)
{
    static const char *const names[] = {"select", "insert", "update", "delete",
                                        "all",    "read",   "write"};
    size_t i = 0;

    while (!parser_accept_word(parser, names[i]))
        if (++i == sizeof names / sizeof names[0])
            return false;
    if (strcmp(names[i], "all") == 0)
        parser_accept_word(parser, "privileges");
    parser_write(parser, "{\"name\":\"");
    parser_write(parser, names[i]);
    parser_write(parser, "\"");
    if (parser_accept_symbol(parser, '(')) {
        parser_write(parser, ",\"columns\":");
        if (!expect_list(parser, expect_column, ',') || !parser_accept_symbol(parser, ')'))
            return false;
    }
    parser_write(parser, "}");
    return true;
}

/* privilege [, ...] ON [TABLE] table [, ...] preposition role [, ...] */
static bool expect_privileges(struct parser *parser, const char *preposition)
{
    parser_write(parser, "{\"privileges\":");
    if (!expect_list(parser, expect_privilege, ',') || !parser_accept_word(parser, "on"))
        return false;
    parser_accept_word(parser, "table"); /* reserved in Postgres, so it is no name */
    parser_write(parser, ",\"tables\":");
    if (!expect_list(parser, expect_table, ',') || !parser_accept_word(parser, preposition))
        return false;
    parser_write(parser, ",\"roles\":");
    return expect_list(parser, expect_grantee, ',');
}

/* role preposition table.column */
static bool expect_assignment(struct parser *parser, const char *preposition)
{
    parser_write(parser, "{");
    if (!expect_role(parser, &assignee) || !parser_accept_word(parser, preposition))
        return false;
    parser_write(parser, ",");
    return expect_table_column(parser, "table", "column");
}

static void open_call(struct parser *parser, const char *procedure)
{
    parser_write(parser, "CALL electric.");
    parser_write(parser, procedure);
    parser_write(parser, "(E'");
}

/* The type is named because a search_path of the client's may hold another of that name. */
static bool close_call(struct parser *parser)
{
    parser_write(parser, "}'::pg_catalog.jsonb)");
    return parser_is_at_end(parser);
}

bool permissions_grant(struct parser *parser)
{
    parser->hint = "Write: ELECTRIC GRANT privilege [, ...] ON table [, ...] TO role [, ...] "
                   "[USING column[/column...]] [CHECK (expression)].";
    open_call(parser, "grant_privileges");
    return expect_privileges(parser, "to") && expect_clauses(parser, "check") && close_call(parser);
}

bool permissions_revoke(struct parser *parser)
{
    parser->hint = "Write: ELECTRIC REVOKE privilege [, ...] ON table [, ...] FROM role [, ...].";
    open_call(parser, "revoke_privileges");
    return expect_privileges(parser, "from") && close_call(parser);
}

bool permissions_assign(struct parser *parser)
{
    parser->hint = "Write: ELECTRIC ASSIGN role TO table.column [USING column[/column...]] "
                   "[IF (expression)].";
    open_call(parser, "assign_role");
    return expect_assignment(parser, "to") && expect_clauses(parser, "if") && close_call(parser);
}

bool permissions_unassign(struct parser *parser)
{
    parser->hint = "Write: ELECTRIC UNASSIGN role FROM table.column.";
    open_call(parser, "unassign_role");
    return expect_assignment(parser, "from") && close_call(parser);
}
