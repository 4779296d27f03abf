/* client/upgrade.c */
#include "client/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

/* RFC 6455 section 1.3. */
static const struct upgrade_key key = {"dGhlIHNhbXBsZSBub25jZQ=="};
static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
                             "Upgrade: websocket\r\n"
                             "Connection: keep-alive, Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "Sec-WebSocket-Protocol: x\r\n"
                             "\r\n";

static struct upgrade_response response;
static struct error error;

static enum status read_text(const char *text)
{
    return upgrade_read_response(bytes_of(text, strlen(text)), &key, &response, &error);
}

START_TEST(the_rfc_s_example_is_accepted)
{
    ck_assert_int_eq(read_text(answer), STATUS_OK);
    ck_assert_uint_eq(response.status, 101);
    ck_assert(response.upgraded);
    ck_assert(bytes_equal_string(response.subprotocol, "x"));
    ck_assert_uint_eq(response.body.len, 0);
}
END_TEST

START_TEST(every_prefix_asks_for_more)
{
    struct bytes copy = guarded_copy(answer, (size_t)_i);

    ck_assert_int_eq(upgrade_read_response(copy, &key, &response, &error), STATUS_MORE);
}
END_TEST

START_TEST(bytes_behind_the_head_are_left_over)
{
    char text[sizeof answer + 8];

    snprintf(text, sizeof text, "%s\x82\x01x", answer);
    ck_assert_int_eq(read_text(text), STATUS_OK);
    ck_assert(bytes_equal_string(response.body, "\x82\x01x"));
}
END_TEST

START_TEST(names_have_no_case_and_lines_may_end_in_lf)
{
    ck_assert_int_eq(read_text("HTTP/1.0 101\nUPGRADE:WebSocket\nconnection:\tUPGRADE \n"
                               "SEC-WEBSOCKET-ACCEPT: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n"),
                     STATUS_OK);
    ck_assert(response.upgraded);
}
END_TEST

START_TEST(interim_answers_are_skipped)
{
    char text[sizeof answer + 64];

    snprintf(text, sizeof text, "HTTP/1.1 100 Continue\r\nUpgrade: x\r\n\r\n%s", answer);
    ck_assert_int_eq(read_text(text), STATUS_OK);
    ck_assert(response.upgraded);
}
END_TEST

static const char *const faulty[] = {
    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "HTTP/1.1 101 x\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: close\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
};

START_TEST(a_101_that_misses_something_is_none)
{
    ck_assert_int_eq(read_text(faulty[_i]), STATUS_OK);
    ck_assert(!response.upgraded);
    ck_assert_ptr_nonnull(response.fault);
}
END_TEST

static const char *const garbage[] = {
    "SSH-2.0-x\r\n",
    "HTTP/2 200\r\n\r\n",
    "X",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
};

START_TEST(what_is_not_http_is_refused)
{
    ck_assert_int_eq(read_text(garbage[_i]), STATUS_INVALID);
}
END_TEST

static void fill(char *text, size_t len, const char *begin)
{
    for (size_t i = 0; i < len; i++)
        text[i] = *begin != '\0' ? *begin++ : 'x';
}

START_TEST(a_head_must_end_in_time)
{
    size_t len = HTTP_HEAD_MAX;
    char *text = malloc(len);

    fill(text, len, "HTTP/1.1 200 OK\r\nA: ");
    ck_assert_int_eq(upgrade_read_response(bytes_of(text, len - 1), &key, &response, &error),
                     STATUS_MORE);
    ck_assert_int_eq(upgrade_read_response(bytes_of(text, len), &key, &response, &error),
                     STATUS_INVALID);
    fill(text, len, "HTTP/1.1 200 ");
    ck_assert_int_eq(upgrade_read_response(bytes_of(text, len), &key, &response, &error),
                     STATUS_INVALID);
    free(text);
}
END_TEST

START_TEST(the_request_holds_what_it_must)
{
    static const char expected[] = "GET /a/proxy?b HTTP/1.1\r\nHost: [::1]:8080\r\n"
                                   "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    static const char end[] = "Authorization: Bearer t\r\nSec-WebSocket-Protocol: v1\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct url url;
    struct upgrade_target target = {.service = &url,
                                    .path = "/a/proxy?b",
                                    .credentials = "Authorization: Bearer t\r\n",
                                    .subprotocol = "v1"};
    struct buffer out;
    struct bytes text;

    ck_assert_int_eq(url_parse("http://[::1]:8080/a", &url, &error), STATUS_OK);
    buffer_init(&out, 4096);
    upgrade_write_request(&out, &target, &key);
    text = buffer_peek(&out);
    ck_assert(bytes_starts_with(text, expected));
    ck_assert(bytes_equal_string(bytes_skip(text, text.len - strlen(end)), end));
    buffer_clear(&out);
    url_clear(&url);
}
END_TEST

static void expect_line(const char *path, const char *session, const char *expected)
{
    struct cookies cookies = {.count = 0};
    struct url url = {.host = (char[]){"x"}, .port = 80};
    struct upgrade_target target = {
        .service = &url, .path = path, .session = session, .cookies = &cookies};
    struct buffer out;

    cookies_set(&cookies, bytes_of_string("a=b; Path=/"));
    buffer_init(&out, 4096);
    upgrade_write_request(&out, &target, &key);
    ck_assert(bytes_starts_with(buffer_peek(&out), expected));
    ck_assert_uint_lt(bytes_find_ignoring_case(buffer_peek(&out), "\r\nCookie: a=b\r\n"),
                      buffer_len(&out));
    buffer_clear(&out);
    cookies_clear(&cookies);
}

