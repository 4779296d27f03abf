/* Statements of the proxy's own behind those of the client, where no event trigger sees what these
 * do. Every script also runs byte by byte. */
#include "server/pgwire/message.h"
#include "server/pgwire/request.h"
#include "server/proxy/names.h"
#include "server/proxy/pipeline.h"
#include "server/proxy/statement.h"
#include "tests/support/session_rig.h"
#include "tests/support/suite.h"

#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESERVED "_electric_01020304"
#define ALTER "ALTER TABLE t ADD a int"
#define UNIQUE "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"
#define CAPTURE "CALL electric.capture_statement($1, false)"
#define CAPTURE_COMMITTED "CALL electric.capture_statement($1, true)"
#define REFUSE "CALL electric.refuse_unique_index(E't')"

/* What upstream must have got, built by the test. */
static struct buffer expected;

static void begin_fallback(int bytewise)
{
    byte_by_byte = bytewise;
    settings.fallback = true;
    settings.framework_tables = "schema_migrations\0";
    buffer_init(&expected, 1024u * 1024);
    begin_ready();
}

static void expect_nothing_more(void)
{
    upstream_got(buffer_peek(&expected));
    buffer_truncate(&expected, 0);
}

/* -- what the client says -------------------------------------------------------------------- */

/* Client messages go through the same encoders as the proxy's own. */
static void say(void (*encode)(struct buffer *out))
{
    struct buffer out;

    buffer_init(&out, 1024u * 1024);
    encode(&out);
    from_client(buffer_peek(&out));
    buffer_clear(&out);
}

static void parse(const char *name, const char *sql)
{
    struct buffer out;

    buffer_init(&out, 1024u * 1024);
    pgwire_encode_parse(&out, name, bytes_of_string(sql));
    from_client(buffer_peek(&out));
    buffer_clear(&out);
    pgwire_encode_parse(&expected, name, bytes_of_string(sql));
}

static void bind_alone(const char *portal, const char *name)
{
    struct buffer out;

    buffer_init(&out, 4096);
    pgwire_encode_bind(&out, portal, name, bytes_of(NULL, 0));
    from_client(buffer_peek(&out));
    buffer_clear(&out);
}

static void expect_bind(const char *portal, const char *name)
{
    pgwire_encode_bind(&expected, portal, name, bytes_of(NULL, 0));
}

static void bind(const char *portal, const char *name)
{
    bind_alone(portal, name);
    expect_bind(portal, name);
}

static void execute(const char *portal)
{
    struct buffer out;

    buffer_init(&out, 4096);
    pgwire_encode_execute(&out, portal);
    from_client(buffer_peek(&out));
    buffer_clear(&out);
    pgwire_encode_execute(&expected, portal);
}

static void close_statement(const char *name)
{
    struct buffer out;

    buffer_init(&out, 4096);
    pgwire_encode_close(&out, 'S', name);
    from_client(buffer_peek(&out));
    buffer_clear(&out);
    pgwire_encode_close(&expected, 'S', name);
}

static void synchronize(void)
{
    say(pgwire_encode_sync);
    pgwire_encode_sync(&expected);
}

static void expect_query(const char *sql)
{
    size_t len = strlen(sql) + 1;

    buffer_append_u8(&expected, PGWIRE_QUERY);
    buffer_append_u32(&expected, (uint32_t)(4 + len));
    buffer_append(&expected, bytes_of(sql, len));
}

static void query(const char *sql)
{
    send_query(sql);
    expect_query(sql);
}

/* -- what the proxy adds --------------------------------------------------------------------- */

static void expect_call(const char *call, const char *value)
{
    pgwire_encode_close(&expected, 'S', RESERVED);
    pgwire_encode_parse(&expected, RESERVED, bytes_of_string(call));
    pgwire_encode_bind(&expected, RESERVED, RESERVED,
                       value != NULL ? bytes_of_string(value) : bytes_of(NULL, 0));
    pgwire_encode_close(&expected, 'S', RESERVED);
    pgwire_encode_execute(&expected, RESERVED);
    pgwire_encode_close(&expected, 'P', RESERVED);
}

static void expect_converted(const char *sql, const char *call)
{
    pgwire_encode_parse(&expected, "", bytes_of_string(sql));
    pgwire_encode_bind(&expected, "", "", bytes_of(NULL, 0));
    pgwire_encode_close(&expected, 'S', "");
    pgwire_encode_describe(&expected, 'P', "");
    pgwire_encode_execute(&expected, "");
    expect_call(call, sql);
    pgwire_encode_close(&expected, 'P', "");
    pgwire_encode_sync(&expected);
}

