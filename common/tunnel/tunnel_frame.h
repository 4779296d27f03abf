/* The frames of electric-tunnel.v1: their fields, and their bytes.
 *
 * A frame is a type byte and fields, integers big-endian. On a WebSocket one message is one frame;
 * on the HTTP carrier each frame stands behind its length as u32. Each frame has exactly one
 * encoding: what decodes encodes to the same bytes. */
#ifndef COMMON_TUNNEL_TUNNEL_FRAME_H
#define COMMON_TUNNEL_TUNNEL_FRAME_H

#include "common/bytes.h"
#include "common/status.h"

enum tunnel_frame_type {
    TUNNEL_OPEN = 0x01,    /* client: a new session */
    TUNNEL_OPENED = 0x02,  /* server: here it is */
    TUNNEL_RESUME = 0x03,  /* client: this carrier continues a session */
    TUNNEL_RESUMED = 0x04, /* server: it does */
    TUNNEL_MOVE = 0x05,    /* server: continue on another carrier soon */
    TUNNEL_CANCEL = 0x06,  /* client: a CancelRequest for the session's backend */
    TUNNEL_REFUSED = 0x07, /* server: not on this carrier; the session, if any, is as it was */
    TUNNEL_DATA = 0x10,
    TUNNEL_ACK = 0x11,
    TUNNEL_FIN = 0x12,       /* no byte follows */
    TUNNEL_RESET = 0x13,     /* the session is gone */
    TUNNEL_KEEPALIVE = 0x14, /* a sign of life */
    TUNNEL_TXN = 0x15,       /* server: a COMMIT is about to be sent */
    TUNNEL_IGNORED = 0x80,   /* from here on: types of later versions that may be ignored */
};

enum {
    TUNNEL_TEXT_MAX = 1024,      /* info, and the texts of REFUSED and RESET */
    TUNNEL_CANCEL_KEY_MAX = 256, /* as in protocol 3.2 of Postgres */
    TUNNEL_DATA_HEADER = 9,
    TUNNEL_CONTROL_MAX = 1088, /* no frame but DATA is longer; the longest is OPEN */
    TUNNEL_LENGTH_SIZE = 4,    /* in front of each frame on the HTTP carrier */
    TUNNEL_PROOF_SIZE = 16,
};

/* Both ends take at least this much, in all and in one frame: what a client may send before it is
 * answered. (The simulation has smaller ones, so that few bytes fill a window.) */
#ifndef TUNNEL_WINDOW_MIN
#define TUNNEL_WINDOW_MIN (64u * 1024u)
#endif
#ifndef TUNNEL_FRAME_MIN
#define TUNNEL_FRAME_MIN (16u * 1024u)
#endif

/* Offsets stay far away from wrapping round. */
#define TUNNEL_OFFSET_MAX (UINT64_C(1) << 62)

/* Why a carrier was refused. The session, if there is one, is as it was. */
#define TUNNEL_REFUSAL_LIST(X)                                                     \
    X(UNKNOWN, 1, "no such session")                   /* RESUME, instance zero */ \
    X(NOT_HERE, 2, "the session is on another server") /* may come; retry */       \
    X(STALE, 3, "a later attempt has been accepted")                               \
    X(DENIED, 4, "not authorised for this session")                                \
    X(EXISTS, 5, "a session of this id exists") /* OPEN came twice: RESUME */      \
    X(DRAINING, 6, "the server is shutting down")                                  \
    X(FULL, 7, "the server has too many sessions")                                 \
    X(MALFORMED, 8, "the first frame is malformed")

enum tunnel_refusal {
    TUNNEL_REFUSAL_NONE,
#define TUNNEL_REFUSAL_ENUM(name, value, text) TUNNEL_REFUSAL_##name = (value),
    TUNNEL_REFUSAL_LIST(TUNNEL_REFUSAL_ENUM)
#undef TUNNEL_REFUSAL_ENUM
};

/* Why a session is gone. */
#define TUNNEL_END_LIST(X)                                                          \
    X(FINISHED, 0, "both ends have finished") /* answers a RESUME that came late */ \
    X(PROTOCOL, 1, "protocol violation")                                            \
    X(EXPIRED, 2, "the session was detached for too long")                          \
    X(SHUTDOWN, 3, "the server shut down")                                          \
    X(LOST, 4, "the server that had the session is gone")                           \
    X(LIMIT, 5, "too many detached sessions")                                       \
    X(ABORTED, 6, "aborted")                                                        \
    X(INTERNAL, 7, "internal error")

enum tunnel_end {
#define TUNNEL_END_ENUM(name, value, text) TUNNEL_END_##name = (value),
    TUNNEL_END_LIST(TUNNEL_END_ENUM)
#undef TUNNEL_END_ENUM
};

