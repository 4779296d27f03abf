/* Tokens of expressions as Postgres prints them: no comments, no dollar quotes, no parameters. */
#ifndef SERVER_RENDER_TOKEN_H
#define SERVER_RENDER_TOKEN_H

#include "server/render/arena.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* an identifier or keyword without quotes */
    TOKEN_QUOTED, /* "identifier" */
    TOKEN_STRING, /* 'literal' or E'literal' */
    TOKEN_NUMBER,
    TOKEN_OPERATOR, /* several characters are one operator */
    TOKEN_SYMBOL,   /* ( ) [ ] , . or :: */
};

struct token {
    enum token_kind kind;
    const char *text; /* unescaped, and without its quotes; never NULL */
};

/* All of `text`, ended by a TOKEN_END; NULL when it is broken or longer than an index has reason to
 * be. Everything belongs to `arena`. */
const struct token *token_split(const char *text, struct arena *arena);

/* Whether it is this keyword, operator or symbol; nothing in quotes is. */
bool token_is(const struct token *token, const char *text);

#endif