START_TEST(the_session_goes_into_the_query_once)
{
    expect_line("/proxy", NULL, "GET /proxy HTTP/1.1\r\n");
    expect_line("/proxy", "00ff", "GET /proxy?session=00ff HTTP/1.1\r\n");
    expect_line("/proxy?a=b", "00ff", "GET /proxy?a=b&session=00ff HTTP/1.1\r\n");
    expect_line("/proxy?session=00ff", "00ff", "GET /proxy?session=00ff HTTP/1.1\r\n");
    expect_line("/session=00ff", "00ff", "GET /session=00ff?session=00ff HTTP/1.1\r\n");
}
END_TEST

START_TEST(cookies_of_an_answer_are_listed)
{
    ck_assert_int_eq(
        read_text("HTTP/1.1 503 x\r\nSet-Cookie: a=1\r\nset-cookie:b=2; Path=/\r\n\r\n"),
        STATUS_OK);
    ck_assert_uint_eq(response.cookie_count, 2);
    ck_assert(bytes_equal_string(response.cookies[0], "a=1"));
    ck_assert(bytes_equal_string(response.cookies[1], "b=2; Path=/"));
}
END_TEST

START_TEST(keys_are_sixteen_bytes_and_differ)
{
    static struct frame_keys keys;
    struct upgrade_key one;
    struct upgrade_key other;

    frame_keys_init(&keys);
    upgrade_key_make(&one, &keys);
    upgrade_key_make(&other, &keys);
    ck_assert_uint_eq(strlen(one.text), 24);
    ck_assert_str_eq(one.text + 22, "==");
    ck_assert_str_ne(one.text, other.text);
}
END_TEST

static const struct redirect {
    const char *from;
    const char *location;
    const char *path; /* NULL: must not be followed */
    bool secure;
} redirects[] = {
    {"http://a.example", "/x?y=z#frag", "/x?y=z", false},
    {"http://a.example", "http://A.example/x", "/x", false},
    {"http://a.example", "https://a.example/proxy", "/proxy", true},
    {"http://a.example:5133", "https://a.example", "/", true},
    {"http://a.example", "http://me:secret@a.example/x", "/x", false},
    {"https://a.example", "http://a.example/x", NULL, false},
    {"http://a.example", "http://b.example/x", NULL, false},
    {"http://a.example", "http://a.example:81/x", NULL, false},
    {"https://a.example", "https://a.example:444/x", NULL, false},
    {"http://a.example", "http://a.example@b.example/x", NULL, false},
    {"http://a.example", "//b.example/x", NULL, false},
    {"http://a.example", "x", NULL, false},
    {"http://a.example", "", NULL, false},
    {"http://a.example", "/x y", NULL, false},
    {"http://a.example", "/x\r\nEvil: 1", NULL, false},
    {"http://a.example", "ftp://a.example/x", NULL, false},
};

START_TEST(redirects_stay_on_the_host)
{
    const struct redirect *redirect = &redirects[_i];
    struct url current;
    struct url next;
    char *path;
    enum status status;

    ck_assert_int_eq(url_parse(redirect->from, &current, &error), STATUS_OK);
    memset(&response, 0, sizeof response);
    response.status = 308;
    response.location = bytes_of_string(redirect->location);
    status = upgrade_follow(&response, &current, &next, &path, &error);
    if (redirect->path == NULL) {
        ck_assert_int_eq(status, STATUS_DENIED);
    } else {
        ck_assert_int_eq(status, STATUS_OK);
        ck_assert_str_eq(path, redirect->path);
        ck_assert_str_eq(next.host, "a.example");
        ck_assert_int_eq(next.secure, redirect->secure);
        free(path);
        url_clear(&next);
    }
    url_clear(&current);
}
END_TEST

START_TEST(refusals_say_what_to_do)
{
    memset(&response, 0, sizeof response);
    response.status = 401;
    ck_assert_int_eq(upgrade_describe(&response, "http://x", false, &error), STATUS_DENIED);
    ck_assert_ptr_nonnull(strstr(error.hint, "ELECTRIC_TUNNEL_TOKEN"));
    ck_assert_int_eq(upgrade_describe(&response, "http://x", true, &error), STATUS_DENIED);
    ck_assert_ptr_nonnull(strstr(error.hint, "not accepted"));
    response.status = 503;
    response.content_type = bytes_of_string("text/plain; charset=utf-8");
    response.body = bytes_of_string("shutting down\nsecond line");
    ck_assert_int_eq(upgrade_describe(&response, "http://x", true, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.message, "(shutting down)"));
    response.status = 777;
    ck_assert_int_eq(upgrade_describe(&response, "http://x", true, &error), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "777"));
}
END_TEST

SUITE("client_upgrade", TEST(the_rfc_s_example_is_accepted),
      LOOP(every_prefix_asks_for_more, 0, sizeof answer - 1),
      TEST(bytes_behind_the_head_are_left_over), TEST(names_have_no_case_and_lines_may_end_in_lf),
      TEST(interim_answers_are_skipped), LOOP(a_101_that_misses_something_is_none, 0, 5),
      LOOP(what_is_not_http_is_refused, 0, 6), TEST(a_head_must_end_in_time),
      TEST(the_request_holds_what_it_must), TEST(keys_are_sixteen_bytes_and_differ),
      LOOP(redirects_stay_on_the_host, 0, sizeof redirects / sizeof redirects[0]),
      TEST(refusals_say_what_to_do), TEST(the_session_goes_into_the_query_once),
      TEST(cookies_of_an_answer_are_listed))
