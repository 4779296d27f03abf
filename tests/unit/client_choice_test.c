/* client/choice.c */
#include "client/choice.h"

#include "tests/support/suite.h"

START_TEST(a_refused_upgrade_is_reason_enough)
{
    struct choice choice = {.transport = CLIENT_TRANSPORT_AUTO};

    ck_assert(!choice_is_http(&choice, 0));
    ck_assert(choice_on_mishap(&choice, CHOICE_REFUSED));
    ck_assert(!choice_is_http(&choice, 0)); /* until it is known that requests get through */
}
END_TEST

START_TEST(other_mishaps_must_come_in_a_row)
{
    struct choice choice = {.transport = CLIENT_TRANSPORT_AUTO};

    ck_assert(!choice_on_mishap(&choice, CHOICE_MUTE));
    ck_assert(!choice_on_mishap(&choice, CHOICE_CUT));
    ck_assert(!choice_on_mishap(&choice, CHOICE_CUT));
    choice_on_websocket(&choice);
    ck_assert(!choice_on_mishap(&choice, CHOICE_MUTE));
    ck_assert(choice_on_mishap(&choice, CHOICE_MUTE));
    ck_assert(!choice_on_mishap(&choice, CHOICE_CUT));
    ck_assert(!choice_on_mishap(&choice, CHOICE_CUT));
    ck_assert(choice_on_mishap(&choice, CHOICE_CUT));
}
END_TEST

START_TEST(what_was_found_out_holds_for_ten_minutes)
{
    struct choice choice = {.transport = CLIENT_TRANSPORT_AUTO};

    ck_assert(choice_on_blocked(&choice, 1000));
    ck_assert(choice_is_http(&choice, 1000 + 599999));
    ck_assert(!choice_is_http(&choice, 1000 + 600000));
    ck_assert(!choice_on_blocked(&choice, 700000)); /* told once */
    ck_assert(choice_is_http(&choice, 700000));
    choice_on_http_failed(&choice);
    ck_assert(!choice_is_http(&choice, 700000));
}
END_TEST

START_TEST(people_may_choose)
{
    struct choice choice = {.transport = CLIENT_TRANSPORT_HTTP};

    choice_on_http_failed(&choice);
    choice_on_websocket(&choice);
    ck_assert(choice_is_http(&choice, 0));
    choice.transport = CLIENT_TRANSPORT_WEBSOCKET;
    ck_assert(!choice_on_mishap(&choice, CHOICE_REFUSED));
    choice.blocked_until = 10;
    ck_assert(!choice_is_http(&choice, 0));
}
END_TEST

SUITE("client_choice", TEST(a_refused_upgrade_is_reason_enough),
      TEST(other_mishaps_must_come_in_a_row), TEST(what_was_found_out_holds_for_ten_minutes),
      TEST(people_may_choose))
