/* Recogniser of DDLX: what a statement's first words say it is. */
#include "server/ddlx/ddlx.h"

#include "server/ddlx/permissions.h"

static const char switch_hint[] = "Write: ALTER TABLE table ENABLE ELECTRIC, or DISABLE, as a "
                                  "statement of its own.";

static enum ddlx_kind accept_switch(struct parser *parser)
{
    if (parser_accept_word(parser, "enable"))
        return DDLX_ENABLE;
    if (parser_accept_word(parser, "disable"))
        return DDLX_DISABLE;
    return DDLX_NONE;
}

static void write_switch(struct parser *parser, enum ddlx_kind kind, const struct name *table,
                         bool if_exists)
{
    parser_write(parser,
                 kind == DDLX_ENABLE ? "CALL electric.enable(E'" : "CALL electric.disable(E'");
    parser_write_name(parser, table, 0, table->count, literal_write);
    parser_write(parser, if_exists ? "', true)" : "')");
}

/* ALTER TABLE [IF EXISTS] [ONLY] table {ENABLE | DISABLE} ELECTRIC, behind ALTER. Up to there it
 * may be any other ALTER TABLE; behind it, it cannot. */
static enum ddlx_kind parse_alter(struct parser *parser)
{
    enum ddlx_kind kind;
    struct name table;
    bool if_exists;

    if (!parser_accept_word(parser, "table"))
        return DDLX_NONE;
    /* IF is no reserved word: a table may be named so. */
    if_exists = parser_accept_words(parser, "if", "exists");
    parser_accept_word(parser, "only");
    if (!parser_accept_name(parser, &table, TABLE_PARTS))
        return DDLX_NONE;
    kind = accept_switch(parser);
    if (kind == DDLX_NONE || !parser_accept_word(parser, "electric"))
        return DDLX_NONE;
    parser->hint = switch_hint;
    write_switch(parser, kind, &table, if_exists);
    return parser_is_at_end(parser) ? kind : DDLX_MISTAKE;
}

static bool parse_switch(struct parser *parser, enum ddlx_kind kind)
{
    struct name table;

    parser->hint = switch_hint;
    if (!parser_accept_name(parser, &table, TABLE_PARTS))
        return false;
    write_switch(parser, kind, &table, false);
    return parser_is_at_end(parser);
}

static bool parse_enable(struct parser *parser)
{
    return parse_switch(parser, DDLX_ENABLE);
}

static bool parse_disable(struct parser *parser)
{
    return parse_switch(parser, DDLX_DISABLE);
}

static bool parse_sqlite(struct parser *parser)
{
    struct literal statements;

    parser->hint = "Write: ELECTRIC SQLITE 'statements'.";
    if (!parser_accept_string(parser, &statements))
        return false;
    parser_write(parser, "CALL electric.sqlite(E'");
    parser_write_string(parser, &statements, SIZE_MAX, literal_write);
    parser_write(parser, "')");
    return parser_is_at_end(parser);
}

static const struct command {
    const char *word;
    enum ddlx_kind kind;
    bool (*parse)(struct parser *parser);
} commands[] = {
    {"enable", DDLX_ENABLE, parse_enable},       {"disable", DDLX_DISABLE, parse_disable},
    {"grant", DDLX_GRANT, permissions_grant},    {"revoke", DDLX_REVOKE, permissions_revoke},
    {"assign", DDLX_ASSIGN, permissions_assign}, {"unassign", DDLX_UNASSIGN, permissions_unassign},
    {"sqlite", DDLX_SQLITE, parse_sqlite},
};

/* Behind ELECTRIC, with which no statement of Postgres begins. */
static enum ddlx_kind parse_electric(struct parser *parser)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (parser_accept_word(parser, commands[i].word))
            return commands[i].parse(parser) ? commands[i].kind : DDLX_MISTAKE;
    parser->hint = "ELECTRIC is followed by ENABLE, DISABLE, GRANT, REVOKE, ASSIGN, UNASSIGN or "
                   "SQLITE.";
    return DDLX_MISTAKE;
}

enum ddlx_kind ddlx_translate(const struct scanner *scanner, const struct scan_statement *statement,
                              struct buffer *call, struct ddlx_mistake *mistake)
{
    enum ddlx_kind kind = DDLX_NONE;
    size_t before = buffer_len(call);
    struct parser parser;

    if (!statement->mentions_electric || statement->broken)
        return DDLX_NONE;
    parser_init(&parser, scanner, statement, call, false);
    if (parser_accept_word(&parser, "electric"))
        kind = parse_electric(&parser);
    else if (parser_accept_word(&parser, "alter"))
        kind = parse_alter(&parser);
    if (kind == DDLX_MISTAKE) {
        buffer_truncate(call, before);
        *mistake = (struct ddlx_mistake){parser.token.start, parser.token.end, parser.hint};
    }
    return kind;
}

const char *ddlx_tag(enum ddlx_kind kind)
{
    static const char *const tags[] = {
        [DDLX_NONE] = "CALL",
        [DDLX_ENABLE] = "ELECTRIC ENABLE",
        [DDLX_DISABLE] = "ELECTRIC DISABLE",
        [DDLX_GRANT] = "ELECTRIC GRANT",
        [DDLX_REVOKE] = "ELECTRIC REVOKE",
        [DDLX_ASSIGN] = "ELECTRIC ASSIGN",
        [DDLX_UNASSIGN] = "ELECTRIC UNASSIGN",
        [DDLX_SQLITE] = "ELECTRIC SQLITE",
        [DDLX_MISTAKE] = "CALL",
    };

    return tags[kind];
}
