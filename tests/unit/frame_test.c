/* common/frame.c; section numbers are RFC 6455's. */
#include "common/frame.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <string.h>

/* What a whole input decodes to, with pieces of one message joined. */
struct outcome {
    enum status status; /* of the last call: MORE or INVALID */
    struct error error;
    int messages;
    enum frame_opcode opcode; /* of the last message */
    uint8_t data[300000];
    size_t len;
    int pings, pongs, closes;
    uint8_t control[FRAME_CONTROL_MAX];
    size_t control_len;
    uint16_t code;
};

static struct outcome outcome;
static struct frame_decoder decoder;

static void take_event(const struct frame_event *event)
{
    switch (event->type) {
    case FRAME_EVENT_DATA:
        ck_assert_uint_le(outcome.len + event->payload.len, sizeof outcome.data);
        if (event->payload.len > 0)
            memcpy(outcome.data + outcome.len, event->payload.data, event->payload.len);
        outcome.len += event->payload.len;
        outcome.opcode = event->message;
        outcome.messages += event->final;
        return;
    case FRAME_EVENT_PING:
        outcome.pings++;
        break;
    case FRAME_EVENT_PONG:
        outcome.pongs++;
        break;
    case FRAME_EVENT_CLOSE:
        outcome.closes++;
        outcome.code = event->code;
        break;
    }
    if (event->payload.len > 0)
        memcpy(outcome.control, event->payload.data, event->payload.len);
    outcome.control_len = event->payload.len;
}

/* Feeds one piece, which ends at an unreadable page, as a socket would deliver it. */
static void feed(const uint8_t *data, size_t len)
{
    struct bytes copy = guarded_copy(data, len);
    struct bytes in = copy;
    struct frame_event event;

    while ((outcome.status = frame_decode(&decoder, &in, &event, &outcome.error)) == STATUS_OK)
        take_event(&event);
    if (outcome.status == STATUS_MORE)
        ck_assert_uint_eq(in.len, 0);
    else
        outcome.code = event.code;
    guarded_free(copy);
}

static void start(enum frame_role role)
{
    memset(&outcome, 0, sizeof outcome);
    frame_decoder_init(&decoder, role);
}

static void decode(enum frame_role role, const char *data, size_t len)
{
    start(role);
    feed((const uint8_t *)data, len);
}

#define DECODE(role, literal) decode(role, literal, sizeof(literal) - 1)

static void expect_data(const char *text)
{
    ck_assert_int_eq(outcome.status, STATUS_MORE);
    ck_assert_int_eq(outcome.messages, 1);
    ck_assert(bytes_equal_string(bytes_of(outcome.data, outcome.len), text));
}

static void expect_violation(uint16_t code)
{
    struct bytes more = guarded_copy("\x81\x00", 2);
    struct frame_event event;

    ck_assert_int_eq(outcome.status, STATUS_INVALID);
    ck_assert_uint_eq(outcome.code, code);
    ck_assert_uint_gt(strlen(outcome.error.message), 10);
    ck_assert_str_eq(outcome.error.sqlstate, "08P01");
    /* Nothing is believed after a violation. */
    ck_assert_int_eq(frame_decode(&decoder, &more, &event, NULL), STATUS_MORE);
    ck_assert_uint_eq(more.len, 0);
}

START_TEST(section_5_7_single_unmasked_text)
{
    DECODE(FRAME_CLIENT, "\x81\x05\x48\x65\x6c\x6c\x6f");
    expect_data("Hello");
    ck_assert_int_eq(outcome.opcode, FRAME_TEXT);
}
END_TEST

