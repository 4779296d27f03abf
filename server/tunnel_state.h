/* The inside of the tunnel, shared by tunnel.c (all sessions), tunnel_session.c (one session),
 * tunnel_attachment.c (what carries one for a while) and tunnel_websocket.c (a kind of those). */
#ifndef SERVER_TUNNEL_STATE_H
#define SERVER_TUNNEL_STATE_H

#include "common/buffer.h"
#include "common/tunnel/endpoint.h"
#include "common/tunnel/registry.h"
#include "common/tunnel/tunnel_decoder.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/stream.h"
#include "server/tunnel.h"
#include "server/tunnel_peers.h"
#include "server/visitor.h"

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
    size_t arriving;  /* bytes of bodies that HTTP requests bring, when they have come */
    unsigned waiting; /* attachments without a first message */
    struct loop_timer sweep;
};

/* Monotonic milliseconds, as the endpoints count them. */
int64_t tunnel_now(void);
/* Sees to it that tombstones are removed in time. */
void tunnel_plan_sweep(struct tunnel *tunnel);

/* What one kind of attachment can do. */
struct attachment_ops {
    enum metrics_carrier carrier;
    /* Whether a frame can be sent at once. */
    bool (*has_room)(const struct attachment *attachment);
    /* Sends a frame; of two parts, neither of which is changed. */
    void (*send)(struct attachment *attachment, struct bytes head, struct bytes payload);
    /* A session uses it from now on. May be NULL. */
    void (*attached)(struct attachment *attachment);
    /* It is over: ends once all is sent, and tells the peer why. It goes by itself, later. */
    void (*finish)(struct attachment *attachment, enum stream_end end, const char *reason);
    /* The server stops. */
    void (*stop)(struct attachment *attachment);
};

/* What carries the frames of one session for a while: a WebSocket, or HTTP requests. Its first
 * frame says which session that is. */
struct attachment {
    const struct attachment_ops *ops;
    LIST_ENTRY(attachment) link;
    struct tunnel *tunnel;
    struct visitor visitor;
    struct tunnel_decoder decoder;
    struct loop_timer patience; /* its kind's; at first for the first frame */
    int64_t accepted_at;
    struct tunnel_session *session; /* NULL: none yet, or left */
    uint32_t number;                /* the endpoint's */
    struct peer_question question;  /* after a RESUME for another server's session */
    bool waiting;                   /* no frame has come */
    bool over;                      /* what else comes is thrown away */
};

/* `attachment` is zeroed; its kind has set the callback of `patience`. */
void attachment_init(struct attachment *attachment, const struct attachment_ops *ops,
                     struct tunnel *tunnel, enum tunnel_framing framing,
                     const struct visitor *visitor);
/* Before its kind frees it. */
void attachment_clear(struct attachment *attachment);
/* Bytes came; the frames among them are obeyed. It may be over after that. */
void attachment_decode(struct attachment *attachment, struct bytes piece, bool last);
/* What came are no frames. */
void attachment_fault(struct attachment *attachment, const struct error *error);
/* It does not wait for a first frame, or for other servers, any more. */
void attachment_stop_waiting(struct attachment *attachment);
/* Ends it without a session. */
void attachment_finish(struct attachment *attachment, enum stream_end end, const char *reason);
/* The server drains: ends it if nothing was said on it. */
void attachment_go_away(struct attachment *attachment);
/* The session does not use it any more. */
void attachment_leave(struct attachment *attachment);
bool attachment_has_room(const struct attachment *attachment);
void attachment_send(struct attachment *attachment, const struct endpoint_output *output);
/* In proxy mode Postgres's words say so to those who have logged in. */
bool tunnel_is_full(const struct tunnel *tunnel);

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
    uint8_t certificate[TLS_IDENTITY_SIZE]; /* of who has opened it, and may resume it */
    struct attachment *attachment;          /* NULL while detached */
    struct buffer pending;                  /* of the owner, for which the ring has no place */
    struct loop_timer timer;
    int64_t timer_at;                   /* when it fires; INT64_MAX: not at all */
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
    bool given_up;  /* only the owner's word on the outcome is missing */
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
