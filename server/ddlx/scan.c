/* The lexer. */
#include "server/ddlx/scan.h"

#include <string.h>

void scanner_init(struct scanner *scanner, struct bytes text, bool standard_conforming_strings)
{
    *scanner = (struct scanner){
        .text = text,
        .standard_conforming_strings = standard_conforming_strings,
    };
}

/* Bytes of multi-byte characters count as letters, as in Postgres. */
static bool is_word_start(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_part(uint8_t c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

static bool is_newline(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f' || is_newline(c);
}

/* The byte `ahead` of the current one, 0 past the end (no SQL text holds a NUL). */
static uint8_t peek(const struct scanner *scanner, size_t ahead)
{
    size_t at = scanner->at + ahead;

    return at < scanner->text.len ? scanner->text.data[at] : 0;
}

static bool at_end(const struct scanner *scanner)
{
    return scanner->at >= scanner->text.len;
}

static void skip_line(struct scanner *scanner)
{
    while (!at_end(scanner) && !is_newline(peek(scanner, 0)))
        scanner->at++;
}

/* Block comments nest. False when one never ends. */
static bool skip_block_comment(struct scanner *scanner)
{
    size_t depth = 0;

    do {
        if (peek(scanner, 0) == '/' && peek(scanner, 1) == '*') {
            depth++;
            scanner->at += 2;
        } else if (peek(scanner, 0) == '*' && peek(scanner, 1) == '/') {
            depth--;
            scanner->at += 2;
        } else {
            scanner->at++;
        }
    } while (depth > 0 && !at_end(scanner));
    return depth == 0;
}

/* False when a comment never ends. */
static bool skip_blanks(struct scanner *scanner)
{
    while (!at_end(scanner)) {
        if (is_space(peek(scanner, 0))) {
            scanner->at++;
        } else if (peek(scanner, 0) == '-' && peek(scanner, 1) == '-') {
            skip_line(scanner);
        } else if (peek(scanner, 0) == '/' && peek(scanner, 1) == '*') {
            if (!skip_block_comment(scanner))
                return false;
        } else {
            break;
        }
    }
    return true;
}

/* Past the closing quote of a text that begins behind the opening one; a doubled quote stands for
 * one. False when it never ends. */
static bool skip_quoted(struct scanner *scanner, uint8_t quote, bool escapes)
{
    while (!at_end(scanner)) {
        uint8_t c = peek(scanner, 0);
        scanner->at++;
        if (c == '\\' && escapes) {
            scanner->at++;
        } else if (c == quote) {
            if (peek(scanner, 0) != quote)
                return true;
            scanner->at++;
        }
    }
    scanner->at = scanner->text.len;
    return false;
}

/* SQL joins 'a' <newline> 'b' to one literal, which goes on by the rules of its first part. Moves
 * behind the next opening quote if the literal goes on. */
static bool literal_goes_on(struct scanner *scanner)
{
    struct scanner ahead = *scanner;
    bool newline = false;

    for (;;) {
        uint8_t c = peek(&ahead, 0);
        if (is_space(c)) {
            newline = newline || is_newline(c);
            ahead.at++;
        } else if (c == '-' && peek(&ahead, 1) == '-') {
            skip_line(&ahead);
        } else {
            break;
        }
    }
    if (peek(&ahead, 0) == '\v')
        scanner->saw_vertical_tab = true;
    if (!newline || peek(&ahead, 0) != '\'')
        return false;
    scanner->at = ahead.at + 1;
    return true;
}

static void note_backslash(struct scanner *scanner, size_t from)
{
    if (scanner->at > from && memchr(scanner->text.data + from, '\\', scanner->at - from) != NULL)
        scanner->saw_backslash = true;
}

/* Behind the opening quote. `plain`: neither E'…' nor U&'…', so that a backslash means what the
 * setting says. */
static enum scan_token_type skip_literal(struct scanner *scanner, bool escapes, bool plain)
{
    do {
        size_t from = scanner->at;
        bool ended = skip_quoted(scanner, '\'', escapes);
        if (plain)
            note_backslash(scanner, from);
        if (!ended)
            return SCAN_BROKEN;
    } while (literal_goes_on(scanner));
    return SCAN_STRING;
}

/* Length of `$tag$` at the current position; 0 when there is none. */
static size_t dollar_tag_length(const struct scanner *scanner)
{
    size_t len = 1;

    if (peek(scanner, 1) != '$' && !is_word_start(peek(scanner, 1)))
        return 0;
    while (is_word_start(peek(scanner, len)) || (len > 1 && is_digit(peek(scanner, len))))
        len++;
    return peek(scanner, len) == '$' ? len + 1 : 0;
}

static enum scan_token_type skip_dollar_quoted(struct scanner *scanner, size_t tag_len)
{
    const uint8_t *tag = scanner->text.data + scanner->at;
    struct bytes rest = bytes_skip(scanner->text, scanner->at + tag_len);
    const uint8_t *found = rest.len > 0 ? memmem(rest.data, rest.len, tag, tag_len) : NULL;

    if (found == NULL) {
        scanner->at = scanner->text.len;
        return SCAN_BROKEN;
    }
    scanner->at = (size_t)(found - scanner->text.data) + tag_len;
    return SCAN_STRING;
}

/* Literals and identifiers that begin with a letter: E'…', B'…', X'…', N'…', U&'…', U&"…". */
static bool scan_prefixed(struct scanner *scanner, enum scan_token_type *type)
{
    uint8_t letter = peek(scanner, 0) | 0x20;

    if (letter == 'u' && peek(scanner, 1) == '&') {
        uint8_t quote = peek(scanner, 2);
        if (quote != '\'' && quote != '"')
            return false;
        scanner->at += 3;
        if (quote == '\'')
            *type = skip_literal(scanner, false, false);
        else
            *type = skip_quoted(scanner, '"', false) ? SCAN_UNICODE : SCAN_BROKEN;
        return true;
    }
    if (peek(scanner, 1) != '\'' || strchr("ebxn", letter) == NULL)
        return false;
    scanner->at += 2;
    if (letter == 'n') /* N'…' is a plain literal behind a keyword */
        *type = skip_literal(scanner, !scanner->standard_conforming_strings, true);
    else
        *type = skip_literal(scanner, letter == 'e', false);
    return true;
}

static enum scan_token_type scan_one(struct scanner *scanner)
{
    enum scan_token_type type;
    uint8_t c = peek(scanner, 0);
    size_t tag_len;

    if (is_word_start(c)) {
        if (scan_prefixed(scanner, &type))
            return type;
        while (is_word_part(peek(scanner, 0)) && !at_end(scanner))
            scanner->at++;
        return SCAN_WORD;
    }
    if (is_digit(c)) {
        while (is_digit(peek(scanner, 0)))
            scanner->at++;
        return SCAN_NUMBER;
    }
    if (c == '$' && (tag_len = dollar_tag_length(scanner)) > 0)
        return skip_dollar_quoted(scanner, tag_len);
    scanner->at++;
    if (c == '"')
        return skip_quoted(scanner, '"', false) ? SCAN_QUOTED : SCAN_BROKEN;
    if (c == '\'')
        return skip_literal(scanner, !scanner->standard_conforming_strings, true);
    if (c == '\v')
        scanner->saw_vertical_tab = true;
    return SCAN_SYMBOL;
}

struct scan_token scanner_next(struct scanner *scanner)
{
    struct scan_token token = {.type = SCAN_END};

    token.start = scanner->at;
    if (!skip_blanks(scanner)) {
        scanner->at = scanner->text.len;
        token.type = SCAN_BROKEN;
    } else {
        token.start = scanner->at;
        if (!at_end(scanner))
            token.type = scan_one(scanner);
    }
    if (scanner->at > scanner->text.len)
        scanner->at = scanner->text.len;
    token.end = scanner->at;
    return token;
}

struct bytes scan_text(struct bytes text, struct scan_token token)
{
    return bytes_of(text.data + token.start, token.end - token.start);
}

bool scan_is_word(struct bytes text, struct scan_token token, const char *keyword)
{
    struct bytes word = scan_text(text, token);

    if (token.type != SCAN_WORD || word.len != strlen(keyword))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c | 0x20);
        if (c != (uint8_t)keyword[i])
            return false;
    }
    return true;
}

