/* common/tunnel/tunnel_frame.c, tunnel_decoder.c and tunnel_auth.c. */
#include "common/tunnel/tunnel_frame.h"

#include <string.h>

#include "common/tunnel/tunnel_auth.h"
#include "common/tunnel/tunnel_http.h"
#include "common/tunnel/tunnel_decoder.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

static const struct tunnel_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xab}};
static const struct tunnel_key key = {{0x42, 0x43}};
static const struct tunnel_terms terms = {
    .instance = UINT64_C(0x1122334455667788),
    .window = 4 << 20,
    .max_frame = 256 << 10,
    .retain_s = 120,
    .ping_s = 20,
};

/* One of each type. */
static struct tunnel_frame sample(int number)
{
    switch (number) {
    case 0:
        return (struct tunnel_frame){
            .type = TUNNEL_OPEN,
            .open = {.id = id,
                     .key = key,
                     .window = TUNNEL_WINDOW_MIN,
                     .max_frame = TUNNEL_FRAME_MIN,
                     .info = bytes_of_string("program=psql\nhost=größe\n")},
        };
    case 1:
        return (struct tunnel_frame){.type = TUNNEL_OPENED, .opened = terms};
    case 2:
        return (struct tunnel_frame){
            .type = TUNNEL_RESUME,
            .resume = {.id = id, .instance = 7, .attempt = 3, .next = 99, .seal = {{5}}},
        };
    case 3:
        return (struct tunnel_frame){
            .type = TUNNEL_RESUMED,
            .resumed = {.attempt = 3, .next = TUNNEL_OFFSET_MAX, .terms = terms},
        };
    case 4:
        return (struct tunnel_frame){.type = TUNNEL_MOVE, .move_within_s = 30};
    case 5:
        return (struct tunnel_frame){
            .type = TUNNEL_CANCEL,
            .cancel = {.pid = 0xdeadbeef, .key = bytes_of_string("four")},
        };
    case 6:
        return (struct tunnel_frame){
            .type = TUNNEL_REFUSED,
            .refused = {.reason = TUNNEL_REFUSAL_FULL,
                        .retry_after_s = 5,
                        .text = bytes_of_string("too many sessions")},
        };
    case 7:
        return (struct tunnel_frame){
            .type = TUNNEL_DATA,
            .data = {.offset = 0x0102030405060708, .bytes = bytes_of_string("hello")},
        };
    case 8:
        return (struct tunnel_frame){.type = TUNNEL_ACK, .ack = 77};
    case 9:
        return (struct tunnel_frame){.type = TUNNEL_FIN, .fin = 78};
    case 10:
        return (struct tunnel_frame){
            .type = TUNNEL_RESET,
            .reset = {.reason = TUNNEL_END_EXPIRED,
                      .outcome = TUNNEL_OUTCOME_COMMITTED,
                      .xid = 4711,
                      .text = bytes_of_string("gone")},
        };
    case 11:
        return (struct tunnel_frame){.type = TUNNEL_KEEPALIVE};
    default:
        return (struct tunnel_frame){.type = TUNNEL_TXN,
                                     .txn = {.xid = 4711,
                                             .offset = 12,
                                             .system = 7300000000000000001,
                                             .timeline = 3,
                                             .generation = 1700000000000000,
                                             .proof = "fifteen letters"}};
    }
}

enum { SAMPLES = 13 };

/* The frame with its bytes, as it goes over the wire. */
static size_t encode(const struct tunnel_frame *frame, uint8_t out[4096])
{
    size_t len = tunnel_frame_encode(frame, out);

    if (frame->type == TUNNEL_DATA && frame->data.bytes.len > 0) {
        memcpy(out + len, frame->data.bytes.data, frame->data.bytes.len);
        len += frame->data.bytes.len;
    }
    return len;
}

static enum status decode(const void *data, size_t len, struct tunnel_frame *frame)
{
    struct error error;
    /* Not freed: the frame borrows. Each test is a process of its own. */
    enum status status = tunnel_frame_decode(guarded_copy(data, len), frame, &error);

    if (status == STATUS_INVALID)
        ck_assert_str_ne(error.message, "");
    return status;
}

