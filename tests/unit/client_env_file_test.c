/* client/env_file.c */
#include "client/env_file.h"
#include "common/memory.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

/* "name=value;" of each variable. */
static void collect(void *owner, const char *name, const char *value)
{
    char **all = owner;
    char *longer = mem_format("%s%s=%s;", *all == NULL ? "" : *all, name, value);

    free(*all);
    *all = longer;
}

static const struct {
    const char *text;
    const char *variables; /* NULL: none */
    const char *problem;   /* NULL: none */
} cases[] = {
    {"A=1\nB=2\n", "A=1;B=2;", NULL},
    {"A=1", "A=1;", NULL},
    {"", NULL, NULL},
    {"\n  \n# comment\n\t# another\nA=1\n", "A=1;", NULL},
    {"\xef\xbb\xbf"
     "A=1\r\nB=2\r\n",
     "A=1;B=2;", NULL},
    {"export A=1\nexport\tB=2\n", "A=1;B=2;", NULL},
    {"  A = 1 2  # rest\nB=x#y\nC=#z\n", "A=1 2;B=x#y;C=;", NULL},
    {"A=\nB=''\n", "A=;B=;", NULL},
    {"A='a \"b\" \\n $c # d' # rest\n", "A=a \"b\" \\n $c # d;", NULL},
    {"A=\"x\\ny\\t\\\"z\\\" \\\\ \\$HOME \\q\"\n", "A=x\ny\t\"z\" \\ $HOME \\q;", NULL},
    {"KEY=\"first\nsecond\"\nB=1\n", "KEY=first\nsecond;B=1;", NULL},
    {"URL=postgres://u:p@h/d?a=b&c=d\n", "URL=postgres://u:p@h/d?a=b&c=d;", NULL},
    {"A=\"one\ntwo\"\nsecret\n", "A=one\ntwo;", "line 3: a line is NAME=VALUE"},
    {"1A=secret\n", NULL, "line 1: a line is NAME=VALUE"},
    {"A='secret\n", NULL, "line 1: the closing quote is missing"},
    {"A='x'secret\n", NULL, "line 1: there is something behind the closing quote"},
};

START_TEST(a_line_is_a_variable)
{
    char *variables = NULL;
    struct error error = {.message = ""};
    enum status status =
        env_file_parse(bytes_of_string(cases[_i].text), collect, &variables, &error);

    if (cases[_i].problem == NULL) {
        ck_assert_int_eq(status, STATUS_OK);
    } else {
        ck_assert_int_eq(status, STATUS_INVALID);
        ck_assert_str_eq(error.message, cases[_i].problem);
    }
    if (cases[_i].variables == NULL)
        ck_assert_ptr_null(variables);
    else
        ck_assert_str_eq(variables, cases[_i].variables);
    free(variables);
}
END_TEST

START_TEST(a_zero_byte_is_refused)
{
    struct error error;

    ck_assert_int_eq(env_file_parse(bytes_of("A=\0b", 4), collect, NULL, &error), STATUS_INVALID);
}
END_TEST

SUITE("client_env_file", LOOP(a_line_is_a_variable, 0, sizeof cases / sizeof cases[0]),
      TEST(a_zero_byte_is_refused))
