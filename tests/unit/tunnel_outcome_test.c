/* Words for outcomes. */
#include "common/tunnel/tunnel_outcome.h"
#include "tests/support/suite.h"

#include <string.h>

START_TEST(names_are_read_back)
{
    enum tunnel_outcome outcome = (enum tunnel_outcome)_i;

    ck_assert_int_eq(tunnel_outcome_of_name(bytes_of_string(tunnel_outcome_name(outcome))),
                     outcome);
}
END_TEST

START_TEST(the_words_of_postgres_are_known)
{
    ck_assert_int_eq(tunnel_outcome_of_name(bytes_of_string("aborted")),
                     TUNNEL_OUTCOME_ROLLED_BACK);
    ck_assert_int_eq(tunnel_outcome_of_name(bytes_of_string("in progress")),
                     TUNNEL_OUTCOME_IN_PROGRESS);
}
END_TEST

START_TEST(anything_else_is_unknown)
{
    ck_assert_int_eq(tunnel_outcome_of_name(bytes_of_string("")), TUNNEL_OUTCOME_UNKNOWN);
    ck_assert_int_eq(tunnel_outcome_of_name(bytes_of_string("Committed")), TUNNEL_OUTCOME_UNKNOWN);
    ck_assert_str_eq(tunnel_outcome_name((enum tunnel_outcome)99), "unknown");
}
END_TEST

/* Whoever sees 08006 may repeat. */
START_TEST(only_what_may_be_repeated_is_said_to_be)
{
    bool repeat = _i == TUNNEL_OUTCOME_NONE || _i == TUNNEL_OUTCOME_ROLLED_BACK;

    ck_assert_str_eq(tunnel_outcome_sqlstate((enum tunnel_outcome)_i), repeat ? "08006" : "08007");
}
END_TEST

SUITE("tunnel_outcome", LOOP(names_are_read_back, 0, 5), TEST(the_words_of_postgres_are_known),
      TEST(anything_else_is_unknown), LOOP(only_what_may_be_repeated_is_said_to_be, 0, 5))