#define DECODE(literal, frame) decode(literal, sizeof(literal) - 1, frame)

START_TEST(what_is_encoded_decodes_to_the_same)
{
    struct tunnel_frame frame = sample(_i);
    struct tunnel_frame decoded;
    uint8_t bytes[4096];
    uint8_t again[4096];
    size_t len = encode(&frame, bytes);

    ck_assert_int_eq(decode(bytes, len, &decoded), STATUS_OK);
    ck_assert_int_eq(decoded.type, frame.type);
    ck_assert_uint_eq(encode(&decoded, again), len);
    ck_assert_mem_eq(again, bytes, len);
}
END_TEST

START_TEST(every_prefix_of_a_frame_is_malformed_or_another_frame)
{
    struct tunnel_frame frame = sample(_i);
    struct tunnel_frame decoded;
    uint8_t bytes[4096];
    uint8_t again[4096];
    size_t len = encode(&frame, bytes);

    for (size_t cut = 0; cut < len; cut++) {
        /* What ends in a text or in bytes may be cut there; then it is what it says. */
        if (decode(bytes, cut, &decoded) == STATUS_OK) {
            ck_assert_uint_eq(encode(&decoded, again), cut);
            ck_assert_mem_eq(again, bytes, cut);
        }
    }
}
END_TEST

START_TEST(a_byte_too_many_is_malformed)
{
    static const int fixed[] = {1, 2, 3, 4, 8, 9, 11, 12};
    struct tunnel_frame frame = sample(fixed[_i]);
    uint8_t bytes[4096];
    size_t len = encode(&frame, bytes);

    bytes[len] = 0;
    ck_assert_int_eq(decode(bytes, len + 1, &frame), STATUS_INVALID);
}
END_TEST

START_TEST(data_is_laid_out_as_the_protocol_says)
{
    struct tunnel_frame frame = sample(7);
    uint8_t bytes[4096];

    ck_assert_uint_eq(encode(&frame, bytes), TUNNEL_DATA_HEADER + 5);
    ck_assert_mem_eq(bytes, "\x10\x01\x02\x03\x04\x05\x06\x07\x08hello", 14);
}
END_TEST

START_TEST(types_from_80_on_are_ignored_and_others_malformed)
{
    struct tunnel_frame frame;

    ck_assert_int_eq(DECODE("\x80whatever", &frame), STATUS_OK);
    ck_assert_int_eq(frame.type, TUNNEL_IGNORED);
    ck_assert_int_eq(DECODE("\xff", &frame), STATUS_OK);
    ck_assert_int_eq(DECODE("\x00", &frame), STATUS_INVALID);
    ck_assert_int_eq(DECODE("\x08", &frame), STATUS_INVALID);
    ck_assert_int_eq(DECODE("\x16", &frame), STATUS_INVALID);
    ck_assert_int_eq(DECODE("\x7f", &frame), STATUS_INVALID);
    ck_assert_int_eq(DECODE("", &frame), STATUS_INVALID);
}
END_TEST

static enum status decode_again(struct tunnel_frame frame)
{
    uint8_t bytes[4096];

    return decode(bytes, encode(&frame, bytes), &frame);
}

START_TEST(numbers_out_of_range_are_malformed)
{
    struct tunnel_frame frame = sample(0);
    frame.open.window--;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame = sample(0);
    frame.open.max_frame--;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame = sample(1);
    frame.opened.instance = 0;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame = sample(1);
    frame.opened.ping_s = 0;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame = sample(3);
    frame.resumed.next++;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame = sample(7);
    frame.data.offset = TUNNEL_OFFSET_MAX + 1;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame.data = (struct tunnel_data){.offset = 0};
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
    frame = sample(8);
    frame.ack = UINT64_MAX;
    ck_assert_int_eq(decode_again(frame), STATUS_INVALID);
}
END_TEST

