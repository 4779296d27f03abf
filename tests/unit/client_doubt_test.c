/* client/doubt.c and client/backoff.c */
#include "client/doubt.h"

#include <string.h>

#include "client/backoff.h"
#include "tests/support/suite.h"

#define MOST 5000 /* milliseconds */

static const struct loss {
    enum doubt doubt;
    enum tunnel_outcome outcome;
    const char *sqlstate;
    const char *hint;
} losses[] = {
    {DOUBT_STARTING, TUNNEL_OUTCOME_UNKNOWN, "08006", "No transaction was open"},
    {DOUBT_IDLE, TUNNEL_OUTCOME_UNKNOWN, "08006", "No transaction was open"},
    {DOUBT_IDLE, TUNNEL_OUTCOME_IN_PROGRESS, "08006", "No transaction was open"},
    {DOUBT_IN_TRANSACTION, TUNNEL_OUTCOME_UNKNOWN, "08006", "rolled back"},
    {DOUBT_OUTCOME, TUNNEL_OUTCOME_UNKNOWN, "08007", "not known"},
    {DOUBT_OUTCOME, TUNNEL_OUTCOME_IN_PROGRESS, "08007", "may yet be committed"},
    {DOUBT_OUTCOME, TUNNEL_OUTCOME_NONE, "08006", "No transaction was open"},
    {DOUBT_OUTCOME, TUNNEL_OUTCOME_ROLLED_BACK, "08006", "rolled back"},
    {DOUBT_OUTCOME, TUNNEL_OUTCOME_COMMITTED, "08007", "was committed"},
};

START_TEST(an_end_says_what_is_known)
{
    const struct loss *loss = &losses[_i];
    struct error error;

    doubt_describe(loss->doubt, loss->outcome, "it rained", &error);
    ck_assert_str_eq(error.sqlstate, loss->sqlstate);
    ck_assert_str_eq(error.message, "the session was lost: it rained");
    ck_assert_ptr_nonnull(strstr(error.hint, loss->hint));
}
END_TEST

/* A later version may send one. */
START_TEST(an_outcome_without_a_name_says_nothing)
{
    struct error error;

    doubt_describe(DOUBT_OUTCOME, (enum tunnel_outcome)99, "x", &error);
    ck_assert_str_eq(error.sqlstate, "08007");
}
END_TEST

START_TEST(the_first_attempt_comes_at_once)
{
    ck_assert_int_eq(backoff_delay(0, MOST, 12345), 0);
}
END_TEST

START_TEST(attempts_become_rarer_within_limits)
{
    int64_t before = 0;

    for (unsigned failures = 1; failures < 100; failures++) {
        int64_t most = 0;
        int64_t least = INT64_MAX;

        for (uint32_t random = 0; random < 100000; random += 7) {
            int64_t delay = backoff_delay(failures, MOST, random);

            most = delay > most ? delay : most;
            least = delay < least ? delay : least;
        }
        ck_assert_int_ge(least, BACKOFF_MIN);
        ck_assert_int_le(most, MOST);
        ck_assert_int_ge(most, before);
        ck_assert_int_le(least, most / 2);
        before = most;
    }
    ck_assert_int_eq(before, MOST);
}
END_TEST

SUITE("client_doubt", LOOP(an_end_says_what_is_known, 0, sizeof losses / sizeof losses[0]),
      TEST(an_outcome_without_a_name_says_nothing), TEST(the_first_attempt_comes_at_once),
      TEST(attempts_become_rarer_within_limits))
