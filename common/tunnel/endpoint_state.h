/* The inside of an endpoint, shared by its own files only. */
#ifndef COMMON_TUNNEL_ENDPOINT_STATE_H
#define COMMON_TUNNEL_ENDPOINT_STATE_H

#include "common/tunnel/endpoint.h"
#include "common/tunnel/pace.h"
#include "common/tunnel/stream.h"

/* What can happen to an endpoint: frames, in the order of their types, and the rest. */
enum endpoint_input {
    INPUT_OPEN,
    INPUT_OPENED,
    INPUT_RESUME,
    INPUT_RESUMED,
    INPUT_MOVE,
    INPUT_CANCEL,
    INPUT_REFUSED,
    INPUT_EXISTS, /* REFUSED because of an OPEN that came before */
    INPUT_DATA,
    INPUT_ACK,
    INPUT_FIN,
    INPUT_RESET,
    INPUT_KEEPALIVE,
    INPUT_TXN,
    INPUT_ATTACH,
    INPUT_DETACH,
    INPUT_DEAD,   /* the attachment is silent */
    INPUT_EXPIRE, /* detached for too long */
    INPUT_DONE,   /* both ends have all, and know it */
    INPUT_ABORT,  /* this end gives up */
    INPUT_REOPEN,
    INPUT_COUNT,
};

struct endpoint {
    const struct endpoint_settings *settings;
    enum endpoint_role role;
    enum endpoint_state state;
    struct tunnel_id id;
    struct tunnel_key key;
    struct tunnel_terms terms; /* the server's; instance 0: not known yet */
    uint32_t peer_max_frame;
    char *info; /* client */
    size_t info_len;

    uint32_t attachment; /* the current one, or 0 */
    uint32_t attachments_made;
    uint32_t attempt; /* of the last RESUME made or accepted */

    struct sender out;
    struct receiver in;
    struct pace pace; /* of `out` */
    uint64_t bytes_resent;
    uint64_t undelivered; /* of the source, when it was over */

    /* Frames that wait to be taken; DATA, FIN and most ACKs follow from the streams. */
    enum tunnel_frame_type handshake; /* OPEN … RESUMED; 0: none */
    struct tunnel_cancel *cancel;     /* its key lies behind it */
    struct tunnel_txn txn;            /* the latest; xid 0: none */
    uint16_t move_within_s;
    bool move_wanted;
    bool move_pending;
    bool txn_pending;
    bool ack_pending; /* the last one may have been lost */
    bool reset_pending;

    int64_t heard_at;      /* the other end's last sign of life */
    int64_t sent_at;       /* ours */
    int64_t waiting_since; /* since when something sent is unacknowledged, if it is */
    int64_t owing_since;   /* since when an ACK is owed, if one is */
    int64_t lost_at;       /* when the last attachment that worked went, or fell silent; INT64_MAX:
                              there was none, or it works */
    int64_t starved_until; /* INT64_MAX: the budget has enough */
    int64_t ping_ms;
    unsigned silent_cuts; /* in a row */
    bool dead_told;
    bool established;

    struct tunnel_reset end; /* in OVER */
    char *end_text;
};

/* Does what the table says for `input`; what it does not foresee is a violation. `frame` belongs to
 * inputs that are frames, and to a server's INPUT_ATTACH by RESUME. */
enum endpoint_event endpoint_input(struct endpoint *endpoint, int64_t now,
                                   enum endpoint_input input, const struct tunnel_frame *frame);
/* The other end violates the protocol: RESET, with `text` to say why. */
void endpoint_violate(struct endpoint *endpoint, int64_t now, const char *text);
/* The last acknowledgement may just have gone or come. */
void endpoint_finish_if_done(struct endpoint *endpoint, int64_t now);
/* When the attachment counts as dead; INT64_MAX: not at all. */
int64_t endpoint_dead_at(const struct endpoint *endpoint);
/* Whether an ACK, or a KEEPALIVE, is due; else when it will be: INT64_MAX for never. */
int64_t endpoint_ack_at(const struct endpoint *endpoint);
int64_t endpoint_keepalive_at(const struct endpoint *endpoint);

#endif