/* -- what the server says -------------------------------------------------------------------- */

/* Messages by type, each behind a blank; C takes its tag up to the next blank, with _ for blanks, Z
 * its status. "1 2 CALTER_TABLE ZI" */
static void answer(const char *script)
{
    struct buffer out;
    char body[128];

    buffer_init(&out, 65536);
    while (*script != '\0') {
        size_t len = strcspn(script, " ");
        size_t mark = 0;

        ck_assert_uint_lt(len, sizeof body);
        for (size_t i = 1; i < len; i++)
            body[mark++] = script[i] == '_' ? ' ' : script[i];
        if (script[0] == 'C')
            body[mark++] = '\0';
        else if (script[0] == 'E' || script[0] == 'N')
            mark = (size_t)snprintf(body, sizeof body, "M%.*s", (int)len - 1, script + 1) + 2;
        else if (script[0] == 'S')
            mark = (size_t)snprintf(body, sizeof body, "name") + 1 +
                   (size_t)snprintf(body + 5, sizeof body - 5, "value") + 1;
        if (script[0] == 'E' || script[0] == 'N')
            body[mark - 1] = '\0';
        buffer_append_u8(&out, (uint8_t)script[0]);
        buffer_append_u32(&out, (uint32_t)(4 + mark));
        buffer_append(&out, bytes_of(body, mark));
        script += len;
        script += strspn(script, " ");
    }
    from_server(buffer_peek(&out));
    buffer_clear(&out);
}

/* The same for what the client got since it was last asked. */
static void client_sees(const char *script)
{
    struct bytes got = buffer_peek(&host.client);
    char seen[512] = "";
    uint8_t type;
    uint32_t length;
    struct bytes body;

    while (bytes_take_u8(&got, &type) && bytes_take_u32(&got, &length) &&
           bytes_take(&got, length - 4, &body)) {
        char one[128];

        snprintf(one, sizeof one, "%s%c%.*s", seen[0] != '\0' ? " " : "", type,
                 type == 'C' || type == 'Z' ? (int)body.len : 0, (const char *)body.data);
        for (char *at = one + 1; *at != '\0'; at++)
            if (*at == ' ' && at[1] != '\0' && at > one + 1)
                *at = '_';
        strncat(seen, one, sizeof seen - strlen(seen) - 1);
    }
    ck_assert_str_eq(seen, script);
    buffer_truncate(&host.client, 0);
}

/* The answers to a call that succeeds, up to its tag and behind it. */
#define CALLED "3 1 2 3 CCALL"
#define CONVERTED "1 2 3 n CALTER_TABLE "

/* -- simple Query ---------------------------------------------------------------------------- */

START_TEST(a_query_is_answered_once_it_is_committed)
{
    begin_fallback(_i);
    send_query(ALTER);
    expect_converted(ALTER, CAPTURE);
    expect_nothing_more();
    answer(CONVERTED);
    client_sees("");
    answer(CALLED " 3 3");
    client_sees("");
    ck_assert_uint_eq(host.migrated, 0);
    answer("ZI");
    client_sees("CALTER_TABLE ZI");
    ck_assert_uint_eq(host.migrated, 1);
    end();
}
END_TEST

START_TEST(a_failure_of_the_capture_takes_the_place_of_the_tag)
{
    static const char *const failures[] = {CONVERTED "3 1 2 3 E ZI", CONVERTED CALLED " 3 3 E ZI",
                                           CONVERTED "3 E ZI"};

    byte_by_byte = false;
    begin_fallback(false);
    send_query(ALTER);
    answer(failures[_i]);
    client_sees("E ZI");
    /* And nothing of it stays. */
    send_query(ALTER);
    answer(CONVERTED CALLED " 3 3 ZI");
    client_sees("CALTER_TABLE ZI");
    end();
}
END_TEST

START_TEST(a_statement_that_fails_is_not_captured)
{
    begin_fallback(_i);
    send_query(ALTER);
    answer("1 2 3 n E ZI");
    client_sees("E ZI");
    end();
}
END_TEST

START_TEST(reports_come_behind_the_tag_and_notices_before)
{
    begin_fallback(_i);
    send_query(ALTER);
    answer("1 2 3 n N CALTER_TABLE 3 1 2 3 N CCALL 3 3 N S A ZI");
    client_sees("N N N CALTER_TABLE S A ZI");
    end();
}
END_TEST