bool scan_is_symbol(struct bytes text, struct scan_token token, char symbol)
{
    return token.type == SCAN_SYMBOL && text.data[token.start] == (uint8_t)symbol;
}

/* What decides where a statement ends. */
struct nesting {
    size_t parentheses;
    unsigned words;       /* leading words seen, as far as they matter */
    bool creates_routine; /* CREATE [OR REPLACE] FUNCTION or PROCEDURE */
    bool begin;           /* the last token was BEGIN */
    bool body;            /* in BEGIN ATOMIC … END */
    bool between;         /* the last token was ATOMIC, or a semicolon in the body */
};

static void follow_head(struct nesting *nesting, struct bytes text, struct scan_token token)
{
    static const unsigned head_max = 4; /* CREATE OR REPLACE FUNCTION */

    if (nesting->words >= head_max)
        return;
    if (nesting->words == 0 && !scan_is_word(text, token, "create"))
        nesting->words = head_max;
    else if (scan_is_word(text, token, "function") || scan_is_word(text, token, "procedure"))
        nesting->creates_routine = true;
    nesting->words++;
}

/* The END of a body stands where a statement could begin. Any other ends a CASE or is the label of
 * a column, for which it needs no AS. */
static void follow_word(struct nesting *nesting, struct bytes text, struct scan_token token)
{
    bool after_begin = nesting->begin, between = nesting->between;

    follow_head(nesting, text, token);
    nesting->begin = nesting->between = false;
    if (!nesting->creates_routine || nesting->parentheses > 0)
        return;
    if (nesting->body)
        nesting->body = !(between && scan_is_word(text, token, "end"));
    else if (after_begin && scan_is_word(text, token, "atomic"))
        nesting->body = nesting->between = true;
    else
        nesting->begin = scan_is_word(text, token, "begin");
}

