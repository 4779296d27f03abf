/* COMMITs of a session: whose they are, and what is said when their answer does not come. Every
 * script also runs byte by byte. */
#include "server/pgwire/message.h"
#include "server/pgwire/request.h"
#include "server/proxy/ending.h"
#include "tests/support/session_rig.h"
#include "tests/support/suite.h"

#include <string.h>

#define READY_IDLE LITERAL("Z\0\0\0\5I")
#define READY_OPEN LITERAL("Z\0\0\0\5T")
#define READY_FAILED LITERAL("Z\0\0\0\5E")
#define BEGUN LITERAL("C\0\0\0\12BEGIN\0Z\0\0\0\5T")
#define INSERTED LITERAL("C\0\0\0\17INSERT 0 1\0Z\0\0\0\5T")
#define COMMITTED LITERAL("C\0\0\0\13COMMIT\0Z\0\0\0\5I")
#define ROLLED_BACK LITERAL("C\0\0\0\15ROLLBACK\0Z\0\0\0\5I")
/* The question in front of a Query, and its answers. */
#define QUESTION LITERAL("F\0\0\0\16\0\0\23\304\0\0\0\0\0\0")
#define XID_4711                 \
    LITERAL("V\0\0\0\14\0\0\0\4" \
            "4711Z\0\0\0\5T")
#define NO_XID LITERAL("V\0\0\0\10\377\377\377\377Z\0\0\0\5T")
#define CANCELLED LITERAL("E\0\0\0\31SERROR\0C57014\0Mstop\0\0")
#define TERMINATED LITERAL("E\0\0\0\43SFATAL\0VFATAL\0C57P01\0Mgo home\0\0")

static void begin_outcome(int bytewise)
{
    byte_by_byte = bytewise;
    begin_ready();
}

/* Inside a transaction that has written something. */
static void begin_written(int bytewise)
{
    begin_outcome(bytewise);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("INSERT INTO t VALUES (1)");
    from_server(INSERTED);
    buffer_clear(&host.client);
    buffer_clear(&host.upstream);
}

static enum tunnel_outcome last_outcome(void)
{
    uint64_t xid;

    return session_last_outcome(session, &xid);
}

static enum tunnel_outcome outcome_now(void)
{
    uint64_t xid;

    return session_outcome(session, &xid);
}

static bool upstream_begins_with(struct bytes expected)
{
    struct bytes got = buffer_peek(&host.upstream);

    return got.len >= expected.len && bytes_equal(bytes_first(got, expected.len), expected);
}

START_TEST(a_commit_goes_behind_the_question_whose_it_is)
{
    begin_written(_i);
    send_query("COMMIT");
    ck_assert(upstream_begins_with(QUESTION));
    ck_assert(bytes_equal(bytes_skip(buffer_peek(&host.upstream), QUESTION.len),
                          LITERAL("Q\0\0\0\13COMMIT\0")));
    from_server(XID_4711);
    client_got(LITERAL(""));
    ck_assert_uint_eq(host.committing, 4711);
    ck_assert(session_is_committing(session));
    from_server(COMMITTED);
    client_got(COMMITTED);
    ck_assert(!session_is_committing(session));
    ck_assert_int_eq(last_outcome(), TUNNEL_OUTCOME_COMMITTED);
    end();
}
END_TEST

START_TEST(nothing_is_asked_where_the_answer_is_known)
{
    begin_outcome(_i);
    send_query("COMMIT"); /* outside of a transaction */
    upstream_got(LITERAL("Q\0\0\0\13COMMIT\0"));
    from_server(COMMITTED);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("SET TRANSACTION READ ONLY");
    from_server(LITERAL("C\0\0\0\10SET\0Z\0\0\0\5T"));
    buffer_clear(&host.upstream);
    send_query("COMMIT"); /* a question would take the first snapshot */
    upstream_got(LITERAL("Q\0\0\0\13COMMIT\0"));
    from_server(COMMITTED);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("x");
    from_server(CANCELLED);
    from_server(READY_FAILED);
    buffer_clear(&host.upstream);
    send_query("COMMIT"); /* it has failed */
    upstream_got(LITERAL("Q\0\0\0\13COMMIT\0"));
    from_server(ROLLED_BACK);
    ck_assert_int_eq(last_outcome(), TUNNEL_OUTCOME_ROLLED_BACK);
    ck_assert_uint_eq(host.committing, 0);
    end();
}
END_TEST