START_TEST(texts_are_printable_and_bounded)
{
    static char long_text[TUNNEL_TEXT_MAX + 2];

    memset(long_text, 'x', TUNNEL_TEXT_MAX + 1);
    ck_assert(tunnel_text_is_valid(bytes_of(long_text, TUNNEL_TEXT_MAX)));
    ck_assert(!tunnel_text_is_valid(bytes_of(long_text, TUNNEL_TEXT_MAX + 1)));
    ck_assert(!tunnel_text_is_valid(bytes_of_string("two\nlines")));
    ck_assert(!tunnel_text_is_valid(bytes_of_string("\x7f")));
    ck_assert(!tunnel_text_is_valid(bytes_of_string("\xff")));
    ck_assert(tunnel_text_is_valid(bytes_of_string("größer als 1")));
}
END_TEST

START_TEST(info_is_lines_of_key_and_value)
{
    ck_assert(tunnel_info_is_valid(bytes_of(NULL, 0)));
    ck_assert(tunnel_info_is_valid(bytes_of_string("a=b\nc=\n")));
    ck_assert(tunnel_info_is_valid(bytes_of_string("a=b=c\n")));
    ck_assert(!tunnel_info_is_valid(bytes_of_string("a=b")));
    ck_assert(!tunnel_info_is_valid(bytes_of_string("=b\n")));
    ck_assert(!tunnel_info_is_valid(bytes_of_string("a\n")));
    ck_assert(!tunnel_info_is_valid(bytes_of_string("a=b\n\n")));
    ck_assert(!tunnel_info_is_valid(bytes_of_string("a=\tb\n")));
}
END_TEST

START_TEST(a_route_is_the_first_half_of_the_id_in_hex)
{
    char route[17];

    tunnel_id_route(&id, route);
    ck_assert_str_eq(route, "0102030405060708");
}
END_TEST

START_TEST(unknown_reasons_have_texts)
{
    ck_assert_str_eq(tunnel_refusal_text(TUNNEL_REFUSAL_STALE),
                     "a later attempt has been accepted");
    ck_assert_str_ne(tunnel_refusal_text(999), "");
    ck_assert_str_ne(tunnel_end_text(999), "");
    ck_assert_str_eq(tunnel_outcome_text(200), tunnel_outcome_text(TUNNEL_OUTCOME_UNKNOWN));
    ck_assert_str_eq(tunnel_frame_name(TUNNEL_TXN), "TXN");
    ck_assert_str_eq(tunnel_frame_name(0x77), "unknown");
}
END_TEST

/* The decoder */

/* What came out, with the pieces of a DATA frame joined. */
static uint8_t seen[8192];
static size_t seen_len;
static uint64_t data_end;

static void see(const struct tunnel_frame *frame)
{
    if (frame->type == TUNNEL_DATA && data_end == frame->data.offset) {
        memcpy(seen + seen_len, frame->data.bytes.data, frame->data.bytes.len);
        seen_len += frame->data.bytes.len;
    } else {
        seen_len += encode(frame, seen + seen_len);
    }
    data_end = frame->type == TUNNEL_DATA ? frame->data.offset + frame->data.bytes.len : 0;
}

static enum status feed(struct tunnel_decoder *decoder, const uint8_t *data, size_t len, bool last)
{
    struct bytes copy = guarded_copy(data, len);
    struct bytes in = copy;
    struct tunnel_frame frame;
    struct error error;
    enum status status;

    while ((status = tunnel_decode(decoder, &in, last, &frame, &error)) == STATUS_OK)
        see(&frame);
    guarded_free(copy);
    return status;
}

START_TEST(a_message_in_pieces_is_one_frame)
{
    struct tunnel_frame frame = sample(_i % SAMPLES);
    size_t step = 1 + (size_t)(_i / SAMPLES);
    struct tunnel_decoder decoder;
    uint8_t bytes[4096];
    size_t len = encode(&frame, bytes);

    tunnel_decoder_init(&decoder, TUNNEL_MESSAGES, TUNNEL_FRAME_MIN);
    for (int twice = 0; twice < 2; twice++) {
        seen_len = 0;
        data_end = 0;
        for (size_t at = 0; at < len; at += step) {
            size_t count = len - at < step ? len - at : step;
            ck_assert_int_eq(feed(&decoder, bytes + at, count, at + count == len), STATUS_MORE);
        }
        ck_assert(!tunnel_decoder_is_inside(&decoder));
        ck_assert_uint_eq(seen_len, len);
        ck_assert_mem_eq(seen, bytes, len);
    }
    tunnel_decoder_clear(&decoder);
}
END_TEST

