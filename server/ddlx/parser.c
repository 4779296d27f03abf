/* The walk over one statement. */
#include "server/ddlx/parser.h"

#include <ctype.h>

static void advance(struct parser *parser)
{
    do
        parser->token = scanner_next(&parser->scanner);
    while (parser->wide_blanks && scan_is_symbol(parser->scanner.text, parser->token, '\v'));
    if (parser->token.start >= parser->end)
        parser->token = (struct scan_token){SCAN_END, parser->end, parser->end};
}

void parser_init(struct parser *parser, const struct scanner *scanner,
                 const struct scan_statement *statement, struct buffer *call, bool wide_blanks)
{
    *parser = (struct parser){.end = statement->end, .call = call, .wide_blanks = wide_blanks};
    scanner_init(&parser->scanner, scanner->text, scanner->standard_conforming_strings);
    parser->scanner.at = statement->start;
    advance(parser);
}

bool parser_accept_word(struct parser *parser, const char *keyword)
{
    if (!scan_is_word(parser->scanner.text, parser->token, keyword))
        return false;
    advance(parser);
    return true;
}

void parser_skip(struct parser *parser)
{
    advance(parser);
}

bool parser_accept_words(struct parser *parser, const char *first, const char *second)
{
    struct parser before = *parser;

    if (parser_accept_word(parser, first) && parser_accept_word(parser, second))
        return true;
    *parser = before;
    return false;
}

bool parser_accept_symbol(struct parser *parser, char symbol)
{
    if (!scan_is_symbol(parser->scanner.text, parser->token, symbol))
        return false;
    advance(parser);
    return true;
}

bool parser_is_at_end(const struct parser *parser)
{
    return parser->token.type == SCAN_END;
}

bool parser_refuse(struct parser *parser, struct scan_token token, const char *hint)
{
    parser->token = token;
    parser->hint = hint;
    return false;
}

static bool may_escape(uint8_t c)
{
    return c != '+' && c != '\'' && c != '"' && c < 0x80 && !isxdigit(c) && !isspace(c);
}

/* [UESCAPE 'c'], behind U&'…' or U&"…". */
static bool accept_escape(struct parser *parser, uint8_t *escape)
{
    struct bytes text;

    *escape = '\\';
    if (!parser_accept_word(parser, "uescape"))
        return true;
    text = scan_text(parser->scanner.text, parser->token);
    if (parser->token.type != SCAN_STRING || text.len != 3 || text.data[0] != '\'' ||
        !may_escape(text.data[1]))
        return false;
    *escape = text.data[1];
    advance(parser);
    return true;
}

static bool is_well_formed(struct literal literal)
{
    struct literal_unit unit;

    do
        unit = literal_next(&literal);
    while (unit.type != LITERAL_END && unit.type != LITERAL_INVALID);
    return unit.type == LITERAL_END;
}

/* The current token, as what it stands for, if it is a string or a quoted identifier. */
static bool accept_literal(struct parser *parser, struct literal *literal)
{
    struct scan_token token = parser->token;

    if (!literal_open(literal, &parser->scanner, token))
        return false;
    advance(parser);
    if (!literal->unicode || accept_escape(parser, &literal->escape)) {
        if (is_well_formed(*literal))
            return true;
        parser->token = token;
    }
    return false;
}

bool parser_accept_string(struct parser *parser, struct literal *string)
{
    return parser->token.type == SCAN_STRING && accept_literal(parser, string);
}

static bool accept_name_part(struct parser *parser, struct name *name)
{
    struct literal literal = {.escape = 0};
    struct scan_token token = parser->token;

    if (token.type == SCAN_WORD)
        advance(parser);
    else if (token.type == SCAN_STRING || !accept_literal(parser, &literal))
        return false;
    name->parts[name->count] = token;
    name->escapes[name->count++] = literal.escape;
    return true;
}

bool parser_accept_name(struct parser *parser, struct name *name, size_t max)
{
    name->count = 0;
    do {
        if (name->count == max || !accept_name_part(parser, name))
            return false;
    } while (parser_accept_symbol(parser, '.'));
    return true;
}

bool parser_expect_expression(struct parser *parser, struct bytes *expression)
{
    struct bytes text = parser->scanner.text;
    size_t start, end, depth = 1;

    if (!parser_accept_symbol(parser, '('))
        return false;
    start = end = parser->token.start;
    for (;;) {
        if (scan_is_symbol(text, parser->token, '('))
            depth++;
        else if (scan_is_symbol(text, parser->token, ')'))
            depth--;
        if (depth == 0)
            break;
        if (parser_is_at_end(parser) || scan_is_symbol(text, parser->token, ';'))
            return false;
        end = parser->token.end;
        advance(parser);
    }
    *expression = bytes_of(text.data + start, end - start);
    if (end == start)
        return false;
    advance(parser);
    return true;
}

void parser_write(struct parser *parser, const char *text)
{
    buffer_append(parser->call, bytes_of_string(text));
}

void parser_write_string(struct parser *parser, struct literal *string, size_t until,
                         literal_writer *write)
{
    for (size_t i = 0; i < until; i++) {
        struct literal_unit unit = literal_next(string);
        if (unit.type == LITERAL_END)
            return;
        write(parser->call, unit);
    }
}

/* U&"…" as "…", which the procedures can read. */
static void write_quoted(struct parser *parser, struct literal *identifier, literal_writer *write)
{
    static const struct literal_unit quote = {LITERAL_BYTE, '"'};
    struct literal_unit unit;

    write(parser->call, quote);
    while ((unit = literal_next(identifier)).type != LITERAL_END) {
        if (unit.value == '"')
            write(parser->call, quote);
        write(parser->call, unit);
    }
    write(parser->call, quote);
}

void parser_write_name(struct parser *parser, const struct name *name, size_t from, size_t to,
                       literal_writer *write)
{
    struct literal identifier;

    for (size_t i = from; i < to; i++) {
        if (i > from)
            parser_write(parser, ".");
        if (name->parts[i].type != SCAN_UNICODE) {
            literal_write_all(parser->call, scan_text(parser->scanner.text, name->parts[i]), write);
            continue;
        }
        literal_open(&identifier, &parser->scanner, name->parts[i]);
        identifier.escape = name->escapes[i];
        write_quoted(parser, &identifier, write);
    }
}
