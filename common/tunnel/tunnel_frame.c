/* Encoding and decoding of tunnel frames, field by field. */
#include "common/tunnel/tunnel_frame.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *tunnel_frame_name(unsigned type)
{
    switch (type) {
    case TUNNEL_OPEN:
        return "OPEN";
    case TUNNEL_OPENED:
        return "OPENED";
    case TUNNEL_RESUME:
        return "RESUME";
    case TUNNEL_RESUMED:
        return "RESUMED";
    case TUNNEL_MOVE:
        return "MOVE";
    case TUNNEL_CANCEL:
        return "CANCEL";
    case TUNNEL_REFUSED:
        return "REFUSED";
    case TUNNEL_DATA:
        return "DATA";
    case TUNNEL_ACK:
        return "ACK";
    case TUNNEL_FIN:
        return "FIN";
    case TUNNEL_RESET:
        return "RESET";
    case TUNNEL_KEEPALIVE:
        return "KEEPALIVE";
    case TUNNEL_TXN:
        return "TXN";
    default:
        return "unknown";
    }
}

#define TEXT_CASE(name, value, text) \
    case (value):                    \
        return text;

const char *tunnel_refusal_text(unsigned reason)
{
    switch (reason) {
        TUNNEL_REFUSAL_LIST(TEXT_CASE)
    default:
        return "refused for a reason this version does not know";
    }
}

const char *tunnel_end_text(unsigned reason)
{
    switch (reason) {
        TUNNEL_END_LIST(TEXT_CASE)
    default:
        return "ended for a reason this version does not know";
    }
}

const char *tunnel_outcome_text(unsigned outcome)
{
    switch (outcome) {
        TUNNEL_OUTCOME_LIST(TEXT_CASE)
    default:
        return "whether the transaction was committed is unknown";
    }
}

/* Texts */

/* As bytes_is_utf8(), and no control character but those in `allowed`. */
static bool is_printable(struct bytes text, char allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] < 0x20 && text.data[i] != (uint8_t)allowed) || text.data[i] == 0x7F)
            return false;
    return bytes_is_utf8(text);
}

bool tunnel_text_is_valid(struct bytes text)
{
    return text.len <= TUNNEL_TEXT_MAX && is_printable(text, ' ');
}

bool tunnel_info_is_valid(struct bytes info)
{
    if (info.len > TUNNEL_TEXT_MAX || !is_printable(info, '\n'))
        return false;
    while (info.len > 0) {
        const uint8_t *end = memchr(info.data, '\n', info.len);
        if (end == NULL)
            return false;
        size_t line = (size_t)(end - info.data);
        const uint8_t *equals = memchr(info.data, '=', line);
        if (equals == NULL || equals == info.data)
            return false;
        info = bytes_skip(info, line + 1);
    }
    return true;
}

/* Decoding: each takes its fields from the front of `in`, and says what is wrong or NULL. */

static bool take_array(struct bytes *in, uint8_t *out, size_t len)
{
    struct bytes field;

    if (!bytes_take(in, len, &field))
        return false;
    memcpy(out, field.data, len);
    return true;
}

static bool take_offset(struct bytes *in, uint64_t *out)
{
    return bytes_take_u64(in, out) && *out <= TUNNEL_OFFSET_MAX;
}

static bool are_limits_valid(uint32_t window, uint32_t max_frame)
{
    return window >= TUNNEL_WINDOW_MIN && max_frame >= TUNNEL_FRAME_MIN;
}

static bool take_rest(struct bytes *in, struct bytes *out)
{
    return bytes_take(in, in->len, out);
}

static bool take_text(struct bytes *in, struct bytes *text)
{
    return take_rest(in, text) && tunnel_text_is_valid(*text);
}

static bool take_open(struct bytes *in, struct tunnel_open *open)
{
    return take_array(in, open->id.bytes, sizeof open->id.bytes) &&
           take_array(in, open->key.bytes, sizeof open->key.bytes) &&
           bytes_take_u32(in, &open->window) && bytes_take_u32(in, &open->max_frame) &&
           are_limits_valid(open->window, open->max_frame) && take_rest(in, &open->info) &&
           tunnel_info_is_valid(open->info);
}

static bool take_terms(struct bytes *in, struct tunnel_terms *terms)
{
    return bytes_take_u64(in, &terms->instance) && terms->instance != 0 &&
           bytes_take_u32(in, &terms->window) && bytes_take_u32(in, &terms->max_frame) &&
           are_limits_valid(terms->window, terms->max_frame) &&
           bytes_take_u16(in, &terms->retain_s) && bytes_take_u16(in, &terms->ping_s) &&
           terms->ping_s > 0;
}

