/* WebSocket framing (RFC 6455 section 5): a streaming decoder and an encoder, for either end.
 * No extensions: reserved bits are refused. */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include "common/bytes.h"
#include "common/status.h"

enum frame_opcode {
    FRAME_CONTINUATION = 0x0,
    FRAME_TEXT = 0x1,
    FRAME_BINARY = 0x2,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xA,
};

/* Close codes (RFC 6455 section 7.4.1). */
enum {
    FRAME_CLOSE_NORMAL = 1000,
    FRAME_CLOSE_GOING_AWAY = 1001,
    FRAME_CLOSE_PROTOCOL_ERROR = 1002,
    FRAME_CLOSE_UNSUPPORTED = 1003,
    FRAME_CLOSE_NO_STATUS = 1005, /* never on the wire: the Close frame was empty */
    FRAME_CLOSE_BAD_DATA = 1007,
    FRAME_CLOSE_POLICY = 1008,
    FRAME_CLOSE_TOO_BIG = 1009,
    FRAME_CLOSE_INTERNAL = 1011,
};

#define FRAME_HEADER_MAX 14
#define FRAME_CONTROL_MAX 125

enum frame_role { FRAME_CLIENT, FRAME_SERVER };

enum frame_event_type {
    FRAME_EVENT_DATA, /* a piece of a binary or text message, already unmasked */
    FRAME_EVENT_PING, /* payload to be answered in a pong */
    FRAME_EVENT_PONG,
    FRAME_EVENT_CLOSE, /* code and reason; nothing follows */
};

struct frame_event {
    enum frame_event_type type;
    enum frame_opcode message; /* DATA: FRAME_TEXT or FRAME_BINARY */
    bool final;                /* DATA: the last piece of its message */
    uint16_t code;             /* CLOSE */
    struct bytes payload;      /* DATA: borrows from the input; control: from the decoder */
};

/* Decoder state; embedded by value, fields private. */
struct frame_decoder {
    enum frame_role role;
    uint64_t remaining; /* payload bytes of the current frame still to come */
    uint64_t masked_at; /* payload bytes of the current frame seen so far */
    uint8_t mask[4];
    uint8_t header[FRAME_HEADER_MAX];
    uint8_t header_len;
    uint8_t control[FRAME_CONTROL_MAX];
    uint8_t control_len;
    enum frame_opcode opcode;  /* of the current frame */
    enum frame_opcode message; /* of the message it belongs to */
    bool in_frame;
    bool in_message;
    bool fin;
    bool closed;
};

/* `role` is the receiving end: a server expects masked frames, a client unmasked ones. */
void frame_decoder_init(struct frame_decoder *decoder, enum frame_role role);

/* Takes what makes the next event from the front of `in`. STATUS_OK: `event` is set.
 * STATUS_MORE: all of `in` was taken. STATUS_INVALID: a violation; close with `event->code`, whose
 * reason is `error`'s message. Masked payload is unmasked in place, so `in` must be writable memory
 * when role is FRAME_SERVER. */
enum status frame_decode(struct frame_decoder *decoder, struct bytes *in, struct frame_event *event,
                         struct error *error);

/* Writes a header for a final frame and returns its length (2…14). `mask` is NULL for a server's.
 */
size_t frame_encode_header(uint8_t out[FRAME_HEADER_MAX], enum frame_opcode opcode,
                           uint64_t payload_len, const uint8_t mask[4]);

/* out[i] = in[i] ^ mask[(offset + i) % 4]; `out` may equal `in`, else must not overlap it.
 * Word-wide. */
void frame_mask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t mask[4], size_t offset);

/* Masking keys must be unpredictable (RFC 6455 section 10.3): taken from getrandom() a page at a
 * time, since one system call a frame would cost more than the frame. Not thread-safe. */
struct frame_keys {
    uint8_t pool[1024];
    size_t used; /* zeroed means: empty, see frame_keys_init */
};
void frame_keys_init(struct frame_keys *keys);
void frame_keys_next(struct frame_keys *keys, uint8_t mask[4]);

/* A Close frame's payload: code and reason, cut to 123 bytes at a UTF-8 boundary. */
size_t frame_encode_close(uint8_t out[FRAME_CONTROL_MAX], uint16_t code, const char *reason);

#endif
