/* Classes of statements. */
#include "server/proxy/classify.h"

#include <ctype.h>
#include <string.h>

static bool accept_one_of(struct parser *parser, const char *const *keywords)
{
    for (; *keywords != NULL; keywords++)
        if (parser_accept_word(parser, *keywords))
            return true;
    return false;
}

static void accept_target(struct parser *parser, struct classified *classified)
{
    if (!parser_accept_name(parser, &classified->target, TABLE_PARTS))
        classified->target.count = 0;
}

/* CREATE UNIQUE INDEX CONCURRENTLY [[IF NOT EXISTS] name] ON [ONLY] target, behind CREATE. Without
 * CONCURRENTLY a refusal undoes the index. */
static bool is_unique_index(struct parser parser, struct classified *classified)
{
    enum { NAME_TOKENS_MAX = 4 }; /* IF NOT EXISTS name; ON is a reserved word */

    if (!parser_accept_words(&parser, "unique", "index") ||
        !parser_accept_word(&parser, "concurrently"))
        return false;
    for (int i = 0; i < NAME_TOKENS_MAX && !scan_is_word(parser.scanner.text, parser.token, "on");
         i++)
        parser_skip(&parser);
    if (!parser_accept_word(&parser, "on"))
        return false;
    (void)parser_accept_word(&parser, "only");
    accept_target(&parser, classified);
    return classified->target.count > 0;
}

/* Behind CREATE, ALTER or DROP: what belongs to the whole cluster, or to no table. Several of these
 * cannot run in a transaction. */
static bool is_about_no_table(struct parser *parser)
{
    static const char *const things[] = {"database",   "role",   "user",         "group",
                                         "tablespace", "system", "subscription", NULL};

    return accept_one_of(parser, things);
}

/* All commands that leave tables as they are, but for the rows. */
static bool is_harmless(struct parser *parser)
{
    static const char *const commands[] = {
        "select", /* first, since it is most of what comes */
        "abort",   "analyse", "analyze", "begin",      "checkpoint", "close",    "cluster",
        "comment", "commit",  "copy",    "deallocate", "declare",    "delete",   "discard",
        "end",     "execute", "explain", "fetch",      "grant",      "listen",   "load",
        "lock",    "merge",   "move",    "notify",     "prepare",    "reassign", "refresh",
        "release", "reset",   "revoke",  "rollback",   "savepoint",  "security", "set",
        "show",    "start",   "table",   "truncate",   "unlisten",   "vacuum",   "values",
        "with",    NULL};

    return parser->token.type != SCAN_WORD || accept_one_of(parser, commands);
}

/* CREATE INDEX, DROP INDEX, ALTER TABLE … DETACH PARTITION. */
static bool is_concurrent(const struct scanner *scanner, const struct scan_statement *statement)
{
    struct bytes text =
        bytes_of(scanner->text.data + statement->start, statement->end - statement->start);

    return bytes_find_ignoring_case(text, "concurrently") < text.len;
}

struct classified classify(const struct scanner *scanner, const struct scan_statement *statement)
{
    static const char *const definitions[] = {"create", "alter", "drop", NULL};
    struct classified classified = {.class = CLASS_OTHER};
    struct parser parser;

    parser_init(&parser, scanner, statement, NULL, true);
    if (parser_accept_word(&parser, "insert")) {
        classified.class = CLASS_WRITE;
        if (parser_accept_word(&parser, "into"))
            accept_target(&parser, &classified);
    } else if (parser_accept_word(&parser, "update")) {
        classified.class = CLASS_WRITE;
        (void)parser_accept_word(&parser, "only");
        accept_target(&parser, &classified);
    } else if (is_harmless(&parser)) {
        classified.class = CLASS_OTHER;
    } else if (!accept_one_of(&parser, definitions)) {
        classified.class = CLASS_SCHEMA;
        classified.commits = true;
    } else if (is_unique_index(parser, &classified)) {
        classified.class = CLASS_UNIQUE;
        classified.commits = true;
    } else if (!is_about_no_table(&parser)) {
        classified.class = CLASS_SCHEMA;
        classified.commits = is_concurrent(scanner, statement);
    }
    return classified;
}

static bool equals_ignoring_case(struct bytes text, const char *lower)
{
    if (strlen(lower) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (tolower(text.data[i]) != lower[i])
            return false;
    return true;
}

bool classified_is_one_of(const struct classified *classified, struct bytes text, const char *names)
{
    const struct name *target = &classified->target;
    struct scan_token last;
    struct bytes name;

    if (target->count == 0)
        return false;
    last = target->parts[target->count - 1];
    if (last.type == SCAN_UNICODE)
        return false; /* nobody's tool writes its table's name so */
    name = scan_text(text, last);
    /* A quote inside a quoted name would be doubled: none of ours has one. */
    if (last.type == SCAN_QUOTED)
        name = bytes_first(bytes_skip(name, 1), name.len - 2);
    for (; *names != '\0'; names += strlen(names) + 1)
        if (equals_ignoring_case(name, names))
            return true;
    return false;
}

void classified_write_target(const struct classified *classified, const struct scanner *scanner,
                             struct buffer *out)
{
    struct parser parser = {.scanner = *scanner, .call = out};

    parser_write_name(&parser, &classified->target, 0, classified->target.count, literal_write);
}

bool classify_is_single(struct bytes text)
{
    const uint8_t *semicolon = text.len > 0 ? memchr(text.data, ';', text.len) : NULL;

    if (semicolon == NULL)
        return true;
    text = bytes_skip(text, (size_t)(semicolon - text.data) + 1);
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0')
        text = bytes_skip(text, 1);
    return text.len == 0;
}
