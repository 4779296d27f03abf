/* Reading and cleaning of ErrorResponse and NoticeResponse. */
#include "server/pgwire/report.h"

#include "server/pgwire/encode.h"

#include <ctype.h>

/* Takes the next field; false at the end or when malformed, which `*valid` tells apart. */
static bool next_field(struct bytes *body, uint8_t *code, struct bytes *value, bool *valid)
{
    *valid = bytes_take_u8(body, code);
    if (!*valid || *code == 0) {
        *valid = *valid && body->len == 0;
        return false;
    }
    *valid = bytes_take_string(body, value);
    return *valid;
}

struct bytes report_field(struct bytes body, uint8_t code)
{
    struct bytes value;
    uint8_t found;
    bool valid;

    while (next_field(&body, &found, &value, &valid))
        if (found == code)
            return value;
    return (struct bytes){NULL, 0};
}

bool report_is_fatal(struct bytes body)
{
    struct bytes severity = report_field(body, 'V');

    return bytes_equal_string(severity, "FATAL") || bytes_equal_string(severity, "PANIC");
}

/* `electric.`, a function's name, and the parenthesis of its arguments. */
static bool is_function_of_ours(struct bytes text)
{
    static const char schema[] = "electric.";
    size_t at = sizeof schema - 1;

    if (!bytes_starts_with(text, schema))
        return false;
    while (at < text.len && (islower(text.data[at]) || text.data[at] == '_'))
        at++;
    return at > sizeof schema - 1 && at < text.len && text.data[at] == '(';
}

/* The first line of the context is the innermost frame. Its wording is translated, the function's
 * name in it is not: `… electric.enable(text) …`. What stands in quotes is data of the user. */
bool report_is_ours(struct bytes body)
{
    struct bytes context = report_field(body, 'W');
    bool quoted = false;

    for (size_t i = 0; i < context.len && context.data[i] != '\n'; i++) {
        if (context.data[i] == '"')
            quoted = !quoted;
        else if (!quoted && (i == 0 || context.data[i - 1] == ' ') &&
                 is_function_of_ours(bytes_skip(context, i)))
            return true;
    }
    return false;
}

bool report_is_about_ddlx(struct bytes body)
{
    struct bytes message = report_field(body, 'M');

    return bytes_equal_string(report_field(body, 'C'), "42601") &&
           bytes_find_ignoring_case(message, "\"electric\"") < message.len;
}

static bool shows_insides(uint8_t code)
{
    return code == 'W' || code == 'F' || code == 'L' || code == 'R' || code == 'q' || code == 'p';
}

/* Decimal, as Postgres writes positions; 0 when it is anything else. */
static uint32_t read_position(struct bytes value)
{
    uint32_t position = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9' || position > UINT32_MAX / 10 - 9)
            return 0;
        position = position * 10 + (uint32_t)(value.data[i] - '0');
    }
    return position;
}

uint32_t report_position_of(struct bytes body)
{
    return read_position(report_field(body, 'P'));
}

static bool is_well_formed(struct bytes body)
{
    struct bytes value;
    uint8_t code;
    bool valid;

    while (next_field(&body, &code, &value, &valid))
        ;
    return valid;
}

static void copy_field(struct buffer *out, uint8_t code, struct bytes value,
                       const struct report_edit *edit)
{
    uint32_t position;

    if (edit->ours && shows_insides(code))
        return;
    if (code == 'P' && edit->map != NULL) {
        position = edit->map(edit->context, read_position(value));
        if (position == 0)
            return;
        buffer_append_u8(out, code);
        buffer_append_format(out, "%u", position);
    } else {
        if (code == 'D' && edit->detail.data != NULL)
            value = edit->detail;
        buffer_append_u8(out, code);
        buffer_append(out, code == 'M' && edit->message != NULL ? bytes_of_string(edit->message)
                                                                : value);
    }
    buffer_append_u8(out, 0);
}

void report_rewrite(struct buffer *out, const struct pgwire_message *message,
                    const struct report_edit *edit)
{
    struct bytes body = message->body;
    struct bytes value;
    uint8_t code;
    bool valid;
    size_t mark;

    if (!is_well_formed(body)) {
        buffer_append(out, message->whole);
        return;
    }
    mark = pgwire_begin(out, message->type);
    while (next_field(&body, &code, &value, &valid))
        copy_field(out, code, value, edit);
    if (edit->hint != NULL && report_field(message->body, 'H').data == NULL) {
        buffer_append_u8(out, 'H');
        buffer_append_string(out, edit->hint);
    }
    buffer_append_u8(out, 0);
    pgwire_end(out, mark);
}
