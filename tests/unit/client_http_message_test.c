/* client/http_message.c */
#include "client/http_message.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#define TEXT_MAX_LEN 4096

/* What a response's events say, as text: "200|body|end" and the like; "!" and why it is none. */
static const char *decode_in(const char *text, size_t piece, bool *keeps)
{
    static char out[TEXT_MAX_LEN];
    struct http_decoder decoder;
    struct error error;
    struct http_event event;
    size_t len = strlen(text), at = 0;

    out[0] = '\0';
    http_decoder_init(&decoder);
    while (at < len) {
        struct bytes copy = guarded_copy(text + at, len - at < piece ? len - at : piece);
        struct bytes in = copy;
        enum status status;

        while ((status = http_decode(&decoder, &in, &event, &error)) == STATUS_OK) {
            size_t end = strlen(out);

            switch (event.type) {
            case HTTP_HEAD:
                snprintf(out + end, sizeof out - end, "%u|", event.head.status);
                break;
            case HTTP_BODY:
                snprintf(out + end, sizeof out - end, "%.*s", (int)event.body.len,
                         (const char *)event.body.data);
                break;
            case HTTP_END:
                snprintf(out + end, sizeof out - end, "|end ");
                *keeps = http_decoder_keeps(&decoder);
                break;
            }
        }
        ck_assert_uint_eq(status == STATUS_MORE ? in.len : 0, 0);
        at += copy.len;
        guarded_free(copy);
        if (status == STATUS_INVALID) {
            snprintf(out + strlen(out), sizeof out - strlen(out), "!%s", error.message);
            break;
        }
    }
    if (http_decoder_ends_with_connection(&decoder))
        snprintf(out + strlen(out), sizeof out - strlen(out), "|open");
    http_decoder_clear(&decoder);
    return out;
}

/* In pieces of every size the same. */
static void expect(const char *text, const char *expected)
{
    bool keeps;

    for (size_t piece = 1; piece <= strlen(text); piece++)
        ck_assert_str_eq(decode_in(text, piece, &keeps), expected);
}

static bool keeps(const char *text)
{
    bool result = false;

    (void)decode_in(text, strlen(text), &result);
    return result;
}

START_TEST(a_body_is_as_long_as_its_length_says)
{
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200|hello|end ");
    expect("HTTP/1.1 200 OK\nContent-length:  0 \n\nHTTP/1.1 204 \r\n\r\n", "200||end 204||end ");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
           "200|hello|end ");
}
END_TEST

START_TEST(chunks_are_put_together)
{
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n00B;name=\"v\"\r\n, my world.\r\n0\r\n\r\n",
           "200|hello, my world.|end ");
    expect(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n"
        "HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n.",
        "200||end 404|.|end ");
}
END_TEST

START_TEST(a_body_without_length_ends_with_the_connection)
{
    expect("HTTP/1.1 200 OK\r\n\r\nhello", "200|hello|open");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", "200|hello|open");
}
END_TEST

START_TEST(some_answers_have_no_body)
{
    expect("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "204||end ");
    expect("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304||end ");
    expect("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", "101||end ");
}
END_TEST

START_TEST(interim_answers_are_passed_over)
{
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
           "200|ok|end ");
}
END_TEST

START_TEST(connections_are_kept_when_both_ends_know_where_bodies_end)
{
    ck_assert(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    ck_assert(keeps("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n"));
    ck_assert(keeps("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    ck_assert(!keeps("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    ck_assert(!keeps("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 0\r\n\r\n"));
    ck_assert(!keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "0\r\n\r\n"));
}
END_TEST

static const char *const bad[] = {
    "HTTP/2 200 OK\r\n\r\n",
    "SSH-2.0-OpenSSH\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1g\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
};
enum { BAD = sizeof bad / sizeof bad[0] };

START_TEST(what_is_no_answer_is_refused)
{
    bool kept;

    for (size_t piece = 1; piece <= strlen(bad[_i]); piece++)
        ck_assert_msg(strchr(decode_in(bad[_i], piece, &kept), '!') != NULL, "%s", bad[_i]);
}
END_TEST

START_TEST(heads_chunk_lines_and_trailers_are_bounded)
{
    static const char *const beginnings[] = {
        "HTTP/1.1 200 OK\r\nField: ",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    };
    struct http_decoder decoder;
    struct http_event event;
    struct error error;
    enum status status = STATUS_OK;
    struct bytes in = bytes_of_string(beginnings[_i]);

    http_decoder_init(&decoder);
    do
        status = http_decode(&decoder, &in, &event, &error);
    while (status == STATUS_OK);
    for (size_t i = 0; i < 2 * HTTP_HEAD_MAX && status != STATUS_INVALID; i++) {
        in = bytes_of_string(_i == 2 ? "a: b\r\n" : "xxxxxx");
        status = http_decode(&decoder, &in, &event, &error);
    }
    ck_assert_int_eq(status, STATUS_INVALID);
    ck_assert_int_eq(http_decode(&decoder, &in, &event, &error), STATUS_INVALID);
    http_decoder_clear(&decoder);
}
END_TEST

START_TEST(fields_are_found_whatever_their_case)
{
    struct http_decoder decoder;
    struct http_event event;
    struct error error;
    struct bytes in =
        bytes_of_string("HTTP/1.1 200 OK\r\nA: 1\r\nElectric-Tunnel:  7 \r\na: 2\r\n\r\n");

    http_decoder_init(&decoder);
    ck_assert_int_eq(http_decode(&decoder, &in, &event, &error), STATUS_OK);
    ck_assert(bytes_equal_string(http_head_field(&event.head, "electric-tunnel"), "7"));
    ck_assert(bytes_equal_string(http_head_field(&event.head, "a"), "1"));
    ck_assert_uint_eq(http_head_field(&event.head, "b").len, 0);
    http_decoder_clear(&decoder);
}
END_TEST

START_TEST(a_query_is_added_to_the_path)
{
    struct buffer out;

    buffer_init(&out, 100);
    http_write_target(&out, "/a/proxy", "session=1");
    http_write_target(&out, "/?x=y", "up=2");
    ck_assert(bytes_equal_string(buffer_peek(&out), "/a/proxy?session=1/?x=y&up=2"));
    buffer_clear(&out);
}
END_TEST

SUITE("client_http_message", TEST(a_body_is_as_long_as_its_length_says),
      TEST(chunks_are_put_together), TEST(a_body_without_length_ends_with_the_connection),
      TEST(some_answers_have_no_body), TEST(interim_answers_are_passed_over),
      TEST(connections_are_kept_when_both_ends_know_where_bodies_end),
      LOOP(what_is_no_answer_is_refused, 0, BAD),
      LOOP(heads_chunk_lines_and_trailers_are_bounded, 0, 3),
      TEST(fields_are_found_whatever_their_case), TEST(a_query_is_added_to_the_path))