START_TEST(a_question_that_fails_is_the_answer_to_the_commit)
{
    begin_written(_i);
    send_query("COMMIT");
    from_server(CANCELLED);
    from_server(READY_FAILED);
    from_server(ROLLED_BACK);
    ck_assert(client_got_text("57014"));
    ck_assert(!client_got_text("ROLLBACK"));
    ck_assert(bytes_equal(
        bytes_skip(buffer_peek(&host.client), buffer_len(&host.client) - READY_IDLE.len),
        READY_IDLE));
    end();
}
END_TEST

/* Parse, Bind, Execute, Sync of a COMMIT. */
static void send_extended(void)
{
    struct buffer out;

    buffer_init(&out, 4096);
    pgwire_encode_parse(&out, "c", LITERAL("COMMIT"));
    pgwire_encode_bind(&out, "", "c", bytes_of(NULL, 0));
    pgwire_encode_execute(&out, "");
    pgwire_encode_sync(&out);
    from_client(buffer_peek(&out));
    buffer_clear(&out);
}

#define PREPARED        \
    LITERAL("1\0\0\0\4" \
            "2\0\0\0\4")
#define LEAD_ANSWERS                          \
    LITERAL("3\0\0\0\4"                       \
            "1\0\0\0\4"                       \
            "2\0\0\0\4"                       \
            "3\0\0\0\4D\0\0\0\16\0\1\0\0\0\4" \
            "4711C\0\0\0\15"                  \
            "SELECT 1\0"                      \
            "3\0\0\0\4")

START_TEST(a_prepared_commit_is_asked_about_too)
{
    begin_written(_i);
    send_extended();
    ck_assert_ptr_nonnull(memmem(host.upstream.data, buffer_len(&host.upstream),
                                 "pg_current_xact_id_if_assigned", 30));
    from_server(PREPARED);
    from_server(LEAD_ANSWERS);
    client_got(PREPARED);
    ck_assert_uint_eq(host.committing, 4711);
    from_server(COMMITTED);
    client_got(COMMITTED);
    end();
}
END_TEST

START_TEST(what_fails_before_it_skips_the_question_too)
{
    begin_written(_i);
    send_extended();
    from_server(CANCELLED);
    from_server(READY_FAILED);
    ck_assert(client_got_text("57014"));
    ck_assert(!session_is_committing(session));
    ck_assert_int_eq(last_outcome(), TUNNEL_OUTCOME_ROLLED_BACK);
    end();
}
END_TEST

START_TEST(a_loss_in_commit_is_told_with_its_outcome)
{
    uint64_t xid;

    begin_written(_i);
    send_query("COMMIT");
    from_server(XID_4711);
    ck_assert_int_eq(session_outcome(session, &xid), TUNNEL_OUTCOME_IN_PROGRESS);
    ck_assert_uint_eq(xid, 4711);
    session_upstream_end(session);
    ck_assert_uint_eq(host.in_question, 4711);
    ck_assert(session_is_in_doubt(session));
    client_got(LITERAL(""));
    send_query("SELECT 1"); /* is not answered any more */
    session_outcome_told(session, TUNNEL_OUTCOME_COMMITTED);
    ck_assert(client_got_text("C08007"));
    ck_assert(client_got_text("of transaction 4711: the transaction was committed"));
    ck_assert(client_got_text("do not repeat it"));
    ck_assert_str_ne(host.closed, "");
    end();
}
END_TEST

