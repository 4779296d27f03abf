/* What a statement of the client may do, told from its first words. Never a verdict: what it did is
 * judged in Postgres. */
#ifndef SERVER_PROXY_CLASSIFY_H
#define SERVER_PROXY_CLASSIFY_H

#include "server/ddlx/parser.h"

enum statement_class {
    CLASS_OTHER,  /* cannot change what tables look like */
    CLASS_SCHEMA, /* may; statements that are not known belong here */
    CLASS_WRITE,  /* INSERT or UPDATE: writes `target` */
    CLASS_UNIQUE, /* CREATE UNIQUE INDEX CONCURRENTLY on `target` */
};

struct classified {
    enum statement_class class;
    bool commits;       /* SCHEMA, UNIQUE: it may commit by itself, in the middle or at its end */
    struct name target; /* of no part: not understood */
};

/* Whether a text holds one statement at most, however it is read. */
bool classify_is_single(struct bytes text);

struct classified classify(const struct scanner *scanner, const struct scan_statement *statement);

/* Whether the last part of `target` is one of `names`: lower-case names, each ended by a NUL, the
 * list by an empty one. Compared without case. */
bool classified_is_one_of(const struct classified *classified, struct bytes text,
                          const char *names);
/* Appends `target`, as the client wrote it, to a literal E'…' under construction. */
void classified_write_target(const struct classified *classified, const struct scanner *scanner,
                             struct buffer *out);

#endif
