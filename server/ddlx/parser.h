/* Walks over the tokens of one statement and writes the call that stands for it. No tree is built
 * and nothing recurses: each piece of grammar is written when it has been read.
 *
 * Functions named parser_accept_… step over what they name, or answer false and stay in front of
 * it; parser_expect_… answer false where a statement stops making sense, and then `token` is the
 * culprit and `hint` says what would have been right. */
#ifndef SERVER_DDLX_PARSER_H
#define SERVER_DDLX_PARSER_H

#include "server/ddlx/literal.h"

/* [database.]schema.table.column; a further part is a syntax error in Postgres, too. */
#define NAME_PARTS 4
#define TABLE_PARTS (NAME_PARTS - 1)

/* Names stay as they are written: the procedures read them by the rules of Postgres. */
struct name {
    struct scan_token parts[NAME_PARTS];
    uint8_t escapes[NAME_PARTS]; /* of parts written U&"…" */
    size_t count;
};

struct parser {
    struct scanner scanner;
    struct scan_token token; /* the current one; SCAN_END, and empty, behind the statement */
    size_t end;
    bool wide_blanks; /* a vertical tab is white space, as from Postgres 16 on */
    const char *hint;
    struct buffer *call;
};

/* `call` may be NULL where nothing is written. */
void parser_init(struct parser *parser, const struct scanner *scanner,
                 const struct scan_statement *statement, struct buffer *call, bool wide_blanks);

void parser_skip(struct parser *parser); /* one token, whatever it is */
bool parser_accept_word(struct parser *parser, const char *keyword);
/* Two words in a row, or none. */
bool parser_accept_words(struct parser *parser, const char *first, const char *second);
bool parser_accept_symbol(struct parser *parser, char symbol);
/* Up to `max` parts with dots between them; false is a mistake behind the first part. */
bool parser_accept_name(struct parser *parser, struct name *name, size_t max);
/* A string that is text; false, too, when it is malformed. */
bool parser_accept_string(struct parser *parser, struct literal *string);
bool parser_is_at_end(const struct parser *parser);

/* False, with `token` and `hint` for an answer. */
bool parser_refuse(struct parser *parser, struct scan_token token, const char *hint);
/* (expression), with any tokens but a semicolon in it: without the parentheses, and without blanks
 * and comments around it. */
bool parser_expect_expression(struct parser *parser, struct bytes *expression);

/* Appends characters that need no escape. */
void parser_write(struct parser *parser, const char *text);
/* Appends the name's parts from `from` up to `to`, with dots. */
void parser_write_name(struct parser *parser, const struct name *name, size_t from, size_t to,
                       literal_writer *write);
/* Appends what is left of `string`, up to its end or before `until` units have been read. */
void parser_write_string(struct parser *parser, struct literal *string, size_t until,
                         literal_writer *write);

#endif
