/* client/pgstart.c */
#include "client/pgstart.h"

#include <string.h>

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

static const uint8_t ssl_request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
static const uint8_t gssenc_request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30};
static const uint8_t cancel_request[] = {0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e,
                                         0, 0, 0, 7,  1,    2,    3,    4};
static const uint8_t startup[] = {0, 0, 0, 16, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'x', 0, 0};
static const uint8_t protocol_2[] = {0, 0, 0, 9, 0, 2, 0, 0, 0};

static struct pgstart start;

static enum pgstart_answer begin(const void *data, size_t len)
{
    struct bytes copy = guarded_copy(data, len);
    enum pgstart_answer answer = pgstart_begin(&start, copy);

    guarded_free(copy);
    return answer;
}

START_TEST(every_prefix_of_a_request_asks_for_more)
{
    pgstart_init(&start);
    ck_assert_int_eq(begin(ssl_request, (size_t)_i), PGSTART_MORE);
    ck_assert_int_eq(begin(gssenc_request, (size_t)_i), PGSTART_MORE);
    ck_assert_int_eq(begin(startup, (size_t)_i), PGSTART_MORE);
    ck_assert_int_eq(begin(cancel_request, (size_t)_i), PGSTART_MORE);
    ck_assert_int_eq(start.kind, PGSTART_UNKNOWN);
}
END_TEST

START_TEST(requests_for_encryption_are_declined)
{
    pgstart_init(&start);
    ck_assert_int_eq(begin(gssenc_request, 8), PGSTART_DECLINE);
    ck_assert_int_eq(begin(ssl_request, 8), PGSTART_DECLINE);
    ck_assert_int_eq(begin(startup, 8), PGSTART_PASS);
    ck_assert_int_eq(start.kind, PGSTART_SESSION);
}
END_TEST

START_TEST(requests_without_end_are_not_answered_for_ever)
{
    int declined = 0;

    pgstart_init(&start);
    while (begin(ssl_request, 8) == PGSTART_DECLINE)
        ck_assert_int_lt(++declined, 100);
    ck_assert_int_eq(start.kind, PGSTART_OTHER);
}
END_TEST

START_TEST(a_cancel_request_is_recognised)
{
    pgstart_init(&start);
    ck_assert_int_eq(begin(cancel_request, sizeof cancel_request), PGSTART_PASS);
    ck_assert_int_eq(start.kind, PGSTART_CANCEL);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_UNTRACKED);
}
END_TEST

START_TEST(what_is_not_postgres_passes_at_once)
{
    static const struct {
        const char *data;
        size_t len;
    } others[] = {
        {"\x16", 1},
        {"GET", 3},
        {"\0\1", 2},
        {"\0\0\0\x08\x16", 5},
        {"\0\0\x7f\xff\0\3\0\0", 8}, /* longer than any start-up packet */
        {"\0\0\0\7\0\3\0\0", 8},     /* shorter than its own head */
        {"\0\0\0\x09\x04\xd2\x16\x2f", 8},
        {(const char *)protocol_2, 9},
    };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        pgstart_init(&start);
        ck_assert_int_eq(begin(others[i].data, others[i].len), PGSTART_PASS);
        ck_assert_int_eq(start.kind, PGSTART_OTHER);
        ck_assert_int_eq(pgstart_place(&start), PGSTART_UNTRACKED);
    }
}
END_TEST

static void begin_session(void)
{
    pgstart_init(&start);
    ck_assert_int_eq(begin(startup, sizeof startup), PGSTART_PASS);
    pgstart_sent(&start, sizeof startup);
}

START_TEST(nothing_is_injected_before_the_startup_message_is_complete)
{
    pgstart_init(&start);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_EARLY);
    begin(startup, sizeof startup);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_EARLY);
    pgstart_sent(&start, sizeof startup - 1);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_EARLY);
    pgstart_sent(&start, 1);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_BOUNDARY);
    pgstart_sent(&start, 1000);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_BOUNDARY);
}
END_TEST

