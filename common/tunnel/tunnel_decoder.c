/* A small state machine that looks at a frame's first bytes and then knows whether to collect it,
 * to pass it through or to skip it. */
#include "common/tunnel/tunnel_decoder.h"

#include <assert.h>

void tunnel_decoder_init(struct tunnel_decoder *decoder, enum tunnel_framing framing,
                         uint32_t max_frame)
{
    *decoder = (struct tunnel_decoder){.framing = framing, .max_frame = max_frame};
    buffer_init(&decoder->held, TUNNEL_CONTROL_MAX);
}

void tunnel_decoder_clear(struct tunnel_decoder *decoder)
{
    buffer_clear(&decoder->held);
    decoder->state = TUNNEL_DECODER_START;
    decoder->seen = 0;
}

bool tunnel_decoder_is_inside(const struct tunnel_decoder *decoder)
{
    bool between = decoder->state == TUNNEL_DECODER_START || decoder->state == TUNNEL_DECODER_DONE;

    return !between || (decoder->state == TUNNEL_DECODER_START && buffer_len(&decoder->held) > 0);
}

static enum status broken(struct tunnel_decoder *decoder, struct error *error, const char *text)
{
    decoder->state = TUNNEL_DECODER_BROKEN;
    return error_set(error, STATUS_INVALID, "08P01", "%s", text);
}

/* What `in` holds of the current frame, and whether the frame ends with it. */
static struct bytes chunk_of(const struct tunnel_decoder *decoder, struct bytes in, bool last,
                             bool *ends)
{
    if (decoder->framing == TUNNEL_MESSAGES) {
        *ends = last;
        return in;
    }
    size_t remaining = decoder->frame_len - decoder->seen;
    *ends = in.len >= remaining;
    return bytes_first(in, remaining);
}

static void use(struct tunnel_decoder *decoder, struct bytes *in, size_t count)
{
    *in = bytes_skip(*in, count);
    decoder->seen += count;
}

/* Moves bytes from `in` to `held` until it has `wanted` of them; false: more are needed. */
static bool hold(struct tunnel_decoder *decoder, struct bytes *in, size_t wanted)
{
    size_t missing = wanted - buffer_len(&decoder->held);
    struct bytes part = bytes_first(*in, missing);

    buffer_append(&decoder->held, part);
    *in = bytes_skip(*in, part.len);
    return part.len == missing;
}

/* STATUS_OK: a frame begins. */
static enum status begin(struct tunnel_decoder *decoder, struct bytes *in, struct error *error)
{
    uint32_t len;

    if (in->len == 0)
        return STATUS_MORE;
    if (decoder->framing == TUNNEL_LENGTHS) {
        if (!hold(decoder, in, TUNNEL_LENGTH_SIZE))
            return STATUS_MORE;
        struct bytes held = buffer_peek(&decoder->held);
        bytes_take_u32(&held, &len);
        buffer_clear(&decoder->held);
        if (len == 0 || len > decoder->max_frame)
            return broken(decoder, error, "the length of a tunnel frame is out of range");
        decoder->frame_len = len;
    }
    decoder->seen = 0;
    decoder->state = TUNNEL_DECODER_HELD;
    return STATUS_OK;
}

static uint8_t type_of(const struct tunnel_decoder *decoder, struct bytes chunk)
{
    struct bytes held = buffer_peek(&decoder->held);

    return held.len > 0 ? held.data[0] : chunk.data[0];
}

/* A frame that is not DATA: decoded where it lies if it is whole, else collected. */
static enum status take_control(struct tunnel_decoder *decoder, struct bytes *in,
                                struct bytes chunk, bool ends, struct tunnel_frame *frame,
                                struct error *error)
{
    bool whole = ends && buffer_len(&decoder->held) == 0;

    use(decoder, in, chunk.len);
    if (!whole && !buffer_append(&decoder->held, chunk))
        return broken(decoder, error, "a tunnel frame is longer than any of its type");
    if (!ends)
        return STATUS_MORE;

    struct bytes message = whole ? chunk : buffer_peek(&decoder->held);
    if (tunnel_frame_decode(message, frame, error) != STATUS_OK) {
        decoder->state = TUNNEL_DECODER_BROKEN;
        return STATUS_INVALID;
    }
    decoder->state = whole ? TUNNEL_DECODER_START : TUNNEL_DECODER_DONE;
    return STATUS_OK;
}

