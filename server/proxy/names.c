/* Names of prepared statements and portals. */
#include "server/proxy/names.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct name {
    struct name *older;
    enum name_kind kind;
    struct rewrite *rewrite;
    size_t len;
    uint8_t text[];
};

/* The link that holds the name, or the one at the end of the list. */
static struct name **find(const struct names *names, enum name_kind kind, struct bytes text)
{
    struct name **link = (struct name **)&names->newest;

    while (*link != NULL &&
           !((*link)->kind == kind && bytes_equal(bytes_of((*link)->text, (*link)->len), text)))
        link = &(*link)->older;
    return link;
}

static void remove_at(struct names *names, struct name **link)
{
    struct name *name = *link;

    *link = name->older;
    names->count--;
    rewrite_release(name->rewrite);
    free(name);
}

void names_clear(struct names *names)
{
    while (names->newest != NULL)
        remove_at(names, &names->newest);
    names->overflowed = false;
}

static void keep(struct names *names, enum name_kind kind, struct bytes text,
                 struct rewrite *rewrite)
{
    /* Room for portals is left where statements fill theirs. */
    size_t limit = kind == NAME_PORTAL ? NAMES_MAX * 2 : NAMES_MAX;
    struct name *name;

    if (names->count >= limit) {
        names->overflowed = true;
        return;
    }
    name = mem_new(sizeof *name + text.len);
    name->kind = kind;
    name->rewrite = rewrite_share(rewrite);
    name->len = text.len;
    if (text.len > 0)
        memcpy(name->text, text.data, text.len);
    name->older = names->newest;
    names->newest = name;
    names->count++;
}

void names_set(struct names *names, enum name_kind kind, struct bytes text, struct rewrite *rewrite)
{
    struct name **link = find(names, kind, text);

    /* First, since what is removed below may hold the only other reference. */
    rewrite_share(rewrite);
    if (*link != NULL)
        remove_at(names, link);
    if (rewrite != NULL)
        keep(names, kind, text, rewrite);
    rewrite_release(rewrite);
}

void names_set_harmless(struct names *names, enum name_kind kind, struct bytes text)
{
    names_set(names, kind, text, NULL);
    keep(names, kind, text, NULL);
}

bool names_find(const struct names *names, enum name_kind kind, struct bytes text,
                struct rewrite **rewrite)
{
    const struct name *name = *find(names, kind, text);

    *rewrite = name != NULL ? name->rewrite : NULL;
    return name != NULL;
}

struct rewrite *names_get(const struct names *names, enum name_kind kind, struct bytes text)
{
    struct rewrite *rewrite;

    (void)names_find(names, kind, text, &rewrite);
    return rewrite;
}

void names_add(struct names *names, const struct names *from)
{
    for (const struct name *name = from->newest; name != NULL; name = name->older) {
        struct bytes text = bytes_of(name->text, name->len);
        if (rewrite_care(name->rewrite) > rewrite_care(names_get(names, name->kind, text)))
            names_set(names, name->kind, text, name->rewrite);
    }
    names->overflowed = names->overflowed || from->overflowed;
}

void names_forget_portals(struct names *names)
{
    struct name **link = &names->newest;

    while (*link != NULL) {
        if ((*link)->kind == NAME_PORTAL)
            remove_at(names, link);
        else
            link = &(*link)->older;
    }
}
