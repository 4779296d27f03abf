/* Names of prepared statements and portals. */
#include "server/proxy/names.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct name {
    struct name *next;
    enum name_kind kind;
    struct rewrite *rewrite;
    size_t len;
    uint8_t text[];
};

/* For a client with as many names as are kept to cost little more than one with few. */
#define BUCKETS ((size_t)NAMES_MAX / 4)

/* FNV-1a */
static size_t bucket_of(enum name_kind kind, struct bytes text)
{
    uint32_t hash = 2166136261u ^ (uint32_t)kind;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ text.data[i]) * 16777619u;
    return (hash ^ hash >> 16) % BUCKETS;
}

/* The link that holds the name, or NULL. */
static struct name **find(const struct names *names, enum name_kind kind, struct bytes text)
{
    struct name **link;

    if (names->count == 0)
        return NULL;
    link = &names->buckets[bucket_of(kind, text)];
    while (*link != NULL &&
           !((*link)->kind == kind && bytes_equal(bytes_of((*link)->text, (*link)->len), text)))
        link = &(*link)->next;
    return *link != NULL ? link : NULL;
}

static void remove_at(struct names *names, struct name **link)
{
    struct name *name = *link;

    *link = name->next;
    names->count--;
    rewrite_release(name->rewrite);
    free(name);
}

void names_clear(struct names *names)
{
    for (size_t i = 0; names->count > 0; i++)
        while (names->buckets[i] != NULL)
            remove_at(names, &names->buckets[i]);
    free(names->buckets);
    names->buckets = NULL;
    names->overflowed = false;
}

static void keep(struct names *names, enum name_kind kind, struct bytes text,
                 struct rewrite *rewrite)
{
    /* Room for portals is left where statements fill theirs. */
    size_t limit = kind == NAME_PORTAL ? NAMES_MAX * 2 : NAMES_MAX;
    struct name **bucket, *name;

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
    if (names->buckets == NULL)
        names->buckets = mem_new_array(BUCKETS, sizeof(struct name *));
    bucket = &names->buckets[bucket_of(kind, text)];
    name->next = *bucket;
    *bucket = name;
    names->count++;
}

void names_set(struct names *names, enum name_kind kind, struct bytes text, struct rewrite *rewrite)
{
    struct name **link = find(names, kind, text);

    /* First, since what is removed below may hold the only other reference. */
    rewrite_share(rewrite);
    if (link != NULL)
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
    struct name **link = find(names, kind, text);

    *rewrite = link != NULL ? (*link)->rewrite : NULL;
    return link != NULL;
}

struct rewrite *names_get(const struct names *names, enum name_kind kind, struct bytes text)
{
    struct rewrite *rewrite;

    (void)names_find(names, kind, text, &rewrite);
    return rewrite;
}

void names_add(struct names *names, enum name_kind kind, struct bytes text, struct rewrite *rewrite)
{
    if (rewrite_care(rewrite) > rewrite_care(names_get(names, kind, text)))
        names_set(names, kind, text, rewrite);
}

void names_add_all(struct names *names, const struct names *from)
{
    for (size_t i = 0; from->count > 0 && i < BUCKETS; i++)
        for (const struct name *name = from->buckets[i]; name != NULL; name = name->next)
            names_add(names, name->kind, bytes_of(name->text, name->len), name->rewrite);
    names->overflowed = names->overflowed || from->overflowed;
}

void names_forget_portals(struct names *names)
{
    for (size_t i = 0; names->count > 0 && i < BUCKETS; i++) {
        struct name **link = &names->buckets[i];

        while (*link != NULL)
            if ((*link)->kind == NAME_PORTAL)
                remove_at(names, link);
            else
                link = &(*link)->next;
    }
}