static bool take_resume(struct bytes *in, struct tunnel_resume *resume)
{
    return take_array(in, resume->id.bytes, sizeof resume->id.bytes) &&
           bytes_take_u64(in, &resume->instance) && bytes_take_u32(in, &resume->attempt) &&
           take_offset(in, &resume->next) &&
           take_array(in, resume->seal.bytes, sizeof resume->seal.bytes);
}

static bool take_resumed(struct bytes *in, struct tunnel_resumed *resumed)
{
    return bytes_take_u32(in, &resumed->attempt) && take_offset(in, &resumed->next) &&
           take_terms(in, &resumed->terms);
}

static bool take_cancel(struct bytes *in, struct tunnel_cancel *cancel)
{
    return bytes_take_u32(in, &cancel->pid) && take_rest(in, &cancel->key) &&
           cancel->key.len <= TUNNEL_CANCEL_KEY_MAX;
}

static bool take_refused(struct bytes *in, struct tunnel_refused *refused)
{
    return bytes_take_u16(in, &refused->reason) && bytes_take_u16(in, &refused->retry_after_s) &&
           take_text(in, &refused->text);
}

static bool take_data(struct bytes *in, struct tunnel_data *data)
{
    return take_offset(in, &data->offset) && take_rest(in, &data->bytes) && data->bytes.len > 0;
}

static bool take_reset(struct bytes *in, struct tunnel_reset *reset)
{
    return bytes_take_u16(in, &reset->reason) && bytes_take_u8(in, &reset->outcome) &&
           bytes_take_u64(in, &reset->xid) && take_text(in, &reset->text);
}

static bool take_txn(struct bytes *in, struct tunnel_txn *txn)
{
    return bytes_take_u64(in, &txn->xid) && take_offset(in, &txn->offset) &&
           bytes_take_u64(in, &txn->system) && bytes_take_u32(in, &txn->timeline) &&
           bytes_take_u64(in, &txn->generation) && take_array(in, txn->proof, sizeof txn->proof);
}

static bool take_fields(struct bytes *in, struct tunnel_frame *frame)
{
    switch (frame->type) {
    case TUNNEL_OPEN:
        return take_open(in, &frame->open);
    case TUNNEL_OPENED:
        return take_terms(in, &frame->opened);
    case TUNNEL_RESUME:
        return take_resume(in, &frame->resume);
    case TUNNEL_RESUMED:
        return take_resumed(in, &frame->resumed);
    case TUNNEL_MOVE:
        return bytes_take_u16(in, &frame->move_within_s);
    case TUNNEL_CANCEL:
        return take_cancel(in, &frame->cancel);
    case TUNNEL_REFUSED:
        return take_refused(in, &frame->refused);
    case TUNNEL_DATA:
        return take_data(in, &frame->data);
    case TUNNEL_ACK:
        return take_offset(in, &frame->ack);
    case TUNNEL_FIN:
        return take_offset(in, &frame->fin);
    case TUNNEL_RESET:
        return take_reset(in, &frame->reset);
    case TUNNEL_KEEPALIVE:
        return true;
    case TUNNEL_TXN:
        return take_txn(in, &frame->txn);
    case TUNNEL_IGNORED:
        *in = bytes_skip(*in, in->len);
        return true;
    }
    return false; /* a type nobody knows */
}

enum status tunnel_frame_decode(struct bytes message, struct tunnel_frame *frame,
                                struct error *error)
{
    uint8_t type;

    if (!bytes_take_u8(&message, &type))
        return error_set(error, STATUS_INVALID, "08P01", "a tunnel frame is empty");
    *frame = (struct tunnel_frame){
        .type = type >= TUNNEL_IGNORED ? TUNNEL_IGNORED : (enum tunnel_frame_type)type,
    };
    if (!take_fields(&message, frame) || message.len > 0)
        return error_set(error, STATUS_INVALID, "08P01",
                         "a tunnel frame of type %02x (%s) is malformed", type,
                         tunnel_frame_name(type));
    return STATUS_OK;
}

/* Encoding */

struct writer {
    uint8_t *at;
};

static void put_number(struct writer *writer, size_t size, uint64_t value)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        writer->at[i] = (uint8_t)value;
    writer->at += size;
}

static void put_bytes(struct writer *writer, const uint8_t *data, size_t len)
{
    if (len > 0)
        memcpy(writer->at, data, len);
    writer->at += len;
}

static void put_text(struct writer *writer, struct bytes text)
{
    assert(text.len <= TUNNEL_TEXT_MAX);
    put_bytes(writer, text.data, text.len);
}

static void put_open(struct writer *writer, const struct tunnel_open *open)
{
    put_bytes(writer, open->id.bytes, sizeof open->id.bytes);
    put_bytes(writer, open->key.bytes, sizeof open->key.bytes);
    put_number(writer, 4, open->window);
    put_number(writer, 4, open->max_frame);
    put_text(writer, open->info);
}

