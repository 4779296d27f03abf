/* Frames out of what a carrier delivers, in whatever pieces. DATA passes through in pieces, each a
 * DATA frame of its own: a frame cut short counts as far as it came, and no byte is copied.
 *
 * One decoder an attachment, since its first frame says which session it is for. */
#ifndef COMMON_TUNNEL_TUNNEL_DECODER_H
#define COMMON_TUNNEL_TUNNEL_DECODER_H

#include "common/buffer.h"
#include "common/tunnel/tunnel_frame.h"

enum tunnel_framing {
    TUNNEL_MESSAGES, /* the carrier says where a frame ends: WebSocket */
    TUNNEL_LENGTHS,  /* each frame is behind its length: HTTP */
};

/* Embedded by value; fields private. */
struct tunnel_decoder {
    enum tunnel_framing framing;
    uint32_t max_frame;
    struct buffer held; /* a length, or a frame (of DATA the header), of which more is to come */
    size_t seen;        /* of the current frame */
    size_t frame_len;   /* TUNNEL_LENGTHS: of the current frame */
    uint64_t offset;    /* DATA: of its next byte */
    enum {
        TUNNEL_DECODER_START, /* between frames */
        TUNNEL_DECODER_HELD,  /* in a frame that is collected */
        TUNNEL_DECODER_DATA,
        TUNNEL_DECODER_SKIP, /* in a frame of a type that is ignored */
        TUNNEL_DECODER_DONE, /* the last frame given borrows from `held` */
        TUNNEL_DECODER_BROKEN,
    } state;
};

/* `max_frame` is what this end has announced; longer frames are a violation. */
void tunnel_decoder_init(struct tunnel_decoder *decoder, enum tunnel_framing framing,
                         uint32_t max_frame);
/* Throws away what was begun; ready for a new carrier. */
void tunnel_decoder_clear(struct tunnel_decoder *decoder);

/* Takes what makes the next frame, or a piece of a DATA frame, from the front of `in`; to be called
 * until it gives STATUS_MORE: all of `in` was taken. STATUS_OK: `frame` is set and borrows from
 * `in` or from the decoder until the next call. STATUS_INVALID: nothing more can be decoded.
 * `last` says that `in` ends its message (TUNNEL_MESSAGES only). Empty messages are ignored. */
enum status tunnel_decode(struct tunnel_decoder *decoder, struct bytes *in, bool last,
                          struct tunnel_frame *frame, struct error *error);

/* Whether a frame has begun and is not complete: a body that ends here was cut short. */
bool tunnel_decoder_is_inside(const struct tunnel_decoder *decoder);

#endif