START_TEST(section_5_7_single_masked_text)
{
    DECODE(FRAME_SERVER, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    expect_data("Hello");
}
END_TEST

START_TEST(section_5_7_fragmented_text)
{
    DECODE(FRAME_CLIENT, "\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f");
    expect_data("Hello");
    ck_assert_int_eq(outcome.opcode, FRAME_TEXT);
}
END_TEST

START_TEST(section_5_7_ping_and_its_masked_pong)
{
    DECODE(FRAME_CLIENT, "\x89\x05\x48\x65\x6c\x6c\x6f");
    ck_assert_int_eq(outcome.pings, 1);
    ck_assert(bytes_equal_string(bytes_of(outcome.control, outcome.control_len), "Hello"));
    DECODE(FRAME_SERVER, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    ck_assert_int_eq(outcome.pongs, 1);
    ck_assert(bytes_equal_string(bytes_of(outcome.control, outcome.control_len), "Hello"));
}
END_TEST

static size_t make_frame(uint8_t *out, size_t len, const uint8_t mask[4])
{
    size_t header = frame_encode_header(out, FRAME_BINARY, len, mask);

    for (size_t i = 0; i < len; i++)
        out[header + i] = (uint8_t)(i * 7 + i / 256);
    if (mask != NULL)
        frame_mask(out + header, out + header, len, mask, 0);
    return header + len;
}

static void expect_pattern(size_t len)
{
    ck_assert_int_eq(outcome.status, STATUS_MORE);
    ck_assert_int_eq(outcome.messages, 1);
    ck_assert_uint_eq(outcome.len, len);
    size_t same = 0; /* an assertion costs a system call, too much for each byte */
    while (same < len && outcome.data[same] == (uint8_t)(same * 7 + same / 256))
        same++;
    ck_assert_uint_eq(same, len);
}

/* Lengths around each form of the length field; 256 and 65536 are section 5.7's last examples. */
static const size_t lengths[] = {0, 1, 125, 126, 127, 256, 65535, 65536, 65537, 200000};
static uint8_t wire[200000 + FRAME_HEADER_MAX];

START_TEST(what_is_encoded_decodes_at_either_end) /* _i: which length */
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t len = lengths[_i];

    start(FRAME_CLIENT);
    feed(wire, make_frame(wire, len, NULL));
    expect_pattern(len);
    start(FRAME_SERVER);
    feed(wire, make_frame(wire, len, mask));
    expect_pattern(len);
}
END_TEST

START_TEST(section_5_7_headers_of_256_and_65536_bytes)
{
    uint8_t out[FRAME_HEADER_MAX];
    const uint8_t mask[4] = {1, 2, 3, 4};

    ck_assert_uint_eq(frame_encode_header(out, FRAME_BINARY, 256, NULL), 4);
    ck_assert(memcmp(out, "\x82\x7e\x01\x00", 4) == 0);
    ck_assert_uint_eq(frame_encode_header(out, FRAME_BINARY, 65536, NULL), 10);
    ck_assert(memcmp(out, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10) == 0);
    ck_assert_uint_eq(frame_encode_header(out, FRAME_PING, 5, mask), 6);
    ck_assert(memcmp(out, "\x89\x85\x01\x02\x03\x04", 6) == 0);
    ck_assert_uint_eq(frame_encode_header(out, FRAME_BINARY, 65536, mask), 14);
}
END_TEST

/* A message in three frames with a ping, a pong and an empty frame in between, then a close. */
#define SCRIPT         \
    "\x02\x02He"       \
    "\x89\x02hi"       \
    "\x00\x00"         \
    "\x00\x02ll"       \
    "\x8a\x00"         \
    "\x80\x01o"        \
    "\x88\x05\x03\xe8" \
    "bye"

static void expect_script(void)
{
    ck_assert_int_eq(outcome.status, STATUS_MORE);
    ck_assert_int_eq(outcome.messages, 1);
    ck_assert_int_eq(outcome.opcode, FRAME_BINARY);
    ck_assert(bytes_equal_string(bytes_of(outcome.data, outcome.len), "Hello"));
    ck_assert_int_eq(outcome.pings, 1);
    ck_assert_int_eq(outcome.pongs, 1);
    ck_assert_int_eq(outcome.closes, 1);
    ck_assert_uint_eq(outcome.code, FRAME_CLOSE_NORMAL);
    ck_assert(bytes_equal_string(bytes_of(outcome.control, outcome.control_len), "bye"));
}

START_TEST(control_frames_come_between_fragments)
{
    DECODE(FRAME_CLIENT, SCRIPT);
    expect_script();
}
END_TEST

START_TEST(a_script_cut_anywhere_decodes_the_same) /* cut after _i bytes */
{
    start(FRAME_CLIENT);
    feed((const uint8_t *)SCRIPT, (size_t)_i);
    ck_assert_int_eq(outcome.status, STATUS_MORE);
    feed((const uint8_t *)SCRIPT + _i, sizeof SCRIPT - 1 - (size_t)_i);
    expect_script();
}
END_TEST

START_TEST(a_script_byte_by_byte_decodes_the_same)
{
    start(FRAME_CLIENT);
    for (size_t i = 0; i < sizeof SCRIPT - 1; i++)
        feed((const uint8_t *)SCRIPT + i, 1);
    expect_script();
}
END_TEST

START_TEST(masked_bytes_in_pieces_of_any_size_decode_the_same) /* pieces of _i bytes */
{
    static const uint8_t mask[4] = {0xa1, 0xb2, 0xc3, 0xd4};
    size_t size = make_frame(wire, 1000, mask);

    start(FRAME_SERVER);
    for (size_t at = 0; at < size; at += (size_t)_i)
        feed(wire + at, size - at < (size_t)_i ? size - at : (size_t)_i);
    expect_pattern(1000);
}
END_TEST

START_TEST(an_empty_message_is_a_message)
{
    DECODE(FRAME_CLIENT, "\x82\x00");
    expect_data("");
    DECODE(FRAME_CLIENT, "\x02\x00\x80\x00");
    expect_data("");
}
END_TEST

START_TEST(every_reserved_bit_is_refused) /* bit _i of the first byte */
{
    uint8_t frame[] = {(uint8_t)(0x82 | 1 << _i), 0};

    start(FRAME_CLIENT);
    feed(frame, sizeof frame);
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(every_unknown_opcode_is_refused) /* opcode _i */
{
    uint8_t frame[] = {(uint8_t)(0x80 | _i), 0};
    bool known = _i == FRAME_TEXT || _i == FRAME_BINARY || (_i >= FRAME_CLOSE && _i <= FRAME_PONG);

    start(FRAME_CLIENT);
    feed(frame, sizeof frame);
    if (known)
        ck_assert_int_eq(outcome.status, STATUS_MORE);
    else
        expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_mask_in_the_wrong_direction_is_refused)
{
    DECODE(FRAME_SERVER, "\x82\x01x");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    DECODE(FRAME_CLIENT, "\x82\x81mask"
                         "x");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    DECODE(FRAME_SERVER, "\x88\x00");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_violation_is_seen_in_the_second_byte)
{
    /* No need to wait for a length that may never come. */
    DECODE(FRAME_CLIENT, "\x89\x7e");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(an_oversized_control_frame_is_refused)
{
    DECODE(FRAME_CLIENT, "\x89\x7e\x00\x7e");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    DECODE(FRAME_CLIENT, "\x88\x7f\x00\x00\x00\x00\x00\x00\x00\x01");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_control_frame_of_125_bytes_is_taken)
{
    uint8_t frame[2 + FRAME_CONTROL_MAX] = {0x89, FRAME_CONTROL_MAX};

    memset(frame + 2, 'p', FRAME_CONTROL_MAX);
    start(FRAME_CLIENT);
    feed(frame, sizeof frame);
    ck_assert_int_eq(outcome.pings, 1);
    ck_assert_uint_eq(outcome.control_len, FRAME_CONTROL_MAX);
}
END_TEST

START_TEST(a_fragmented_control_frame_is_refused) /* opcode _i */
{
    uint8_t frame[] = {(uint8_t)_i, 0};

    start(FRAME_CLIENT);
    feed(frame, sizeof frame);
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_continuation_of_nothing_is_refused)
{
    DECODE(FRAME_CLIENT, "\x80\x01x");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    DECODE(FRAME_CLIENT, "\x82\x01x\x80\x01x"); /* the message was over */
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_message_inside_a_message_is_refused)
{
    DECODE(FRAME_CLIENT, "\x02\x01x\x82\x01y");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_length_with_the_top_bit_is_refused)
{
    DECODE(FRAME_CLIENT, "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    DECODE(FRAME_CLIENT, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_length_that_is_not_the_shortest_is_refused)
{
    DECODE(FRAME_CLIENT, "\x82\x7e\x00\x7d");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    DECODE(FRAME_CLIENT, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_huge_frame_is_streamed_without_being_believed)
{
    DECODE(FRAME_CLIENT, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"
                         "abc");
    ck_assert_int_eq(outcome.status, STATUS_MORE);
    ck_assert_int_eq(outcome.messages, 0);
    ck_assert_uint_eq(outcome.len, 3);
}
END_TEST

static void close_with(uint16_t code, const char *reason, size_t len)
{
    uint8_t frame[2 + FRAME_CONTROL_MAX] = {0x88, (uint8_t)(2 + len), (uint8_t)(code >> 8),
                                            (uint8_t)code};

    if (len > 0)
        memcpy(frame + 4, reason, len);
    start(FRAME_CLIENT);
    feed(frame, 4 + len);
}

START_TEST(close_codes_are_checked)
{
    static const uint16_t good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const uint16_t bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        close_with(good[i], "why", 3);
        ck_assert_int_eq(outcome.status, STATUS_MORE);
        ck_assert_int_eq(outcome.closes, 1);
        ck_assert_uint_eq(outcome.code, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        close_with(bad[i], "why", 3);
        expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
    }
}
END_TEST

START_TEST(an_empty_close_has_no_status)
{
    DECODE(FRAME_CLIENT, "\x88\x00");
    ck_assert_int_eq(outcome.closes, 1);
    ck_assert_uint_eq(outcome.code, FRAME_CLOSE_NO_STATUS);
    ck_assert_uint_eq(outcome.control_len, 0);
}
END_TEST

START_TEST(a_close_of_one_byte_is_refused)
{
    DECODE(FRAME_CLIENT, "\x88\x01\x03");
    expect_violation(FRAME_CLOSE_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_close_reason_must_be_utf8)
{
    close_with(1000, "\xc3\xa4", 2);
    ck_assert_int_eq(outcome.closes, 1);
    close_with(1000, "\xc3", 1);
    expect_violation(FRAME_CLOSE_BAD_DATA);
    close_with(1000, "\xed\xa0\x80", 3);
    expect_violation(FRAME_CLOSE_BAD_DATA);
    close_with(1000, "a\xff", 2);
    expect_violation(FRAME_CLOSE_BAD_DATA);
}
END_TEST

START_TEST(nothing_follows_a_close)
{
    DECODE(FRAME_CLIENT, "\x88\x00\x82\x01x\xff\xff");
    ck_assert_int_eq(outcome.status, STATUS_MORE);
    ck_assert_int_eq(outcome.messages, 0);
    ck_assert_int_eq(outcome.closes, 1);
}
END_TEST

START_TEST(masking_agrees_with_the_definition) /* _i: length */
{
    const uint8_t mask[4] = {0xde, 0xad, 0xbe, 0xef};
    uint8_t in[200], out[200 + 8];

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 31 + 7);
    for (size_t offset = 0; offset < 9; offset++) {
        for (size_t shift = 0; shift < 8; shift++) { /* alignments */
            memset(out, 0x55, sizeof out);
            frame_mask(out + shift, in, (size_t)_i, mask, offset);
            size_t same = 0;
            while (same < (size_t)_i && out[shift + same] == (in[same] ^ mask[(offset + same) % 4]))
                same++;
            ck_assert_uint_eq(same, (size_t)_i);
            ck_assert_uint_eq(out[shift + (size_t)_i], 0x55);
        }
    }
}
END_TEST

START_TEST(masking_in_place_twice_gives_the_text_back)
{
    const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t text[] = "a text that is longer than one turn of the loop of words";

    frame_mask(text, text, sizeof text, mask, 3);
    frame_mask(text, text, sizeof text, mask, 3);
    ck_assert_str_eq((char *)text, "a text that is longer than one turn of the loop of words");
    frame_mask(NULL, NULL, 0, mask, 0);
}
END_TEST

START_TEST(keys_do_not_repeat)
{
    struct frame_keys keys;
    uint8_t mask[4];
    static uint32_t seen[2000];
    size_t equal = 0;

    frame_keys_init(&keys);
    for (size_t i = 0; i < 2000; i++) {
        frame_keys_next(&keys, mask);
        memcpy(&seen[i], mask, 4);
        for (size_t j = 0; j < i; j++)
            equal += seen[i] == seen[j];
    }
    ck_assert_uint_le(equal, 2); /* two of 2000 out of 2^32: one in ten million runs */
}
END_TEST

START_TEST(a_close_reason_is_cut_at_a_character)
{
    char reason[400] = "x";
    uint8_t out[FRAME_CONTROL_MAX];

    ck_assert_uint_eq(frame_encode_close(out, 1000, "ok"), 4);
    ck_assert(memcmp(out, "\x03\xe8ok", 4) == 0);
    ck_assert_uint_eq(frame_encode_close(out, 1001, NULL), 2);
    for (int i = 0; i < 100; i++)
        strcat(reason, "\xe2\x82\xac");
    size_t len = frame_encode_close(out, 1000, reason);
    ck_assert_uint_eq(len, 2 + 121); /* 1 + 40 × 3 */
    ck_assert(bytes_is_utf8(bytes_of(out + 2, len - 2)));
}
END_TEST

SUITE("frame", TEST(section_5_7_single_unmasked_text), TEST(section_5_7_single_masked_text),
      TEST(section_5_7_fragmented_text), TEST(section_5_7_ping_and_its_masked_pong),
      LOOP(what_is_encoded_decodes_at_either_end, 0, (int)(sizeof lengths / sizeof lengths[0])),
      TEST(section_5_7_headers_of_256_and_65536_bytes), TEST(control_frames_come_between_fragments),
      LOOP(a_script_cut_anywhere_decodes_the_same, 0, (int)sizeof SCRIPT),
      TEST(a_script_byte_by_byte_decodes_the_same),
      LOOP(masked_bytes_in_pieces_of_any_size_decode_the_same, 1, 50),
      TEST(an_empty_message_is_a_message), LOOP(every_reserved_bit_is_refused, 4, 7),
      LOOP(every_unknown_opcode_is_refused, 0, 16), TEST(a_mask_in_the_wrong_direction_is_refused),
      TEST(a_violation_is_seen_in_the_second_byte), TEST(an_oversized_control_frame_is_refused),
      TEST(a_control_frame_of_125_bytes_is_taken),
      LOOP(a_fragmented_control_frame_is_refused, 8, 11),
      TEST(a_continuation_of_nothing_is_refused), TEST(a_message_inside_a_message_is_refused),
      TEST(a_length_with_the_top_bit_is_refused),
      TEST(a_length_that_is_not_the_shortest_is_refused),
      TEST(a_huge_frame_is_streamed_without_being_believed), TEST(close_codes_are_checked),
      TEST(an_empty_close_has_no_status), TEST(a_close_of_one_byte_is_refused),
      TEST(a_close_reason_must_be_utf8), TEST(nothing_follows_a_close),
      LOOP(masking_agrees_with_the_definition, 0, 100),
      TEST(masking_in_place_twice_gives_the_text_back), TEST(keys_do_not_repeat),
      TEST(a_close_reason_is_cut_at_a_character))