static void put_terms(struct writer *writer, const struct tunnel_terms *terms)
{
    put_number(writer, 8, terms->instance);
    put_number(writer, 4, terms->window);
    put_number(writer, 4, terms->max_frame);
    put_number(writer, 2, terms->retain_s);
    put_number(writer, 2, terms->ping_s);
}

static void put_resume(struct writer *writer, const struct tunnel_resume *resume)
{
    put_bytes(writer, resume->id.bytes, sizeof resume->id.bytes);
    put_number(writer, 8, resume->instance);
    put_number(writer, 4, resume->attempt);
    put_number(writer, 8, resume->next);
    put_bytes(writer, resume->seal.bytes, sizeof resume->seal.bytes);
}

static void put_resumed(struct writer *writer, const struct tunnel_resumed *resumed)
{
    put_number(writer, 4, resumed->attempt);
    put_number(writer, 8, resumed->next);
    put_terms(writer, &resumed->terms);
}

static void put_cancel(struct writer *writer, const struct tunnel_cancel *cancel)
{
    assert(cancel->key.len <= TUNNEL_CANCEL_KEY_MAX);
    put_number(writer, 4, cancel->pid);
    put_bytes(writer, cancel->key.data, cancel->key.len);
}

static void put_refused(struct writer *writer, const struct tunnel_refused *refused)
{
    put_number(writer, 2, refused->reason);
    put_number(writer, 2, refused->retry_after_s);
    put_text(writer, refused->text);
}

static void put_txn(struct writer *writer, const struct tunnel_txn *txn)
{
    put_number(writer, 8, txn->xid);
    put_number(writer, 8, txn->offset);
    put_number(writer, 8, txn->system);
    put_number(writer, 4, txn->timeline);
    put_number(writer, 8, txn->generation);
    put_bytes(writer, txn->proof, sizeof txn->proof);
}

static void put_reset(struct writer *writer, const struct tunnel_reset *reset)
{
    put_number(writer, 2, reset->reason);
    put_number(writer, 1, reset->outcome);
    put_number(writer, 8, reset->xid);
    put_text(writer, reset->text);
}

static void put_fields(struct writer *writer, const struct tunnel_frame *frame)
{
    switch (frame->type) {
    case TUNNEL_OPEN:
        put_open(writer, &frame->open);
        break;
    case TUNNEL_OPENED:
        put_terms(writer, &frame->opened);
        break;
    case TUNNEL_RESUME:
        put_resume(writer, &frame->resume);
        break;
    case TUNNEL_RESUMED:
        put_resumed(writer, &frame->resumed);
        break;
    case TUNNEL_MOVE:
        put_number(writer, 2, frame->move_within_s);
        break;
    case TUNNEL_CANCEL:
        put_cancel(writer, &frame->cancel);
        break;
    case TUNNEL_REFUSED:
        put_refused(writer, &frame->refused);
        break;
    case TUNNEL_DATA:
        put_number(writer, 8, frame->data.offset);
        break;
    case TUNNEL_ACK:
        put_number(writer, 8, frame->ack);
        break;
    case TUNNEL_FIN:
        put_number(writer, 8, frame->fin);
        break;
    case TUNNEL_RESET:
        put_reset(writer, &frame->reset);
        break;
    case TUNNEL_TXN:
        put_txn(writer, &frame->txn);
        break;
    case TUNNEL_KEEPALIVE:
    case TUNNEL_IGNORED:
        break;
    }
}

size_t tunnel_frame_encode(const struct tunnel_frame *frame, uint8_t out[TUNNEL_CONTROL_MAX])
{
    struct writer writer = {out};

    put_number(&writer, 1, frame->type);
    put_fields(&writer, frame);
    assert(writer.at <= out + TUNNEL_CONTROL_MAX);
    return (size_t)(writer.at - out);
}

void tunnel_frame_put_length(uint8_t out[TUNNEL_LENGTH_SIZE], size_t frame_len)
{
    struct writer writer = {out};

    put_number(&writer, TUNNEL_LENGTH_SIZE, frame_len);
}

bool tunnel_id_equal(const struct tunnel_id *a, const struct tunnel_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void write_hex(const uint8_t *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void tunnel_id_route(const struct tunnel_id *id, char out[17])
{
    write_hex(id->bytes, 8, out);
}

void tunnel_proof_text(const uint8_t proof[TUNNEL_PROOF_SIZE], char out[2 * TUNNEL_PROOF_SIZE + 1])
{
    write_hex(proof, TUNNEL_PROOF_SIZE, out);
}
