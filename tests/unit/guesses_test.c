#include "server/guesses.h"

#include "tests/support/suite.h"

static struct guesses guesses;
static const struct client_address one = {.text = "203.0.113.7", .single = true};
static const struct client_address other = {.text = "203.0.113.8", .single = true};
static const struct client_address everybody = {.text = "10.0.0.1", .single = false};

START_TEST(each_guess_waits_longer)
{
    static const unsigned long expected[] = {1000, 2000, 4000, 8000, 8000, 8000};

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        ck_assert_uint_eq(guesses_note(&guesses, &one, 5000 + i), expected[i]);
    ck_assert_uint_eq(guesses_note(&guesses, &other, 6000), 1000);
}
END_TEST

START_TEST(quiet_is_rewarded)
{
    (void)guesses_note(&guesses, &one, 5000);
    ck_assert_uint_eq(guesses_note(&guesses, &one, 5000 + GUESSES_FORGET_MS - 1), 2000);
    ck_assert_uint_eq(guesses_note(&guesses, &one, 5000 + 2 * GUESSES_FORGET_MS), 1000);
}
END_TEST

START_TEST(an_address_that_many_share_waits_no_longer)
{
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(guesses_note(&guesses, &everybody, 5000), 1000);
}
END_TEST

SUITE("guesses", TEST(each_guess_waits_longer), TEST(quiet_is_rewarded),
      TEST(an_address_that_many_share_waits_no_longer))
