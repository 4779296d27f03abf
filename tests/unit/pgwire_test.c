/* The codec of the Postgres protocol. */
#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"
#include "server/pgwire/report.h"
#include "server/pgwire/startup.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <string.h>

#define LITERAL(text) bytes_of(text, sizeof(text) - 1)

static const char query[] = "Q\0\0\0\x0dSELECT 1\0";
static const char startup[] = "\0\0\0\x28\0\3\0\0user\0me\0database\0db\0options\0-c\0\0";
static const char cancel[] = "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2a\xde\xad\xbe\xef";

START_TEST(every_prefix_of_a_message_asks_for_more)
{
    struct bytes in = guarded_copy(query, (size_t)_i);
    struct pgwire_message message;

    ck_assert_int_eq(pgwire_decode(&in, &message), STATUS_MORE);
    ck_assert_uint_eq(in.len, (size_t)_i);
}
END_TEST

START_TEST(a_message_is_taken_whole)
{
    struct bytes in = guarded_copy(query, sizeof query - 1);
    struct pgwire_message message;
    struct bytes text;

    ck_assert_int_eq(pgwire_decode(&in, &message), STATUS_OK);
    ck_assert_uint_eq(in.len, 0);
    ck_assert_int_eq(message.type, PGWIRE_QUERY);
    ck_assert_int_eq(pgwire_decode_query(message.body, &text), STATUS_OK);
    ck_assert(bytes_equal_string(text, "SELECT 1"));
}
END_TEST

START_TEST(absurd_lengths_are_refused_before_their_body)
{
    static const char *const heads[] = {"Q\0\0\0\3", "Q\0\0\0\0", "Q\x3f\xff\xff\xff",
                                        "Q\xff\xff\xff\xff"};
    struct bytes in = guarded_copy(heads[_i], 5);
    struct pgwire_message message;

    ck_assert_int_eq(pgwire_decode(&in, &message), STATUS_INVALID);
}
END_TEST

START_TEST(bodies_must_be_used_up)
{
    struct pgwire_target target;
    struct pgwire_parse parse;
    struct bytes text;

    ck_assert_int_eq(pgwire_decode_query(LITERAL("SELECT 1"), &text), STATUS_INVALID);
    ck_assert_int_eq(pgwire_decode_query(LITERAL("a\0b\0"), &text), STATUS_INVALID);
    ck_assert_int_eq(pgwire_decode_target(LITERAL("Sname\0x"), &target), STATUS_INVALID);
    ck_assert_int_eq(pgwire_decode_target(LITERAL("Sname\0"), &target), STATUS_OK);
    ck_assert_int_eq(pgwire_decode_execute(LITERAL("p\0\0\0\0"), &text), STATUS_INVALID);
    ck_assert_int_eq(pgwire_decode_execute(LITERAL("p\0\0\0\0\0"), &text), STATUS_OK);
    ck_assert_int_eq(pgwire_decode_parse(LITERAL("n\0SELECT 1"), &parse), STATUS_INVALID);
    ck_assert_int_eq(pgwire_decode_parse(LITERAL("n\0SELECT 1\0\0\0"), &parse), STATUS_OK);
    ck_assert_uint_eq(parse.rest.len, 2);
}
END_TEST

START_TEST(every_prefix_of_a_startup_packet_asks_for_more)
{
    struct bytes in = guarded_copy(startup, (size_t)_i);
    struct startup_packet packet;

    ck_assert_int_eq(startup_decode(&in, &packet), STATUS_MORE);
}
END_TEST

START_TEST(a_startup_packet_gives_its_parameters)
{
    struct bytes in = guarded_copy(startup, sizeof startup - 1);
    struct startup_packet packet;

    ck_assert_int_eq(startup_decode(&in, &packet), STATUS_OK);
    ck_assert_int_eq(packet.kind, STARTUP_MESSAGE);

    ck_assert(bytes_equal_string(startup_parameter(&packet, "database"), "db"));
    ck_assert_ptr_null(startup_parameter(&packet, "nope").data);
}
END_TEST

