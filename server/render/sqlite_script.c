/* By the rules of sqlite3_complete(): a semicolon ends a statement, but one that begins with CREATE
 * [TEMP] TRIGGER ends with `; END ;`. */
#include "server/render/sqlite_script.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool is_space(uint8_t c)
{
    return c != '\0' && strchr(" \t\n\r\f\v", c) != NULL;
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c >= 0x80;
}

/* The offset behind `end`, looked for from `from` on; `in.len` when it is not there. */
static size_t behind(struct bytes in, size_t from, const char *end)
{
    struct bytes rest = bytes_skip(in, from);
    const uint8_t *found = rest.len == 0 ? NULL : memmem(rest.data, rest.len, end, strlen(end));

    return found == NULL ? in.len : (size_t)(found - in.data) + strlen(end);
}

/* Length of the space or comment at the front. A comment may end with the text. */
static size_t space_len(struct bytes in)
{
    if (bytes_starts_with(in, "--"))
        return behind(in, 2, "\n");
    if (bytes_starts_with(in, "/*"))
        return behind(in, 2, "*/");
    return in.len > 0 && is_space(in.data[0]) ? 1 : 0;
}

/* Length of the token at the front, 0 when it does not end. A doubled quote makes two tokens, which
 * is as good. */
static size_t token_len(struct bytes in)
{
    uint8_t c = in.data[0];
    size_t len = 1;

    if (c == '\'' || c == '"' || c == '`' || c == '[') {
        const char end[] = {(char)(c == '[' ? ']' : c), '\0'};
        len = behind(in, 1, end);
        return in.data[len - 1] == (uint8_t)end[0] && len > 1 ? len : 0;
    }
    while (is_word(c) && len < in.len && is_word(in.data[len]))
        len++;
    return len;
}

enum state {
    STATE_START,   /* nothing yet but EXPLAIN */
    STATE_CREATE,  /* CREATE, TEMP or TEMPORARY so far */
    STATE_PLAIN,   /* a statement that its first semicolon ends */
    STATE_TRIGGER, /* inside a trigger */
    STATE_SEMICOLON,
    STATE_END, /* a semicolon and END inside a trigger */
};

static bool is_keyword(struct bytes token, const char *keyword)
{
    return token.len == strlen(keyword) &&
           strncasecmp((const char *)token.data, keyword, token.len) == 0;
}

static enum state next_state(enum state state, struct bytes token)
{
    bool ends = is_keyword(token, ";");

    switch (state) {
    case STATE_START:
        if (is_keyword(token, "EXPLAIN") || is_keyword(token, "QUERY") || is_keyword(token, "PLAN"))
            return STATE_START;
        return is_keyword(token, "CREATE") ? STATE_CREATE : STATE_PLAIN;
    case STATE_CREATE:
        if (is_keyword(token, "TEMP") || is_keyword(token, "TEMPORARY"))
            return STATE_CREATE;
        return is_keyword(token, "TRIGGER") ? STATE_TRIGGER : STATE_PLAIN;
    case STATE_PLAIN:
        break;
    case STATE_TRIGGER:
        return ends ? STATE_SEMICOLON : STATE_TRIGGER;
    case STATE_SEMICOLON:
        return ends ? STATE_SEMICOLON : is_keyword(token, "END") ? STATE_END : STATE_TRIGGER;
    case STATE_END:
        return STATE_TRIGGER;
    }
    return STATE_PLAIN;
}

static bool may_end(enum state state)
{
    return state != STATE_TRIGGER && state != STATE_SEMICOLON;
}

/* Past space, comments and empty statements. */
static void skip_nothing(struct bytes *in)
{
    size_t len;

    while ((len = space_len(*in)) > 0 || bytes_starts_with(*in, ";"))
        *in = bytes_skip(*in, len > 0 ? len : 1);
}

enum status sqlite_script_next(struct bytes *in, struct bytes *statement)
{
    enum state state = STATE_START;
    size_t end = 0, at = 0;

    skip_nothing(in);
    if (in->len == 0)
        return STATUS_MORE;
    while (at < in->len) {
        struct bytes rest = bytes_skip(*in, at);
        size_t space = space_len(rest);
        size_t len = space > 0 ? space : token_len(rest);
        if (len == 0)
            return STATUS_INVALID;
        at += len;
        if (space > 0)
            continue;
        if (rest.data[0] == ';' && may_end(state))
            break;
        state = next_state(state, bytes_first(rest, len));
        end = at;
    }
    if (!may_end(state))
        return STATUS_INVALID;
    *statement = bytes_first(*in, end);
    *in = bytes_skip(*in, at);
    return STATUS_OK;
}
