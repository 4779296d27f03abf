/* DDLX: what the translation of any text must keep to. The first byte chooses the setting. */
#include "server/ddlx/ddlx.h"
#include "server/ddlx/literal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds, const char *what, struct bytes text)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %.*s\n", what, (int)text.len, (const char *)text.data);
    abort();
}

/* Whatever standard_conforming_strings is, the call is one statement for Postgres. */
static void check_statement(struct bytes call, bool standard_conforming_strings)
{
    struct scan_statement statement;
    struct ddlx_mistake mistake;
    struct scanner scanner;
    struct buffer again;

    scanner_init(&scanner, call, standard_conforming_strings);
    require(scanner_next_statement(&scanner, &statement), "no statement", call);
    require(statement.start == 0 && statement.end == call.len, "other extent", call);
    require(!statement.broken && !scanner.saw_backslash, "no whole literals", call);
    buffer_init(&again, 1);
    require(ddlx_translate(&scanner, &statement, &again, &mistake) == DDLX_NONE, "DDLX", call);
    require(!scanner_next_statement(&scanner, &statement), "two statements", call);
}

/* Balanced, and without a character that JSON forbids. */
static void check_json(struct literal argument, struct bytes call)
{
    struct literal_unit unit;
    bool quoted = false;
    size_t depth = 0;

    while ((unit = literal_next(&argument)).type != LITERAL_END) {
        require(unit.value >= ' ', "control character in JSON", call);
        if (unit.value == '\\')
            literal_next(&argument);
        else if (unit.value == '"')
            quoted = !quoted;
        else if (!quoted && (unit.value == '{' || unit.value == '['))
            depth++;
        else if (!quoted && (unit.value == '}' || unit.value == ']'))
            require(depth-- > 0, "unbalanced JSON", call);
    }
    require(depth == 0 && !quoted, "unfinished JSON", call);
}

/* CALL electric.name(E'…'…): the argument is a literal that can be read. */
static void check_argument(struct bytes call)
{
    struct scanner scanner;
    struct scan_token token;
    struct literal argument;
    struct literal_unit unit;

    scanner_init(&scanner, call, true);
    do
        token = scanner_next(&scanner);
    while (!scan_is_symbol(call, token, '('));
    token = scanner_next(&scanner);
    require(token.type == SCAN_STRING && literal_open(&argument, &scanner, token), "no argument",
            call);
    if (scanner_next(&scanner).type == SCAN_SYMBOL &&
        scan_is_symbol(call, scanner_next(&scanner), ':'))
        check_json(argument, call); /* ::pg_catalog.jsonb */
    do
        unit = literal_next(&argument);
    while (unit.type != LITERAL_END && unit.type != LITERAL_INVALID);
    require(unit.type == LITERAL_END, "invalid escape", call);
}

static bool begins_with_electric(const struct scanner *scanner,
                                 const struct scan_statement *statement)
{
    struct scanner from = *scanner;

    from.at = statement->start;
    return scan_is_word(from.text, scanner_next(&from), "electric");
}

static void check_translation(const struct scanner *scanner, const struct scan_statement *statement)
{
    struct bytes text =
        bytes_of(scanner->text.data + statement->start, statement->end - statement->start);
    struct ddlx_mistake mistake = {.hint = NULL};
    struct buffer call;
    enum ddlx_kind kind;

    buffer_init(&call, text.len * DDLX_GROWTH);
    kind = ddlx_translate(scanner, statement, &call, &mistake);
    require(!buffer_failed(&call), "grew too much", text);
    if (kind == DDLX_NONE || kind == DDLX_MISTAKE) {
        require(buffer_len(&call) == 0, "something was written", text);
        require(kind == DDLX_MISTAKE || statement->broken ||
                    !begins_with_electric(scanner, statement),
                "is DDLX", text);
    } else {
        check_statement(buffer_peek(&call), true);
        check_statement(buffer_peek(&call), false);
        check_argument(buffer_peek(&call));
    }
    if (kind == DDLX_MISTAKE)
        require(mistake.hint != NULL && mistake.start >= statement->start &&
                    mistake.start <= mistake.end && mistake.end <= statement->end,
                "mistake out of place", text);
    buffer_clear(&call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan_statement statement;
    struct scanner scanner;

    /* No SQL text holds a NUL. */
    if (size == 0 || memchr(data + 1, '\0', size - 1) != NULL)
        return 0;
    scanner_init(&scanner, bytes_of(data + 1, size - 1), (data[0] & 1) != 0);
    while (scanner_next_statement(&scanner, &statement))
        check_translation(&scanner, &statement);
    return 0;
}