START_TEST(a_body_of_frames_decodes_in_any_pieces)
{
    size_t step = 1 + (size_t)_i;
    struct tunnel_decoder decoder;
    uint8_t body[8192];
    uint8_t plain[8192];
    size_t len = 0;
    size_t plain_len = 0;

    for (int i = 0; i < SAMPLES; i++) {
        struct tunnel_frame frame = sample(i);
        size_t size = encode(&frame, body + len + TUNNEL_LENGTH_SIZE);
        tunnel_frame_put_length(body + len, size);
        memcpy(plain + plain_len, body + len + TUNNEL_LENGTH_SIZE, size);
        len += size + TUNNEL_LENGTH_SIZE;
        plain_len += size;
    }
    tunnel_decoder_init(&decoder, TUNNEL_LENGTHS, TUNNEL_FRAME_MIN);
    for (size_t at = 0; at < len; at += step)
        ck_assert_int_eq(feed(&decoder, body + at, len - at < step ? len - at : step, false),
                         STATUS_MORE);
    ck_assert(!tunnel_decoder_is_inside(&decoder));
    ck_assert_uint_eq(seen_len, plain_len);
    ck_assert_mem_eq(seen, plain, plain_len);
    tunnel_decoder_clear(&decoder);
}
END_TEST

START_TEST(data_cut_short_counts_as_far_as_it_came)
{
    struct tunnel_decoder decoder;

    tunnel_decoder_init(&decoder, TUNNEL_MESSAGES, TUNNEL_FRAME_MIN);
    ck_assert_int_eq(feed(&decoder,
                          (const uint8_t *)"\x10\0\0\0\0\0\0\0\x05"
                                           "abc",
                          12, false),
                     STATUS_MORE);
    ck_assert(tunnel_decoder_is_inside(&decoder));
    ck_assert_uint_eq(seen_len, 12);
    ck_assert_mem_eq(seen + 9, "abc", 3);
    tunnel_decoder_clear(&decoder);
    ck_assert(!tunnel_decoder_is_inside(&decoder));
}
END_TEST

START_TEST(ignored_frames_are_skipped_in_pieces)
{
    struct tunnel_decoder decoder;

    tunnel_decoder_init(&decoder, TUNNEL_MESSAGES, TUNNEL_FRAME_MIN);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\x90 new", 5, false), STATUS_MORE);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)" things", 7, true), STATUS_MORE);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\x14", 1, true), STATUS_MORE);
    ck_assert_uint_eq(seen_len, 1);
    /* An empty message is no frame. */
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"", 0, true), STATUS_MORE);
    tunnel_decoder_clear(&decoder);
}
END_TEST

START_TEST(a_frame_longer_than_announced_is_malformed)
{
    static uint8_t bytes[TUNNEL_FRAME_MIN + 1] = {TUNNEL_DATA};
    struct tunnel_decoder decoder;

    tunnel_decoder_init(&decoder, TUNNEL_MESSAGES, TUNNEL_FRAME_MIN);
    ck_assert_int_eq(feed(&decoder, bytes, 4000, false), STATUS_MORE);
    ck_assert_int_eq(feed(&decoder, bytes, sizeof bytes - 4000, true), STATUS_INVALID);
    ck_assert_int_eq(feed(&decoder, bytes, 1, true), STATUS_INVALID);
    tunnel_decoder_clear(&decoder);

    tunnel_decoder_init(&decoder, TUNNEL_LENGTHS, TUNNEL_FRAME_MIN);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\xff\xff\xff\xff", 4, false), STATUS_INVALID);
    tunnel_decoder_clear(&decoder);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\0\0\0\0", 4, false), STATUS_INVALID);
    tunnel_decoder_clear(&decoder);

    bytes[0] = TUNNEL_RESET; /* of which a part is held: far less than a frame may have */
    tunnel_decoder_init(&decoder, TUNNEL_MESSAGES, TUNNEL_FRAME_MIN);
    ck_assert_int_eq(feed(&decoder, bytes, 4000, false), STATUS_INVALID);
    tunnel_decoder_clear(&decoder);
}
END_TEST

