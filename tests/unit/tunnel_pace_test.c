/* common/tunnel/pace.c. */
#include "common/tunnel/pace.h"

#include "tests/support/suite.h"

static struct pace pace;

START_TEST(little_is_under_way_as_long_as_nothing_is_known)
{
    pace_reset(&pace);
    ck_assert_uint_eq(pace_limit(&pace), PACE_LEAST);
    pace_acknowledged(&pace, 5, 100); /* of what was sent on another attachment */
    pace_sent(&pace, 1000, 100);
    ck_assert_uint_eq(pace_limit(&pace), PACE_LEAST);
}
END_TEST

START_TEST(a_long_way_takes_more)
{
    pace_reset(&pace);
    pace_sent(&pace, 1000, 100);
    pace_sent(&pace, 1010, 200); /* one probe at a time */
    pace_acknowledged(&pace, 1020, 99);
    pace_acknowledged(&pace, 1030, 150);
    ck_assert_uint_eq(pace_limit(&pace), PACE_LEAST + 30 * PACE_PER_MS);
    pace_acknowledged(&pace, 1040, 200);
    ck_assert_uint_eq(pace_limit(&pace), PACE_LEAST + 30 * PACE_PER_MS);
    /* For ever, if need be. */
    pace_reset(&pace);
    pace_sent(&pace, 0, 1);
    pace_acknowledged(&pace, INT64_MAX - 1, 1);
    ck_assert_uint_eq(pace_limit(&pace), SIZE_MAX);
}
END_TEST

START_TEST(a_late_acknowledgement_makes_no_way_long)
{
    pace_reset(&pace);
    pace_sent(&pace, 1000, 100);
    pace_acknowledged(&pace, 1002, 100);
    pace_sent(&pace, 2000, 200);
    pace_acknowledged(&pace, 2100, 200);
    ck_assert_uint_eq(pace_limit(&pace), PACE_LEAST + 2 * PACE_PER_MS);
    pace_reset(&pace);
    ck_assert_uint_eq(pace_limit(&pace), PACE_LEAST);
}
END_TEST

SUITE("tunnel_pace", TEST(little_is_under_way_as_long_as_nothing_is_known),
      TEST(a_long_way_takes_more), TEST(a_late_acknowledgement_makes_no_way_long))
