/* Classes of statements. */
#include "server/proxy/classify.h"

#include <ctype.h>
#include <string.h>

/* Walks over the tokens of one statement. */
struct walker {
    struct scanner scanner;
    struct scan_token token; /* the current one; SCAN_END behind the statement */
    size_t end;
};

/* A vertical tab is white space from Postgres 16 on. */
static void advance(struct walker *walker)
{
    do
        walker->token = scanner_next(&walker->scanner);
    while (scan_is_symbol(walker->scanner.text, walker->token, '\v'));
    if (walker->token.start >= walker->end)
        walker->token.type = SCAN_END;
}

static bool is_word(const struct walker *walker, const char *keyword)
{
    return scan_is_word(walker->scanner.text, walker->token, keyword);
}

static bool accept(struct walker *walker, const char *keyword)
{
    if (!is_word(walker, keyword))
        return false;
    advance(walker);
    return true;
}

static bool accept_one_of(struct walker *walker, const char *const *keywords)
{
    for (; *keywords != NULL; keywords++)
        if (accept(walker, *keywords))
            return true;
    return false;
}

static void accept_target(struct walker *walker, struct classified *classified)
{
    for (;;) {
        if ((walker->token.type != SCAN_WORD && walker->token.type != SCAN_QUOTED) ||
            classified->target_parts == CLASSIFY_NAME_PARTS) {
            classified->target_parts = 0;
            return;
        }
        classified->target[classified->target_parts++] = walker->token;
        advance(walker);
        if (!scan_is_symbol(walker->scanner.text, walker->token, '.'))
            return;
        advance(walker);
    }
}

/* CREATE UNIQUE INDEX CONCURRENTLY [[IF NOT EXISTS] name] ON [ONLY] target, behind CREATE. Without
 * CONCURRENTLY a refusal undoes the index. */
static bool is_unique_index(struct walker walker, struct classified *classified)
{
    enum { NAME_TOKENS_MAX = 4 }; /* IF NOT EXISTS name; ON is a reserved word */

    if (!accept(&walker, "unique") || !accept(&walker, "index") || !accept(&walker, "concurrently"))
        return false;
    for (int i = 0; i < NAME_TOKENS_MAX && !is_word(&walker, "on"); i++)
        advance(&walker);
    if (!accept(&walker, "on"))
        return false;
    (void)accept(&walker, "only");
    accept_target(&walker, classified);
    return classified->target_parts > 0;
}

/* Behind CREATE, ALTER or DROP: what belongs to the whole cluster, or to no table. Several of these
 * cannot run in a transaction. */
static bool is_about_no_table(struct walker *walker)
{
    static const char *const things[] = {"database",   "role",   "user",         "group",
                                         "tablespace", "system", "subscription", NULL};

    return accept_one_of(walker, things);
}

/* All commands that leave tables as they are, but for the rows. */
static bool is_harmless(struct walker *walker)
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

    return walker->token.type != SCAN_WORD || accept_one_of(walker, commands);
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
    struct walker walker = {.end = statement->end};

    scanner_init(&walker.scanner, scanner->text, scanner->standard_conforming_strings);
    walker.scanner.at = statement->start;
    advance(&walker);
    if (accept(&walker, "insert")) {
        classified.class = CLASS_WRITE;
        if (accept(&walker, "into"))
            accept_target(&walker, &classified);
    } else if (accept(&walker, "update")) {
        classified.class = CLASS_WRITE;
        (void)accept(&walker, "only");
        accept_target(&walker, &classified);
    } else if (is_harmless(&walker)) {
        classified.class = CLASS_OTHER;
    } else if (!accept_one_of(&walker, definitions)) {
        classified.class = CLASS_SCHEMA;
        classified.commits = true;
    } else if (is_unique_index(walker, &classified)) {
        classified.class = CLASS_UNIQUE;
        classified.commits = true;
    } else if (!is_about_no_table(&walker)) {
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
    struct bytes name;

    if (classified->target_parts == 0)
        return false;
    name = scan_text(text, classified->target[classified->target_parts - 1]);
    /* A quote inside a quoted name would be doubled: none of ours has one. */
    if (classified->target[classified->target_parts - 1].type == SCAN_QUOTED)
        name = bytes_first(bytes_skip(name, 1), name.len - 2);
    for (; *names != '\0'; names += strlen(names) + 1)
        if (equals_ignoring_case(name, names))
            return true;
    return false;
}
