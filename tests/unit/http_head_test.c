#include "server/http_head.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

static struct http_head head;
static struct buffer out;

static enum status take_from(struct bytes *in)
{
    buffer_init(&out, HTTP_HEAD_MAX);
    return http_head_take(in, &head, &out);
}

static enum status take(const char *text, struct bytes *rest)
{
    *rest = guarded_copy(text, strlen(text));
    return take_from(rest);
}

static void rewritten_is(const char *expected)
{
    struct bytes got = buffer_peek(&out);

    ck_assert_msg(bytes_equal_string(got, expected), "got \"%.*s\"", (int)got.len,
                  (const char *)got.data);
    buffer_clear(&out);
}

#define HOST "Host: x\r\n"
static const char plain[] = "GET /healthz?a=b HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\n";

START_TEST(an_ordinary_head_passes)
{
    struct bytes rest;

    ck_assert_int_eq(take(plain, &rest), STATUS_OK);
    ck_assert_uint_eq(rest.len, 0);
    ck_assert_uint_eq(head.body, 0);
    ck_assert(!head.upgrade);
    rewritten_is("GET /healthz?a=b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n");
}
END_TEST

START_TEST(every_prefix_asks_for_more) /* a loop test: _i counts the bytes that arrived */
{
    struct bytes in = guarded_copy(plain, (size_t)_i);

    ck_assert_int_eq(take_from(&in), STATUS_MORE);
    ck_assert_uint_eq(in.len, (size_t)_i);
    ck_assert_uint_eq(buffer_len(&out), 0);
}
END_TEST

START_TEST(what_follows_stays)
{
    struct bytes rest;

    ck_assert_int_eq(take("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhelloGET", &rest),
                     STATUS_OK);
    ck_assert_uint_eq(head.body, 5);
    ck_assert(bytes_equal_string(rest, "helloGET"));
}
END_TEST

START_TEST(empty_lines_before_a_request_are_skipped)
{
    struct bytes rest;

    ck_assert_int_eq(take("\r\n\r\nGET / HTTP/1.0\r\n\r\n", &rest), STATUS_OK);
    rewritten_is("GET / HTTP/1.0\r\n");
}
END_TEST

START_TEST(any_form_of_target_becomes_a_path)
{
    static const struct {
        const char *target, *path;
    } cases[] = {
        {"*", "/"},
        {"/", "/"},
        {"//proxy", "//proxy"},
        {"http://x:80/proxy?session=1", "/proxy?session=1"},
        {"https://x?a", "/?a"},
        {"http://x", "/"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128], expected[128];
        struct bytes rest;

        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", cases[i].target);
        snprintf(expected, sizeof(expected), "GET %s HTTP/1.1\r\nHost: x\r\n", cases[i].path);
        ck_assert_msg(take(text, &rest) == STATUS_OK, "%s", cases[i].target);
        rewritten_is(expected);
    }
}
END_TEST

START_TEST(what_libwebsockets_misreads_is_left_out)
{
    static const char *const names[] = {
        "X",       "x-auth", "X-A",    "A",         "Content", "Content-Lengt", "Get",
        "Put",     "put-me", "Delete", "delete-it", "Patchy",  "Http",          "Uri-Args",
        "uri-arg", "T",      "Proxy",  "Head",      "Connect", "Sec-Web",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[128];
        struct bytes rest;

        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s: 1\r\n" HOST "\r\n", names[i]);
        ck_assert_msg(take(text, &rest) == STATUS_OK, "%s", names[i]);
        rewritten_is("GET / HTTP/1.1\r\nHost: x\r\n");
    }
}
END_TEST

START_TEST(what_it_reads_rightly_passes)
{
    static const char *const names[] = {
        "Accept",   "Accept-Encoding", "X-Auth-Token", "Last-Event-ID", "Electric-Tunnel", "Origin",
        "X-Custom", "Content-Type",    "TE",           "Gets",          "Authorization",   "Zebra",
        "Host-",    "Cookie",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[128], expected[128];
        struct bytes rest;

        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "%s:\t 1 \r\n\r\n", names[i]);
        snprintf(expected, sizeof(expected), "GET / HTTP/1.1\r\nHost: x\r\n%s: 1\r\n", names[i]);
        ck_assert_msg(take(text, &rest) == STATUS_OK, "%s", names[i]);
        rewritten_is(expected);
    }
}
END_TEST

START_TEST(a_clients_word_for_its_address_is_left_out)
{
    struct bytes rest;

    ck_assert_int_eq(take("GET / HTTP/1.1\r\n" HOST "electric-Client: single 1.2.3.4\r\n"
                          "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\n\r\n",
                          &rest),
                     STATUS_OK);
    rewritten_is("GET / HTTP/1.1\r\nHost: x\r\n");
    ck_assert_uint_eq(head.forwarded_count, 2);
    ck_assert(bytes_equal_string(head.forwarded[1], "2.2.2.2, 3.3.3.3"));
}
END_TEST

START_TEST(only_the_last_forwarded_lines_are_kept)
{
    char text[4096] = "GET / HTTP/1.0\r\n";
    struct bytes rest;

    for (unsigned i = 0; i < HTTP_HEAD_FORWARDED_MAX + 3; i++)
        snprintf(text + strlen(text), 64, "X-Forwarded-For: %u\r\n", i);
    strcat(text, "\r\n");
    ck_assert_int_eq(take(text, &rest), STATUS_OK);
    ck_assert_uint_eq(head.forwarded_count, HTTP_HEAD_FORWARDED_MAX);
    ck_assert(bytes_equal_string(head.forwarded[0], "3"));
}
END_TEST

