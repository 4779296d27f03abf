/* One end of one tunnelled session, client's or server's: electric-tunnel.v1 without its carriers.
 *
 *     source ──▶ ring ──▶ frames out ═══ attachment ═══ frames in ──▶ queue ──▶ sink
 *
 * The session outlives its attachments (a WebSocket, or a series of HTTP requests): each end keeps
 * what the other may not have, and a new attachment goes on where the last one broke.
 *
 * Sans-I/O. Nothing here calls back; after any call the adapter looks at what it may do next:
 *   - sends frames while its attachment has room: endpoint_take();
 *   - hands on what is queued while the sink has room: endpoint_queued(), endpoint_consume();
 *   - ends the sink once endpoint_sink_ended();
 *   - reads the source only while endpoint_source_reserve() gives a place;
 *   - calls endpoint_timer() at endpoint_deadline();
 *   - ends the session once endpoint_end() is not NULL and endpoint_take() gives nothing more.
 * It never stops reading an attachment because of a slow sink: acknowledgements would be stuck
 * behind the data. The window bounds what the queue must hold.
 *
 * Time is any clock in milliseconds that does not run backwards; best one that counts suspension.
 */
#ifndef COMMON_TUNNEL_ENDPOINT_H
#define COMMON_TUNNEL_ENDPOINT_H

#include "common/block.h"
#include "common/tunnel/budget.h"
#include "common/tunnel/tunnel_frame.h"

enum endpoint_role { ENDPOINT_CLIENT, ENDPOINT_SERVER };

enum endpoint_state {
    ENDPOINT_NEW,      /* nobody has heard of it */
    ENDPOINT_OPENING,  /* client: OPEN is under way; the other end may have it or not */
    ENDPOINT_ATTACHED, /* both ends agree on the attachment */
    ENDPOINT_DETACHED, /* the last attachment is gone */
    ENDPOINT_RESUMING, /* client: RESUME is under way */
    ENDPOINT_OVER,
};

/* Every delay of the protocol in milliseconds; those of `struct tunnel_terms` come on top. */
enum {
    ENDPOINT_ACK_MS = 100,          /* longest that something handed on is not acknowledged */
    ENDPOINT_OWING_PING_MS = 5000,  /* longest silence of an end that owes an acknowledgement */
    ENDPOINT_DEAD_MS = 45000,       /* silence after which an attachment is dead */
    ENDPOINT_UNANSWERED_MS = 15000, /* the same while something is unacknowledged */
    ENDPOINT_PING_MIN_MS = 2000,
    ENDPOINT_STARVED_MS = 100,          /* then ask the budget again */
    ENDPOINT_RETAIN_STARTUP_MS = 10000, /* instead of `retain` until endpoint_established() */
};

/* Shared by all endpoints of a process, which borrow it. */
struct endpoint_settings {
    struct budget *budget;
    uint32_t window; /* what a session's queue holds; less, down to TUNNEL_WINDOW_MIN, when others
                        may take the memory or have done so */
    uint32_t max_frame; /* longest frame that is taken */
    size_t ring_max;    /* what each session's ring holds */
    /* The rest is the server's. */
    uint64_t instance;
    uint16_t retain_s;
    uint16_t ping_s;
};

/* What the adapter is to do at once. Fields are in the frame it has just passed in. */
enum endpoint_event {
    ENDPOINT_NOTHING,
    ENDPOINT_UP,      /* client: OPENED or RESUMED; the attachment left before can be closed */
    ENDPOINT_DATA,    /* offer endpoint_fresh() to the sink, then call endpoint_accept() */
    ENDPOINT_MOVE,    /* client: attach anew within so many seconds */
    ENDPOINT_CANCEL,  /* server: cancel the running statement if pid and key are right */
    ENDPOINT_TXN,     /* client: note xid and offset; may come again with the same */
    ENDPOINT_REFUSED, /* client: this attachment is over; see endpoint_reopen() for UNKNOWN */
    ENDPOINT_DEAD, /* the attachment is silent. Server: it is left, close it. Client: attach anew;
                      until that is up the old one stays in use, lest it was only slow */
};

