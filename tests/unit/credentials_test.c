#include "server/api/credentials.h"

#include <string.h>

#include "tests/support/suite.h"

static const struct credentials_policy both = {.password = "s3cret:ä", .token = "t0ken"};
static const uint8_t key[CREDENTIALS_KEY_SIZE] = {1, 2, 3};

START_TEST(a_token_or_the_password_is_right)
{
    ck_assert(credentials_are_right(&both, "Bearer t0ken"));
    ck_assert(credentials_are_right(&both, "bearer   t0ken"));
    ck_assert(credentials_are_right(&both, "Basic dXNlcjpzM2NyZXQ6w6Q=")); /* user:s3cret:ä */
    ck_assert(credentials_are_right(&both, "BASIC OnMzY3JldDrDpA=="));     /* :s3cret:ä */
}
END_TEST

START_TEST(everything_else_is_wrong)
{
    static const char *const wrong[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer t0ke",
        "Bearer t0kenn",
        "Bearert0ken",
        "t0ken",
        "Bearer s3cret:ä",
        "Basic",
        "Basic ",
        "Basic t0ken",
        "Basic dXNlcjpzM2NyZXQ6w6",
        "Basic !!!!",
        "Basic czNjcmV0OsOk",     /* s3cret:ä, so the password is ä */
        "Basic dXNlcg==",         /* user */
        "Basic dXNlcjo=",         /* user: */
        "Basic dXNlcjp0MGtlbg==", /* user:t0ken */
        "Digest username=\"x\"",
    };

    ck_assert(!credentials_are_right(&both, NULL));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!credentials_are_right(&both, wrong[i]), "%s", wrong[i]);
}
END_TEST

START_TEST(an_absurdly_long_header_is_wrong)
{
    char text[9000] = "Basic ";

    memset(text + 6, 'A', sizeof(text) - 7);
    text[sizeof(text) - 1] = '\0';
    ck_assert(!credentials_are_right(&both, text));
}
END_TEST

START_TEST(what_is_not_configured_is_never_right)
{
    static const struct credentials_policy neither = {.password = NULL, .token = ""};

    ck_assert(!credentials_are_right(&neither, "Bearer "));
    ck_assert(!credentials_are_right(&neither, "Bearer x"));
    ck_assert(!credentials_are_right(&neither, "Basic dXNlcjo="));
    ck_assert(!credentials_are_right(&neither, NULL));
}
END_TEST

START_TEST(an_open_policy_takes_everybody)
{
    static const struct credentials_policy open = {.open = true, .token = "t0ken"};

    ck_assert(credentials_are_right(&open, NULL));
    ck_assert(credentials_are_right(&open, "Bearer x"));
}
END_TEST

START_TEST(guesses_from_one_address_are_limited)
{
    struct credentials_guard guard = {0};
    int others = 0;

    for (int i = 0; i < CREDENTIALS_WRONG_MAX; i++) {
        ck_assert(credentials_may_try(&guard, "10.0.0.7", 5000));
        credentials_note_wrong(&guard, "10.0.0.7", 5000);
    }
    ck_assert(!credentials_may_try(&guard, "10.0.0.7", 5999));
    ck_assert(credentials_may_try(&guard, "10.0.0.7", 6000));
    for (int last = '0'; last <= '9'; last++) {
        char peer[] = "10.0.1.x";

        peer[7] = (char)last;
        others += credentials_may_try(&guard, peer, 5999);
    }
    ck_assert_int_ge(others, 9);
}
END_TEST

START_TEST(only_long_tokens_are_beyond_guessing)
{
    static const struct credentials_policy long_token = {.password = "a long password indeed",
                                                         .token = "0123456789abcdef"};

    ck_assert(credentials_are_beyond_guessing(&long_token, "Bearer 0123456789abcdef"));
    ck_assert(credentials_are_beyond_guessing(&long_token, "bearer x"));
    ck_assert(!credentials_are_beyond_guessing(&long_token, "Basic Og=="));
    ck_assert(!credentials_are_beyond_guessing(&long_token, NULL));
    ck_assert(!credentials_are_beyond_guessing(&both, "Bearer t0ken"));
    ck_assert(!credentials_are_beyond_guessing(&(struct credentials_policy){0}, "Bearer x"));
}
END_TEST

START_TEST(a_ticket_is_good_until_it_expires)
{
    char ticket[CREDENTIALS_TICKET_MAX];

    credentials_ticket_make(key, &both, 1000, ticket);
    ck_assert(credentials_ticket_is_valid(key, &both, ticket, 0));
    ck_assert(credentials_ticket_is_valid(key, &both, ticket, 1000));
    ck_assert(!credentials_ticket_is_valid(key, &both, ticket, 1001));
}
END_TEST

START_TEST(a_changed_ticket_is_wrong) /* _i is the character changed */
{
    char ticket[CREDENTIALS_TICKET_MAX];

    credentials_ticket_make(key, &both, 1000, ticket);
    ck_assert_uint_eq(strlen(ticket), 80);
    ticket[_i] = ticket[_i] == '0' ? '1' : '0';
    ck_assert(!credentials_ticket_is_valid(key, &both, ticket, 0));
}
END_TEST

START_TEST(a_ticket_belongs_to_key_and_credentials)
{
    static const uint8_t other_key[CREDENTIALS_KEY_SIZE] = {1, 2, 4};
    static const struct credentials_policy other_token = {.password = "s3cret:ä", .token = "x"},
                                           other_password = {.password = "x", .token = "t0ken"};
    char ticket[CREDENTIALS_TICKET_MAX];

    credentials_ticket_make(key, &both, 1000, ticket);
    ck_assert(!credentials_ticket_is_valid(other_key, &both, ticket, 0));
    ck_assert(!credentials_ticket_is_valid(key, &other_token, ticket, 0));
    ck_assert(!credentials_ticket_is_valid(key, &other_password, ticket, 0));
}
END_TEST

START_TEST(what_is_no_ticket_is_wrong)
{
    static const char *const odd[] = {"", "0", "ffffffffffffffff", "zzzzzzzzzzzzzzzz",
                                      "-000000000000001"};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        ck_assert(!credentials_ticket_is_valid(key, &both, odd[i], 0));
}
END_TEST

SUITE("credentials", TEST(a_token_or_the_password_is_right), TEST(everything_else_is_wrong),
      TEST(an_absurdly_long_header_is_wrong), TEST(what_is_not_configured_is_never_right),
      TEST(an_open_policy_takes_everybody), TEST(guesses_from_one_address_are_limited),
      TEST(only_long_tokens_are_beyond_guessing), TEST(a_ticket_is_good_until_it_expires),
      LOOP(a_changed_ticket_is_wrong, 0, 80), TEST(a_ticket_belongs_to_key_and_credentials),
      TEST(what_is_no_ticket_is_wrong))