START_TEST(rows_of_a_procedure_come_as_from_a_query)
{
    begin_fallback(_i);
    send_query("CALL p(1)");
    expect_converted("CALL p(1)", CAPTURE_COMMITTED);
    expect_nothing_more();
    answer("1 2 3 T N D CCALL " CALLED " 3 3 ZI");
    client_sees("N T D CCALL ZI");
    send_query("CALL p(1)");
    answer("1 2 3 T N E ZI");
    client_sees("N E ZI");
    end();
}
END_TEST

START_TEST(statements_of_ours_inside_a_text_are_not_seen)
{
    begin_fallback(_i);
    send_query("SELECT 1; DROP TABLE a; INSERT INTO schema_migrations VALUES (1)");
    expect_query("SELECT 1; DROP TABLE a;CALL electric.capture(false); INSERT INTO "
                 "schema_migrations VALUES (1);CALL electric.note_version()");
    expect_nothing_more();
    answer("T D CSELECT_1 CDROP_TABLE");
    client_sees("T D CSELECT_1");
    answer("N CCALL");
    client_sees("N CDROP_TABLE");
    answer("CINSERT_0_1 E ZI");
    client_sees("E ZI");
    end();
}
END_TEST

START_TEST(a_query_behind_messages_without_a_sync_is_followed_inside)
{
    begin_fallback(_i);
    parse("", "SELECT 1");
    send_query(ALTER);
    expect_query(ALTER ";CALL electric.capture(false)");
    expect_nothing_more();
    answer("1 CALTER_TABLE");
    client_sees("1");
    answer("CCALL ZI");
    client_sees("CALTER_TABLE ZI");
    /* The next is on its own again. */
    send_query(ALTER);
    expect_converted(ALTER, CAPTURE);
    expect_nothing_more();
    end();
}
END_TEST

START_TEST(a_query_that_is_skipped_gets_no_sync)
{
    begin_fallback(_i);
    parse("", "SELEC");
    query("SELECT 1");
    send_query(ALTER);
    expect_query(ALTER ";CALL electric.capture(false)");
    expect_nothing_more();
    answer("E");
    client_sees("E");
    send_query(ALTER);
    expect_query(ALTER ";CALL electric.capture(false)");
    synchronize();
    expect_nothing_more();
    answer("ZI");
    client_sees("ZI");
    end();
}
END_TEST

START_TEST(a_text_that_settings_decide_about_waits_for_them)
{
    begin_fallback(_i);
    query("SET standard_conforming_strings = off");
    send_query("SELECT 'it\\'; ALTER TABLE t ADD a int; --'");
    expect_nothing_more();
    ck_assert(host.paused);
    answer("CSET ZI");
    ck_assert(!host.paused);
    expect_query("SELECT 'it\\'; ALTER TABLE t ADD a int;CALL electric.capture(false); --'");
    expect_nothing_more();
    end();
}
END_TEST

/* -- extended protocol ----------------------------------------------------------------------- */

START_TEST(an_execute_is_followed_and_its_tag_held)
{
    begin_fallback(_i);
    parse("", ALTER);
    bind("", "");
    execute("");
    expect_call(CAPTURE, ALTER);
    from_client(LITERAL("H\0\0\0\4"));
    buffer_append(&expected, LITERAL("H\0\0\0\4"));
    expect_nothing_more();
    answer("1 2 CALTER_TABLE");
    client_sees("1 2");
    answer(CALLED);
    client_sees("CALTER_TABLE");
    answer("3");
    synchronize();
    answer("ZI");
    client_sees("ZI");
    end();
}
END_TEST

START_TEST(what_is_bound_later_is_followed)
{
    begin_fallback(_i);
    parse("s", ALTER);
    synchronize();
    answer("1 ZI");
    for (int i = 0; i < 2; i++) {
        bind("p", "s");
        execute("p");
        expect_call(CAPTURE, ALTER);
        synchronize();
        answer("2 CALTER_TABLE " CALLED " 3 ZI");
    }
    close_statement("s");
    parse("s", "BEGIN");
    bind("p", "s");
    execute("p");
    synchronize();
    expect_nothing_more();
    end();
}
END_TEST