START_TEST(only_an_upgrade_to_a_websocket_is_one)
{
    struct bytes rest;

    ck_assert_int_eq(take("GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n\r\n", &rest), STATUS_OK);
    ck_assert(!head.upgrade);
    rewritten_is("GET / HTTP/1.1\r\nHost: x\r\n");
    ck_assert_int_eq(take("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", &rest), STATUS_OK);
    ck_assert(!head.upgrade);
    rewritten_is("GET / HTTP/1.0\r\n");
    ck_assert_int_eq(take("GET / HTTP/1.1\r\n" HOST "Upgrade: h2c, WebSocket\r\n\r\n", &rest),
                     STATUS_OK);
    ck_assert(head.upgrade);
    rewritten_is("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n");
}
END_TEST

/* Behind each stands what a second request would be for whoever reads it differently. */
START_TEST(what_is_doubtful_is_refused)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {400, "GET / HTTP/1.1\n" HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "\n"},
        {400, "\nGET / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n " HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A(b): c\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\ncontent-length: 2\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x10\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" HOST
              "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {411, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {411, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"},
        {400, "GET /%00 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /%0 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /a\x80 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET x HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET / x HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /\r\n\r\n"},
        {400, "GET / FTP/1.1\r\n" HOST "\r\n"},
        {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},
        {505, "GET / HTTP/1.2\r\n" HOST "\r\n"},
        {501, "get / HTTP/1.1\r\n" HOST "\r\n"},
        {501, "TRACE / HTTP/1.1\r\n" HOST "\r\n"},
        {501, "CONNECT /x HTTP/1.1\r\n" HOST "\r\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes rest;

        ck_assert_msg(take(cases[i].text, &rest) == STATUS_INVALID, "%s", cases[i].text);
        ck_assert_msg(head.status == cases[i].status, "%d for %s", head.status, cases[i].text);
        ck_assert_uint_gt(strlen(head.reason), 10);
        buffer_clear(&out);
    }
}
END_TEST

START_TEST(nul_is_refused_anywhere)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";

    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char spoilt[sizeof(text)];
        struct bytes in;

        memcpy(spoilt, text, sizeof(text));
        spoilt[i] = '\0';
        in = guarded_copy(spoilt, sizeof(text) - 1);
        ck_assert_int_ne(take_from(&in), STATUS_OK);
        buffer_clear(&out);
    }
}
END_TEST

START_TEST(what_is_no_http_is_refused_at_once)
{
    struct bytes hello = guarded_copy("\x16\x03", 2);
    struct bytes startup = guarded_copy("\0\0\0\x08", 4);

    ck_assert_int_eq(take_from(&hello), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(head.reason, "TLS"));
    ck_assert_int_eq(take_from(&startup), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(head.reason, "Postgres"));
}
END_TEST

START_TEST(connection_becomes_one_word)
{
    static const char *const cases[][2] = {
        {"Connection: TE, Close\r\n", "Connection: close\r\n"},
        {"Connection: keep-alive\r\nConnection: close\r\n", "Connection: close\r\n"},
        {"Connection: Keep-Alive, x\r\n", "Connection: keep-alive\r\n"},
        {"Connection: upgrade\r\n", ""},
        {"Connection: closed\r\n", ""},
    };
    char text[256], expected[256];
    struct bytes rest;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "%s\r\n", cases[i][0]);
        (void)snprintf(expected, sizeof(expected), "GET / HTTP/1.1\r\n" HOST "%s", cases[i][1]);
        ck_assert_int_eq(take(text, &rest), STATUS_OK);
        rewritten_is(expected);
    }
}
END_TEST

START_TEST(length_and_number_of_lines_are_bounded)
{
    static char text[HTTP_HEAD_MAX + 1];
    struct bytes in;

    memset(text, 'a', sizeof(text) - 1);
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    in = bytes_of(text, HTTP_HEAD_MAX - 1);
    ck_assert_int_eq(take_from(&in), STATUS_MORE);
    in = bytes_of(text, HTTP_HEAD_MAX);
    ck_assert_int_eq(take_from(&in), STATUS_INVALID);
    ck_assert_int_eq(head.status, 431);

    strcpy(text, "GET / HTTP/1.0\r\n");
    for (unsigned i = 0; i <= HTTP_HEAD_LINES_MAX; i++)
        strcat(text, "B: c\r\n");
    strcat(text, "\r\n");
    in = bytes_of_string(text);
    ck_assert_int_eq(take_from(&in), STATUS_INVALID);
    ck_assert_int_eq(head.status, 431);
}
END_TEST

SUITE("http_head", TEST(an_ordinary_head_passes),
      LOOP(every_prefix_asks_for_more, 0, (int)sizeof(plain) - 1), TEST(what_follows_stays),
      TEST(empty_lines_before_a_request_are_skipped), TEST(any_form_of_target_becomes_a_path),
      TEST(what_libwebsockets_misreads_is_left_out), TEST(what_it_reads_rightly_passes),
      TEST(a_clients_word_for_its_address_is_left_out),
      TEST(only_the_last_forwarded_lines_are_kept), TEST(only_an_upgrade_to_a_websocket_is_one),
      TEST(what_is_doubtful_is_refused), TEST(nul_is_refused_anywhere),
      TEST(what_is_no_http_is_refused_at_once), TEST(connection_becomes_one_word),
      TEST(length_and_number_of_lines_are_bounded))