struct endpoint;

/* `info` (may be empty) is copied; it must be valid (tunnel_info_is_valid). */
struct endpoint *endpoint_new_client(const struct endpoint_settings *settings,
                                     const struct tunnel_id *id, const struct tunnel_key *key,
                                     struct bytes info);
/* For an OPEN that was accepted; endpoint_attach() with its carrier follows. */
struct endpoint *endpoint_new_server(const struct endpoint_settings *settings,
                                     const struct tunnel_open *open);
/* NULL-safe. */
void endpoint_free(struct endpoint *endpoint);

/* Attachments. Each has a number, never 0, that all later calls about it name; a call about one
 * that was left is ignored, so an adapter need not hurry to close it. */

/* A carrier is there: the client's opens or resumes the session, the server's is the one that OPEN
 * came on. The older attachment, if any, is left. */
uint32_t endpoint_attach(struct endpoint *endpoint, int64_t now);
/* Server: a RESUME for this session came on a new carrier. TUNNEL_REFUSAL_NONE: accepted as
 * `*attachment`. Else nothing has changed, and the carrier is to be told REFUSED. */
enum tunnel_refusal endpoint_resume(struct endpoint *endpoint, int64_t now,
                                    const struct tunnel_resume *resume, uint32_t *attachment);
/* It is closed, cut or failed. */
void endpoint_detach(struct endpoint *endpoint, int64_t now, uint32_t attachment);
/* The current one, or 0. */
uint32_t endpoint_attachment(const struct endpoint *endpoint);

/* Bytes came, whatever they were. */
void endpoint_heard(struct endpoint *endpoint, int64_t now, uint32_t attachment);
/* A frame, or a piece of DATA, came. What the protocol does not allow here ends the session with
 * RESET. */
enum endpoint_event endpoint_frame(struct endpoint *endpoint, int64_t now, uint32_t attachment,
                                   const struct tunnel_frame *frame);
/* What came is no frame. */
void endpoint_malformed(struct endpoint *endpoint, int64_t now, uint32_t attachment,
                        const struct error *error);

/* A frame to be sent: `head` and behind it `payload`, which borrows from the ring until the next
 * call on this endpoint, and must not be changed. */
struct endpoint_output {
    size_t head_len;
    struct bytes payload;
    uint8_t head[TUNNEL_CONTROL_MAX];
};

/* The next frame for `attachment`, of at most `max` bytes. It counts as sent. */
bool endpoint_take(struct endpoint *endpoint, int64_t now, uint32_t attachment, size_t max,
                   struct endpoint_output *output);
bool endpoint_has_output(const struct endpoint *endpoint, int64_t now, uint32_t attachment);

/* A server's answers on the HTTP carrier: it cannot know whether one arrived until the next request
 * names it. Rewind: what was taken since the last confirmation is to be sent again. */
void endpoint_rewind(struct endpoint *endpoint, uint32_t attachment);
void endpoint_confirm(struct endpoint *endpoint, uint32_t attachment);

/* When endpoint_timer() is to be called, or there will be something to take; INT64_MAX: no need. */
int64_t endpoint_deadline(const struct endpoint *endpoint, int64_t now);
/* ENDPOINT_DEAD or ENDPOINT_NOTHING. */
enum endpoint_event endpoint_timer(struct endpoint *endpoint, int64_t now);

/* The source. Reserve and commit as ring_reserve(): want more than a little only after a read that
 * filled what was given, since what is wanted is allocated. No place: pause the source, and ask
 * again after the next call that changes something. */
uint8_t *endpoint_source_reserve(struct endpoint *endpoint, int64_t now, size_t want, size_t *len);
void endpoint_source_commit(struct endpoint *endpoint, size_t count);
/* Bytes that lie in `block`, without a copy: the block is held until they are acknowledged. False:
 * there is no place for all of them. */
