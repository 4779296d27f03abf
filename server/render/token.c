/* Splits expressions into tokens. */
#include "server/render/token.h"

#include <string.h>

enum { TEXT_MAX = 8192 };

static const char spaces[] = " \t\n\r\f";
static const char digits[] = "0123456789";
static const char operator_characters[] = "+-*/<>=~!@#%^&|`?";
static const char symbols[] = "()[],.";

static bool is_in(const char *set, uint8_t c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Bytes above ASCII are letters. */
static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80 ||
           is_in(digits, c);
}

static size_t span(struct bytes in, const char *set)
{
    size_t len = 0;

    while (len < in.len && is_in(set, in.data[len]))
        len++;
    return len;
}

static struct token take(struct bytes *in, size_t len, enum token_kind kind, struct arena *arena)
{
    struct token token = {kind, arena_copy(arena, bytes_first(*in, len))};

    *in = bytes_skip(*in, len);
    return token;
}

/* The offset of the quote that ends what begins with one; `in.len`: there is none. */
static size_t find_end(struct bytes in, bool escapes)
{
    uint8_t quote = in.data[0];
    size_t at = 1;

    while (at < in.len) {
        bool doubled = in.data[at] == quote && at + 1 < in.len && in.data[at + 1] == quote;
        if (in.data[at] == quote && !doubled)
            return at;
        at += doubled || (escapes && in.data[at] == '\\') ? 2 : 1;
    }
    return in.len;
}

/* Between quotes, which are doubled inside. Backslashes escape only in E'…', where Postgres prints
 * no escape but two of them. */
static bool take_quoted(struct bytes *in, enum token_kind kind, bool escapes, struct arena *arena,
                        struct token *token)
{
    size_t end = find_end(*in, escapes);
    char *text = arena_new(arena, end + 1);
    size_t len = 0;

    if (end == in->len)
        return false;
    for (size_t i = 1; i < end; i++) {
        if (in->data[i] == in->data[0] || (escapes && in->data[i] == '\\'))
            i++;
        text[len++] = (char)in->data[i];
    }
    *in = bytes_skip(*in, end + 1);
    *token = (struct token){kind, text};
    return true;
}

static struct token take_word(struct bytes *in, struct arena *arena)
{
    size_t len = 0;

    while (len < in->len && is_word(in->data[len]))
        len++;
    return take(in, len, TOKEN_WORD, arena);
}

/* 12, 1.5, 1e+20 */
static struct token take_number(struct bytes *in, struct arena *arena)
{
    size_t len = span(*in, digits);

    if (len < in->len && in->data[len] == '.')
        len += 1 + span(bytes_skip(*in, len + 1), digits);
    if (len < in->len && is_in("eE", in->data[len])) {
        size_t sign = span(bytes_skip(*in, len + 1), "+-") > 0 ? 1 : 0;
        size_t count = span(bytes_skip(*in, len + 1 + sign), digits);
        if (count > 0)
            len += 1 + sign + count;
    }
    return take(in, len, TOKEN_NUMBER, arena);
}

static bool take_token(struct bytes *in, struct arena *arena, struct token *token)
{
    uint8_t c = in->data[0];
    bool escapes = c == 'E' && in->len > 1 && in->data[1] == '\'';

    if (escapes)
        *in = bytes_skip(*in, 1);
    if (escapes || c == '\'')
        return take_quoted(in, TOKEN_STRING, escapes, arena, token);
    if (c == '"')
        return take_quoted(in, TOKEN_QUOTED, false, arena, token);

    if (is_in(digits, c))
        *token = take_number(in, arena);
    else if (is_word(c))
        *token = take_word(in, arena);
    else if (bytes_starts_with(*in, "::"))
        *token = take(in, 2, TOKEN_SYMBOL, arena);
    else if (is_in(symbols, c))
        *token = take(in, 1, TOKEN_SYMBOL, arena);
    else if (is_in(operator_characters, c))
        *token = take(in, span(*in, operator_characters), TOKEN_OPERATOR, arena);
    else
        return false;
    return true;
}

const struct token *token_split(const char *text, struct arena *arena)
{
    struct bytes in = bytes_of_string(text);
    size_t count = 0;

    if (in.len > TEXT_MAX)
        return NULL;
    struct token *tokens = arena_new_array(arena, in.len + 1, sizeof *tokens);
    for (in = bytes_skip(in, span(in, spaces)); in.len > 0; in = bytes_skip(in, span(in, spaces))) {
        if (!take_token(&in, arena, &tokens[count++]))
            return NULL;
    }
    tokens[count] = (struct token){TOKEN_END, ""};
    return tokens;
}

bool token_is(const struct token *token, const char *text)
{
    return (token->kind == TOKEN_WORD || token->kind == TOKEN_OPERATOR ||
            token->kind == TOKEN_SYMBOL) &&
           strcmp(token->text, text) == 0;
}
