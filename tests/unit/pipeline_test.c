/* The plan of expected answers. */
#include "server/pgwire/message.h"
#include "server/proxy/pipeline.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

static const struct statement_settings utf8 = {.standard_conforming_strings = true,
                                               .encoding = ENCODING_UTF8,
                                               .characters = ENCODING_UTF8,
                                               .settled = true,
                                               .framework_tables = "schema_migrations\0"};

static struct pipeline pipeline;

static struct rewrite *rewrite_of(const char *sql)
{
    struct rewrite *rewrite = statement_examine(bytes_of_string(sql), STATEMENT_QUERY, &utf8);

    ck_assert_ptr_nonnull(rewrite);
    return rewrite;
}

static void sent(uint8_t type, const char *statement, const char *portal)
{
    pipeline_sent(&pipeline, &(struct plan_message){.type = type,
                                                    .what = 'S',
                                                    .statement = bytes_of_string(statement),
                                                    .portal = bytes_of_string(portal)});
}

static void sent_text(uint8_t type, const char *statement, const char *sql)
{
    struct rewrite *rewrite = rewrite_of(sql);

    pipeline_sent(&pipeline, &(struct plan_message){.type = type,
                                                    .statement = bytes_of_string(statement),
                                                    .rewrite = rewrite});
    rewrite_release(rewrite);
}

static void passes(uint8_t type)
{
    ck_assert_int_eq(pipeline_answer(&pipeline, type, bytes_of(NULL, 0)).verdict, PLAN_PASS);
}

static void ready(char status)
{
    ck_assert_int_eq(
        pipeline_answer(&pipeline, PGWIRE_READY_FOR_QUERY, bytes_of(&status, 1)).verdict,
        PLAN_PASS);
}

/* A CommandComplete with tag CALL; `tag` is what the client must see. */
static void call_shows(const char *tag)
{
    struct plan_answer answer =
        pipeline_answer(&pipeline, PGWIRE_COMMAND_COMPLETE, bytes_of("CALL", 5));

    if (tag == NULL) {
        ck_assert_int_eq(answer.verdict, PLAN_PASS);
    } else {
        ck_assert_int_eq(answer.verdict, PLAN_RETAG);
        ck_assert_str_eq(answer.tag, tag);
    }
}