static void follow_symbol(struct nesting *nesting, struct bytes text, struct scan_token token)
{
    nesting->begin = false;
    nesting->between =
        nesting->body && nesting->parentheses == 0 && scan_is_symbol(text, token, ';');
    if (scan_is_symbol(text, token, '('))
        nesting->parentheses++;
    else if (scan_is_symbol(text, token, ')') && nesting->parentheses > 0)
        nesting->parentheses--;
}

static bool ends_statement(const struct nesting *nesting, struct bytes text,
                           struct scan_token token)
{
    return token.type == SCAN_END ||
           (scan_is_symbol(text, token, ';') && nesting->parentheses == 0 && !nesting->body);
}

static bool skip_empty_statements(struct scanner *scanner, struct scan_token *first)
{
    do
        *first = scanner_next(scanner);
    while (scan_is_symbol(scanner->text, *first, ';'));
    return first->type != SCAN_END;
}

bool scanner_next_statement(struct scanner *scanner, struct scan_statement *statement)
{
    struct nesting nesting = {.parentheses = 0};
    struct scan_token token;

    if (!skip_empty_statements(scanner, &token))
        return false;
    *statement = (struct scan_statement){.start = token.start};
    while (!ends_statement(&nesting, scanner->text, token)) {
        statement->end = token.end;
        if (token.type == SCAN_WORD) {
            follow_word(&nesting, scanner->text, token);
            if (scan_is_word(scanner->text, token, "electric"))
                statement->mentions_electric = true;
        } else {
            follow_symbol(&nesting, scanner->text, token);
        }
        if (token.type == SCAN_BROKEN)
            statement->broken = true;
        token = scanner_next(scanner);
    }
    return true;
}