START_TEST(a_cancel_request_gives_pid_and_secret)
{
    struct bytes in = guarded_copy(cancel, sizeof cancel - 1);
    struct startup_packet packet;

    ck_assert_int_eq(startup_decode(&in, &packet), STATUS_OK);
    ck_assert_int_eq(packet.kind, STARTUP_CANCEL_REQUEST);
    ck_assert_uint_eq(packet.pid, 42);
    ck_assert(bytes_equal(packet.secret, LITERAL("\xde\xad\xbe\xef")));
}
END_TEST

static const struct {
    const char *data;
    size_t len;
} foreign[] = {
    {"GET / HTTP/1.1\r\n", 16},                 /* HTTP */
    {"\x16\x03\x01\x02\0\x01\0\x01\xfc", 9},    /* TLS hello */
    {"\0\0\0\x07\0\3\0", 7},                    /* shorter than any packet */
    {"\0\0\x27\x15\0\3\0\0", 8},                /* one byte above the limit */
    {"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\1", 12}, /* a cancel without a key */
    {"\0\0\0\x09\x04\xd2\x16\x2fx", 9},         /* SSLRequest with a tail */
};
#define FOREIGN (sizeof foreign / sizeof foreign[0])

START_TEST(a_startup_message_that_does_not_end_is_told_apart)
{
    static const struct {
        const char *data;
        size_t len;
    } cases[] = {
        {"\0\0\0\x0d\0\3\0\0user\0", 13}, /* a name without a value */
        {"\0\0\0\x0a\0\3\0\0\0x", 10},    /* more behind the end */
        {"\0\0\0\x08\0\3\0\0", 8},        /* no end at all */
        {"\0\0\0\x10\0\3\0\0user\0me\0", 16},
    };
    struct bytes in = guarded_copy(cases[_i].data, cases[_i].len);
    struct startup_packet packet;

    ck_assert_int_eq(startup_decode(&in, &packet), STATUS_OK);
    ck_assert_int_eq(packet.kind, STARTUP_MALFORMED);
}
END_TEST

START_TEST(what_is_not_postgres_is_refused)
{
    struct bytes in = guarded_copy(foreign[_i].data, foreign[_i].len);
    struct startup_packet packet;

    ck_assert_int_eq(startup_decode(&in, &packet), STATUS_INVALID);
}
END_TEST

static uint32_t plus_hundred(const void *context, uint32_t position)
{
    (void)context;
    return position == 0 ? 0 : position + 100;
}

static struct pgwire_message message_of(const char *body, size_t len)
{
    static struct buffer whole;
    struct pgwire_message message;
    struct bytes in;
    size_t mark;

    buffer_clear(&whole);
    buffer_init(&whole, 4096);
    mark = pgwire_begin(&whole, PGWIRE_ERROR_RESPONSE);
    buffer_append(&whole, bytes_of(body, len));
    pgwire_end(&whole, mark);
    in = buffer_peek(&whole);
    ck_assert_int_eq(pgwire_decode(&in, &message), STATUS_OK);
    return message;
}

#define REPORT \
    "SERROR\0VERROR\0C42P01\0Mgone\0P7\0Wfunction electric.enable(text)\0Fx.c\0L1\0Rf\0\0"

START_TEST(reports_of_our_functions_lose_what_shows_our_insides)
{
    struct pgwire_message message = message_of(REPORT, sizeof REPORT - 1);
    struct bytes body;
    struct buffer out;

    ck_assert(report_is_ours(message.body));
    buffer_init(&out, 4096);
    report_rewrite(&out, &message,
                   &(struct report_edit){.ours = true, .map = plus_hundred, .hint = NULL});
    body = bytes_skip(buffer_peek(&out), PGWIRE_HEADER_SIZE);
    ck_assert(bytes_equal(body, LITERAL("SERROR\0VERROR\0C42P01\0Mgone\0P107\0\0")));
    buffer_clear(&out);
}
END_TEST

