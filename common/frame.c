/* WebSocket framing: one decoder for both ends, header and Close encoders, masking. */
#include "common/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0F,
    CONTROL = 0x08, /* the bit that opcodes of control frames share */
    MASKED = 0x80,
    LENGTH = 0x7F,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

void frame_decoder_init(struct frame_decoder *decoder, enum frame_role role)
{
    *decoder = (struct frame_decoder){.role = role};
}

static enum status violation(struct frame_decoder *decoder, struct frame_event *event,
                             struct error *error, uint16_t code, const char *text)
{
    decoder->closed = true;
    *event = (struct frame_event){.type = FRAME_EVENT_CLOSE, .code = code};
    return error_set(error, STATUS_INVALID, "08P01", "%s", text);
}

static bool is_control(uint8_t opcode)
{
    return (opcode & CONTROL) != 0;
}

/* What the first two bytes get wrong (RFC 6455 sections 5.1, 5.2, 5.4, 5.5), or NULL. */
static const char *fault_of_start(const struct frame_decoder *decoder, uint8_t first,
                                  uint8_t second)
{
    uint8_t opcode = first & OPCODE;
    bool known = opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);

    if ((first & RESERVED) != 0)
        return "a reserved bit is set in a WebSocket frame";
    if (!known)
        return "a WebSocket frame has an unknown opcode";
    if (((second & MASKED) != 0) != (decoder->role == FRAME_SERVER))
        return decoder->role == FRAME_SERVER ? "a WebSocket frame from a client is not masked"
                                             : "a WebSocket frame from a server is masked";
    if (is_control(opcode) && (first & FIN) == 0)
        return "a WebSocket control frame is fragmented";
    if (is_control(opcode) && (second & LENGTH) > FRAME_CONTROL_MAX)
        return "a WebSocket control frame is longer than 125 bytes";
    if (opcode == FRAME_CONTINUATION && !decoder->in_message)
        return "a WebSocket continuation frame continues nothing";
    if ((opcode == FRAME_TEXT || opcode == FRAME_BINARY) && decoder->in_message)
        return "a WebSocket message begins inside another one";
    return NULL;
}

static size_t extended_length_size(uint8_t second)
{
    uint8_t length = second & LENGTH;

    return length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
}

/* Length of the header so far known: two bytes until these say more. */
static size_t header_size(const struct frame_decoder *decoder)
{
    if (decoder->header_len < 2)
        return 2;
    uint8_t second = decoder->header[1];
    return 2 + extended_length_size(second) + ((second & MASKED) != 0 ? sizeof decoder->mask : 0);
}

/* Reads the length of a complete header; returns what is wrong with it, or NULL. */
static const char *take_length(struct frame_decoder *decoder)
{
    uint8_t length = decoder->header[1] & LENGTH;
    struct bytes field = bytes_of(decoder->header + 2, extended_length_size(decoder->header[1]));
    uint64_t value = field.len == 0 ? length : 0;

    for (size_t i = 0; i < field.len; i++)
        value = value << 8 | field.data[i];
    if (value >> 63 != 0)
        return "a WebSocket frame's length has its top bit set";
    if ((length == LENGTH_16 && value < LENGTH_16) || (length == LENGTH_64 && value <= UINT16_MAX))
        return "a WebSocket frame's length is not in its shortest form";
    decoder->remaining = value;
    return NULL;
}

static void start_frame(struct frame_decoder *decoder)
{
    uint8_t opcode = decoder->header[0] & OPCODE;

    if ((decoder->header[1] & MASKED) != 0)
        memcpy(decoder->mask, decoder->header + decoder->header_len - sizeof decoder->mask,
               sizeof decoder->mask);
    decoder->opcode = (enum frame_opcode)opcode;
    decoder->masked_at = 0;
    decoder->control_len = 0;
    decoder->header_len = 0;
    decoder->in_frame = true;
    if (is_control(opcode))
        return;
    if (opcode != FRAME_CONTINUATION)
        decoder->message = decoder->opcode;
    decoder->fin = (decoder->header[0] & FIN) != 0;
    decoder->in_message = true;
}

