/* common/url.c */
#include "common/url.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static struct url url;
static struct error error;

static void expect(const char *text, bool secure, const char *host, unsigned port, const char *path)
{
    ck_assert_msg(url_parse(text, &url, &error) == STATUS_OK, "%s", error.message);
    ck_assert_int_eq(url.secure, secure);
    ck_assert_str_eq(url.host, host);
    ck_assert_uint_eq(url.port, port);
    ck_assert_str_eq(url.path, path);
    url_clear(&url);
    ck_assert_ptr_null(url.host);
}

START_TEST(the_four_schemes_have_their_ports)
{
    expect("http://example.com", false, "example.com", 80, "/");
    expect("https://example.com", true, "example.com", 443, "/");
    expect("ws://example.com", false, "example.com", 80, "/");
    expect("wss://example.com", true, "example.com", 443, "/");
    expect("HTTPS://Example.COM", true, "example.com", 443, "/");
}
END_TEST

START_TEST(a_missing_scheme_means_http)
{
    expect("localhost:5133", false, "localhost", 5133, "/");
    expect("example.com/app", false, "example.com", 80, "/app");
}
END_TEST

START_TEST(a_path_prefix_is_kept_without_its_last_slash)
{
    expect("http://h/", false, "h", 80, "/");
    expect("http://h//", false, "h", 80, "/");
    expect("http://h/a/b", false, "h", 80, "/a/b");
    expect("http://h:8080/a/b//", false, "h", 8080, "/a/b");
    expect("http://h/a%20b", false, "h", 80, "/a%20b");
}
END_TEST

START_TEST(addresses_of_both_families_are_hosts)
{
    expect("http://127.0.0.1:1", false, "127.0.0.1", 1, "/");
    expect("http://[::1]:5133/x", false, "::1", 5133, "/x");
    expect("https://[2001:DB8::1]", true, "2001:db8::1", 443, "/");
    expect("http://h:", false, "h", 80, "/"); /* RFC 3986 section 3.2.3 */
}
END_TEST

START_TEST(user_and_password_are_decoded)
{
    ck_assert_int_eq(url_parse("http://me%40x:p%3aw:d@h", &url, &error), STATUS_OK);
    ck_assert_str_eq(url.user, "me@x");
    ck_assert_str_eq(url.password, "p:w:d");
    ck_assert_str_eq(url.host, "h");
    url_clear(&url);
    ck_assert_int_eq(url_parse("http://me@h", &url, &error), STATUS_OK);
    ck_assert_str_eq(url.user, "me");
    ck_assert_ptr_null(url.password);
    url_clear(&url);
    ck_assert_int_eq(url_parse("http://h", &url, &error), STATUS_OK);
    ck_assert_ptr_null(url.user);
    url_clear(&url);
}
END_TEST

START_TEST(what_is_no_service_url_is_refused)
{
    static const char *const bad[] = {
        "",
        "http://",
        "http:///path",
        "://h",
        "ftp://h",
        "postgres://h/db",
        "http://h:0",
        "http://h:65536",
        "http://h:99999999999999999999",
        "http://h:12x",
        "http://h:-1",
        "http://h:1:2",
        "http://::1",
        "http://[::1",
        "http://[::1]x",
        "http://[::g]",
        "http://[]",
        "http://[127.0.0.1]",
        "http://h h",
        "http://h/a b",
        "http://h/\r\nX: y",
        "http://h\n",
        "http://h/\xc3\xa4",
        "http://h\xc3\xa4",
        "http://h?x",
        "http://h/a?x=y",
        "http://h/a#b",
        "http://u%zz@h",
        "http://u%0",
        "http://u:%00@h",
        "http://u:%4@h",
        "http://a$b",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(&error, 0, sizeof error);
        ck_assert_msg(url_parse(bad[i], &url, &error) == STATUS_INVALID, "%s", bad[i]);
        ck_assert_ptr_null(url.host);
        ck_assert_ptr_null(url.path);
        ck_assert_ptr_null(url.password);
        ck_assert_str_eq(error.sqlstate, "22023");
        ck_assert_uint_gt(strlen(error.message), 10);
    }
}
END_TEST

START_TEST(an_endless_host_is_refused)
{
    char text[400] = "http://";

    memset(text + 7, 'a', 300);
    ck_assert_int_eq(url_parse(text, &url, &error), STATUS_INVALID);
}
END_TEST