START_TEST(data_without_bytes_is_malformed)
{
    struct tunnel_decoder decoder;

    tunnel_decoder_init(&decoder, TUNNEL_MESSAGES, TUNNEL_FRAME_MIN);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\x10\0\0\0\0\0\0\0\0", 9, true),
                     STATUS_INVALID);
    tunnel_decoder_clear(&decoder);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\x10\0\0\0", 4, true), STATUS_INVALID);
    tunnel_decoder_clear(&decoder);
    ck_assert_int_eq(feed(&decoder, (const uint8_t *)"\x10\xff\0\0\0\0\0\0\0x", 10, true),
                     STATUS_INVALID);
    tunnel_decoder_clear(&decoder);
}
END_TEST

/* Proofs */

START_TEST(a_seal_is_the_hmac_of_what_the_protocol_says)
{
    struct tunnel_key nines;
    struct tunnel_resume resume = {.id = id, .instance = 7, .attempt = 3, .next = 99};
    /* Python: hmac.new(bytes([9]*32), b"electric-tunnel.v1 resume" + id +
     * struct.pack(">QLQ", 7, 3, 99), "sha256") */
    static const uint8_t expected[] = {0xe4, 0x36, 0x9b, 0x26, 0x98, 0x28, 0x6a, 0xcf,
                                       0xd6, 0x2e, 0xd9, 0xec, 0xa8, 0xbf, 0x25, 0xeb,
                                       0x47, 0xfe, 0x3d, 0x87, 0x01, 0x17, 0x30, 0x3a,
                                       0x69, 0xe6, 0x57, 0xa2, 0x44, 0x01, 0x5e, 0xa6};

    memset(nines.bytes, 9, sizeof nines.bytes);
    resume.seal = tunnel_seal_resume(&nines, &resume);
    ck_assert_mem_eq(resume.seal.bytes, expected, sizeof expected);
    ck_assert(tunnel_resume_is_genuine(&nines, &resume));
}
END_TEST

START_TEST(a_changed_field_breaks_the_seal)
{
    struct tunnel_resume good = {.id = id, .instance = 7, .attempt = 3, .next = 99};
    struct tunnel_key other = key;

    good.seal = tunnel_seal_resume(&key, &good);
    struct tunnel_resume bad = good;
    bad.next++;
    ck_assert(!tunnel_resume_is_genuine(&key, &bad));
    bad = good;
    bad.attempt++;
    ck_assert(!tunnel_resume_is_genuine(&key, &bad));
    bad = good;
    bad.instance++;
    ck_assert(!tunnel_resume_is_genuine(&key, &bad));
    bad = good;
    bad.id.bytes[15]++;
    ck_assert(!tunnel_resume_is_genuine(&key, &bad));
    bad = good;
    bad.seal.bytes[31]++;
    ck_assert(!tunnel_resume_is_genuine(&key, &bad));
    other.bytes[31]++;
    ck_assert(!tunnel_resume_is_genuine(&other, &good));
}
END_TEST

START_TEST(a_request_is_sealed_with_its_body)
{
    struct tunnel_key nines;
    struct tunnel_request request = {
        .id = id, .attempt = 3, .method = "POST", .number = 5, .body = bytes_of_string("body")};
    /* Python: hmac.new(bytes([9]*32), b"electric-tunnel.v1 http" + id + struct.pack(">L", 3) +
     * b"POST" + struct.pack(">QQ", 5, 0) + sha256(b"body").digest(), "sha256") */
    static const uint8_t expected[] = {0xe9, 0x09, 0xc7, 0x7b, 0xc2, 0x72, 0xef, 0x83,
                                       0x26, 0x66, 0x53, 0x77, 0x98, 0x82, 0x0d, 0x94,
                                       0x86, 0xec, 0x52, 0x34, 0xed, 0xbf, 0xaa, 0x20,
                                       0xa3, 0x7d, 0xdf, 0xf7, 0xf2, 0x84, 0x8e, 0x39};

    memset(nines.bytes, 9, sizeof nines.bytes);
    struct tunnel_seal seal = tunnel_seal_request(&nines, &request);
    ck_assert_mem_eq(seal.bytes, expected, sizeof expected);
    request.body = bytes_of(NULL, 0);
    request.method = "GET";
    struct tunnel_seal other = tunnel_seal_request(&nines, &request);
    ck_assert(!tunnel_seal_equal(&seal, &other));
    request.got = 1;
    seal = tunnel_seal_request(&nines, &request);
    ck_assert(!tunnel_seal_equal(&seal, &other));
}
END_TEST

