/* How a Postgres connection starts, where its messages begin, and whether something asked is still
 * unanswered: just enough of the protocol to decline encryption locally, to know when an
 * ErrorResponse may be put in, and what it can say.
 * Postgres documentation, "Frontend/Backend Protocol", chapters "Message Flow" and "Message
 * Formats". No I/O. Bytes that are not Postgres are never an error: they pass. */
#ifndef CLIENT_PGSTART_H
#define CLIENT_PGSTART_H

#include "client/doubt.h"
#include "client/pgscan.h"
#include "common/buffer.h"
#include "common/status.h"
#include "common/tunnel/tunnel_frame.h"

/* A proxy that speaks the protocol accepts no longer start-up packet. */
#define PGSTART_PACKET_MAX 10000

enum pgstart_kind {
    PGSTART_UNKNOWN, /* too few bytes yet */
    PGSTART_SESSION, /* a StartupMessage */
    PGSTART_CANCEL,  /* a CancelRequest: no reply is ever expected */
    PGSTART_OTHER,   /* not Postgres, or an encrypted hello */
};

/* Embedded by value; `kind` may be read, the rest is private. */
struct pgstart {
    enum pgstart_kind kind;
    unsigned declined;     /* requests for encryption answered so far */
    uint32_t startup_left; /* bytes of the StartupMessage that have not come by yet */
    struct pgscan backend;
    struct pgscan frontend;
    uint8_t last_type;     /* of the newest backend message */
    uint8_t transaction;   /* ReadyForQuery's status: 'I', 'T' or 'E'; 0: there was none */
    bool spoke;            /* something was sent behind the StartupMessage */
    bool asked;            /* messages that no ReadyForQuery will follow yet */
    uint32_t unanswered;   /* ReadyForQuery messages to come, beside the first */
    uint64_t received;     /* bytes from the service … */
    uint64_t ready_at;     /* … up to the newest ReadyForQuery; may be read */
    size_t cancel_key_len; /* BackendKeyData: pid and key */
    uint8_t cancel_key[4 + TUNNEL_CANCEL_KEY_MAX];
};

void pgstart_init(struct pgstart *start);

enum pgstart_answer {
    PGSTART_MORE,    /* wait: these bytes could still be a request for encryption */
    PGSTART_DECLINE, /* send 'N', and skip the first PGSTART_REQUEST_LEN bytes */
    PGSTART_PASS,    /* `kind` is known: forward everything from here on */
};

#define PGSTART_REQUEST_LEN 8

/* What to do with the first bytes of a local connection. */
enum pgstart_answer pgstart_begin(struct pgstart *start, struct bytes bytes);

/* Bytes on their way to the service, after PGSTART_PASS. Only of who always calls the second one
 * pgstart_doubt() can be asked. */
void pgstart_sent(struct pgstart *start, size_t count);
void pgstart_sent_bytes(struct pgstart *start, struct bytes bytes);
/* Bytes on their way back. */
void pgstart_received(struct pgstart *start, struct bytes bytes);

/* What may be put between the service's bytes now. */
enum pgstart_place {
    PGSTART_EARLY,       /* nothing: the StartupMessage is not complete */
    PGSTART_BOUNDARY,    /* a message */
    PGSTART_AFTER_ERROR, /* a message; but the last one was an ErrorResponse that says enough */
    PGSTART_INSIDE,      /* nothing: a message has come by in part */
    PGSTART_UNTRACKED,   /* nothing: this is not Postgres, or expects no answer */
};

enum pgstart_place pgstart_place(const struct pgstart *start);

enum doubt pgstart_doubt(const struct pgstart *start);
/* Whether the start-up is behind it, as far as there is one. */
bool pgstart_is_over(const struct pgstart *start);

/* The fields of a CancelRequest (borrowed); false unless it is one, and complete. */
bool pgstart_read_cancel(struct bytes packet, struct tunnel_cancel *cancel);
/* Whether BackendKeyData came by that it fits. */
bool pgstart_fits_cancel(const struct pgstart *start, const struct tunnel_cancel *cancel);

/* Appends a FATAL ErrorResponse. */
void pgstart_write_error(struct buffer *out, const struct error *error);

#endif