START_TEST(a_fatal_in_commit_is_told_with_its_outcome)
{
    begin_written(_i);
    send_query("COMMIT");
    from_server(XID_4711);
    from_server(TERMINATED);
    client_got(LITERAL(""));
    ck_assert_uint_eq(host.in_question, 4711);
    session_upstream_end(session);
    session_outcome_told(session, TUNNEL_OUTCOME_ROLLED_BACK);
    ck_assert(client_got_text("C08006"));
    ck_assert(client_got_text("go home during COMMIT of transaction 4711"));
    end();
}
END_TEST

START_TEST(a_fatal_in_front_of_commit_leaves_no_doubt)
{
    begin_written(_i);
    send_query("COMMIT");
    from_server(TERMINATED); /* the question has not been answered */
    ck_assert_uint_eq(host.in_question, 0);
    ck_assert(client_got_text("C08006"));
    ck_assert(client_got_text("rolled back"));
    end();
}
END_TEST

START_TEST(a_loss_before_the_question_is_answered_is_unknown)
{
    begin_written(_i);
    send_query("COMMIT");
    session_upstream_end(session);
    ck_assert(client_got_text("C08007"));
    ck_assert(client_got_text("is unknown"));
    end();
}
END_TEST

START_TEST(what_wrote_nothing_leaves_no_doubt)
{
    begin_outcome(_i);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("SELECT 1");
    from_server(LITERAL("C\0\0\0\15SELECT 1\0Z\0\0\0\5T"));
    send_query("COMMIT");
    from_server(NO_XID);
    ck_assert_uint_eq(host.committing, 0);
    session_upstream_end(session);
    ck_assert(client_got_text("C08006"));
    end();
}
END_TEST

/* Whatever it is that a transaction has done, the question is asked. */
static void commit_is_asked_about(void)
{
    buffer_clear(&host.upstream);
    send_query("COMMIT");
    ck_assert(upstream_begins_with(QUESTION));
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_UNKNOWN);
    from_server(XID_4711);
    ck_assert_uint_eq(host.committing, 4711);
    end();
}

#define CAPTURED             \
    LITERAL("1\0\0\0\4"      \
            "2\0\0\0\4"      \
            "3\0\0\0\4"      \
            "n\0\0\0\4"      \
            "C\0\0\0\21"     \
            "CREATE TABLE\0" \
            "3\0\0\0\4"      \
            "1\0\0\0\4"      \
            "2\0\0\0\4"      \
            "3\0\0\0\4"      \
            "C\0\0\0\11"     \
            "CALL\0"         \
            "3\0\0\0\4"      \
            "3\0\0\0\4"      \
            "Z\0\0\0\5T")

START_TEST(what_was_captured_may_have_written)
{
    struct session_settings before = settings;

    settings.fallback = true;
    settings.framework_tables = "migrations\0";
    begin_outcome(_i);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("CREATE TABLE t (id int)");
    from_server(CAPTURED);
    ck_assert(client_got_text("CREATE TABLE"));
    commit_is_asked_about();
    settings = before;
}
END_TEST

START_TEST(a_function_call_may_have_written)
{
    begin_outcome(_i);
    send_query("BEGIN");
    from_server(BEGUN);
    from_client(QUESTION); /* lo_creat() and others: how libpq writes large objects */
    from_server(XID_4711);
    commit_is_asked_about();
}
END_TEST

START_TEST(what_is_suspended_may_have_written)
{
    begin_outcome(_i);
    send_query("BEGIN");
    from_server(BEGUN);
    from_client(LITERAL("P\0\0\0\22\0SELECT f()\0\0\0"
                        "B\0\0\0\14\0\0\0\0\0\0\0\0"
                        "E\0\0\0\11\0\0\0\0\1"
                        "S\0\0\0\4"));
    from_server(LITERAL("1\0\0\0\4"
                        "2\0\0\0\4"
                        "D\0\0\0\7\0\1\0"));
    from_server(LITERAL("s\0\0\0\4Z\0\0\0\5T"));
    commit_is_asked_about();
}
END_TEST