START_TEST(a_request_is_recognised_by_its_field)
{
    static const struct tunnel_key nines = {{9, 9, 9}};
    const struct tunnel_request request = {
        .id = id, .attempt = UINT32_MAX, .method = "GET", .number = 5, .got = 4};
    struct tunnel_seal expected = tunnel_seal_request(&nines, &request);
    struct tunnel_request read = {.attempt = 0};
    struct tunnel_seal seal;
    char field[TUNNEL_HTTP_FIELD_SIZE];

    tunnel_http_write_field(&nines, &request, field);
    ck_assert_uint_eq(strlen(field), sizeof field - 1);
    ck_assert(tunnel_http_read_field(bytes_of_string(field), &read, &seal));
    ck_assert(tunnel_id_equal(&read.id, &id));
    ck_assert_uint_eq(read.attempt, UINT32_MAX);
    ck_assert(tunnel_seal_equal(&seal, &expected));
    for (size_t len = 0; len < strlen(field); len++)
        ck_assert(!tunnel_http_read_field(bytes_of(field, len), &read, &seal));
    for (size_t at = 0; at < strlen(field); at++) {
        char saved = field[at];

        field[at] = 'F';
        ck_assert(!tunnel_http_read_field(bytes_of_string(field), &read, &seal));
        field[at] = saved;
    }
}
END_TEST

START_TEST(a_number_is_decimal)
{
    static const char *const bad[] = {"",   "01", "-1",  "+1",
                                      " 1", "1 ", "0x1", "12345678901234567890"};
    uint64_t number;

    ck_assert(tunnel_http_read_number(bytes_of_string("0"), &number));
    ck_assert_uint_eq(number, 0);
    ck_assert(tunnel_http_read_number(bytes_of_string("9999999999999999999"), &number));
    ck_assert_uint_eq(number, UINT64_C(9999999999999999999));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert(!tunnel_http_read_number(bytes_of_string(bad[i]), &number));
}
END_TEST

SUITE("tunnel_frame", LOOP(what_is_encoded_decodes_to_the_same, 0, SAMPLES),
      LOOP(every_prefix_of_a_frame_is_malformed_or_another_frame, 0, SAMPLES),
      LOOP(a_byte_too_many_is_malformed, 0, 8), TEST(data_is_laid_out_as_the_protocol_says),
      TEST(types_from_80_on_are_ignored_and_others_malformed),
      TEST(numbers_out_of_range_are_malformed), TEST(texts_are_printable_and_bounded),
      TEST(info_is_lines_of_key_and_value), TEST(a_route_is_the_first_half_of_the_id_in_hex),
      TEST(unknown_reasons_have_texts), LOOP(a_message_in_pieces_is_one_frame, 0, SAMPLES * 12),
      LOOP(a_body_of_frames_decodes_in_any_pieces, 0, 60),
      TEST(data_cut_short_counts_as_far_as_it_came), TEST(ignored_frames_are_skipped_in_pieces),
      TEST(a_frame_longer_than_announced_is_malformed), TEST(data_without_bytes_is_malformed),
      TEST(a_seal_is_the_hmac_of_what_the_protocol_says), TEST(a_changed_field_breaks_the_seal),
      TEST(a_request_is_sealed_with_its_body), TEST(a_request_is_recognised_by_its_field),
      TEST(a_number_is_decimal))
