/* client/header_lines.c */
#include "client/header_lines.h"

#include <string.h>

#include "tests/support/suite.h"

static const struct {
    const char *text;
    const char *written; /* NULL: it is refused */
    const char *told;    /* the names, or what is wrong */
} cases[] = {
    {"", "", ""},
    {"\n# comment\n  \r\n", "", ""},
    {"X-One: 1", "X-One: 1\r\n", "X-One"},
    {"X-One: 1\r\n\tX-Two :no\n", NULL, "line 2: a header is \"Name: value\""},
    {"CF-Access-Client-Id: a.access\nCF-Access-Client-Secret:b:c  \n",
     "CF-Access-Client-Id: a.access\r\nCF-Access-Client-Secret: b:c\r\n",
     "CF-Access-Client-Id, CF-Access-Client-Secret"},
    {"  authorization: Bearer x y\n", "authorization: Bearer x y\r\n", "authorization"},
    {"secret", NULL, "line 1: a header is \"Name: value\""},
    {": secret", NULL, "line 1: a header is \"Name: value\""},
    {"X Y: secret", NULL, "line 1: a header is \"Name: value\""},
    {"X\x80: secret", NULL, "line 1: a header is \"Name: value\""},
    {"\nX-Y:\n", NULL, "line 2: the value of X-Y is empty or holds a control character"},
    {"X-Y: a\rsecret: b", NULL, "line 1: the value of X-Y is empty or holds a control character"},
    {"X-Y: a\x01", NULL, "line 1: the value of X-Y is empty or holds a control character"},
    {"X-Y: a\x7f", NULL, "line 1: the value of X-Y is empty or holds a control character"},
    {"X-A: b\nhost: secret", NULL, "line 2: the tunnel sets host itself"},
    {"CONNECTION: x", NULL, "line 1: the tunnel sets CONNECTION itself"},
    {"Sec-WebSocket-Anything: x", NULL, "line 1: the tunnel sets Sec-WebSocket-Anything itself"},
    {"Transfer-Encoding: chunked", NULL, "line 1: the tunnel sets Transfer-Encoding itself"},
    {"Cookie: a=b", NULL, "line 1: the tunnel sets Cookie itself"},
};

static void expect(struct buffer *out, const char *expected)
{
    buffer_append_u8(out, 0);
    ck_assert_str_eq((const char *)buffer_peek(out).data, expected);
    buffer_clear(out);
}

START_TEST(lines_become_headers)
{
    struct error error = {.message = ""};
    struct buffer out;

    if (cases[_i].written == NULL) {
        ck_assert(!header_lines_check(cases[_i].text, &error));
        ck_assert_str_eq(error.message, cases[_i].told);
        return;
    }
    ck_assert_msg(header_lines_check(cases[_i].text, &error), "%s", error.message);
    buffer_init(&out, 1024);
    header_lines_write(cases[_i].text, &out);
    expect(&out, cases[_i].written);
    header_lines_name(cases[_i].text, &out);
    expect(&out, cases[_i].told);
}
END_TEST

START_TEST(a_header_is_known_by_its_whole_name)
{
    ck_assert(header_lines_has("X: y\nAUTHORIZATION: z", "Authorization"));
    ck_assert(!header_lines_has("X-Authorization: z\nAuth: Authorization: x", "Authorization"));
    ck_assert(!header_lines_has("", "Authorization"));
}
END_TEST

SUITE("client_header_lines", LOOP(lines_become_headers, 0, sizeof cases / sizeof cases[0]),
      TEST(a_header_is_known_by_its_whole_name))
