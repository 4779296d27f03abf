/* A balanced tree of entries, and a list for each kind of entry that is limited. */
#include "common/tunnel/registry.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/tunnel/tunnel_auth.h"

/* Oldest first. */
struct entry_list {
    struct registry_entry *first;
    struct registry_entry *last;
    size_t count;
};

struct registry_entry {
    struct tunnel_id id; /* first, so that an id finds its entry */
    struct tunnel_key key;
    void *session;           /* NULL: a tombstone */
    struct entry_list *list; /* that it stands in, or NULL: attached */
    struct registry_entry *previous;
    struct registry_entry *next;
    struct tunnel_reset end; /* of a tombstone */
    int64_t until;
};

struct registry {
    struct registry_limits limits;
    /* Clients choose the ids, so a tree: no choice makes it slow, as it would a hash table. */
    void *tree;
    size_t live;
    bool draining;
    struct entry_list detached;
    struct entry_list starting;
    struct entry_list tombstones;
};

struct registry *registry_new(const struct registry_limits *limits)
{
    struct registry *registry = mem_new(sizeof *registry);

    registry->limits = *limits;
    return registry;
}

/* Both begin with an id. */
static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct tunnel_id));
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    while (registry->tree != NULL)
        registry_remove(registry, *(struct registry_entry **)registry->tree);
    free(registry);
}

void registry_drain(struct registry *registry)
{
    registry->draining = true;
}

struct registry_entry *registry_find(const struct registry *registry, const struct tunnel_id *id)
{
    void *node = tfind(id, &registry->tree, compare);

    return node == NULL ? NULL : *(struct registry_entry **)node;
}

/* Lists */

static void leave_list(struct registry_entry *entry)
{
    struct entry_list *list = entry->list;

    if (list == NULL)
        return;
    if (entry->previous != NULL)
        entry->previous->next = entry->next;
    else
        list->first = entry->next;
    if (entry->next != NULL)
        entry->next->previous = entry->previous;
    else
        list->last = entry->previous;
    list->count--;
    entry->list = NULL;
}

static void join_list(struct registry_entry *entry, struct entry_list *list)
{
    leave_list(entry);
    entry->list = list;
    entry->previous = list->last;
    entry->next = NULL;
    if (list->last != NULL)
        list->last->next = entry;
    else
        list->first = entry;
    list->last = entry;
    list->count++;
}

/* Coming */

enum tunnel_refusal registry_open(struct registry *registry, const struct tunnel_open *open,
                                  void *session, struct registry_entry **entry)
{
    assert(session != NULL);
    if (registry_find(registry, &open->id) != NULL)
        return TUNNEL_REFUSAL_EXISTS;
    if (registry->draining)
        return TUNNEL_REFUSAL_DRAINING;
    if (registry->live >= registry->limits.sessions)
        return TUNNEL_REFUSAL_FULL;

    struct registry_entry *added = mem_new(sizeof *added);
    added->id = open->id;
    added->key = open->key;
    added->session = session;
    if (tsearch(added, &registry->tree, compare) == NULL)
        abort(); /* out of memory, as mem_new() */
    registry->live++;
    *entry = added;
    return TUNNEL_REFUSAL_NONE;
}

static struct registry_answer refuse(enum tunnel_refusal refusal)
{
    return (struct registry_answer){.verdict = REGISTRY_REFUSED, .refusal = refusal};
}

static struct registry_answer answer_unknown(const struct tunnel_resume *resume, uint64_t instance)
{
    if (resume->instance == 0)
        return refuse(TUNNEL_REFUSAL_UNKNOWN);
    if (resume->instance != instance)
        return (struct registry_answer){.verdict = REGISTRY_ELSEWHERE};
    /* It was here, and so long ago that not even its tombstone is left. */
    return (struct registry_answer){
        .verdict = REGISTRY_GONE,
        .reset = {.reason = TUNNEL_END_EXPIRED, .outcome = TUNNEL_OUTCOME_UNKNOWN},
    };
}

struct registry_answer registry_resume(const struct registry *registry,
                                       const struct tunnel_resume *resume, uint64_t instance)
{
    struct registry_entry *entry = registry_find(registry, &resume->id);

    if (entry == NULL)
        return answer_unknown(resume, instance);
    if (!tunnel_resume_is_genuine(&entry->key, resume))
        return refuse(TUNNEL_REFUSAL_DENIED);
    if (entry->session == NULL)
        return (struct registry_answer){.verdict = REGISTRY_GONE, .reset = entry->end};
    return (struct registry_answer){.verdict = REGISTRY_LIVE, .entry = entry};
}

void *registry_session(const struct registry_entry *entry)
{
    return entry->session;
}

const struct tunnel_key *registry_key(const struct registry_entry *entry)
{
    return &entry->key;
}

/* Staying */

struct registry_entry *registry_detached(struct registry *registry, struct registry_entry *entry,
                                         bool established)
{
    struct entry_list *list = established ? &registry->detached : &registry->starting;
    size_t limit = established ? registry->limits.detached : registry->limits.starting;

    assert(entry->session != NULL);
    join_list(entry, list);
    return list->count > limit ? list->first : NULL;
}

void registry_attached(struct registry *registry, struct registry_entry *entry)
{
    (void)registry;
    assert(entry->session != NULL);
    leave_list(entry);
}

/* Going */

void registry_bury(struct registry *registry, struct registry_entry *entry,
                   const struct tunnel_reset *end, int64_t until)
{
    assert(entry->session != NULL);
    entry->session = NULL;
    registry->live--;
    entry->end = *end;
    entry->end.text = bytes_of(NULL, 0);
    entry->until = until;
    join_list(entry, &registry->tombstones);
    if (registry->tombstones.count > registry->limits.tombstones)
        registry_remove(registry, registry->tombstones.first);
}

void registry_tell(struct registry *registry, const struct tunnel_id *id,
                   enum tunnel_outcome outcome, uint64_t xid)
{
    struct registry_entry *entry = registry_find(registry, id);

    if (entry == NULL || entry->session != NULL)
        return;
    entry->end.outcome = (uint8_t)outcome;
    entry->end.xid = xid;
}

void registry_remove(struct registry *registry, struct registry_entry *entry)
{
    leave_list(entry);
    if (entry->session != NULL)
        registry->live--;
    tdelete(entry, &registry->tree, compare);
    mem_free_secret(entry, sizeof *entry);
}

void registry_sweep(struct registry *registry, int64_t now)
{
    while (registry_deadline(registry) <= now)
        registry_remove(registry, registry->tombstones.first);
}

int64_t registry_deadline(const struct registry *registry)
{
    return registry->tombstones.first == NULL ? INT64_MAX : registry->tombstones.first->until;
}

struct registry_counts registry_counts(const struct registry *registry)
{
    return (struct registry_counts){
        .live = registry->live,
        .detached = registry->detached.count,
        .starting = registry->starting.count,
        .tombstones = registry->tombstones.count,
    };
}
