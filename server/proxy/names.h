/* Prepared statements and portals made from texts that matter, by name. Only those are kept: a name
 * that is not known means that its answers pass as they are. */
#ifndef SERVER_PROXY_NAMES_H
#define SERVER_PROXY_NAMES_H

#include "server/proxy/rewrite.h"

enum name_kind { NAME_STATEMENT, NAME_PORTAL };

/* More statements than this are not kept, nor more than twice as many names. */
#define NAMES_MAX 1024

struct name;

/* Zeroed: empty. */
struct names {
    struct name **buckets; /* by their hash; NULL: none */
    size_t count;
    bool overflowed; /* one was not kept, so that a name not known may mean anything */
};

void names_clear(struct names *names);
/* Shares `rewrite`; NULL removes the name. */
void names_set(struct names *names, enum name_kind kind, struct bytes name,
               struct rewrite *rewrite);
/* Keeps the name with the meaning that nothing is to be done about it. */
void names_set_harmless(struct names *names, enum name_kind kind, struct bytes name);
/* False when unknown; `rewrite` is borrowed, and NULL for harmless ones. */
bool names_find(const struct names *names, enum name_kind kind, struct bytes name,
                struct rewrite **rewrite);
/* Borrowed; NULL when unknown or harmless. */
struct rewrite *names_get(const struct names *names, enum name_kind kind, struct bytes name);
/* What the name may mean, too: of two meanings that which needs more care stays; one that needs
 * none is no news. */
void names_add(struct names *names, enum name_kind kind, struct bytes name,
               struct rewrite *rewrite);
void names_add_all(struct names *names, const struct names *from);
/* Portals end with their transaction. */
void names_forget_portals(struct names *names);

#endif