/* What became of the transaction that was open, or of the COMMIT under way. */
#define TUNNEL_OUTCOME_LIST(X)                                \
    X(NONE, 0, "no transaction was open")                     \
    X(COMMITTED, 1, "the transaction was committed")          \
    X(ROLLED_BACK, 2, "the transaction was rolled back")      \
    X(IN_PROGRESS, 3, "the transaction is still in progress") \
    X(UNKNOWN, 4, "whether the transaction was committed is unknown")

enum tunnel_outcome {
#define TUNNEL_OUTCOME_ENUM(name, value, text) TUNNEL_OUTCOME_##name = (value),
    TUNNEL_OUTCOME_LIST(TUNNEL_OUTCOME_ENUM)
#undef TUNNEL_OUTCOME_ENUM
};

/* For logs and messages; never NULL, also for numbers a later version may send. */
const char *tunnel_frame_name(unsigned type);
const char *tunnel_refusal_text(unsigned reason);
const char *tunnel_end_text(unsigned reason);
const char *tunnel_outcome_text(unsigned outcome);

struct tunnel_id {
    uint8_t bytes[16];
};

struct tunnel_key {
    uint8_t bytes[32];
};

struct tunnel_seal {
    uint8_t bytes[32];
};

struct tunnel_open {
    struct tunnel_id id;
    struct tunnel_key key;
    uint32_t window;    /* what the sender of this frame takes unacknowledged */
    uint32_t max_frame; /* and in one frame */
    struct bytes info;  /* lines key=value, each ended by a newline */
};

struct tunnel_terms {
    uint64_t instance; /* random per server process, never 0 */
    uint32_t window;
    uint32_t max_frame;
    uint16_t retain_s; /* how long a detached session is kept */
    uint16_t ping_s;   /* longest silence */
};

struct tunnel_resume {
    struct tunnel_id id;
    uint64_t instance; /* 0: the client has not heard from the server yet */
    uint32_t attempt;
    uint64_t next;
    struct tunnel_seal seal;
};

struct tunnel_resumed {
    uint32_t attempt;
    uint64_t next;
    struct tunnel_terms terms;
};

struct tunnel_cancel {
    uint32_t pid;
    struct bytes key;
};

struct tunnel_refused {
    uint16_t reason; /* enum tunnel_refusal */
    uint16_t retry_after_s;
    struct bytes text;
};

struct tunnel_data {
    uint64_t offset;
    struct bytes bytes;
};

struct tunnel_reset {
    uint16_t reason; /* enum tunnel_end */
    uint8_t outcome; /* enum tunnel_outcome */
    uint64_t xid;    /* of the transaction in question; 0: none is known */
    struct bytes text;
};

/* `offset` says which reply is the COMMIT's: the first ReadyForQuery behind it. Without it this
 * frame, which overtakes DATA, would seem answered by the reply of the statement before. */
struct tunnel_txn {
    uint64_t xid;
    uint64_t offset;     /* of the server's stream */
    uint64_t system;     /* which Postgres, by its system identifier, … */
    uint32_t timeline;   /* … its history, which forks when a standby takes over, … */
    uint64_t generation; /* … and since which crash, after which it may give a number out again */
    uint8_t proof[TUNNEL_PROOF_SIZE]; /* entitles to ask any server for this one's outcome */
};

/* Plain value; views borrow. */
struct tunnel_frame {
    enum tunnel_frame_type type;
    union {
        struct tunnel_open open;
        struct tunnel_terms opened;
        struct tunnel_resume resume;
        struct tunnel_resumed resumed;
        uint16_t move_within_s;
        struct tunnel_cancel cancel;
        struct tunnel_refused refused;
        struct tunnel_data data;
        uint64_t ack; /* units handed on: bytes, and one for FIN */
        uint64_t fin; /* offset of the end */
        struct tunnel_reset reset;
        struct tunnel_txn txn;
    };
};

/* A whole frame. STATUS_INVALID: `error` says what is wrong. Types from TUNNEL_IGNORED on decode to
 * that type. */
enum status tunnel_frame_decode(struct bytes message, struct tunnel_frame *frame,
                                struct error *error);
/* The frame, DATA without its bytes; returns its length. Texts must be within their limits. */
size_t tunnel_frame_encode(const struct tunnel_frame *frame, uint8_t out[TUNNEL_CONTROL_MAX]);

/* Of the frame inside the 4 bytes in front of it, for the HTTP carrier. */
void tunnel_frame_put_length(uint8_t out[TUNNEL_LENGTH_SIZE], size_t frame_len);

/* Whether `info` may stand in OPEN. */
bool tunnel_info_is_valid(struct bytes info);
/* UTF-8 without control characters, within the limit. */
bool tunnel_text_is_valid(struct bytes text);

bool tunnel_id_equal(const struct tunnel_id *a, const struct tunnel_id *b);
/* What a balancer pins by: the first 8 bytes in hex, and a NUL. */
void tunnel_id_route(const struct tunnel_id *id, char out[17]);
/* In hex, and a NUL. */
void tunnel_proof_text(const uint8_t proof[TUNNEL_PROOF_SIZE], char out[2 * TUNNEL_PROOF_SIZE + 1]);

#endif