/* The Parse in the second group may be skipped: as long as that is not known, the first counts. */
START_TEST(a_name_means_what_it_may_still_mean)
{
    begin_fallback(_i);
    parse("", ALTER);
    synchronize();
    parse("x", "SELEC");
    parse("", "SELECT 1");
    synchronize();
    bind("", "");
    execute("");
    expect_call(CAPTURE, ALTER);
    synchronize();
    expect_nothing_more();
    answer("1 ZI E ZI 2 CALTER_TABLE 3 1 2 3 E ZI");
    client_sees("1 ZI E ZI 2 E ZI");
    end();
}
END_TEST

/* Within a group what comes first is certain, so that BEGIN has nothing behind it. */
START_TEST(a_pipeline_may_use_one_name_for_all)
{
    begin_fallback(_i);
    parse("", ALTER);
    bind("", "");
    execute("");
    expect_call(CAPTURE, ALTER);
    synchronize();
    parse("", "BEGIN");
    bind("", "");
    execute("");
    parse("", "SET TRANSACTION READ ONLY");
    bind("", "");
    execute("");
    synchronize();
    expect_nothing_more();
    end();
}
END_TEST

START_TEST(names_beyond_what_is_kept_are_followed_to_be_sure)
{
    char name[16];

    byte_by_byte = false;
    begin_fallback(false);
    for (int i = 0; i <= NAMES_MAX; i++) {
        snprintf(name, sizeof name, "s%d", i);
        parse(name, ALTER);
        answer("1");
    }
    synchronize();
    answer("ZI");
    bind("", name);
    execute("");
    expect_call("CALL electric.capture()", NULL);
    expect_nothing_more();
    end();
}
END_TEST

/* The server takes a Parse among the rows of a COPY for the end of it, and skips to a Sync. */
START_TEST(a_copy_that_is_interrupted_does_not_stop_the_capture)
{
    begin_fallback(_i);
    parse("", "COPY t FROM stdin");
    bind("", "");
    execute("");
    synchronize();
    parse("", "SELECT 1");
    synchronize();
    expect_nothing_more();
    answer("1 2 G E ZI");
    client_sees("1 2 G E ZI");
    send_query(ALTER);
    expect_converted(ALTER, CAPTURE);
    expect_nothing_more();
    answer(CONVERTED CALLED " 3 3 ZI");
    client_sees("CALTER_TABLE ZI");
    end();
}
END_TEST

/* Nor for rows that will not come: what the client has sent instead Postgres will not take. */
START_TEST(what_waits_does_not_wait_for_the_rows_of_a_copy)
{
    static const char sql[] = "SELECT '\\'";

    begin_fallback(_i);
    query("COPY t FROM stdin");
    send_query(sql);
    expect_nothing_more();
    answer("G");
    client_sees("G");
    expect_query(sql);
    expect_nothing_more();
    end();
}
END_TEST

START_TEST(a_sync_among_the_rows_of_a_copy_may_be_swallowed)
{
    static const char *const answers[] = {"CCOPY_1 ZI", "E ZI", "E ZI ZI"};

    byte_by_byte = false;
    begin_fallback(false);
    parse("", "COPY t FROM stdin");
    bind("", "");
    execute("");
    synchronize();
    answer("1 2 G");
    client_sees("1 2 G");
    from_client(LITERAL("d\0\0\0\5x"));
    buffer_append(&expected, LITERAL("d\0\0\0\5x"));
    synchronize();
    from_client(LITERAL("c\0\0\0\4"));
    buffer_append(&expected, LITERAL("c\0\0\0\4"));
    synchronize();
    parse("", ALTER);
    bind("", "");
    execute("");
    expect_call(CAPTURE, ALTER);
    synchronize();
    expect_nothing_more();
    answer(answers[_i]);
    client_sees(answers[_i]);
    answer("1 2 CALTER_TABLE " CALLED " 3 ZI");
    client_sees("1 2 CALTER_TABLE ZI");
    end();
}
END_TEST

START_TEST(statements_are_cut_for_the_ledger_at_a_character)
{
    char *sql = mem_new(9002), *kept = mem_new(9002);

    byte_by_byte = false;
    begin_fallback(false);
    memset(sql, 'x', 9000);
    memcpy(sql, "ALTER \"", 7);
    memcpy(sql + 8191, "\xc3\xa4", 2);
    sql[8999] = '"';
    memcpy(kept, sql, 8191);
    parse("", sql);
    bind("", "");
    execute("");
    expect_call(CAPTURE, kept);
    expect_nothing_more();
    free(sql);
    free(kept);
    end();
}
END_TEST

