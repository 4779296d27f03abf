/* Literals, read and written. */
#include "server/ddlx/literal.h"

#include <string.h>

static void open_dollar_quoted(struct literal *literal)
{
    const uint8_t *data = literal->text.data;
    const uint8_t *dollar = memchr(data + 1, '$', literal->text.len - 1);
    size_t tag_len = (size_t)(dollar - data) + 1;

    literal->at = tag_len;
    literal->end = literal->text.len - tag_len;
}

bool literal_open(struct literal *literal, const struct scanner *scanner, struct scan_token token)
{
    uint8_t escape = scanner->standard_conforming_strings ? 0 : '\\';
    uint8_t first;

    *literal = (struct literal){.text = scan_text(scanner->text, token)};
    if (token.type != SCAN_STRING && token.type != SCAN_QUOTED && token.type != SCAN_UNICODE)
        return false;
    literal->end = literal->text.len;
    first = literal->text.data[0];
    switch (first) {
    case '$':
        open_dollar_quoted(literal);
        return true;
    case '\'':
        literal->escape = escape;
        break;
    case '"':
        break;
    case 'n':
    case 'N':
        literal->escape = escape;
        literal->at = 1;
        break;
    case 'e':
    case 'E':
        literal->escape = '\\';
        literal->at = 1;
        break;
    case 'u':
    case 'U':
        literal->escape = '\\';
        literal->unicode = true;
        literal->at = 2;
        break;
    default: /* bits */
        return false;
    }
    literal->quote = literal->text.data[literal->at++];
    return true;
}

static struct literal_unit byte_unit(uint8_t value)
{
    return (struct literal_unit){.type = LITERAL_BYTE, .value = value};
}

static struct literal_unit octet_unit(uint32_t value)
{
    return (struct literal_unit){value < 0x80 ? LITERAL_BYTE : LITERAL_OCTET, value};
}

static struct literal_unit code_unit(uint32_t value)
{
    return (struct literal_unit){value < 0x80 ? LITERAL_BYTE : LITERAL_CODE, value};
}

static const struct literal_unit invalid_unit = {.type = LITERAL_INVALID};

/* 16 and more: not a digit. */
static uint32_t digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - (uint32_t)'0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - (uint32_t)'a' + 10 : 16;
}

/* Takes up to `max` digits of `base` into `value`; how many there were. */
static size_t take_digits(struct literal *literal, size_t max, uint32_t base, uint32_t *value)
{
    size_t count = 0;

    *value = 0;
    while (count < max && literal->at < literal->end) {
        uint32_t digit = digit_of(literal->text.data[literal->at]);
        if (digit >= base)
            break;
        *value = *value * base + digit;
        literal->at++;
        count++;
    }
    return count;
}

static struct literal_unit take_code(struct literal *literal, size_t digits)
{
    uint32_t value;

    return take_digits(literal, digits, 16, &value) == digits ? code_unit(value) : invalid_unit;
}

/* Behind the backslash in E'…'. */
static struct literal_unit take_escape(struct literal *literal)
{
    uint8_t c = literal->text.data[literal->at];
    uint32_t value;

    if (take_digits(literal, 3, 8, &value) > 0)
        return octet_unit(value & 0xff);
    literal->at++;
    switch (c) {
    case 'b':
        return byte_unit('\b');
    case 'f':
        return byte_unit('\f');
    case 'n':
        return byte_unit('\n');
    case 'r':
        return byte_unit('\r');
    case 't':
        return byte_unit('\t');
    case 'x':
        return take_digits(literal, 2, 16, &value) > 0 ? octet_unit(value) : byte_unit('x');
    case 'u':
        return take_code(literal, 4);
    case 'U':
        return take_code(literal, 8);
    default:
        return byte_unit(c);
    }
}

/* Behind the escape character in U&'…'. */
static struct literal_unit take_unicode_escape(struct literal *literal)
{
    uint8_t c = literal->text.data[literal->at];

    if (c == literal->escape) {
        literal->at++;
        return byte_unit(c);
    }
    if (c != '+')
        return take_code(literal, 4);
    literal->at++;
    return take_code(literal, 6);
}

/* To the part that goes on with this literal: behind its opening quote. Between them are blanks,
 * comments to the end of the line and no quotes but in these. */
static void skip_to_next_part(struct literal *literal)
{
    const uint8_t *data = literal->text.data;

    while (literal->at < literal->end && data[literal->at] != literal->quote) {
        if (data[literal->at] == '-')
            while (data[literal->at] != '\n' && data[literal->at] != '\r')
                literal->at++;
        literal->at++;
    }
    literal->at++;
}

struct literal_unit literal_next(struct literal *literal)
{
    const uint8_t *data = literal->text.data;

    while (literal->at < literal->end) {
        uint8_t c = data[literal->at++];
        if (literal->escape != 0 && c == literal->escape && literal->at < literal->end)
            return literal->unicode ? take_unicode_escape(literal) : take_escape(literal);
        if (literal->quote == 0 || c != literal->quote)
            return byte_unit(c);
        if (literal->at < literal->end && data[literal->at] == c) {
            literal->at++;
            return byte_unit(c);
        }
        if (literal->at < literal->end)
            skip_to_next_part(literal);
    }
    return (struct literal_unit){.type = LITERAL_END};
}

void literal_write(struct buffer *out, struct literal_unit unit)
{
    if (unit.type == LITERAL_CODE)
        buffer_append_format(out, unit.value > 0xffff ? "\\U%08x" : "\\u%04x", unit.value);
    else if (unit.type == LITERAL_OCTET || unit.value == 0) /* a NUL would end the message */
        buffer_append_format(out, "\\x%02x", unit.value);
    else {
        if (unit.value == '\'' || unit.value == '\\')
            buffer_append_u8(out, (uint8_t)unit.value);
        buffer_append_u8(out, (uint8_t)unit.value);
    }
}

void literal_write_json(struct buffer *out, struct literal_unit unit)
{
    if (unit.type != LITERAL_BYTE || (unit.value >= ' ' && unit.value != '"' && unit.value != '\\'))
        literal_write(out, unit);
    else if (unit.value < ' ')
        buffer_append_format(out, "\\\\u%04x", unit.value);
    else {
        literal_write(out, byte_unit('\\'));
        literal_write(out, unit);
    }
}

void literal_write_all(struct buffer *out, struct bytes text, literal_writer *write)
{
    for (size_t i = 0; i < text.len; i++)
        write(out, byte_unit(text.data[i]));
}
