/* Names of companion databases. */
#include "server/proxy/companion.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(a_suffix_is_put_behind_the_name)
{
    char name[COMPANION_NAME_SIZE];

    companion_name("app", name);
    ck_assert_str_eq(name, "app__electric");
    /* The longest that has room for it. */
    companion_name("a2345678901234567890123456789012345678901234567890123", name);
    ck_assert_str_eq(name, "a2345678901234567890123456789012345678901234567890123__electric");
}
END_TEST

START_TEST(long_names_that_begin_alike_differ)
{
    char one[COMPANION_NAME_SIZE], other[COMPANION_NAME_SIZE];

    companion_name("a234567890123456789012345678901234567890123456789012345678901_1", one);
    companion_name("a234567890123456789012345678901234567890123456789012345678901_2", other);
    ck_assert_uint_eq(strlen(one), COMPANION_NAME_SIZE - 1);
    ck_assert_str_ne(one, other);
    ck_assert(strncmp(one, "a2345678901234567890123456789012345678901234_", 45) == 0);
    ck_assert_str_eq(one + 53, "__electric");
}
END_TEST

START_TEST(a_long_name_is_not_cut_inside_a_character)
{
    char database[64] = "", name[COMPANION_NAME_SIZE];

    /* 21 characters of three bytes, so that 44 bytes end inside one. */
    for (int i = 0; i < 21; i++)
        strcat(database, "\xe2\x82\xac");
    companion_name(database, name);
    ck_assert_int_eq(name[42], '_');
    ck_assert_uint_eq(strlen(name), 61);
    ck_assert_str_eq(name + 51, "__electric");
}
END_TEST

SUITE("companion", TEST(a_suffix_is_put_behind_the_name), TEST(long_names_that_begin_alike_differ),
      TEST(a_long_name_is_not_cut_inside_a_character))
