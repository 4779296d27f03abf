/* client/cookies.c */
#include "client/cookies.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

static struct cookies cookies;

static void set(const char *field)
{
    struct bytes copy = guarded_copy(field, strlen(field));

    cookies_set(&cookies, copy);
    guarded_free(copy);
}

static void expect(const char *expected)
{
    struct buffer out;

    buffer_init(&out, 16384);
    cookies_write(&cookies, &out);
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)buffer_peek(&out).data, expected);
    buffer_clear(&out);
}

START_TEST(without_cookies_there_is_no_field)
{
    expect("");
}
END_TEST

START_TEST(cookies_come_back_without_their_attributes)
{
    set("route=a1; Path=/; HttpOnly");
    set(" stick = \"b c\" ;Secure");
    expect("Cookie: route=a1; stick = \"b c\"\r\n");
    cookies_clear(&cookies);
    expect("");
}
END_TEST

START_TEST(a_new_value_takes_the_place_of_the_old_one)
{
    set("route=a1");
    set("router=x");
    set("route=b2");
    expect("Cookie: router=x; route=b2\r\n");
    cookies_clear(&cookies);
}
END_TEST

START_TEST(a_cookie_that_ends_at_once_is_dropped)
{
    set("route=a1");
    set("other=1; MAX-AGE=100");
    set("route=a2; Path=/; max-age=0");
    set("never=1; Max-Age=-1");
    expect("Cookie: other=1\r\n");
    cookies_clear(&cookies);
}
END_TEST

START_TEST(what_is_malformed_is_passed_over)
{
    set("");
    set("=");
    set("=value");
    set("name");
    set("name; Path=/");
    set("name=a\x01"
        "b");
    set("name=a\x7f");
    expect("");
}
END_TEST

START_TEST(there_is_a_limit_of_number_and_of_size)
{
    char field[2100];

    for (int i = 0; i < 2 * COOKIES_MAX; i++) {
        snprintf(field, sizeof field, "n%d=%d", i, i);
        set(field);
    }
    ck_assert_uint_eq(cookies.count, COOKIES_MAX);
    cookies_clear(&cookies);

    memset(field, 'x', sizeof field - 1);
    field[sizeof field - 1] = '\0';
    field[1] = '=';
    for (int name = 'a'; name < 'e'; name++) {
        field[0] = (char)name;
        set(field);
    }
    ck_assert_uint_eq(cookies.count, 1);
    ck_assert_uint_le(cookies.size, COOKIES_SIZE);
    cookies_clear(&cookies);
}
END_TEST

SUITE("client_cookies", TEST(without_cookies_there_is_no_field),
      TEST(cookies_come_back_without_their_attributes),
      TEST(a_new_value_takes_the_place_of_the_old_one), TEST(a_cookie_that_ends_at_once_is_dropped),
      TEST(what_is_malformed_is_passed_over), TEST(there_is_a_limit_of_number_and_of_size))