START_TEST(what_stands_behind_an_end_may_have_written)
{
    begin_written(_i);
    send_query("COMMIT; BEGIN; INSERT INTO t VALUES (2)");
    from_server(XID_4711);
    from_server(LITERAL("C\0\0\0\13COMMIT\0C\0\0\0\12BEGIN\0C\0\0\0\17INSERT 0 1\0Z\0\0\0\5T"));
    host.committing = 0;
    commit_is_asked_about();
}
END_TEST

START_TEST(what_commit_itself_may_do_is_not_ruled_out)
{
    begin_outcome(_i);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("NOTIFY everybody"); /* gets its number in COMMIT */
    from_server(LITERAL("C\0\0\0\13NOTIFY\0Z\0\0\0\5T"));
    send_query("COMMIT");
    from_server(NO_XID);
    session_upstream_end(session);
    ck_assert(client_got_text("C08007"));
    end();
}
END_TEST

START_TEST(what_has_only_read_leaves_no_doubt)
{
    begin_outcome(_i);
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("SELECT 1");
    from_server(LITERAL("C\0\0\0\15SELECT 1\0Z\0\0\0\5T"));
    send_query("UPDATE t SET id = 1 WHERE false");
    from_server(LITERAL("C\0\0\0\15UPDATE 0\0Z\0\0\0\5T"));
    send_query("COMMIT");
    from_server(NO_XID);
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_NONE);
    end();
}
END_TEST

START_TEST(nothing_is_asked_where_not_everybody_may)
{
    static const char *const parameters[] = {"client_encoding", "UTF8", NULL};

    byte_by_byte = _i;
    begin();
    START("user\0me\0database\0main\0");
    answer_md5("secret", "me");
    session_upstream_ready(session, &(struct session_upstream){.parameters = parameters});
    send_query("BEGIN");
    from_server(BEGUN);
    send_query("INSERT INTO t VALUES (1)");
    from_server(INSERTED);
    buffer_clear(&host.upstream);
    send_query("COMMIT");
    upstream_got(LITERAL("Q\0\0\0\13COMMIT\0"));
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_UNKNOWN);
    end();
}
END_TEST

START_TEST(of_several_ends_the_last_is_not_the_first)
{
    begin_written(_i);
    send_query("ROLLBACK");
    send_query("BEGIN");
    send_query("INSERT INTO t VALUES (1)");
    send_query("COMMIT");
    from_server(ROLLED_BACK);
    from_server(BEGUN);
    from_server(INSERTED);
    from_server(COMMITTED);
    ck_assert(!session_is_committing(session));
    ck_assert_int_ne(last_outcome(), TUNNEL_OUTCOME_ROLLED_BACK);
    end();
}
END_TEST

START_TEST(an_earlier_outcome_says_nothing_of_what_is_lost_later)
{
    begin_written(_i);
    send_query("COMMIT");
    from_server(XID_4711);
    from_server(COMMITTED);
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_NONE);
    send_query("INSERT INTO t VALUES (2)");
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_UNKNOWN);
    session_upstream_end(session);
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_UNKNOWN);
    ck_assert(client_got_text("C08007"));
    end();
}
END_TEST

START_TEST(a_statement_is_committed_only_at_the_end)
{
    begin_outcome(_i);
    from_client(LITERAL("P\0\0\0\40\0INSERT INTO t VALUES (1)\0\0\0"
                        "B\0\0\0\14\0\0\0\0\0\0\0\0"
                        "E\0\0\0\11\0\0\0\0\0"
                        "S\0\0\0\4"));
    from_server(LITERAL("1\0\0\0\4"
                        "2\0\0\0\4"
                        "C\0\0\0\17INSERT 0 1\0"));
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_UNKNOWN);
    from_server(READY_IDLE);
    ck_assert_int_eq(outcome_now(), TUNNEL_OUTCOME_NONE);
    end();
}
END_TEST

