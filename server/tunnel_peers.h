/* Which other servers of this database live: a session that is not here may be with one of them, or
 * have ended with one that is gone. Each server holds an advisory lock on its instance number, on a
 * connection of its own: where that lock is missing, the server is. */
#ifndef SERVER_TUNNEL_PEERS_H
#define SERVER_TUNNEL_PEERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct server;
struct tunnel_peers;

/* A question; embed it. */
struct peer_question {
    TAILQ_ENTRY(peer_question) link;
    uint64_t instance;
    /* `lives`: or nobody can tell. */
    void (*on_answer)(struct peer_question *question, bool lives);
    bool waiting; /* to be read */
};

struct tunnel_peers *tunnel_peers_new(struct server *server, uint64_t own_instance);
/* Questions are dropped. NULL-safe. */
void tunnel_peers_free(struct tunnel_peers *peers);
/* Answered within a few seconds, never from inside this call. */
void tunnel_peers_ask(struct tunnel_peers *peers, struct peer_question *question);
/* Harmless when it does not wait. */
void tunnel_peers_forget(struct tunnel_peers *peers, struct peer_question *question);

#endif
