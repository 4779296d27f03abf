/* What names of statements and portals will mean once what is under way is done. Part of the plan.
 *
 * A message is run only if all those before it, back to the last Sync, have succeeded; so what
 * these say of names is certain for it. What was said before that Sync may have been skipped:
 * there, a name may mean what it did at any time since all was answered. */
#ifndef SERVER_PROXY_FORESIGHT_H
#define SERVER_PROXY_FORESIGHT_H

#include "server/proxy/names.h"

/* Embedded by value, all zero at first; `since.overflowed` may be set when a name is not known. */
struct foresight {
    struct names before; /* what they may mean at the last Sync that was sent, for care's sake */
    struct names since;  /* and what they do after it, as far as messages since then say so */
    bool foreseeing;     /* these two are more than is known for certain */
};

void foresight_clear(struct foresight *foresight);
/* Nothing is due: `names` is what they mean. */
void foresight_begin(struct foresight *foresight, const struct names *names);
bool foresight_matters(const struct foresight *foresight);

/* A message goes on its way that makes the name mean this; NULL: nothing that matters. */
void foresight_note(struct foresight *foresight, enum name_kind kind, struct bytes name,
                    struct rewrite *rewrite);
/* It makes it mean what is not known. */
void foresight_lose(struct foresight *foresight, enum name_kind kind, struct bytes name);
void foresight_sync(struct foresight *foresight);

/* Of all that the name may mean, what needs most care. */
struct rewrite *foresight_get(const struct foresight *foresight, enum name_kind kind,
                              struct bytes name);
/* Whether the name may mean anything, since not all could be kept. */
bool foresight_is_lost(const struct foresight *foresight, enum name_kind kind, struct bytes name);

#endif
