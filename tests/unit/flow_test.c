/* common/flow.c */
#include "common/flow.h"
#include "tests/support/suite.h"

static struct flow flow;

START_TEST(the_source_pauses_at_the_high_mark_and_resumes_at_the_low_one)
{
    flow_init(&flow, 10, 100);
    ck_assert_int_eq(flow_next(&flow, 99), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 100), FLOW_PAUSE_SOURCE);
    ck_assert_int_eq(flow_next(&flow, 100), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 11), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 10), FLOW_RESUME_SOURCE);
    ck_assert_int_eq(flow_next(&flow, 10), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 5000), FLOW_PAUSE_SOURCE);
}
END_TEST

START_TEST(the_sink_closes_once_all_is_sent)
{
    flow_init(&flow, 10, 100);
    flow_end(&flow);
    ck_assert_int_eq(flow_next(&flow, 1), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 0), FLOW_CLOSE_SINK);
    ck_assert_int_eq(flow_next(&flow, 0), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 1000), FLOW_NONE);
}
END_TEST

START_TEST(a_source_that_ended_is_neither_paused_nor_resumed)
{
    flow_init(&flow, 10, 100);
    ck_assert_int_eq(flow_next(&flow, 100), FLOW_PAUSE_SOURCE);
    flow_end(&flow);
    ck_assert_int_eq(flow_next(&flow, 500), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 5), FLOW_NONE);
    ck_assert_int_eq(flow_next(&flow, 0), FLOW_CLOSE_SINK);
}
END_TEST

SUITE("flow", TEST(the_source_pauses_at_the_high_mark_and_resumes_at_the_low_one),
      TEST(the_sink_closes_once_all_is_sent),
      TEST(a_source_that_ended_is_neither_paused_nor_resumed))