START_TEST(what_was_committed_is_not_said_to_be_rolled_back)
{
    begin_written(_i);
    send_extended();
    from_server(PREPARED);
    from_server(LEAD_ANSWERS);
    from_server(LITERAL("C\0\0\0\13COMMIT\0"));
    ck_assert_int_ne(outcome_now(), TUNNEL_OUTCOME_ROLLED_BACK);
    end();
}
END_TEST

START_TEST(a_text_that_may_commit_leaves_doubt)
{
    begin_written(_i);
    send_query("INSERT INTO t VALUES (1); COMMIT");
    session_upstream_end(session);
    ck_assert(client_got_text("C08007"));
    end();
}
END_TEST

static const struct {
    const char *text;
    enum ending ending;
} endings[] = {
    {"COMMIT", ENDING_COMMIT},
    {" -- done\n commit work;", ENDING_COMMIT},
    {"/* a */ END", ENDING_COMMIT},
    {"COMMIT AND CHAIN", ENDING_COMMIT},
    {"COMMIT; BEGIN", ENDING_COMMIT},
    {"COMMIT PREPARED 'x'", ENDING_PERHAPS},
    {"PREPARE TRANSACTION 'x'", ENDING_PERHAPS},
    {"PREPARE x AS SELECT 1", ENDING_NONE},
    {"ROLLBACK", ENDING_ROLLBACK},
    {"ABORT", ENDING_ROLLBACK},
    {"ROLLBACK TO SAVEPOINT a", ENDING_NONE},
    {"ROLLBACK WORK TO a", ENDING_NONE},
    {"ROLLBACK; INSERT INTO t VALUES (1)", ENDING_PERHAPS},
    {"INSERT INTO t VALUES (1); COMMIT", ENDING_PERHAPS},
    {"INSERT INTO t VALUES (1); SELECT 2", ENDING_NONE},
    {"SELECT 'commit'", ENDING_NONE},
    {"", ENDING_NONE},
    {";", ENDING_NONE},
};

START_TEST(ends_are_told_from_the_first_words)
{
    ck_assert_int_eq(ending_of(bytes_of_string(endings[_i].text)), endings[_i].ending);
}
END_TEST

SUITE("session_outcome", LOOP(a_commit_goes_behind_the_question_whose_it_is, 0, 2),
      LOOP(nothing_is_asked_where_the_answer_is_known, 0, 2),
      LOOP(a_question_that_fails_is_the_answer_to_the_commit, 0, 2),
      LOOP(a_prepared_commit_is_asked_about_too, 0, 2),
      LOOP(what_fails_before_it_skips_the_question_too, 0, 2),
      LOOP(a_loss_in_commit_is_told_with_its_outcome, 0, 2),
      LOOP(a_fatal_in_commit_is_told_with_its_outcome, 0, 2),
      LOOP(a_fatal_in_front_of_commit_leaves_no_doubt, 0, 2),
      LOOP(a_loss_before_the_question_is_answered_is_unknown, 0, 2),
      LOOP(what_wrote_nothing_leaves_no_doubt, 0, 2),
      LOOP(what_was_captured_may_have_written, 0, 2), LOOP(a_function_call_may_have_written, 0, 2),
      LOOP(what_is_suspended_may_have_written, 0, 2),
      LOOP(what_stands_behind_an_end_may_have_written, 0, 2),
      LOOP(what_commit_itself_may_do_is_not_ruled_out, 0, 2),
      LOOP(what_has_only_read_leaves_no_doubt, 0, 2),
      LOOP(nothing_is_asked_where_not_everybody_may, 0, 2),
      LOOP(of_several_ends_the_last_is_not_the_first, 0, 2),
      LOOP(an_earlier_outcome_says_nothing_of_what_is_lost_later, 0, 2),
      LOOP(a_statement_is_committed_only_at_the_end, 0, 2),
      LOOP(what_was_committed_is_not_said_to_be_rolled_back, 0, 2),
      LOOP(a_text_that_may_commit_leaves_doubt, 0, 2),
      LOOP(ends_are_told_from_the_first_words, 0, sizeof endings / sizeof endings[0]))
