/* Tokens and statements of SQL text, by the lexical rules of Postgres (PostgreSQL documentation,
 * "SQL Syntax", "Lexical Structure"; src/backend/parser/scan.l). One linear pass, no allocation: it
 * must cope with texts of any size and with syntax newer than any parser here. */
#ifndef SERVER_DDLX_SCAN_H
#define SERVER_DDLX_SCAN_H

#include "common/bytes.h"

enum scan_token_type {
    SCAN_END,     /* of the text */
    SCAN_WORD,    /* identifier or keyword without quotes */
    SCAN_QUOTED,  /* "identifier" */
    SCAN_UNICODE, /* U&"identifier" */
    SCAN_STRING,  /* a literal of any kind, dollar-quoted too */
    SCAN_NUMBER,
    SCAN_SYMBOL, /* one character of anything else: ; . , ( ) = … */
    SCAN_BROKEN, /* a quote or comment that never ends; takes the rest */
};

struct scan_token {
    enum scan_token_type type;
    size_t start; /* byte offsets into the text */
    size_t end;
};

/* Reads tokens from the front of a text; plain value, copied to look ahead. */
struct scanner {
    struct bytes text;
    size_t at;
    bool standard_conforming_strings;
    /* A plain '…' held a backslash: where it ends depends on standard_conforming_strings. */
    bool saw_backslash;
    /* One outside of literals: white space from Postgres 16 on, an error before. */
    bool saw_vertical_tab;
};

void scanner_init(struct scanner *scanner, struct bytes text, bool standard_conforming_strings);
/* Comments and white space are skipped. */
struct scan_token scanner_next(struct scanner *scanner);

struct bytes scan_text(struct bytes text, struct scan_token token);
/* A word equal to `keyword`, ASCII letters compared without case. `keyword` is lower case. */
bool scan_is_word(struct bytes text, struct scan_token token, const char *keyword);
bool scan_is_symbol(struct bytes text, struct scan_token token, char symbol);

/* One statement of a text: from its first token to the end of its last, without the semicolon. */
struct scan_statement {
    size_t start;
    size_t end;
    bool mentions_electric; /* the word, unquoted, stands in it */
    bool broken;
};

/* The next statement; false at the end of the text. Empty ones (`;;`) are skipped. A semicolon in
 * parentheses, or in the body of a function written BEGIN ATOMIC … END, does not end one. */
bool scanner_next_statement(struct scanner *scanner, struct scan_statement *statement);

#endif