START_TEST(an_error_quotes_the_url_without_its_password)
{
    url_parse("http://me:secret@h:99999", &url, &error);
    ck_assert_str_eq(error.message, "\"http://me:***@h:99999\" has a port above 65535");
    url_parse("http://me:sec/ret@h", &url, &error);
    ck_assert_ptr_null(strstr(error.message, "sec"));
    ck_assert_ptr_null(strstr(error.message, "ret"));
}
END_TEST

static void expect_display(const char *text, const char *shown)
{
    ck_assert_int_eq(url_parse(text, &url, &error), STATUS_OK);
    char *display = url_display(&url);
    ck_assert_str_eq(display, shown);
    free(display);
    url_clear(&url);
}

START_TEST(a_url_is_shown_without_user_and_password)
{
    expect_display("http://u:p@Host:80/", "http://host");
    expect_display("wss://host:443/app/", "https://host/app");
    expect_display("https://host:80", "https://host:80");
    expect_display("localhost:5133", "http://localhost:5133");
    expect_display("http://[::1]:5133/x", "http://[::1]:5133/x");
}
END_TEST

START_TEST(host_and_port_are_split)
{
    char *host;
    uint16_t port;

    ck_assert_int_eq(url_split_host_port("DB.example:5432", &host, &port, &error), STATUS_OK);
    ck_assert_str_eq(host, "db.example");
    ck_assert_uint_eq(port, 5432);
    free(host);
    ck_assert_int_eq(url_split_host_port("[fe80::1]:1", &host, &port, &error), STATUS_OK);
    ck_assert_str_eq(host, "fe80::1");
    ck_assert_uint_eq(port, 1);
    free(host);
}
END_TEST

START_TEST(a_pair_without_either_part_is_refused)
{
    static const char *const bad[] = {"",         "h",     "h:",     ":1",    "h:0",   "h:70000",
                                      "::1:5432", "[::1]", "[::1]5", "h:1/x", "u@h:1", "h 1:1"};
    char *host;
    uint16_t port;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(url_split_host_port(bad[i], &host, &port, &error) == STATUS_INVALID, "%s",
                      bad[i]);
        ck_assert_ptr_null(host);
    }
}
END_TEST

START_TEST(connection_strings_are_shown_without_passwords)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"postgres://u:pw@h/db", "postgres://u:***@h/db"},
        {"postgresql://u:p@w@h:5/db?sslmode=require", "postgresql://u:***@h:5/db?sslmode=require"},
        {"postgres://u:p/w?x@h/db", "postgres://u:***@h/db"},
        {"postgres://u@h/db", "postgres://u@h/db"},
        {"postgres://h/db", "postgres://h/db"},
        {"postgres://h/db?user=u&password=pw&x=y", "postgres://h/db?user=u&password=***&x=y"},
        {"postgres://h/db?sslpassword=pw", "postgres://h/db?sslpassword=***"},
        {"postgres://h/db?p%61ssword=pw", "postgres://h/db?p%61ssword=***"},
        {"postgres:///db?host=/tmp", "postgres:///db?host=/tmp"},
        {"host=h password=pw dbname=d", "host=h password=*** dbname=d"},
        {"host=h password = 'p \\' w' dbname=d", "host=h password = *** dbname=d"},
        {"password='unended", "password=***"},
        {"password=a\\ b user=u", "password=*** user=u"},
        {"host=h user=u", "host=h user=u"},
        {"host=h junk", "host=h junk"},
        {"password=", "password=***"},
        {"u:pw@h", "u:***@h"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *shown = url_redact(cases[i].given);
        ck_assert_str_eq(shown, cases[i].shown);
        free(shown);
    }
}
END_TEST

SUITE("url", TEST(the_four_schemes_have_their_ports), TEST(a_missing_scheme_means_http),
      TEST(a_path_prefix_is_kept_without_its_last_slash),
      TEST(addresses_of_both_families_are_hosts), TEST(user_and_password_are_decoded),
      TEST(what_is_no_service_url_is_refused), TEST(an_endless_host_is_refused),
      TEST(an_error_quotes_the_url_without_its_password),
      TEST(a_url_is_shown_without_user_and_password), TEST(host_and_port_are_split),
      TEST(a_pair_without_either_part_is_refused),
      TEST(connection_strings_are_shown_without_passwords))