START_TEST(characters_whose_encoding_is_not_sure_are_left_out)
{
    begin_fallback(_i);
    parse("s", "DROP TABLE \"\xc3\xa4\"");
    synchronize();
    answer("1 ZI");
    query("SET client_encoding = latin1");
    bind("", "s");
    execute("");
    expect_call(CAPTURE, "DROP TABLE \"??\"");
    expect_nothing_more();
    end();
}
END_TEST

/* -- questions ------------------------------------------------------------------------------- */

#define ASKED "3 1 2 3 CCALL 3"

START_TEST(a_question_comes_before_a_query)
{
    begin_fallback(_i);
    query("SELECT 1");
    send_query(UNIQUE);
    expect_nothing_more();
    ck_assert(host.paused);
    answer("CSELECT_1 ZI");
    expect_call(REFUSE, NULL);
    pgwire_encode_sync(&expected);
    expect_nothing_more();
    answer(ASKED " ZI");
    ck_assert(!host.paused);
    expect_converted(UNIQUE, CAPTURE_COMMITTED);
    expect_nothing_more();
    client_sees("CSELECT_1 ZI");
    end();
}
END_TEST

START_TEST(a_no_is_the_answer_to_the_query)
{
    begin_fallback(_i);
    send_query(UNIQUE);
    answer("3 1 2 3 E ZI");
    client_sees("E ZI");
    query("SELECT 1");
    buffer_truncate(&expected, 0);
    expect_call(REFUSE, NULL);
    pgwire_encode_sync(&expected);
    expect_query("SELECT 1");
    expect_nothing_more();
    end();
}
END_TEST

START_TEST(a_question_comes_before_a_portal_is_made)
{
    begin_fallback(_i);
    parse("s", UNIQUE);
    synchronize();
    answer("1 ZI");
    for (int i = 0; i < 2; i++) {
        bind_alone("", "s");
        expect_call(REFUSE, NULL);
        pgwire_encode_sync(&expected);
        expect_nothing_more();
        answer(ASKED " ZI");
        expect_bind("", "s");
        execute("");
        expect_call(CAPTURE_COMMITTED, UNIQUE);
        synchronize();
        expect_nothing_more();
        answer("2 CCREATE_INDEX " CALLED " 3 ZI");
    }
    client_sees("1 ZI 2 CCREATE_INDEX ZI 2 CCREATE_INDEX ZI");
    end();
}
END_TEST

START_TEST(a_no_skips_to_the_clients_sync)
{
    begin_fallback(_i);
    parse("", UNIQUE);
    bind_alone("", "");
    pgwire_encode_sync(&expected);
    expect_nothing_more();
    ck_assert(host.paused);
    answer("1 ZI");
    client_sees("1");
    expect_call(REFUSE, NULL);
    pgwire_encode_sync(&expected);
    expect_nothing_more();
    answer("3 1 2 3 E ZI");
    client_sees("E");
    ck_assert(!host.paused);
    execute("");
    send_query("SELECT 1");
    buffer_truncate(&expected, 0);
    expect_nothing_more();
    synchronize();
    expect_nothing_more();
    answer("ZI");
    client_sees("ZI");
    query("SELECT 1");
    expect_nothing_more();
    end();
}
END_TEST

START_TEST(what_fails_before_a_question_fails_what_is_behind)
{
    begin_fallback(_i);
    parse("s", UNIQUE);
    synchronize();
    answer("1 ZI");
    parse("", "SELEC");
    bind_alone("", "s");
    pgwire_encode_sync(&expected);
    expect_nothing_more();
    answer("E ZI");
    client_sees("1 ZI E");
    execute("");
    buffer_truncate(&expected, 0);
    expect_nothing_more();
    synchronize();
    expect_nothing_more();
    answer("ZI");
    client_sees("ZI");
    end();
}
END_TEST

START_TEST(a_question_among_statements_that_run_is_asked_there)
{
    begin_fallback(_i);
    parse("", "SELECT 1");
    bind("", "");
    execute("");
    parse("", UNIQUE);
    expect_call(REFUSE, NULL);
    bind("", "");
    expect_nothing_more();
    answer("1 2 D CSELECT_1 1 3 1 2 3 E");
    client_sees("1 2 D CSELECT_1 1 E");
    synchronize();
    answer("ZI");
    client_sees("ZI");
    end();
}
END_TEST

START_TEST(in_a_transaction_nothing_is_asked)
{
    begin_fallback(_i);
    query("BEGIN");
    answer("CBEGIN ZT");
    send_query(UNIQUE);
    expect_converted(UNIQUE, CAPTURE_COMMITTED);
    expect_nothing_more();
    end();
}
END_TEST

