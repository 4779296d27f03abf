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

/* Messages of the shortest kind, by their types alone; 'Z' with its status behind it. */
static struct bytes spell(const char *types)
{
    static uint8_t out[256];
    size_t len = 0;

    for (; *types != '\0'; types++) {
        bool ready = *types == 'Z';

        memcpy(out + len, (uint8_t[]){(uint8_t)*types, 0, 0, 0, ready ? 5 : 4}, 5);
        len += 5;
        if (ready)
            out[len++] = (uint8_t) * ++types;
    }
    return bytes_of(out, len);
}

static const struct talk {
    const char *frontend[3]; /* each answered by the one beside it */
    const char *backend[3];
    enum doubt doubt;
} talks[] = {
    {{""}, {""}, DOUBT_STARTING},
    {{""}, {"R"}, DOUBT_STARTING},
    {{"p"}, {"R"}, DOUBT_IDLE},
    {{"pp"}, {"RRSSKZI"}, DOUBT_IDLE},
    {{"p", "Q"}, {"RZI"}, DOUBT_OUTCOME},
    {{"p", "Q"}, {"RZI", "CZI"}, DOUBT_IDLE},
    {{"p", "Q"}, {"RZI", "CZT"}, DOUBT_IN_TRANSACTION},
    {{"p", "Q"}, {"RZI", "EZE"}, DOUBT_IN_TRANSACTION},
    {{"p", "QQ"}, {"RZI", "CZI"}, DOUBT_OUTCOME},
    {{"p", "QQ"}, {"RZI", "CZICZI"}, DOUBT_IDLE},
    {{"p", "PBE"}, {"RZI", "12C"}, DOUBT_OUTCOME},
    {{"p", "PBES"}, {"RZI", "12C"}, DOUBT_OUTCOME},
    {{"p", "PBES"}, {"RZI", "12CZI"}, DOUBT_IDLE},
    {{"p", "PBESPBE"}, {"RZI", "12CZI"}, DOUBT_OUTCOME},
    {{"p", "PBESPBES"}, {"RZI", "12CZI12CZT"}, DOUBT_IN_TRANSACTION},
    {{"p", "Q", "dddc"}, {"RZI", "G"}, DOUBT_OUTCOME},
    {{"p", "Q", "dddc"}, {"RZI", "G", "CZI"}, DOUBT_IDLE},
    {{"p", "F"}, {"RZI", "VZI"}, DOUBT_IDLE},
    {{"p", "X"}, {"RZI"}, DOUBT_IDLE},
    /* Without waiting for the login. */
    {{"pQ"}, {"RZI"}, DOUBT_OUTCOME},
    {{"pQ"}, {"RZICZI"}, DOUBT_IDLE},
    {{"p?"}, {"RZI"}, DOUBT_OUTCOME},
};

static void pass(const struct talk *talk, size_t piece)
{
    begin_session();
    for (int i = 0; i < 3; i++) {
        struct bytes up = talk->frontend[i] != NULL ? spell(talk->frontend[i]) : bytes_of("", 0);

        for (; up.len > 0; up = bytes_skip(up, piece))
            pgstart_sent_bytes(&start, bytes_first(up, piece));
        struct bytes down = talk->backend[i] != NULL ? spell(talk->backend[i]) : bytes_of("", 0);
        for (; down.len > 0; down = bytes_skip(down, piece))
            pgstart_received(&start, bytes_first(down, piece));
    }
    ck_assert_int_eq(pgstart_doubt(&start), talk->doubt);
}

START_TEST(what_is_unanswered_is_known_however_it_is_cut)
{
    for (size_t piece = 1; piece < 12; piece++)
        pass(&talks[_i], piece);
    pass(&talks[_i], 1000);
}
END_TEST

START_TEST(the_startup_message_asks_for_nothing)
{
    uint8_t both[sizeof startup + 5];

    pgstart_init(&start);
    ck_assert_int_eq(pgstart_doubt(&start), DOUBT_STARTING);
    ck_assert_int_eq(begin(startup, sizeof startup), PGSTART_PASS);
    pgstart_sent_bytes(&start, bytes_of(startup, 7));
    pgstart_sent_bytes(&start, bytes_of(startup + 7, sizeof startup - 7));
    ck_assert_int_eq(pgstart_doubt(&start), DOUBT_STARTING);

    memcpy(both, startup, sizeof startup);
    memcpy(both + sizeof startup, spell("Q").data, 5);
    pgstart_init(&start);
    begin(startup, sizeof startup);
    pgstart_sent_bytes(&start, bytes_of(both, sizeof both));
    ck_assert_int_eq(pgstart_doubt(&start), DOUBT_OUTCOME);
}
END_TEST

START_TEST(of_what_is_not_postgres_nothing_is_known)
{
    pgstart_init(&start);
    begin("GET /", 5);
    ck_assert_int_eq(pgstart_doubt(&start), DOUBT_OUTCOME);
    begin_session();
    pgstart_sent_bytes(&start, bytes_of("Q\0\0\0\3", 5));
    ck_assert_int_eq(pgstart_doubt(&start), DOUBT_OUTCOME);
}
END_TEST

START_TEST(a_cancel_request_fits_its_backend)
{
    static const uint8_t key_data[] = {'K', 0, 0, 0, 12, 0, 0, 0, 7, 1, 2, 3, 4};
    struct tunnel_cancel cancel;

    for (size_t len = 0; len < sizeof cancel_request; len++) {
        struct bytes prefix = guarded_copy(cancel_request, len);

        ck_assert(!pgstart_read_cancel(prefix, &cancel));
        guarded_free(prefix);
    }
    ck_assert(!pgstart_read_cancel(bytes_of(startup, sizeof startup), &cancel));
    ck_assert(pgstart_read_cancel(bytes_of(cancel_request, sizeof cancel_request), &cancel));
    ck_assert_uint_eq(cancel.pid, 7);
    ck_assert_uint_eq(cancel.key.len, 4);

    begin_session();
    ck_assert(!pgstart_fits_cancel(&start, &cancel));
    pgstart_received(&start, bytes_of(key_data, (size_t)_i));
    pgstart_received(&start, bytes_of(key_data + _i, sizeof key_data - (size_t)_i));
    ck_assert(pgstart_fits_cancel(&start, &cancel));
    cancel.pid++;
    ck_assert(!pgstart_fits_cancel(&start, &cancel));
    cancel.pid--;
    cancel.key.len--;
    ck_assert(!pgstart_fits_cancel(&start, &cancel));
}
END_TEST

SUITE("client_pgstart", LOOP(every_prefix_of_a_request_asks_for_more, 0, 8),
      TEST(requests_for_encryption_are_declined),
      TEST(requests_without_end_are_not_answered_for_ever), TEST(a_cancel_request_is_recognised),
      TEST(what_is_not_postgres_passes_at_once),
      TEST(nothing_is_injected_before_the_startup_message_is_complete),
      LOOP(boundaries_are_known_at_every_byte, 0, 26), TEST(an_error_just_sent_is_noticed),
      TEST(an_impossible_length_ends_the_tracking), TEST(an_error_response_has_all_fields),
      LOOP(what_is_unanswered_is_known_however_it_is_cut, 0, sizeof talks / sizeof talks[0]),
      TEST(the_startup_message_asks_for_nothing), TEST(of_what_is_not_postgres_nothing_is_known),
      LOOP(a_cancel_request_fits_its_backend, 0, 14))
