/* common/printable.c */
#include "common/printable.h"
#include "tests/support/suite.h"

#include <stdio.h>

static const struct {
    const char *given;
    const char *expected;
} cases[] = {
    {"", ""},
    {"plain, \u00fc and \u4e2d", "plain, \u00fc and \u4e2d"},
    {"\x1b[2J\r\n\t\x7f", " [2J    "},
    {"\xc2\x9b"
     "31m\xc2\xa0",
     "  31m\xc2\xa0"},
    {"\xff\x9b\xc2", "???"},
};

START_TEST(what_a_terminal_would_obey_is_blank)
{
    char text[40];

    snprintf(text, sizeof text, "%s", cases[_i].given);
    printable_make(text);
    ck_assert_str_eq(text, cases[_i].expected);
}
END_TEST

SUITE("printable",
      LOOP(what_a_terminal_would_obey_is_blank, 0, (int)(sizeof cases / sizeof cases[0])))
