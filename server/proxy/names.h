/* Prepared statements and portals made from texts that matter, by name. Only those are kept: a name
 * that is not known means that its answers pass as they are. */
#ifndef SERVER_PROXY_NAMES_H
#define SERVER_PROXY_NAMES_H

#include "server/proxy/rewrite.h"

enum name_kind { NAME_STATEMENT, NAME_PORTAL };

/* More than this many are forgotten, oldest first. */
#define NAMES_MAX 256

struct name;

/* Zeroed: empty. */
struct names {
    struct name *newest;
    size_t count;
};

void names_clear(struct names *names);
/* Shares `rewrite`; NULL removes the name. */
void names_set(struct names *names, enum name_kind kind, struct bytes name,
               struct rewrite *rewrite);
/* Borrowed; NULL when unknown. */
struct rewrite *names_get(const struct names *names, enum name_kind kind, struct bytes name);
/* Adds those that must be followed. */
void names_copy(struct names *names, const struct names *from);
/* Portals end with their transaction. */
void names_forget_portals(struct names *names);

#endif