START_TEST(nothing_is_asked_while_the_server_waits_for_rows)
{
    begin_fallback(_i);
    query("COPY t FROM stdin");
    answer("G");
    send_query(UNIQUE);
    ck_assert(!host.paused);
    ck_assert_uint_gt(buffer_len(&host.upstream), buffer_len(&expected));
    end();
}
END_TEST

START_TEST(long_texts_are_asked_about_too)
{
    size_t len = STATEMENT_INLINE_MAX + sizeof UNIQUE;
    char *sql = mem_new(len + 1);
    struct statement_job *job;

    byte_by_byte = false;
    begin_fallback(false);
    memset(sql, ' ', len);
    memcpy(sql, UNIQUE, sizeof UNIQUE - 1);
    send_query(sql);
    query("SELECT 2");
    buffer_truncate(&expected, 0);
    job = host.job;
    ck_assert_ptr_nonnull(job);
    statement_job_run(job);
    session_job_done(session, job);
    expect_call(REFUSE, NULL);
    pgwire_encode_sync(&expected);
    expect_nothing_more();
    ck_assert(host.paused);
    answer(ASKED " ZI");
    ck_assert(!host.paused);
    expect_converted(sql, CAPTURE_COMMITTED);
    /* The ledger is told no more of it than the statement. */
    ck_assert_uint_gt(buffer_len(&host.upstream), len);
    client_sees("");
    free(sql);
    end();
}
END_TEST

START_TEST(a_session_may_end_while_a_question_is_open)
{
    char *sql = mem_new(STATEMENT_INLINE_MAX + 200);

    byte_by_byte = false;
    begin_fallback(false);
    memset(sql, ' ', STATEMENT_INLINE_MAX + 100);
    memcpy(sql, UNIQUE, sizeof UNIQUE - 1);
    send_query(sql);
    statement_job_run(host.job);
    session_job_done(session, host.job);
    session_upstream_end(session);
    ck_assert_str_ne(host.closed, "");
    free(sql);
    end();
}
END_TEST

SUITE("session_fallback", LOOP(a_query_is_answered_once_it_is_committed, 0, 2),
      LOOP(a_failure_of_the_capture_takes_the_place_of_the_tag, 0, 3),
      LOOP(a_statement_that_fails_is_not_captured, 0, 2),
      LOOP(reports_come_behind_the_tag_and_notices_before, 0, 2),
      LOOP(rows_of_a_procedure_come_as_from_a_query, 0, 2),
      LOOP(statements_of_ours_inside_a_text_are_not_seen, 0, 2),
      LOOP(a_query_behind_messages_without_a_sync_is_followed_inside, 0, 2),
      LOOP(a_query_that_is_skipped_gets_no_sync, 0, 2),
      LOOP(a_text_that_settings_decide_about_waits_for_them, 0, 2),
      LOOP(an_execute_is_followed_and_its_tag_held, 0, 2),
      LOOP(what_is_bound_later_is_followed, 0, 2), LOOP(a_name_means_what_it_may_still_mean, 0, 2),
      LOOP(a_pipeline_may_use_one_name_for_all, 0, 2),
      TEST(names_beyond_what_is_kept_are_followed_to_be_sure),
      LOOP(a_copy_that_is_interrupted_does_not_stop_the_capture, 0, 2),
      LOOP(what_waits_does_not_wait_for_the_rows_of_a_copy, 0, 2),
      LOOP(a_sync_among_the_rows_of_a_copy_may_be_swallowed, 0, 3),
      TEST(statements_are_cut_for_the_ledger_at_a_character),
      LOOP(characters_whose_encoding_is_not_sure_are_left_out, 0, 2),
      LOOP(a_question_comes_before_a_query, 0, 2), LOOP(a_no_is_the_answer_to_the_query, 0, 2),
      LOOP(a_question_comes_before_a_portal_is_made, 0, 2),
      LOOP(a_no_skips_to_the_clients_sync, 0, 2),
      LOOP(what_fails_before_a_question_fails_what_is_behind, 0, 2),
      LOOP(a_question_among_statements_that_run_is_asked_there, 0, 2),
      LOOP(in_a_transaction_nothing_is_asked, 0, 2),
      LOOP(nothing_is_asked_while_the_server_waits_for_rows, 0, 2),
      TEST(long_texts_are_asked_about_too), TEST(a_session_may_end_while_a_question_is_open))
