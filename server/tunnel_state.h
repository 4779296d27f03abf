/* The inside of the tunnel, shared by tunnel.c (all sessions), tunnel_attachment.c (one WebSocket)
 * and tunnel_session.c (one session). */
#ifndef SERVER_TUNNEL_STATE_H
#define SERVER_TUNNEL_STATE_H

#include "common/buffer.h"
#include "common/tunnel/endpoint.h"
#include "common/tunnel/registry.h"
#include "common/tunnel/tunnel_decoder.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/stream.h"
#include "server/tunnel.h"
#include "server/tunnel_peers.h"
#include "server/websocket.h"

#include <sys/queue.h>

struct attachment;
struct tunnel_canceller;
struct tunnel_session;

LIST_HEAD(attachments, attachment);
LIST_HEAD(tunnel_sessions, tunnel_session);

struct tunnel {
    struct server *server;
    struct budget budget;
    struct endpoint_settings settings;
    struct registry *registry;
    struct tunnel_peers *peers; /* NULL: nobody knows of other servers */
    struct attachments attachments;
    struct tunnel_sessions sessions;
    unsigned waiting; /* attachments without a first message */
    struct loop_timer sweep;
};

/* Monotonic milliseconds, as the endpoints count them. */
int64_t tunnel_now(void);
/* Sees to it that tombstones are removed in time. */
void tunnel_plan_sweep(struct tunnel *tunnel);

/* One WebSocket. */
struct attachment {
    LIST_ENTRY(attachment) link;
    struct tunnel *tunnel;
    struct websocket *websocket;
    char peer[PEER_NAME_MAX];
    struct tunnel_decoder decoder;
    struct loop_timer patience; /* for the first message; then see attachment_plan_move() */
    int64_t accepted_at;
    struct tunnel_session *session; /* NULL: none yet, or left */
    uint32_t number;                /* the endpoint's */
    uint16_t move_within_s;
    struct peer_question question; /* after a RESUME for another server's session */
    bool waiting;                  /* no message has come */
    bool over;                     /* what else comes is thrown away */
};

/* Nothing of it is of interest any more. */
void attachment_stop(struct attachment *attachment);
/* Sends a frame of no session, then closes. */
void attachment_answer(struct attachment *attachment, const struct tunnel_frame *frame);
/* The server drains: closes it if nothing was said on it. */
void attachment_go_away(struct attachment *attachment);
/* Has its session told to leave it before it reaches the age at which edges cut. */
void attachment_plan_move(struct attachment *attachment);
/* The session does not use it any more: closes it once all is sent. */
void attachment_leave(struct attachment *attachment);
/* Whether a message can be sent at once. */
bool attachment_has_room(const struct attachment *attachment);
void attachment_send(struct attachment *attachment, const struct endpoint_output *output);

/* CANCEL came: the statement of the session's backend is to be cancelled. `*canceller` is made when
 * it is NULL. One is worked off at a time, so that a flood of them keeps nobody else's out; of
 * those that come meanwhile, the latest is next. */
void tunnel_cancel(struct tunnel_canceller **canceller, struct server *server,
                   const struct tunnel_cancel *cancel);
/* What is worked off goes on. NULL-safe. */
void tunnel_canceller_free(struct tunnel_canceller *canceller);

/* One session. */
struct tunnel_session {
    struct stream stream; /* first; the owner's end */
    LIST_ENTRY(tunnel_session) link;
    struct tunnel *tunnel;
    struct endpoint *endpoint;
    struct registry_entry *entry;
    struct attachment *attachment; /* NULL while detached */
    struct buffer pending;         /* of the owner, for which the ring has no place */
    struct loop_timer timer;
    struct tunnel_canceller *canceller; /* once CANCEL has come */
    uint64_t resent;                    /* bytes that the metrics know of */
    unsigned depth;                     /* of calls into the endpoint or the owner */
    bool due;                           /* the timer is set to the next turn of the loop */
    bool established;
    bool paused;    /* the owner takes nothing */
    bool full;      /* the owner was told so, by `queued` */
    bool finishing; /* the owner's direction has ended */
    bool ended;     /* … and the endpoint knows */
    bool told_end;  /* the owner knows that the client's has */
    bool orphan;    /* the owner is gone; what it sent still goes out */
    int64_t orphan_until;
    int64_t over_since;  /* the endpoint is; 0: not yet */
    enum stream_end why; /* the owner's direction has ended … */
    char *why_text;      /* … unless that is normal, for this reason */
};

/* OPEN came: a session with an owner, as if a client had connected, or why not. */
enum tunnel_refusal tunnel_session_open(struct attachment *attachment,
                                        const struct tunnel_open *open);
/* RESUME for this session came on `attachment`. */
enum tunnel_refusal tunnel_session_resume(struct tunnel_session *session,
                                          struct attachment *attachment,
                                          const struct tunnel_resume *resume);
/* Something came on its attachment. */
void tunnel_session_frame(struct tunnel_session *session, const struct tunnel_frame *frame);
void tunnel_session_malformed(struct tunnel_session *session, const struct error *error);
void tunnel_session_heard(struct tunnel_session *session);
/* Its attachment is old: the client is to make another one. */
void tunnel_session_move(struct tunnel_session *session, uint16_t within_s);
/* The attachment has room again, or is gone. */
void tunnel_session_drained(struct tunnel_session *session);
void tunnel_session_detached(struct tunnel_session *session);
/* Ends it from our side. */
void tunnel_session_end(struct tunnel_session *session, enum tunnel_end reason);
void tunnel_session_free(struct tunnel_session *session);
/* Whether its client is there and has yet to take something that its owner has left behind. */
bool tunnel_session_is_leaving(const struct tunnel_session *session);

#endif
