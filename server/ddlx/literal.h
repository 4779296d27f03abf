/* What literals and quoted identifiers stand for, character by character, and how characters are
 * written into the literal that a call has as its argument (PostgreSQL documentation, "SQL Syntax",
 * "String Constants" and "Identifiers and Key Words"). */
#ifndef SERVER_DDLX_LITERAL_H
#define SERVER_DDLX_LITERAL_H

#include "common/buffer.h"
#include "server/ddlx/scan.h"

enum literal_unit_type {
    LITERAL_END,
    LITERAL_BYTE,    /* one byte of the text, in its encoding; ASCII characters by escapes, too */
    LITERAL_OCTET,   /* a byte from 0x80 on by an escape, in the encoding of the server */
    LITERAL_CODE,    /* a code point from 0x80 on by an escape, or half a surrogate pair */
    LITERAL_INVALID, /* an escape that Postgres does not accept */
};

struct literal_unit {
    enum literal_unit_type type;
    uint32_t value;
};

/* Reads units from the front; plain value, copied to look ahead. */
struct literal {
    struct bytes text; /* of the whole token */
    size_t at;
    size_t end;     /* with the closing quote, but not with a closing tag */
    uint8_t quote;  /* 0: $tag$…$tag$ */
    uint8_t escape; /* 0: none */
    bool unicode;   /* escapes are those of U&'…', not those of E'…' */
};

/* False when the token is none of these: strings that are text, quoted identifiers. In U&'…' the
 * backslash escapes. */
bool literal_open(struct literal *literal, const struct scanner *scanner, struct scan_token token);
struct literal_unit literal_next(struct literal *literal);

/* Appends one unit to a literal E'…' under construction, … */
typedef void literal_writer(struct buffer *out, struct literal_unit unit);
void literal_write(struct buffer *out, struct literal_unit unit);
/* … or to a string in JSON in such a literal. */
void literal_write_json(struct buffer *out, struct literal_unit unit);

/* All of `text`, as it is. */
void literal_write_all(struct buffer *out, struct bytes text, literal_writer *write);

#endif
