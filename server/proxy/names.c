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

static void remove_oldest(struct names *names)
{
    struct name **link = &names->newest;

    while ((*link)->older != NULL)
        link = &(*link)->older;
    remove_at(names, link);
}

void names_clear(struct names *names)
{
    while (names->newest != NULL)
        remove_at(names, &names->newest);
}

void names_set(struct names *names, enum name_kind kind, struct bytes text, struct rewrite *rewrite)
{
    struct name **link = find(names, kind, text);
    struct name *name;

    /* First, since what is removed below may hold the only other reference. */
    rewrite_share(rewrite);
    if (*link != NULL)
        remove_at(names, link);
    if (rewrite == NULL)
        return;
    if (names->count == NAMES_MAX)
        remove_oldest(names);
    name = mem_new(sizeof *name + text.len);
    name->kind = kind;
    name->rewrite = rewrite;
    name->len = text.len;
    if (text.len > 0)
        memcpy(name->text, text.data, text.len);
    name->older = names->newest;
    names->newest = name;
    names->count++;
}

struct rewrite *names_get(const struct names *names, enum name_kind kind, struct bytes text)
{
    struct name *name = *find(names, kind, text);

    return name != NULL ? name->rewrite : NULL;
}

void names_copy(struct names *names, const struct names *from)
{
    for (const struct name *name = from->newest; name != NULL; name = name->older)
        if (name->rewrite->follow != FOLLOW_NONE)
            names_set(names, name->kind, bytes_of(name->text, name->len), name->rewrite);
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
