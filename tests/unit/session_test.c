/* Sessions against a host that only records. Every script also runs byte by byte. */
#include "server/pgwire/message.h"
#include "server/proxy/statement.h"
#include "tests/support/session_rig.h"
#include "tests/support/suite.h"

#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(encryption_is_declined_once_each)
{
    byte_by_byte = _i;
    begin();
    from_client(LITERAL("\0\0\0\x08\x04\xd2\x16\x30"));
    from_client(LITERAL("\0\0\0\x08\x04\xd2\x16\x2f"));
    client_got(LITERAL("NN"));
    from_client(LITERAL("\0\0\0\x08\x04\xd2\x16\x2f"));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(bytes_behind_ssl_request_are_a_violation)
{
    byte_by_byte = false;
    begin();
    from_client(LITERAL("\0\0\0\x08\x04\xd2\x16\x2f\0\0"));
    ck_assert(client_got_text("unencrypted data after SSL request"));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(foreign_protocols_are_closed_without_a_word)
{
    byte_by_byte = _i;
    begin();
    from_client(LITERAL("GET /"));
    ck_assert_str_eq(host.closed, "not a Postgres client");
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert(!host.connecting);
    end();
}
END_TEST

START_TEST(a_login_leads_upstream_and_then_to_a_welcome)
{
    byte_by_byte = _i;
    begin();
    START("user\0me\0database\0main\0application_name\0psql\0");
    answer_md5("secret", "me");
    ck_assert_str_eq(host.asked, "");
    ck_assert_str_eq(host.parameters, "application_name;psql;");
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    upstream_ready_with(false);
    client_got(LITERAL("R\0\0\0\x08\0\0\0\0"
                       "S\0\0\0\x19"
                       "client_encoding\0UTF8\0"
                       "S\0\0\0\x23"
                       "standard_conforming_strings\0on\0"
                       "K\0\0\0\x0c\0\0\0\x4d\1\2\3\4"
                       "Z\0\0\0\x05I"));
    ck_assert_str_eq(session_state_name(session), "ready");
    end();
}
END_TEST

START_TEST(a_wrong_password_is_answered_late)
{
    byte_by_byte = _i;
    begin();
    START("user\0me\0database\0main\0");
    answer_md5("wrong", "me");
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert_uint_eq(host.timer, 1000);
    session_timer(session);
    ck_assert(client_got_text("password authentication failed for user \"me\""));
    ck_assert(client_got_text("C28P01"));
    ck_assert(!host.connecting);
    end();
}
END_TEST

START_TEST(another_database_that_exists_is_refused)
{
    byte_by_byte = _i;
    begin();
    START("user\0me\0database\0other\0");
    answer_md5("secret", "me");
    ck_assert_str_eq(host.asked, "other");
    upstream_ready_with(true);
    ck_assert(client_got_text("C3D000"));
    ck_assert(client_got_text("serves database \"main\""));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(a_database_that_does_not_exist_is_noticed)
{
    begin();
    START("user\0me\0database\0other\0");
    answer_md5("secret", "me");
    upstream_ready_with(false);
    ck_assert(client_got_text("database \"other\" does not exist"));
    ck_assert_str_eq(session_state_name(session), "ready");
    end();
}
END_TEST

START_TEST(introspection_may_name_the_database_it_is_shown)
{
    const struct error notice = {.sqlstate = "00000", .message = "not the newest"};
    static const char *const none[] = {NULL};

    byte_by_byte = _i;
    begin();
    START("user\0prisma\0database\0main__electric\0");
    answer_md5("secret", "prisma");
    ck_assert_int_eq(session_mode(session), SESSION_INTROSPECTION);
    ck_assert_str_eq(host.asked, "");
    session_upstream_ready(session,
                           &(struct session_upstream){.parameters = none, .notice = &notice});
    ck_assert(client_got_text("Mnot the newest"));
    ck_assert(!client_got_text("does not exist"));
    ck_assert_str_eq(session_state_name(session), "ready");
    end();
}
END_TEST

START_TEST(others_may_not_name_the_database_for_introspection)
{
    begin();
    START("user\0me\0database\0main__electric\0");
    answer_md5("secret", "me");
    ck_assert_str_eq(host.asked, "main__electric");
    end();
}
END_TEST

START_TEST(a_shadow_database_is_connected_to)
{
    begin();
    START("user\0me\0database\0prisma_migrate_shadow_db_1\0");
    answer_md5("secret", "me");
    ck_assert_str_eq(host.database, "prisma_migrate_shadow_db_1");
    ck_assert_int_eq(session_mode(session), SESSION_SHADOW);
    end();
}
END_TEST

START_TEST(replication_and_foreign_settings_are_refused)
{
#define PARAMETERS(text)       \
    {                          \
        text, sizeof(text) - 1 \
    }
    static const struct {
        const char *parameters;
        size_t len;
    } cases[] = {
        PARAMETERS("user\0me\0replication\0database\0"),
        PARAMETERS("user\0me\0electric.proxied\0x\0"),
        PARAMETERS("user\0me\0options\0-c electric.proxied=x\0"),
        PARAMETERS("user\0me\0options\0-d 5\0"),
    };
#undef PARAMETERS

    byte_by_byte = false;
    begin();
    start(cases[_i].parameters, cases[_i].len);
    ck_assert(client_got_text("C0A000"));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(options_are_taken_apart)
{
    begin();
    START("user\0me\0options\0-c search_path=a\\ b --work-mem=4MB -cTimeZone=UTC\0");
    answer_md5("secret", "me");
    ck_assert_str_eq(host.parameters, "search_path;a b;work_mem;4MB;TimeZone;UTC;");
    end();
}
END_TEST

START_TEST(a_newer_minor_version_is_negotiated)
{
    byte_by_byte = _i;
    begin();
    from_client(LITERAL("\0\0\0\x23\0\3\0\2user\0me\0_pq_.x\0"
                        "1\0replica\0\0\0"));
    ck_assert(client_got_text("v"));
    ck_assert(client_got_text("_pq_.x"));
    end();
}
END_TEST

START_TEST(a_cancel_request_is_passed_on)
{
    byte_by_byte = _i;
    begin();
    from_client(LITERAL("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2a\xde\xad\xbe\xef"));
    ck_assert_uint_eq(host.cancelled, 42);
    ck_assert_str_ne(host.closed, "");
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    end();
}
END_TEST

START_TEST(a_full_server_says_so_once_the_client_listens)
{
    struct error full;

    begin();
    error_set(&full, STATUS_FULL, "53300", "sorry, too many clients already");
    session_terminate(session, &full);
    ck_assert_str_eq(host.closed, "");
    START("user\0me\0");
    ck_assert(client_got_text("C53300"));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(messages_pass_unchanged_both_ways)
{
    static const char up[] = "Q\0\0\0\x0dSELECT 1\0"
                             "P\0\0\0\x08\0\0\0\0"
                             "d\0\0\0\x06xy"
                             "?\0\0\0\x04"
                             "H\0\0\0\x04";
    static const char down[] = "T\0\0\0\x06\0\0"
                               "D\0\0\0\x06\0\0"
                               "C\0\0\0\x0dSELECT 1\0"
                               "N\0\0\0\x08Mx\0\0"
                               "S\0\0\0\x08"
                               "a\0b\0"
                               "E\0\0\0\x08Mx\0\0"
                               "Z\0\0\0\x05I";

    byte_by_byte = _i;
    begin_ready();
    from_client(bytes_of(up, sizeof up - 1));
    upstream_got(bytes_of(up, sizeof up - 1));
    from_server(bytes_of(down, sizeof down - 1));
    client_got(bytes_of(down, sizeof down - 1));
    end();
}
END_TEST

START_TEST(ddlx_is_rewritten_and_tagged)
{
    byte_by_byte = _i;
    begin_ready();
    send_query("ELECTRIC ENABLE t");
    upstream_got(LITERAL("Q\0\0\0\x1f"
                         "CALL electric.enable(E't')\0"));
    from_server(LITERAL("C\0\0\0\x09"
                        "CALL\0"
                        "Z\0\0\0\x05I"));
    client_got(LITERAL("C\0\0\0\x14"
                       "ELECTRIC ENABLE\0"
                       "Z\0\0\0\x05I"));
    end();
}
END_TEST

START_TEST(parse_is_rewritten_and_keeps_its_types)
{
    static const char parse[] = "s\0ELECTRIC ENABLE t\0\0\1\0\0\0\x17";

    byte_by_byte = _i;
    begin_ready();
    from_client_message(PGWIRE_PARSE, bytes_of(parse, sizeof parse - 1));
    upstream_got(LITERAL("P\0\0\0\x27s\0CALL electric.enable(E't')\0\0\1\0\0\0\x17"));
    end();
}
END_TEST

START_TEST(a_position_behind_a_rewritten_statement_is_mapped_back)
{
    byte_by_byte = _i;
    begin_ready();
    send_query("ELECTRIC ENABLE t; SELEC 1");
    /* CALL electric.enable(E't'); SELEC 1 */
    from_server(LITERAL("E\0\0\0\x0bP29\0M\0\0"));
    client_got(LITERAL("E\0\0\0\x0bP20\0M\0\0"));
    end();
}
END_TEST

/* A Query of `len` bytes of text that begins with `sql`. */
static char *long_query(const char *sql, size_t len)
{
    char *text = mem_new(len + 1);

    memset(text, ' ', len);
    memcpy(text, sql, strlen(sql));
    return text;
}

START_TEST(long_texts_are_examined_elsewhere_and_order_is_kept)
{
    char *text = long_query("ELECTRIC ENABLE t", 3 * 1024 * 1024);
    struct statement_job *job;
    struct bytes got;

    byte_by_byte = false;
    begin_ready();
    send_query(text);
    send_query("SELECT 2");
    ck_assert_uint_eq(buffer_len(&host.upstream), 0);
    ck_assert(host.paused);
    job = host.job;
    ck_assert_ptr_nonnull(job);
    statement_job_run(job);
    host.upstream_full = true;
    session_job_done(session, job);
    ck_assert_uint_eq(buffer_len(&host.upstream), 0);
    ck_assert(host.paused);
    host.upstream_full = false;
    session_upstream_drained(session);
    ck_assert(!host.paused);
    got = buffer_peek(&host.upstream);
    ck_assert(bytes_starts_with(bytes_skip(got, 5), "CALL electric.enable"));
    ck_assert(bytes_equal(bytes_skip(got, got.len - 14), LITERAL("Q\0\0\0\x0dSELECT 2\0")));
    from_server(LITERAL("C\0\0\0\x09"
                        "CALL\0"));
    client_got(LITERAL("C\0\0\0\x14"
                       "ELECTRIC ENABLE\0"));
    free(text);
    end();
}
END_TEST

START_TEST(a_session_may_end_while_its_text_is_examined)
{
    char *text = long_query("SELECT 1", 100 * 1024);

    byte_by_byte = false;
    begin_ready();
    send_query(text);
    session_upstream_end(session);
    ck_assert_str_ne(host.closed, "");
    statement_job_run(host.job);
    session_job_done(session, host.job);
    free(text);
    end();
}
END_TEST

START_TEST(upstreams_loss_is_told_at_a_message_boundary)
{
    byte_by_byte = _i;
    begin_ready();
    session_upstream_end(session);
    ck_assert(client_got_text("C08006"));
    end();
    begin_ready();
    from_server(LITERAL("D\0\0\0\x20half"));
    buffer_clear(&host.client);
    session_upstream_end(session);
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(the_end_after_terminate_is_no_loss)
{
    byte_by_byte = _i;
    begin_ready();
    from_client(LITERAL("X\0\0\0\x04"));
    upstream_got(LITERAL("X\0\0\0\x04"));
    session_client_end(session);
    ck_assert(host.finished);
    session_upstream_end(session);
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert_str_eq(host.closed, "client disconnected");
    end();
}
END_TEST

START_TEST(a_drain_tells_the_client_why)
{
    struct error error;

    byte_by_byte = false;
    begin_ready();
    error_set(&error, STATUS_CLOSED, "57P01",
              "terminating connection due to administrator command");
    session_terminate(session, &error);
    ck_assert(client_got_text("C57P01"));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(a_drain_in_the_middle_of_a_message_waits_for_its_end)
{
    struct error error;

    byte_by_byte = _i;
    begin_ready();
    from_server(LITERAL("D\0\0\0\x08"
                        "ab"));
    buffer_clear(&host.client);
    error_set(&error, STATUS_CLOSED, "57P01", "the reason");
    session_terminate(session, &error);
    ck_assert_str_eq(host.closed, "");
    ck_assert_uint_eq(host.timer, 2000);
    from_server(LITERAL("cdD\0\0\0\x08"
                        "abcd"));
    ck_assert(bytes_starts_with(buffer_peek(&host.client), "cdE"));
    ck_assert(client_got_text("C57P01"));
    ck_assert_str_eq(host.closed, "the reason");
    end();
    begin_ready();
    from_server(LITERAL("D\0\0\0\x08"
                        "ab"));
    session_terminate(session, &error);
    session_timer(session);
    ck_assert_str_eq(host.closed, "the reason");
    end();
}
END_TEST

START_TEST(a_transparent_session_is_framed_all_the_same)
{
    static const char fatal[] = "E\0\0\0\x16SFATAL\0VFATAL\0Mx\0\0";

    byte_by_byte = _i;
    begin();
    START("user\0transparent\0database\0main\0");
    answer_md5("secret", "transparent");
    upstream_ready_with(false);
    buffer_clear(&host.client);
    send_query("ELECTRIC ENABLE t");
    upstream_got(LITERAL("Q\0\0\0\x16"
                         "ELECTRIC ENABLE t\0"));
    from_server(bytes_of(fatal, sizeof fatal - 1));
    client_got(bytes_of(fatal, sizeof fatal - 1));
    session_upstream_end(session);
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(junk_does_not_hasten_the_answer_to_a_wrong_password)
{
    char junk[1024] = {0};

    byte_by_byte = false;
    begin();
    START("user\0me\0database\0main\0");
    answer_md5("wrong", "me");
    for (int i = 0; i < 100; i++)
        from_client(bytes_of(junk, sizeof junk));
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert_str_eq(host.closed, "");
    end();
}
END_TEST

START_TEST(a_client_that_leaves_before_login_has_not_failed_to_log_in)
{
    byte_by_byte = _i;
    begin();
    START("user\0me\0");
    buffer_clear(&host.client);
    from_client(LITERAL("X\0\0\0\x04"));
    ck_assert_str_eq(host.closed, "client disconnected");
    ck_assert_uint_eq(buffer_len(&host.client), 0);
    ck_assert_str_eq(host.refused, "");
    end();
    begin();
    START("user\0me\0");
    session_client_end(session);
    ck_assert_str_eq(host.closed, "client disconnected");
    ck_assert_str_eq(host.refused, "");
    end();
}
END_TEST

START_TEST(silence_before_login_has_its_deadline)
{
    begin();
    ck_assert_uint_eq(host.timer, 10000);
    session_timer(session);
    ck_assert_str_eq(host.closed, "no start-up packet in time");
    end();
    begin();
    START("user\0me\0");
    buffer_clear(&host.client);
    session_timer(session);
    ck_assert(client_got_text("canceling authentication due to timeout"));
    end();
}
END_TEST

SUITE("session", LOOP(encryption_is_declined_once_each, 0, 2),
      TEST(bytes_behind_ssl_request_are_a_violation),
      LOOP(foreign_protocols_are_closed_without_a_word, 0, 2),
      LOOP(a_login_leads_upstream_and_then_to_a_welcome, 0, 2),
      LOOP(a_wrong_password_is_answered_late, 0, 2),
      LOOP(another_database_that_exists_is_refused, 0, 2),
      TEST(a_database_that_does_not_exist_is_noticed),
      LOOP(introspection_may_name_the_database_it_is_shown, 0, 2),
      TEST(others_may_not_name_the_database_for_introspection),
      TEST(a_shadow_database_is_connected_to),
      LOOP(replication_and_foreign_settings_are_refused, 0, 4), TEST(options_are_taken_apart),
      LOOP(a_newer_minor_version_is_negotiated, 0, 2), LOOP(a_cancel_request_is_passed_on, 0, 2),
      TEST(a_full_server_says_so_once_the_client_listens),
      LOOP(messages_pass_unchanged_both_ways, 0, 2), LOOP(ddlx_is_rewritten_and_tagged, 0, 2),
      LOOP(parse_is_rewritten_and_keeps_its_types, 0, 2),
      LOOP(a_position_behind_a_rewritten_statement_is_mapped_back, 0, 2),
      TEST(long_texts_are_examined_elsewhere_and_order_is_kept),
      TEST(a_session_may_end_while_its_text_is_examined),
      LOOP(upstreams_loss_is_told_at_a_message_boundary, 0, 2),
      LOOP(the_end_after_terminate_is_no_loss, 0, 2), TEST(a_drain_tells_the_client_why),
      LOOP(a_drain_in_the_middle_of_a_message_waits_for_its_end, 0, 2),
      LOOP(a_transparent_session_is_framed_all_the_same, 0, 2),
      TEST(junk_does_not_hasten_the_answer_to_a_wrong_password),
      LOOP(a_client_that_leaves_before_login_has_not_failed_to_log_in, 0, 2),
      TEST(silence_before_login_has_its_deadline))