START_TEST(calls_of_a_query_are_tagged_in_order)
{
    pipeline_init(&pipeline);
    sent_text(PGWIRE_QUERY, "", "CALL p(); ELECTRIC ENABLE a; SELECT 1; ELECTRIC DISABLE b");
    call_shows(NULL);
    passes(PGWIRE_NOTICE_RESPONSE);
    call_shows("ELECTRIC ENABLE");
    passes(PGWIRE_ROW_DESCRIPTION);
    passes(PGWIRE_DATA_ROW);
    passes(PGWIRE_COMMAND_COMPLETE);
    call_shows("ELECTRIC DISABLE");
    call_shows(NULL);
    ready('I');
    call_shows(NULL);
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_prepared_statement_keeps_its_tag)
{
    pipeline_init(&pipeline);
    sent_text(PGWIRE_PARSE, "s", "ELECTRIC ENABLE a");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_PARSE_COMPLETE);
    ready('I');
    for (int i = 0; i < 2; i++) {
        sent(PGWIRE_BIND, "s", "p");
        sent(PGWIRE_EXECUTE, "", "p");
        sent(PGWIRE_SYNC, "", "");
        passes(PGWIRE_BIND_COMPLETE);
        call_shows("ELECTRIC ENABLE");
        ready('I');
    }
    sent(PGWIRE_CLOSE, "s", "");
    sent(PGWIRE_BIND, "s", "p");
    sent(PGWIRE_EXECUTE, "", "p");
    passes(PGWIRE_CLOSE_COMPLETE);
    passes(PGWIRE_BIND_COMPLETE);
    call_shows(NULL);
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_name_changes_when_its_parse_completes)
{
    pipeline_init(&pipeline);
    sent_text(PGWIRE_PARSE, "s", "ELECTRIC ENABLE a");
    passes(PGWIRE_PARSE_COMPLETE);
    /* The second Parse fails, so the first statement is still there. */
    sent(PGWIRE_PARSE, "s", "");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_ERROR_RESPONSE);
    ready('I');
    sent(PGWIRE_BIND, "s", "");
    sent(PGWIRE_EXECUTE, "", "");
    passes(PGWIRE_BIND_COMPLETE);
    call_shows("ELECTRIC ENABLE");
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(after_an_error_everything_up_to_sync_is_dropped)
{
    pipeline_init(&pipeline);
    sent(PGWIRE_PARSE, "", "");
    sent_text(PGWIRE_QUERY, "", "ELECTRIC ENABLE a");
    passes(PGWIRE_ERROR_RESPONSE);
    /* Still skipped, though sent after the error came. */
    sent_text(PGWIRE_QUERY, "", "ELECTRIC ENABLE b");
    sent(PGWIRE_SYNC, "", "");
    sent_text(PGWIRE_QUERY, "", "ELECTRIC DISABLE c");
    ready('I');
    call_shows("ELECTRIC DISABLE");
    ready('I');
    ck_assert(pipeline_is_settled(&pipeline));
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_failed_query_does_not_skip_what_follows)
{
    pipeline_init(&pipeline);
    sent_text(PGWIRE_QUERY, "", "SELECT 1; ELECTRIC ENABLE a");
    sent_text(PGWIRE_QUERY, "", "ELECTRIC DISABLE b");
    passes(PGWIRE_ERROR_RESPONSE);
    ready('I');
    call_shows("ELECTRIC DISABLE");
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(syncs_inside_a_copy_are_swallowed)
{
    pipeline_init(&pipeline);
    sent(PGWIRE_EXECUTE, "", "");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_COPY_IN_RESPONSE);
    sent(PGWIRE_SYNC, "", "");
    sent(PGWIRE_COPY_DONE, "", "");
    sent(PGWIRE_SYNC, "", "");
    sent_text(PGWIRE_QUERY, "", "ELECTRIC ENABLE a");
    passes(PGWIRE_COMMAND_COMPLETE);
    ready('I');
    call_shows("ELECTRIC ENABLE");
    ready('I');
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(syncs_behind_an_early_copy_done_count)
{
    pipeline_init(&pipeline);
    sent(PGWIRE_EXECUTE, "", "");
    sent(PGWIRE_SYNC, "", "");
    sent(PGWIRE_COPY_DONE, "", "");
    sent(PGWIRE_SYNC, "", "");
    sent_text(PGWIRE_QUERY, "", "ELECTRIC ENABLE a");
    passes(PGWIRE_COPY_IN_RESPONSE);
    passes(PGWIRE_COMMAND_COMPLETE);
    ready('I');
    call_shows("ELECTRIC ENABLE");
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_copy_that_fails_swallows_no_more_syncs)
{
    pipeline_init(&pipeline);
    sent(PGWIRE_QUERY, "", "");
    passes(PGWIRE_COPY_IN_RESPONSE);
    passes(PGWIRE_ERROR_RESPONSE);
    ready('I');
    sent(PGWIRE_SYNC, "", "");
    ck_assert_uint_eq(pipeline.count, 1);
    ready('I');
    ck_assert_uint_eq(pipeline.count, 0);
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(each_copy_of_a_query_has_its_own_end)
{
    pipeline_init(&pipeline);
    sent(PGWIRE_QUERY, "", "");
    sent(PGWIRE_COPY_DONE, "", "");
    sent(PGWIRE_SYNC, "", "");
    sent(PGWIRE_COPY_DONE, "", "");
    sent_text(PGWIRE_QUERY, "", "ELECTRIC ENABLE a");
    passes(PGWIRE_COPY_IN_RESPONSE);
    passes(PGWIRE_COMMAND_COMPLETE);
    passes(PGWIRE_COPY_IN_RESPONSE);
    passes(PGWIRE_COMMAND_COMPLETE);
    ready('I');
    call_shows("ELECTRIC ENABLE");
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_malformed_flush_skips_to_sync)
{
    pipeline_init(&pipeline);
    pipeline_sent(&pipeline, &(struct plan_message){.type = PGWIRE_FLUSH, .malformed = true});
    sent(PGWIRE_QUERY, "", "");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_ERROR_RESPONSE);
    ready('I');
    ck_assert_uint_eq(pipeline.count, 0);
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(names_are_compared_as_far_as_postgres_does)
{
    static const char prefix[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    char parsed[70], bound[70];

    snprintf(parsed, sizeof parsed, "%sx", prefix);
    snprintf(bound, sizeof bound, "%sy", prefix);
    ck_assert_uint_eq(strlen(prefix), 63);
    pipeline_init(&pipeline);
    sent_text(PGWIRE_PARSE, parsed, "ELECTRIC ENABLE a");
    sent(PGWIRE_BIND, bound, "");
    sent(PGWIRE_EXECUTE, "", "");
    passes(PGWIRE_PARSE_COMPLETE);
    passes(PGWIRE_BIND_COMPLETE);
    call_shows("ELECTRIC ENABLE");
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_portal_outlives_the_statement_that_made_room_for_it)
{
    char name[16];

    pipeline_init(&pipeline);
    for (int i = 0; i < NAMES_MAX; i++) {
        snprintf(name, sizeof name, "s%d", i);
        sent_text(PGWIRE_PARSE, name, "ELECTRIC ENABLE a");
        passes(PGWIRE_PARSE_COMPLETE);
    }
    sent(PGWIRE_BIND, "s0", "p");
    sent(PGWIRE_EXECUTE, "", "p");
    passes(PGWIRE_BIND_COMPLETE);
    call_shows("ELECTRIC ENABLE");
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(a_ready_too_many_does_not_shift_the_plan)
{
    pipeline_init(&pipeline);
    sent_text(PGWIRE_QUERY, "", "ELECTRIC ENABLE a");
    ready('I');
    ready('I');
    call_shows("ELECTRIC ENABLE");
    ready('I');
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(portals_end_with_their_transaction)
{
    pipeline_init(&pipeline);
    sent_text(PGWIRE_PARSE, "s", "ELECTRIC ENABLE a");
    sent(PGWIRE_BIND, "s", "p");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_PARSE_COMPLETE);
    passes(PGWIRE_BIND_COMPLETE);
    ready('T');
    ck_assert_uint_eq(pipeline.names.count, 2);
    sent(PGWIRE_SYNC, "", "");
    ready('I');
    ck_assert_uint_eq(pipeline.names.count, 1);
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(answers_to_hidden_messages_are_hidden)
{
    static const uint8_t answers[] = {PGWIRE_DATA_ROW, PGWIRE_COMMAND_COMPLETE};

    pipeline_init(&pipeline);
    pipeline_sent(&pipeline, &(struct plan_message){.type = PGWIRE_EXECUTE, .marks = MARK_HIDDEN});
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_NOTICE_RESPONSE);
    for (size_t i = 0; i < sizeof answers; i++)
        ck_assert_int_eq(pipeline_answer(&pipeline, answers[i], bytes_of("X", 2)).verdict,
                         PLAN_HIDE);
    ready('I');
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(settings_are_open_until_ready_reports_them)
{
    pipeline_init(&pipeline);
    ck_assert(pipeline_is_settled(&pipeline));
    sent(PGWIRE_EXECUTE, "", "");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_COMMAND_COMPLETE);
    ck_assert(!pipeline_is_settled(&pipeline));
    ready('I');
    ck_assert(pipeline_is_settled(&pipeline));
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(the_plan_is_bounded)
{
    pipeline_init(&pipeline);
    for (int i = 0; i < PIPELINE_MAX; i++) {
        ck_assert(!pipeline_is_full(&pipeline));
        sent(PGWIRE_SYNC, "", "");
    }
    ck_assert(pipeline_is_full(&pipeline));
    ready('I');
    ck_assert(!pipeline_is_full(&pipeline));
    pipeline_clear(&pipeline);
}
END_TEST

/* What follows takes minutes, not milliseconds, if each message looks at all those before it. */
START_TEST(many_names_cost_little)
{
    struct rewrite *rewrite = statement_examine(
        bytes_of_string("INSERT INTO schema_migrations VALUES (1)"), STATEMENT_PREPARE, &utf8);
    char name[16];

    ck_assert_ptr_nonnull(rewrite);
    pipeline_init(&pipeline);
    for (int i = 0; i < PIPELINE_MAX; i++) {
        /* Not all of those that are kept: then the unnamed one is, too. */
        snprintf(name, sizeof name, "s%d", i);
        pipeline_sent(&pipeline,
                      &(struct plan_message){.type = PGWIRE_PARSE,
                                             .statement = bytes_of_string(i < 1000 ? name : ""),
                                             .rewrite = rewrite});
    }
    pipeline_clear(&pipeline);
    rewrite_release(rewrite);
}
END_TEST

START_TEST(many_syncs_inside_a_copy_cost_little)
{
    pipeline_init(&pipeline);
    sent(PGWIRE_EXECUTE, "", "");
    passes(PGWIRE_COPY_IN_RESPONSE);
    for (int i = 0; i < PIPELINE_MAX - 3; i++)
        sent(PGWIRE_SYNC, "", "");
    sent(PGWIRE_COPY_DONE, "", "");
    sent(PGWIRE_SYNC, "", "");
    passes(PGWIRE_COMMAND_COMPLETE);
    ready('I');
    ck_assert_uint_eq(pipeline.count, 0);
    pipeline_clear(&pipeline);
}
END_TEST

START_TEST(names_are_bounded)
{
    struct rewrite *rewrite = rewrite_of("ELECTRIC ENABLE a");
    struct names names = {0};
    char name[16];

    for (int i = 0; i < NAMES_MAX + 10; i++) {
        snprintf(name, sizeof name, "s%d", i);
        names_set(&names, NAME_STATEMENT, bytes_of_string(name), rewrite);
    }
    ck_assert_uint_eq(names.count, NAMES_MAX);
    ck_assert(names.overflowed);
    snprintf(name, sizeof name, "s%d", NAMES_MAX);
    ck_assert_ptr_null(names_get(&names, NAME_STATEMENT, bytes_of_string(name)));
    ck_assert_ptr_nonnull(names_get(&names, NAME_STATEMENT, bytes_of_string("s9")));
    ck_assert_ptr_null(names_get(&names, NAME_PORTAL, bytes_of_string("s9")));
    names_clear(&names);
    rewrite_release(rewrite);
}
END_TEST

SUITE("pipeline", TEST(calls_of_a_query_are_tagged_in_order),
      TEST(a_prepared_statement_keeps_its_tag), TEST(a_name_changes_when_its_parse_completes),
      TEST(after_an_error_everything_up_to_sync_is_dropped),
      TEST(a_failed_query_does_not_skip_what_follows), TEST(syncs_inside_a_copy_are_swallowed),
      TEST(syncs_behind_an_early_copy_done_count), TEST(a_copy_that_fails_swallows_no_more_syncs),
      TEST(each_copy_of_a_query_has_its_own_end), TEST(a_malformed_flush_skips_to_sync),
      TEST(names_are_compared_as_far_as_postgres_does),
      TEST(a_portal_outlives_the_statement_that_made_room_for_it),
      TEST(a_ready_too_many_does_not_shift_the_plan), TEST(portals_end_with_their_transaction),
      TEST(answers_to_hidden_messages_are_hidden), TEST(settings_are_open_until_ready_reports_them),
      TEST(the_plan_is_bounded), TEST(names_are_bounded), TEST(many_names_cost_little),
      TEST(many_syncs_inside_a_copy_cost_little))
