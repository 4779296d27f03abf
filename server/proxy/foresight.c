/* Meanings of names, ahead of their answers. */
#include "server/proxy/foresight.h"

void foresight_clear(struct foresight *foresight)
{
    names_clear(&foresight->before);
    names_clear(&foresight->since);
}

void foresight_begin(struct foresight *foresight, const struct names *names)
{
    if (!foresight->foreseeing)
        return;
    foresight->foreseeing = false;
    foresight_clear(foresight);
    names_add_all(&foresight->before, names);
}

bool foresight_matters(const struct foresight *foresight)
{
    return foresight->before.count > 0 || foresight->since.count > 0;
}

void foresight_note(struct foresight *foresight, enum name_kind kind, struct bytes name,
                    struct rewrite *rewrite)
{
    struct names *before = &foresight->before, *since = &foresight->since;
    struct rewrite *meaning;

    foresight->foreseeing = true;
    if (names_find(since, kind, name, &meaning))
        names_add(before, kind, name, meaning);
    if (rewrite_care(rewrite) > 0)
        names_set(since, kind, name, rewrite);
    else if (names_get(before, kind, name) != NULL || before->overflowed)
        names_set_harmless(since, kind, name);
    else
        names_set(since, kind, name, NULL);
}

void foresight_lose(struct foresight *foresight, enum name_kind kind, struct bytes name)
{
    names_set(&foresight->since, kind, name, NULL);
}

void foresight_sync(struct foresight *foresight)
{
    names_add_all(&foresight->before, &foresight->since);
    names_clear(&foresight->since);
}

struct rewrite *foresight_get(const struct foresight *foresight, enum name_kind kind,
                              struct bytes name)
{
    struct rewrite *rewrite;

    if (!names_find(&foresight->since, kind, name, &rewrite))
        (void)names_find(&foresight->before, kind, name, &rewrite);
    return rewrite;
}

bool foresight_is_lost(const struct foresight *foresight, enum name_kind kind, struct bytes name)
{
    struct rewrite *rewrite;

    if (names_find(&foresight->since, kind, name, &rewrite))
        return false;
    return foresight->since.overflowed ||
           (foresight->before.overflowed && !names_find(&foresight->before, kind, name, &rewrite));
}
