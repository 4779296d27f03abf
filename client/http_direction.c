/* Requests, sent again while that makes sense, and what their answers say. */
#include "client/http_direction.h"

#include <stdio.h>
#include <string.h>

#include "client/tunnel.h"
#include "client/upgrade.h"
#include "common/tunnel/tunnel_http.h"

enum {
    FAILURES_MAX = 3, /* in a row; then another attachment may do better */
    RETRY_MS = 250,   /* before the second attempt; the first is made at once */
};

static struct loop *loop_of(const struct http_direction *direction)
{
    return direction->shared->loop;
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static struct http_line_request request_of(const struct http_direction *direction,
                                           const struct http_question *question)
{
    return (struct http_line_request){
        .method = question->method,
        .path = question->path,
        .fields = question->fields,
        .body = question->body,
        .cookies = direction->cookies,
        .patience = question->patience,
    };
}

void http_direction_ask(struct http_direction *direction, const struct http_question *question)
{
    const struct http_line_request request = request_of(direction, question);

    direction->expects = question->expects;
    direction->asked_at = loop_now(loop_of(direction));
    direction->status = 0;
    direction->genuine = false;
    direction->busy = true;
    direction->text[0] = '\0';
    http_line_ask(&direction->line, &request);
}

void http_direction_ask_last(struct http_direction *direction, const struct http_question *question)
{
    const struct http_line_request request = request_of(direction, question);

    http_line_ask_last(&direction->line, &request);
}

static void on_again(struct loop_timer *timer)
{
    struct http_direction *direction = timer->owner;

    direction->events->on_again(direction->owner, direction);
}

bool http_direction_retry(struct http_direction *direction)
{
    if (++direction->failures >= FAILURES_MAX)
        return false;
    direction->busy = true;
    loop_timer_set(loop_of(direction), &direction->again,
                   direction->failures == 1 ? 0 : RETRY_MS * direction->failures);
    return true;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static void note_cookies(struct http_direction *direction, const struct http_head *head)
{
    struct bytes fields = head->fields, line, name, value;

    while (direction->cookies != NULL && http_take_line(&fields, &line))
        if (http_read_field(line, &name, &value) && bytes_equal_ignoring_case(name, "set-cookie"))
            cookies_set(direction->cookies, value);
}

static bool is_expected(struct http_direction *direction, const struct http_head *head)
{
    struct bytes field = http_head_field(head, TUNNEL_HTTP_FIELD);

    switch (direction->expects) {
    case HTTP_EXPECTS_SERVICE:
        return head->status == 200 && bytes_equal_string(field, TUNNEL_HTTP_HERE);
    case HTTP_EXPECTS_FRAMES:
        return head->status == 200 &&
               bytes_equal_ignoring_case(http_head_field(head, "content-type"), TUNNEL_HTTP_TYPE) &&
               tunnel_http_read_number(field, &direction->serial);
    case HTTP_EXPECTS_RECEIPT:
        return head->status == 204 && bytes_equal_string(field, TUNNEL_HTTP_HERE);
    }
    return false;
}

/* Something that is not the service may answer anything, and say that it went well. */
static void on_head(void *owner, const struct http_head *head)
{
    struct http_direction *direction = owner;
    struct bytes type = http_head_field(head, "content-type");
    bool expected = is_expected(direction, head);

    note_cookies(direction, head);
    direction->genuine = http_head_field(head, TUNNEL_HTTP_FIELD).len > 0;
    direction->heard |= direction->genuine;
    direction->is_text = !expected && bytes_find_ignoring_case(type, "text/plain") == 0;
    direction->status = !expected && head->status < 300 ? 502 : head->status;
}

static bool brings_frames(const struct http_direction *direction)
{
    return direction->expects == HTTP_EXPECTS_FRAMES && direction->status == 200;
}

static void on_body(void *owner, struct bytes piece)
{
    struct http_direction *direction = owner;
    size_t len = strlen(direction->text);

    direction->heard |= direction->genuine;
    if (brings_frames(direction))
        direction->events->on_frames(direction->owner, piece);
    else if (direction->is_text)
        snprintf(direction->text + len, sizeof direction->text - len, "%.*s", (int)piece.len,
                 (const char *)piece.data);
}

/* Of a proxy that reaches nobody, say, nothing counts as a sign of life. */
static void on_heard(void *owner)
{
    struct http_direction *direction = owner;

    if (!direction->heard)
        return;
    direction->heard = false;
    direction->events->on_heard(direction->owner);
}

static enum http_verdict judge(unsigned status)
{
    switch (status) {
    case 200:
    case 204:
        return HTTP_ANSWERED;
    case 409:
        return HTTP_GONE;
    case 413:
        return HTTP_TOO_LONG;
    case 408:
    case 425:
    case 429:
        return HTTP_LATER;
    default:
        return status >= 500 ? HTTP_LATER : HTTP_REFUSED;
    }
}

static void on_end(void *owner, bool whole)
{
    struct http_direction *direction = owner;
    enum http_verdict verdict = judge(direction->status);

    direction->busy = false;
    if (verdict == HTTP_ANSWERED && whole)
        direction->failures = 0;
    direction->events->on_answer(direction->owner, direction, verdict, whole);
}

static void on_failed(void *owner, const struct connect_result *result)
{
    struct http_direction *direction = owner;

    direction->busy = false;
    direction->events->on_failed(direction->owner, direction, result);
}

void http_direction_describe(const struct http_direction *direction, struct error *error,
                             struct connect_result *result)
{
    struct connect_origin origin = connector_origin(direction->shared->connector);
    const struct upgrade_response response = {
        .status = direction->status,
        .content_type = bytes_of_string("text/plain"),
        .body = bytes_of_string(direction->text),
    };

    *result = (struct connect_result){.error = error, .http_status = direction->status};
    result->status =
        upgrade_describe(&response, origin.display, origin.credentials[0] != '\0', error);
}

/* ---- life --------------------------------------------------------------------------------------
 */

void http_direction_init(struct http_direction *direction, struct tunnel_shared *shared,
                         struct cookies *cookies, const struct http_direction_events *events,
                         void *owner)
{
    static const struct http_line_events line_events = {.on_head = on_head,
                                                        .on_body = on_body,
                                                        .on_heard = on_heard,
                                                        .on_end = on_end,
                                                        .on_failed = on_failed};

    *direction = (struct http_direction){
        .shared = shared, .cookies = cookies, .events = events, .owner = owner};
    direction->again = (struct loop_timer){.on_time = on_again, .owner = direction};
    http_line_init(&direction->line, shared, &line_events, direction);
}

void http_direction_close(struct http_direction *direction)
{
    loop_timer_stop(loop_of(direction), &direction->again);
    http_line_close(&direction->line);
}
