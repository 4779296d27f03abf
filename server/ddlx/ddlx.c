/* Recogniser of DDLX, and its form as a call. */
#include "server/ddlx/ddlx.h"

/* [database.]schema.table; a fourth part is a syntax error in Postgres too. */
#define NAME_PARTS 3

/* Offsets point into the text it was parsed from. */
struct command {
    enum ddlx_kind kind;
    bool if_exists;
    struct scan_token name[NAME_PARTS];
    size_t name_parts;
};

/* Walks over the tokens of one statement. */
struct parser {
    struct scanner scanner;
    struct scan_token token; /* the current one; SCAN_END behind the statement */
    size_t end;
};

static void advance(struct parser *parser)
{
    parser->token = scanner_next(&parser->scanner);
    if (parser->token.start >= parser->end)
        parser->token.type = SCAN_END;
}

static void parser_init(struct parser *parser, const struct scanner *scanner,
                        const struct scan_statement *statement)
{
    scanner_init(&parser->scanner, scanner->text, scanner->standard_conforming_strings);
    parser->scanner.at = statement->start;
    parser->end = statement->end;
    advance(parser);
}

static bool accept_word(struct parser *parser, const char *keyword)
{
    if (!scan_is_word(parser->scanner.text, parser->token, keyword))
        return false;
    advance(parser);
    return true;
}

/* IF is no reserved word: a table may be named so. */
static bool accept_if_exists(struct parser *parser)
{
    struct parser before = *parser;

    if (accept_word(parser, "if") && accept_word(parser, "exists"))
        return true;
    *parser = before;
    return false;
}

static bool accept_name(struct parser *parser, struct command *command)
{
    command->name_parts = 0;
    for (;;) {
        if (parser->token.type != SCAN_WORD && parser->token.type != SCAN_QUOTED)
            return false;
        if (command->name_parts == NAME_PARTS)
            return false;
        command->name[command->name_parts++] = parser->token;
        advance(parser);
        if (!scan_is_symbol(parser->scanner.text, parser->token, '.'))
            return true;
        advance(parser);
    }
}

static enum ddlx_kind accept_switch(struct parser *parser)
{
    if (accept_word(parser, "enable"))
        return DDLX_ENABLE;
    if (accept_word(parser, "disable"))
        return DDLX_DISABLE;
    return DDLX_NONE;
}

/* ALTER TABLE [IF EXISTS] [ONLY] name {ENABLE | DISABLE} ELECTRIC, behind ALTER. */
static bool parse_alter_table(struct parser *parser, struct command *command)
{
    if (!accept_word(parser, "table"))
        return false;
    command->if_exists = accept_if_exists(parser);
    accept_word(parser, "only");
    if (!accept_name(parser, command))
        return false;
    command->kind = accept_switch(parser);
    return command->kind != DDLX_NONE && accept_word(parser, "electric");
}

/* ELECTRIC {ENABLE | DISABLE} name, behind ELECTRIC. */
static bool parse_electric(struct parser *parser, struct command *command)
{
    command->kind = accept_switch(parser);
    return command->kind != DDLX_NONE && accept_name(parser, command);
}

static struct command parse(const struct scanner *scanner, const struct scan_statement *statement)
{
    struct command command = {.kind = DDLX_NONE};
    struct parser parser;
    bool found = false;

    parser_init(&parser, scanner, statement);
    if (accept_word(&parser, "alter"))
        found = parse_alter_table(&parser, &command);
    else if (accept_word(&parser, "electric"))
        found = parse_electric(&parser, &command);
    if (!found || parser.token.type != SCAN_END)
        command.kind = DDLX_NONE;
    return command;
}

/* The inside of an E'…' literal. */
static void append_escaped(struct buffer *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\')
            buffer_append_u8(out, text.data[i]);
        buffer_append_u8(out, text.data[i]);
    }
}

static void append_call(struct buffer *out, struct bytes text, const struct command *command)
{
    buffer_append_format(out, "CALL electric.%s(E'",
                         command->kind == DDLX_ENABLE ? "enable" : "disable");
    for (size_t i = 0; i < command->name_parts; i++) {
        if (i > 0)
            buffer_append_u8(out, '.');
        append_escaped(out, scan_text(text, command->name[i]));
    }
    buffer_append_format(out, "'%s)", command->if_exists ? ", true" : "");
}

enum ddlx_kind ddlx_translate(const struct scanner *scanner, const struct scan_statement *statement,
                              struct buffer *call, struct ddlx_mistake *mistake)
{
    struct command command;

    (void)mistake;
    if (!statement->mentions_electric || statement->broken)
        return DDLX_NONE;
    command = parse(scanner, statement);
    if (command.kind != DDLX_NONE)
        append_call(call, scanner->text, &command);
    return command.kind;
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