bool endpoint_source_adopt(struct endpoint *endpoint, struct block *block, struct bytes data);
/* Whether there is a place for `want` bytes, or for half of what is ever held. */
bool endpoint_source_has_room(const struct endpoint *endpoint, size_t want);
void endpoint_source_end(struct endpoint *endpoint);
/* Offset of the next byte of the source. */
uint64_t endpoint_source_offset(const struct endpoint *endpoint);

/* The sink. What is fresh lies in the frame that has just come: the sink gets it without a copy,
 * the rest is queued. */
struct bytes endpoint_fresh(const struct endpoint *endpoint);
void endpoint_accept(struct endpoint *endpoint, int64_t now, size_t taken);
/* The front of the queue, as far as it is in one piece. */
struct bytes endpoint_queued(const struct endpoint *endpoint);
void endpoint_consume(struct endpoint *endpoint, int64_t now, size_t count);
/* All was handed on, and no more comes. */
bool endpoint_sink_ended(const struct endpoint *endpoint);
/* Units handed on. */
uint64_t endpoint_sink_offset(const struct endpoint *endpoint);

/* Server: continue elsewhere within so many seconds. Once an attachment is enough. */
void endpoint_move(struct endpoint *endpoint, uint16_t within_s);
/* Client: hands a CancelRequest to the server; best effort, as with Postgres itself. */
void endpoint_cancel(struct endpoint *endpoint, const struct tunnel_cancel *cancel);
/* Server: a COMMIT of this transaction is about to be sent; all replies before its own end at the
 * offset. Told again on each new attachment. */
void endpoint_txn(struct endpoint *endpoint, const struct tunnel_txn *txn);
/* The session is past authentication, so the server keeps it for `retain` when it is detached. */
void endpoint_established(struct endpoint *endpoint);
/* Ends the session at once; text is cut to what fits. For an error that the Postgres client should
 * read, use the source and its end. */
void endpoint_reset(struct endpoint *endpoint, const struct tunnel_reset *reset);

/* Client, after REFUSED as UNKNOWN before it ever was up: the server never got OPEN, and nothing of
 * what followed it. Starts again under another id; only if what was sent may be sent twice. */
void endpoint_reopen(struct endpoint *endpoint, const struct tunnel_id *id,
                     const struct tunnel_key *key);
/* Client: an attempt that begins then or later, and fails, is the last: the server keeps a session
 * no longer than that, once it has noticed the loss. (It may notice up to ENDPOINT_DEAD_MS later,
 * which nobody should wait for.) INT64_MAX: nothing is lost. */
int64_t endpoint_hopeless_at(const struct endpoint *endpoint);

enum endpoint_state endpoint_state(const struct endpoint *endpoint);
const char *endpoint_state_name(enum endpoint_state state);
/* How the session ended; NULL while it has not. `text` borrows from the endpoint. What is queued
 * for the sink still can be handed on. */
const struct tunnel_reset *endpoint_end(const struct endpoint *endpoint);
const struct tunnel_id *endpoint_id(const struct endpoint *endpoint);
const struct tunnel_key *endpoint_key(const struct endpoint *endpoint);
/* Of the server; all zero before OPENED. */
const struct tunnel_terms *endpoint_terms(const struct endpoint *endpoint);
/* Of the last RESUME that was made or accepted; 0: none. */
uint32_t endpoint_attempt(const struct endpoint *endpoint);

/* For logs and metrics. */
struct endpoint_counts {
    uint64_t attachments;
    uint64_t bytes_sent;   /* once each */
    uint64_t bytes_resent; /* beyond that */
    uint64_t bytes_received;
    uint64_t undelivered; /* of the source, as far as known; also when it is over */
    size_t ring;          /* held now */
    size_t queue;         /* held now */
};
struct endpoint_counts endpoint_counts(const struct endpoint *endpoint);

#endif
