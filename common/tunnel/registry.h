/* A server's sessions by their ids: those that live, which of them are detached, and tombstones of
 * those that ended. Pure data; bounded. */
#ifndef COMMON_TUNNEL_REGISTRY_H
#define COMMON_TUNNEL_REGISTRY_H

#include "common/tunnel/tunnel_frame.h"

struct registry_limits {
    size_t sessions;   /* that live */
    size_t detached;   /* of those past authentication */
    size_t starting;   /* detached before that */
    size_t tombstones; /* the oldest makes way */
};

struct registry;

/* One session, or its tombstone. Owned by the registry. */
struct registry_entry;

struct registry *registry_new(const struct registry_limits *limits);
/* With all entries; NULL-safe. */
void registry_free(struct registry *registry);

/* From now on no session is opened here; those that live may be resumed. */
void registry_drain(struct registry *registry);

/* OPEN came: TUNNEL_REFUSAL_NONE and a new entry for `session`, or why not. */
enum tunnel_refusal registry_open(struct registry *registry, const struct tunnel_open *open,
                                  void *session, struct registry_entry **entry);

enum registry_verdict {
    REGISTRY_LIVE,      /* here it is: endpoint_resume() judges the rest */
    REGISTRY_GONE,      /* answer with `reset` */
    REGISTRY_REFUSED,   /* answer with `refusal` */
    REGISTRY_ELSEWHERE, /* another instance's: NOT_HERE while that one lives, else GONE as LOST */
};

struct registry_answer {
    enum registry_verdict verdict;
    struct registry_entry *entry; /* LIVE */
    struct tunnel_reset reset;    /* GONE */
    enum tunnel_refusal refusal;  /* REFUSED */
};

/* RESUME came; `instance` is this server's. */
struct registry_answer registry_resume(const struct registry *registry,
                                       const struct tunnel_resume *resume, uint64_t instance);

/* The entry of an id, or NULL; for the HTTP carrier, whose every request names its session. */
struct registry_entry *registry_find(const struct registry *registry, const struct tunnel_id *id);
/* What was given to registry_open(); NULL: this is a tombstone. */
void *registry_session(const struct registry_entry *entry);
const struct tunnel_key *registry_key(const struct registry_entry *entry);

/* Its attachment is gone; `established`: past authentication. Returns an entry that is one too
 * many, detached longest: its session is to be ended and buried. Else NULL. */
struct registry_entry *registry_detached(struct registry *registry, struct registry_entry *entry,
                                         bool established);
/* It has an attachment again. */
void registry_attached(struct registry *registry, struct registry_entry *entry);

/* The session ended; until then a genuine RESUME is told how. The text is not kept. */
void registry_bury(struct registry *registry, struct registry_entry *entry,
                   const struct tunnel_reset *end, int64_t until);
/* More is known of how it ended; harmless when its tombstone is gone. */
void registry_tell(struct registry *registry, const struct tunnel_id *id,
                   enum tunnel_outcome outcome, uint64_t xid);
/* The session ended, and nobody will ask. */
void registry_remove(struct registry *registry, struct registry_entry *entry);

/* Removes tombstones whose time is over. */
void registry_sweep(struct registry *registry, int64_t now);
/* When there is something to sweep; INT64_MAX: no tombstones. */
int64_t registry_deadline(const struct registry *registry);

struct registry_counts {
    size_t live; /* attached or detached */
    size_t detached;
    size_t starting;
    size_t tombstones;
};
struct registry_counts registry_counts(const struct registry *registry);

#endif