static enum status take_header(struct frame_decoder *decoder, struct bytes *in,
                               struct frame_event *event, struct error *error)
{
    while (decoder->header_len < header_size(decoder)) {
        const char *fault;

        if (!bytes_take_u8(in, &decoder->header[decoder->header_len]))
            return STATUS_MORE;
        decoder->header_len++;
        /* Judged at once, not when the length is there: what follows may never come. */
        if (decoder->header_len == 2 &&
            (fault = fault_of_start(decoder, decoder->header[0], decoder->header[1])) != NULL)
            return violation(decoder, event, error, FRAME_CLOSE_PROTOCOL_ERROR, fault);
    }
    const char *fault = take_length(decoder);
    if (fault != NULL)
        return violation(decoder, event, error, FRAME_CLOSE_PROTOCOL_ERROR, fault);
    start_frame(decoder);
    return STATUS_OK;
}

/* Takes what is there of the current frame's payload, unmasked in place. */
static struct bytes take_payload(struct frame_decoder *decoder, struct bytes *in)
{
    struct bytes piece = *in;

    if (piece.len > decoder->remaining)
        piece = bytes_first(piece, (size_t)decoder->remaining);
    /* The contract makes a server's input writable; the view type is shared with readers. */
    if (decoder->role == FRAME_SERVER && piece.len > 0)
        frame_mask((uint8_t *)(uintptr_t)piece.data, piece.data, piece.len, decoder->mask,
                   (size_t)(decoder->masked_at % sizeof decoder->mask));
    *in = bytes_skip(*in, piece.len);
    decoder->masked_at += piece.len;
    decoder->remaining -= piece.len;
    return piece;
}

/* True when the piece makes an event; an empty piece that ends nothing makes none. */
static bool take_data(struct frame_decoder *decoder, struct bytes *in, struct frame_event *event)
{
    struct bytes piece = take_payload(decoder, in);
    bool frame_ends = decoder->remaining == 0;
    bool final = frame_ends && decoder->fin;

    *event = (struct frame_event){
        .type = FRAME_EVENT_DATA, .message = decoder->message, .final = final, .payload = piece};
    if (frame_ends)
        decoder->in_frame = false;
    if (final)
        decoder->in_message = false;
    return final || piece.len > 0;
}

