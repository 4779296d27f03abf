/* What an answer of /api/outcome says, however much of it has come. */
#include "client/outcome.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <string.h>

static const char answer[] = "26\r\n{\"xid\":\"4711\",\"outcome\":\"rolled back\"}\n\r\n";

START_TEST(it_is_read_once_it_is_whole)
{
    size_t end = (size_t)(strstr(answer, "back\"") - answer) + strlen("back\"");
    struct bytes body = guarded_copy(answer, (size_t)_i);
    enum tunnel_outcome outcome;
    bool known = outcome_read(body, &outcome);

    ck_assert_int_eq(known, (size_t)_i >= end);
    if (known)
        ck_assert_int_eq(outcome, TUNNEL_OUTCOME_ROLLED_BACK);
    guarded_free(body);
}
END_TEST

START_TEST(what_says_nothing_is_no_answer)
{
    enum tunnel_outcome outcome;

    ck_assert(!outcome_read(bytes_of_string("{\"error\":\"outcome\"}"), &outcome));
    ck_assert(!outcome_read(bytes_of_string("<html>outcome</html>"), &outcome));
}
END_TEST

START_TEST(a_later_word_is_unknown)
{
    enum tunnel_outcome outcome;

    ck_assert(outcome_read(bytes_of_string("{\"outcome\":\"prepared\"}"), &outcome));
    ck_assert_int_eq(outcome, TUNNEL_OUTCOME_UNKNOWN);
}
END_TEST

SUITE("client_outcome", LOOP(it_is_read_once_it_is_whole, 0, sizeof answer),
      TEST(what_says_nothing_is_no_answer), TEST(a_later_word_is_unknown))