START_TEST(only_our_schema_is_taken_for_ours)
{
    ck_assert(report_is_ours(LITERAL("WPL/pgSQL function electric.f() line 1\0\0")));
    ck_assert(!report_is_ours(LITERAL("WSQL statement x\nelectric.f() line 1\0\0")));
    ck_assert(!report_is_ours(LITERAL("WCOPY t, line 1, column id: \"an electric.f() x\"\0\0")));
    ck_assert(!report_is_ours(LITERAL("WJSON data, line 1: {\"a\":1, electric.x\0\0")));
    ck_assert(!report_is_ours(LITERAL("WPL/pgSQL function myelectric.f() line 1\0\0")));
    ck_assert(!report_is_ours(LITERAL("WPL/pgSQL function a.electric.f() line 1\0\0")));
    ck_assert(!report_is_ours(LITERAL("Mfunction electric.f()\0\0")));
    ck_assert(!report_is_ours(LITERAL("")));
}
END_TEST

START_TEST(a_hint_is_added_where_there_is_none)
{
    static const char syntax_error[] = "C42601\0Msyntax error at or near \"ELECTRIC\"\0\0";
    struct pgwire_message message = message_of(syntax_error, sizeof syntax_error - 1);
    struct bytes body;
    struct buffer out;

    ck_assert(report_is_about_ddlx(message.body));
    buffer_init(&out, 4096);
    report_rewrite(&out, &message, &(struct report_edit){.hint = "Try this."});
    body = bytes_skip(buffer_peek(&out), PGWIRE_HEADER_SIZE);
    ck_assert(bytes_equal_string(report_field(body, 'H'), "Try this."));
    buffer_clear(&out);
    message = message_of("Hmine\0\0", 7);
    ck_assert(!report_is_about_ddlx(message.body));
    report_rewrite(&out, &message, &(struct report_edit){.hint = "Try this."});
    ck_assert(bytes_equal(buffer_peek(&out), message.whole));
    buffer_clear(&out);
}
END_TEST

START_TEST(a_malformed_report_passes_as_it_is)
{
    struct pgwire_message message = message_of("Mno end", 7);
    struct buffer out;

    buffer_init(&out, 4096);
    report_rewrite(&out, &message,
                   &(struct report_edit){.ours = true, .map = plus_hundred, .hint = NULL});
    ck_assert(bytes_equal(buffer_peek(&out), message.whole));
    buffer_clear(&out);
}
END_TEST

START_TEST(fatal_is_read_from_the_untranslated_field)
{
    ck_assert(report_is_fatal(LITERAL("SFATALE\0VFATAL\0\0")));
    ck_assert(!report_is_fatal(LITERAL("SFATAL\0VERROR\0\0")));
    ck_assert(!report_is_fatal(LITERAL("Mx")));
}
END_TEST

SUITE("pgwire", LOOP(every_prefix_of_a_message_asks_for_more, 0, sizeof query - 1),
      TEST(a_message_is_taken_whole), LOOP(absurd_lengths_are_refused_before_their_body, 0, 4),
      TEST(bodies_must_be_used_up),
      LOOP(every_prefix_of_a_startup_packet_asks_for_more, 0, sizeof startup - 1),
      TEST(a_startup_packet_gives_its_parameters), TEST(a_cancel_request_gives_pid_and_secret),
      LOOP(a_startup_message_that_does_not_end_is_told_apart, 0, 4),
      LOOP(what_is_not_postgres_is_refused, 0, FOREIGN),
      TEST(reports_of_our_functions_lose_what_shows_our_insides),
      TEST(only_our_schema_is_taken_for_ours), TEST(a_hint_is_added_where_there_is_none),
      TEST(a_malformed_report_passes_as_it_is), TEST(fatal_is_read_from_the_untranslated_field))