/* Codes that may be on the wire (RFC 6455 section 7.4, and IANA's registry: 1012 to 1014). */
static bool is_close_code(uint16_t code)
{
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

static enum status take_close(struct frame_decoder *decoder, struct frame_event *event,
                              struct error *error)
{
    struct bytes payload = event->payload;

    event->code = FRAME_CLOSE_NO_STATUS;
    if (payload.len > 0 && !bytes_take_u16(&payload, &event->code))
        return violation(decoder, event, error, FRAME_CLOSE_PROTOCOL_ERROR,
                         "a WebSocket close frame holds half a code");
    if (event->code != FRAME_CLOSE_NO_STATUS || event->payload.len > 0)
        if (!is_close_code(event->code))
            return violation(decoder, event, error, FRAME_CLOSE_PROTOCOL_ERROR,
                             "a WebSocket close frame has a code that may not be sent");
    if (!bytes_is_utf8(payload))
        return violation(decoder, event, error, FRAME_CLOSE_BAD_DATA,
                         "the reason in a WebSocket close frame is not UTF-8");
    event->payload = payload;
    decoder->closed = true;
    return STATUS_OK;
}

static enum status take_control(struct frame_decoder *decoder, struct bytes *in,
                                struct frame_event *event, struct error *error)
{
    struct bytes piece = take_payload(decoder, in);

    if (piece.len > 0)
        memcpy(decoder->control + decoder->control_len, piece.data, piece.len);
    decoder->control_len = (uint8_t)(decoder->control_len + piece.len);
    if (decoder->remaining > 0)
        return STATUS_MORE;

    decoder->in_frame = false;
    *event = (struct frame_event){.payload = bytes_of(decoder->control, decoder->control_len)};
    if (decoder->opcode == FRAME_CLOSE) {
        event->type = FRAME_EVENT_CLOSE;
        return take_close(decoder, event, error);
    }
    event->type = decoder->opcode == FRAME_PING ? FRAME_EVENT_PING : FRAME_EVENT_PONG;
    return STATUS_OK;
}

enum status frame_decode(struct frame_decoder *decoder, struct bytes *in, struct frame_event *event,
                         struct error *error)
{
    while (!decoder->closed) {
        if (!decoder->in_frame) {
            enum status status = take_header(decoder, in, event, error);
            if (status != STATUS_OK)
                return status;
        }
        if (is_control((uint8_t)decoder->opcode))
            return take_control(decoder, in, event, error);
        if (take_data(decoder, in, event))
            return STATUS_OK;
        if (decoder->in_frame)
            return STATUS_MORE; /* payload is due, and `in` is empty */
    }
    *in = bytes_skip(*in, in->len);
    return STATUS_MORE;
}

size_t frame_encode_header(uint8_t out[FRAME_HEADER_MAX], enum frame_opcode opcode,
                           uint64_t payload_len, const uint8_t mask[4])
{
    size_t field = payload_len < LENGTH_16 ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
    uint8_t length = field == 0   ? (uint8_t)payload_len
                     : field == 2 ? (uint8_t)LENGTH_16
                                  : (uint8_t)LENGTH_64;

    out[0] = (uint8_t)(FIN | opcode);
    out[1] = (uint8_t)(length | (mask != NULL ? MASKED : 0));
    for (size_t i = 0; i < field; i++)
        out[2 + i] = (uint8_t)(payload_len >> (8 * (field - 1 - i)));
    if (mask == NULL)
        return 2 + field;
    memcpy(out + 2 + field, mask, 4);
    return 2 + field + 4;
}

/* Two words; every compiler turns it into the machine's vectors, and leaves it in registers, which
 * it does not do with an array of words. */
typedef uint64_t mask_lane __attribute__((vector_size(16)));

void frame_mask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t mask[4], size_t offset)
{
    enum { LANES = 4 };
    uint8_t turned[sizeof(uint64_t)];
    uint64_t word;

    for (size_t i = 0; i < sizeof turned; i++)
        turned[i] = mask[(offset + i) % 4];
    memcpy(&word, turned, sizeof word);

    /* Bulk speed hangs on this loop. memcpy() is how C spells an unaligned load. A multiple of 8
     * keeps the phase. */
    const mask_lane key = {word, word};
    while (len >= LANES * sizeof key) {
        mask_lane a, b, c, d;
        memcpy(&a, in, sizeof a);
        memcpy(&b, in + sizeof a, sizeof b);
        memcpy(&c, in + 2 * sizeof a, sizeof c);
        memcpy(&d, in + 3 * sizeof a, sizeof d);
        a ^= key;
        b ^= key;
        c ^= key;
        d ^= key;
        memcpy(out, &a, sizeof a);
        memcpy(out + sizeof a, &b, sizeof b);
        memcpy(out + 2 * sizeof a, &c, sizeof c);
        memcpy(out + 3 * sizeof a, &d, sizeof d);
        in += LANES * sizeof key;
        out += LANES * sizeof key;
        len -= LANES * sizeof key;
    }
    for (size_t i = 0; i < len; i++)
        out[i] = in[i] ^ turned[i % sizeof turned];
}

void frame_keys_init(struct frame_keys *keys)
{
    *keys = (struct frame_keys){.used = sizeof keys->pool};
}

static void refill(struct frame_keys *keys)
{
    size_t filled = 0;

    while (filled < sizeof keys->pool) {
        ssize_t count = getrandom(keys->pool + filled, sizeof keys->pool - filled, 0);
        if (count > 0)
            filled += (size_t)count;
        else if (errno != EINTR)
            abort(); /* predictable keys would be worse than stopping */
    }
    keys->used = 0;
}

void frame_keys_next(struct frame_keys *keys, uint8_t mask[4])
{
    if (sizeof keys->pool - keys->used < 4)
        refill(keys);
    memcpy(mask, keys->pool + keys->used, 4);
    keys->used += 4;
}

size_t frame_encode_close(uint8_t out[FRAME_CONTROL_MAX], uint16_t code, const char *reason)
{
    struct bytes text = bytes_of_string(reason == NULL ? "" : reason);
    size_t len = bytes_utf8_cut(text, FRAME_CONTROL_MAX - sizeof code);

    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (len > 0)
        memcpy(out + sizeof code, text.data, len);
    return sizeof code + len;
}