/* The header of a DATA frame. STATUS_OK: its bytes follow. */
static enum status take_data_header(struct tunnel_decoder *decoder, struct bytes *in,
                                    struct bytes chunk, bool ends, struct error *error)
{
    struct bytes rest = chunk;
    struct bytes header;
    bool complete = hold(decoder, &rest, TUNNEL_DATA_HEADER);

    use(decoder, in, chunk.len - rest.len);
    if (!complete)
        return ends ? broken(decoder, error, "a DATA frame is cut short") : STATUS_MORE;
    header = bytes_skip(buffer_peek(&decoder->held), 1);
    bytes_take_u64(&header, &decoder->offset);
    buffer_clear(&decoder->held);
    if (decoder->offset > TUNNEL_OFFSET_MAX)
        return broken(decoder, error, "the offset of a DATA frame is out of range");
    decoder->state = TUNNEL_DECODER_DATA;
    return STATUS_OK;
}

/* The next piece of a DATA frame; STATUS_MORE also at an end without bytes. */
static enum status take_data(struct tunnel_decoder *decoder, struct bytes *in, bool last,
                             struct tunnel_frame *frame, struct error *error)
{
    bool ends;
    struct bytes chunk = chunk_of(decoder, *in, last, &ends);

    if (decoder->seen + chunk.len > decoder->max_frame)
        return broken(decoder, error, "a tunnel frame is longer than announced");
    use(decoder, in, chunk.len);
    if (ends)
        decoder->state = TUNNEL_DECODER_START;
    if (chunk.len == 0)
        return ends && decoder->seen == TUNNEL_DATA_HEADER
                   ? broken(decoder, error, "a DATA frame has no bytes")
                   : STATUS_MORE;
    *frame = (struct tunnel_frame){
        .type = TUNNEL_DATA,
        .data = {.offset = decoder->offset, .bytes = chunk},
    };
    decoder->offset += chunk.len;
    return STATUS_OK;
}

static enum status skip(struct tunnel_decoder *decoder, struct bytes *in, bool last,
                        struct error *error)
{
    bool ends;
    struct bytes chunk = chunk_of(decoder, *in, last, &ends);

    if (decoder->seen + chunk.len > decoder->max_frame)
        return broken(decoder, error, "a tunnel frame is longer than announced");
    use(decoder, in, chunk.len);
    if (!ends)
        return STATUS_MORE;
    decoder->state = TUNNEL_DECODER_START;
    return STATUS_OK;
}

/* At the first bytes of a frame. */
static enum status classify(struct tunnel_decoder *decoder, struct bytes *in, bool last,
                            struct tunnel_frame *frame, struct error *error, bool *is_frame)
{
    bool ends;
    struct bytes chunk = chunk_of(decoder, *in, last, &ends);

    if (chunk.len == 0 && !ends)
        return STATUS_MORE;
    uint8_t type = type_of(decoder, chunk);
    if (type == TUNNEL_DATA)
        return take_data_header(decoder, in, chunk, ends, error);
    if (type >= TUNNEL_IGNORED) {
        decoder->state = TUNNEL_DECODER_SKIP;
        return STATUS_OK;
    }
    *is_frame = true;
    return take_control(decoder, in, chunk, ends, frame, error);
}

/* One step; STATUS_OK without `*is_frame`: go on. */
static enum status step(struct tunnel_decoder *decoder, struct bytes *in, bool last,
                        struct tunnel_frame *frame, struct error *error, bool *is_frame)
{
    switch (decoder->state) {
    case TUNNEL_DECODER_DONE:
        buffer_clear(&decoder->held);
        decoder->state = TUNNEL_DECODER_START;
        return STATUS_OK;
    case TUNNEL_DECODER_START:
        return begin(decoder, in, error);
    case TUNNEL_DECODER_HELD:
        return classify(decoder, in, last, frame, error, is_frame);
    case TUNNEL_DECODER_DATA:
        *is_frame = true;
        return take_data(decoder, in, last, frame, error);
    case TUNNEL_DECODER_SKIP:
        return skip(decoder, in, last, error);
    case TUNNEL_DECODER_BROKEN:
        break;
    }
    return error_set(error, STATUS_INVALID, "08P01", "nothing follows a malformed tunnel frame");
}

enum status tunnel_decode(struct tunnel_decoder *decoder, struct bytes *in, bool last,
                          struct tunnel_frame *frame, struct error *error)
{
    bool is_frame = false;
    enum status status;

    do
        status = step(decoder, in, last, frame, error, &is_frame);
    while (status == STATUS_OK && !is_frame);
    assert(status != STATUS_MORE || in->len == 0);
    return status;
}