/* ReadyForQuery, an empty message, one of ten bytes. */
static const uint8_t messages[] = {'Z', 0, 0,  0, 5, 'I', 'n', 0, 0, 0, 4, 'D', 0,
                                   0,   0, 14, 1, 2, 3,   4,   5, 6, 7, 8, 9,   10};

static bool is_boundary(size_t offset)
{
    return offset == 0 || offset == 6 || offset == 11 || offset == sizeof messages;
}

START_TEST(boundaries_are_known_at_every_byte) /* _i: where the bytes are cut */
{
    begin_session();
    for (size_t at = 0; at < sizeof messages; at++) {
        ck_assert_int_eq(pgstart_place(&start),
                         is_boundary(at) ? PGSTART_BOUNDARY : PGSTART_INSIDE);
        pgstart_received(&start, bytes_of(messages + at, 1));
    }
    ck_assert_int_eq(pgstart_place(&start), PGSTART_BOUNDARY);

    begin_session();
    pgstart_received(&start, bytes_of(messages, (size_t)_i));
    ck_assert_int_eq(pgstart_place(&start),
                     is_boundary((size_t)_i) ? PGSTART_BOUNDARY : PGSTART_INSIDE);
    pgstart_received(&start, bytes_of(messages + _i, sizeof messages - (size_t)_i));
    ck_assert_int_eq(pgstart_place(&start), PGSTART_BOUNDARY);
}
END_TEST

START_TEST(an_error_just_sent_is_noticed)
{
    static const uint8_t error[] = {'E', 0, 0, 0, 5, 0};

    begin_session();
    pgstart_received(&start, bytes_of(error, sizeof error));
    ck_assert_int_eq(pgstart_place(&start), PGSTART_AFTER_ERROR);
    pgstart_received(&start, bytes_of(messages, 6));
    ck_assert_int_eq(pgstart_place(&start), PGSTART_BOUNDARY);
}
END_TEST

START_TEST(an_impossible_length_ends_the_tracking)
{
    static const uint8_t bad[] = {'D', 0, 0, 0, 3};

    begin_session();
    pgstart_received(&start, bytes_of(bad, sizeof bad));
    ck_assert_int_eq(pgstart_place(&start), PGSTART_UNTRACKED);
}
END_TEST

START_TEST(an_error_response_has_all_fields)
{
    static const char expected[] = "SFATAL\0VFATAL\0C08001\0Mno way\0Htry again\0";
    struct error error = {.sqlstate = "08001", .message = "no way", .hint = "try again"};
    struct buffer out;
    struct bytes bytes;

    buffer_init(&out, 4096);
    buffer_append_u8(&out, 'x');
    pgstart_write_error(&out, &error);
    bytes = bytes_skip(buffer_peek(&out), 1);
    ck_assert_uint_eq(bytes.len, 5 + sizeof expected);
    ck_assert_uint_eq(bytes.data[0], 'E');
    ck_assert_uint_eq(bytes.data[4], bytes.len - 1);
    ck_assert_mem_eq(bytes.data + 5, expected, sizeof expected);

    begin_session();
    pgstart_received(&start, bytes);
    ck_assert_int_eq(pgstart_place(&start), PGSTART_AFTER_ERROR);
    buffer_clear(&out);
}
END_TEST

SUITE("client_pgstart", LOOP(every_prefix_of_a_request_asks_for_more, 0, 8),
      TEST(requests_for_encryption_are_declined),
      TEST(requests_without_end_are_not_answered_for_ever), TEST(a_cancel_request_is_recognised),
      TEST(what_is_not_postgres_passes_at_once),
      TEST(nothing_is_injected_before_the_startup_message_is_complete),
      LOOP(boundaries_are_known_at_every_byte, 0, 26), TEST(an_error_just_sent_is_noticed),
      TEST(an_impossible_length_ends_the_tracking), TEST(an_error_response_has_all_fields))
