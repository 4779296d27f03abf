/* Frames in POSTs and in answers to GETs. */
#include "client/http_carrier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/http_line.h"
#include "client/tunnel.h"
#include "client/upgrade.h"
#include "common/memory.h"
#include "common/tunnel/tunnel_http.h"

enum {
    POST_PATIENCE = 10000,
    POLL_PATIENCE = 35000, /* the service answers within 20 s, something in between may be slow */
    FAILURES_MAX = 3,      /* of requests in a row; then the session looks for another carrier */
    RETRY_MS = 250,        /* before the second one */
    /* A body should take about this long: more, and nothing is heard for too long; less, and most
     * of the time is spent waiting for answers. */
    POST_SHORT = 500,
    POST_LONG = 3000,
};
#define POST_MIN ((size_t)16 * 1024)
#define POST_FIRST ((size_t)64 * 1024)

/* One direction: a request, perhaps repeated. */
struct direction {
    struct http_line line;
    struct loop_timer retry;
    uint64_t number; /* of the request */
    unsigned status; /* of the answer; 0: its head has not come */
    unsigned failures;
    bool waiting; /* for an answer, or for the next attempt */
};

enum http_carrier_state {
    HTTP_CARRIER_PROBING, /* whether the service speaks this */
    HTTP_CARRIER_READY,   /* nothing was sent */
    HTTP_CARRIER_OPENING, /* OPEN or RESUME is under way */
    HTTP_CARRIER_RUNNING,
};

struct http_carrier {
    struct carrier carrier; /* first */
    struct tunnel_shared *shared;
    struct cookies *cookies;
    char route[17];
    struct tunnel_key key;
    struct tunnel_request request; /* id and attempt of all of them */
    enum http_carrier_state state;
    struct direction up;
    struct direction down;
    struct buffer sending; /* the POST under way */
    struct buffer next;    /* frames for the one behind it */
    struct loop_task start;
    int64_t posted_at;
    uint64_t serial; /* of the latest answer that came in whole */
    uint64_t coming; /* of the one that is coming */
    char text[160];  /* of an answer that is no success: its first line */
    bool is_text;
    bool ended; /* no event follows */
};

static struct http_carrier *http_of(struct carrier *carrier)
{
    return (struct http_carrier *)carrier;
}

static struct loop *loop_of(const struct http_carrier *http)
{
    return http->shared->loop;
}

/* ---- ends --------------------------------------------------------------------------------------
 */

static void stop(struct carrier *carrier)
{
    struct http_carrier *http = http_of(carrier);

    http->ended = true;
    loop_task_cancel(loop_of(http), &http->start);
    loop_timer_stop(loop_of(http), &http->up.retry);
    loop_timer_stop(loop_of(http), &http->down.retry);
    http_line_close(&http->down.line);
    http_line_close(&http->up.line);
}

static void free_carrier(struct carrier *carrier)
{
    struct http_carrier *http = http_of(carrier);

    stop(carrier);
    buffer_clear(&http->sending);
    buffer_clear(&http->next);
    OPENSSL_cleanse(&http->key, sizeof http->key);
    carrier_bury(http->shared, carrier);
}

static void end(struct http_carrier *http, const char *reason)
{
    if (http->ended)
        return;
    stop(&http->carrier);
    http->carrier.events->on_end(http->carrier.owner, 0, reason);
}

static void refuse(struct http_carrier *http, const struct connect_result *result)
{
    bool was_open = http->state == HTTP_CARRIER_OPENING || http->state == HTTP_CARRIER_RUNNING;

    if (http->ended)
        return;
    stop(&http->carrier);
    if (was_open)
        http->carrier.events->on_refused(http->carrier.owner, result);
    else
        http->carrier.events->on_open(http->carrier.owner, result);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

/* `last`: nobody will read the answer. */
static void ask(struct http_carrier *http, struct direction *direction, const char *query,
                const struct http_line_request *what, bool last)
{
    struct connect_origin origin = connector_origin(http->shared->connector);
    struct http_line_request request = *what;
    struct buffer path;

    buffer_init(&path, 64u * 1024u);
    http_write_target(&path, origin.path, query);
    buffer_append_u8(&path, 0);
    request.path = (const char *)buffer_peek(&path).data;
    request.cookies = http->cookies;
    direction->status = 0;
    direction->waiting = true;
    http->text[0] = '\0';
    if (last)
        http_line_ask_last(&direction->line, &request);
    else
        http_line_ask(&direction->line, &request);
    buffer_clear(&path);
}

static char *sealed_fields(const struct http_carrier *http, const struct tunnel_request *request)
{
    char field[TUNNEL_HTTP_FIELD_SIZE];

    tunnel_http_write_field(&http->key, request, field);
    return mem_format(TUNNEL_HTTP_FIELD ": %s\r\nContent-Type: " TUNNEL_HTTP_TYPE "\r\n", field);
}

static void post_body(struct http_carrier *http, struct bytes body, bool last)
{
    struct tunnel_request request = http->request;
    char *fields;
    char query[64];
    int len = snprintf(query, sizeof query, "session=%s", http->route);

    if (http->state == HTTP_CARRIER_RUNNING)
        snprintf(query + len, sizeof query - (size_t)len, "&up=%" PRIu64, http->up.number);
    request.method = "POST";
    request.number = http->up.number;
    request.body = body;
    fields = sealed_fields(http, &request);
    ask(http, &http->up, query,
        &(struct http_line_request){
            .method = "POST", .fields = fields, .body = body, .patience = POST_PATIENCE},
        last);
    free(fields);
}

/* What is under way, or is to be sent again. */
static void post(struct http_carrier *http)
{
    http->posted_at = loop_now(loop_of(http));
    post_body(http, buffer_peek(&http->sending), false);
}

static void post_next(struct http_carrier *http)
{
    struct buffer empty = http->sending;

    http->sending = http->next;
    http->next = empty;
    http->up.number++;
    post(http);
}

/* Each has a number of its own, so that an older one that comes late is known for what it is. */
static void poll(struct http_carrier *http)
{
    struct tunnel_request request = http->request;
    char *fields;
    char query[128];

    request.method = "GET";
    request.number = ++http->down.number;
    request.got = http->serial;
    fields = sealed_fields(http, &request);
    snprintf(query, sizeof query, "session=%s&down=%" PRIu64 "&got=%" PRIu64, http->route,
             request.number, request.got);
    ask(http, &http->down, query,
        &(struct http_line_request){.method = "GET", .fields = fields, .patience = POLL_PATIENCE},
        false);
    free(fields);
}

/* At the end of a turn, so that what the turn has brought goes together. */
static void on_start(struct loop_task *task)
{
    struct http_carrier *http = task->owner;

    if (http->up.waiting || buffer_len(&http->next) == 0 || http->state == HTTP_CARRIER_PROBING)
        return;
    if (http->state == HTTP_CARRIER_READY) {
        http->state = HTTP_CARRIER_OPENING;
        http->sending = http->next;
        buffer_init(&http->next, TUNNEL_HTTP_BODY_MAX);
        post(http);
    } else if (http->state == HTTP_CARRIER_RUNNING) {
        post_next(http);
    }
}

static void on_retry(struct loop_timer *timer)
{
    struct http_carrier *http = timer->owner;

    if (timer == &http->up.retry)
        post(http);
    else
        poll(http);
}

/* It was not answered, or not in a way that says anything. */
static void try_again(struct http_carrier *http, struct direction *direction, const char *reason)
{
    /* Whatever the first one has led to, a RESUME finds out. */
    if (http->state != HTTP_CARRIER_RUNNING || ++direction->failures >= FAILURES_MAX) {
        end(http, reason);
        return;
    }
    direction->waiting = true;
    loop_timer_set(loop_of(http), &direction->retry,
                   direction->failures == 1 ? 0 : RETRY_MS * direction->failures);
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static bool is_of_frames(const struct http_head *head)
{
    return head->status == 200 &&
           bytes_equal_ignoring_case(http_head_field(head, "content-type"), TUNNEL_HTTP_TYPE);
}

static void note_cookies(struct http_carrier *http, const struct http_head *head)
{
    struct bytes fields = head->fields, line, name, value;

    while (http->cookies != NULL && http_take_line(&fields, &line))
        if (http_read_field(line, &name, &value) && bytes_equal_ignoring_case(name, "set-cookie"))
            cookies_set(http->cookies, value);
}

/* Something that is not the service may answer 200, too. */
static void take_head(struct http_carrier *http, struct direction *direction,
                      const struct http_head *head, bool wants_frames)
{
    direction->status = head->status;
    note_cookies(http, head);
    http->is_text =
        bytes_find_ignoring_case(http_head_field(head, "content-type"), "text/plain") == 0;
    if (!wants_frames)
        return;
    if (head->status == 200 &&
        (!is_of_frames(head) ||
         !tunnel_http_read_number(http_head_field(head, TUNNEL_HTTP_FIELD), &http->coming)))
        direction->status = 502;
}

static void take_body(struct http_carrier *http, const struct direction *direction,
                      struct bytes piece, bool wants_frames)
{
    size_t len = strlen(http->text);

    if (direction->status == 200 && wants_frames)
        http->carrier.events->on_data(http->carrier.owner, piece, false);
    else if (http->is_text)
        snprintf(http->text + len, sizeof http->text - len, "%.*s", (int)piece.len,
                 (const char *)piece.data);
}

/* What was cut short is sent again; what is begun is to be forgotten. */
static void end_frames(struct http_carrier *http, bool whole)
{
    http->carrier.events->on_data(http->carrier.owner, bytes_of(NULL, 0), true);
    if (whole)
        http->serial = http->coming;
}

static void describe(const struct http_carrier *http, unsigned status, struct error *error,
                     struct connect_result *result)
{
    struct connect_origin origin = connector_origin(http->shared->connector);
    const struct upgrade_response response = {
        .status = status,
        .content_type = bytes_of_string("text/plain"),
        .body = bytes_of_string(http->text),
    };

    *result = (struct connect_result){.error = error, .http_status = status};
    result->status =
        upgrade_describe(&response, origin.display, origin.credentials[0] != '\0', error);
}

/* Neither what was asked for, nor for a reason that passes. */
static void on_bad_status(struct http_carrier *http, struct direction *direction)
{
    unsigned status = direction->status;
    struct connect_result result;
    struct error error;
    char text[64];

    snprintf(text, sizeof text, "a request was answered %u", status);
    if (status == 409) {
        end(http, "the service has let go of it");
    } else if (status == 413) {
        if (http->shared->post_max > POST_MIN)
            http->shared->post_max /= 2;
        end(http, text);
    } else if ((status == 408 || status == 429 || status >= 500) &&
               http->state == HTTP_CARRIER_RUNNING) {
        try_again(http, direction, text);
    } else {
        describe(http, status, &error, &result);
        refuse(http, &result);
    }
}

/* ---- the way up --------------------------------------------------------------------------------
 */

static void on_up_head(void *owner, const struct http_head *head)
{
    struct http_carrier *http = owner;

    take_head(http, &http->up, head, http->state == HTTP_CARRIER_OPENING);
    if (http->state == HTTP_CARRIER_PROBING &&
        !bytes_equal_string(http_head_field(head, TUNNEL_HTTP_FIELD), TUNNEL_HTTP_HERE))
        http->up.status = 502; /* whatever that is */
}

static void on_up_body(void *owner, struct bytes piece)
{
    struct http_carrier *http = owner;

    take_body(http, &http->up, piece, http->state == HTTP_CARRIER_OPENING);
}

static void on_heard(void *owner)
{
    struct http_carrier *http = owner;

    if (!http->ended && http->state != HTTP_CARRIER_PROBING)
        http->carrier.events->on_heard(http->carrier.owner);
}

static void adapt(struct http_carrier *http)
{
    int64_t took = loop_now(loop_of(http)) - http->posted_at;
    size_t *max = &http->shared->post_max;

    if (took > POST_LONG && *max > POST_MIN)
        *max /= 2;
    else if (took < POST_SHORT && buffer_len(&http->sending) > *max / 2 &&
             *max < TUNNEL_HTTP_BODY_MAX)
        *max *= 2;
}

static void open_up(struct http_carrier *http)
{
    http->state = HTTP_CARRIER_READY;
    http->carrier.events->on_open(http->carrier.owner,
                                  &(struct connect_result){.status = STATUS_OK, .agreed = true});
}

static void on_posted(struct http_carrier *http)
{
    adapt(http);
    buffer_clear(&http->sending);
    http->up.failures = 0;
    if (buffer_len(&http->next) > 0)
        loop_defer(loop_of(http), &http->start);
    http->carrier.events->on_room(http->carrier.owner);
}

static void on_up_end(void *owner, bool whole)
{
    struct http_carrier *http = owner;
    unsigned status = http->up.status;

    http->up.waiting = false;
    if (http->state == HTTP_CARRIER_OPENING && status == 200) {
        end_frames(http, whole);
        if (http->ended)
            return;
        if (!whole) {
            end(http, "its answer may have been cut short");
            return;
        }
        http->state = HTTP_CARRIER_RUNNING;
        poll(http);
        on_posted(http);
    } else if (http->state == HTTP_CARRIER_PROBING && status == 200) {
        open_up(http);
    } else if (http->state == HTTP_CARRIER_RUNNING && (status == 200 || status == 204)) {
        on_posted(http);
    } else {
        on_bad_status(http, &http->up);
    }
}

static void on_up_failed(void *owner, const struct connect_result *result)
{
    struct http_carrier *http = owner;

    if (http->state == HTTP_CARRIER_PROBING)
        refuse(http, result);
    else if (http->state == HTTP_CARRIER_OPENING && !result->cut)
        refuse(http, result);
    else
        try_again(http, &http->up, result->error->message);
}

/* ---- the way down ------------------------------------------------------------------------------
 */

static void on_down_head(void *owner, const struct http_head *head)
{
    struct http_carrier *http = owner;

    take_head(http, &http->down, head, true);
}

static void on_down_body(void *owner, struct bytes piece)
{
    struct http_carrier *http = owner;

    take_body(http, &http->down, piece, true);
}

static void on_down_end(void *owner, bool whole)
{
    struct http_carrier *http = owner;

    http->down.waiting = false;
    if (http->down.status != 200) {
        on_bad_status(http, &http->down);
        return;
    }
    end_frames(http, whole);
    http->down.failures = 0;
    if (!http->ended)
        poll(http);
}

static void on_down_failed(void *owner, const struct connect_result *result)
{
    struct http_carrier *http = owner;
    bool began = http->down.status == 200;

    if (began)
        http->carrier.events->on_data(http->carrier.owner, bytes_of(NULL, 0), true);
    if (!http->ended)
        try_again(http, &http->down, result->error->message);
}

/* ---- as a carrier ------------------------------------------------------------------------------
 */

static void begin(struct carrier *carrier, const struct endpoint *endpoint)
{
    struct http_carrier *http = http_of(carrier);

    http->key = *endpoint_key(endpoint);
    http->request.id = *endpoint_id(endpoint);
    http->request.attempt = endpoint_attempt(endpoint);
}

static size_t room_of(const struct carrier *carrier)
{
    const struct http_carrier *http = (const struct http_carrier *)carrier;
    size_t held = buffer_len(&http->next) + TUNNEL_LENGTH_SIZE;
    size_t max = http->shared->post_max;

    if (http->state == HTTP_CARRIER_PROBING || http->state == HTTP_CARRIER_OPENING || http->ended ||
        held + TUNNEL_CONTROL_MAX > max)
        return 0;
    return max - held < TUNNEL_PAYLOAD_MAX ? max - held : TUNNEL_PAYLOAD_MAX;
}

static bool is_broken(const struct carrier *carrier)
{
    (void)carrier;
    return false; /* it ends at once */
}

static void send_frame(struct carrier *carrier, struct bytes head, struct bytes payload)
{
    struct http_carrier *http = http_of(carrier);
    uint8_t length[TUNNEL_LENGTH_SIZE];

    tunnel_frame_put_length(length, head.len + payload.len);
    buffer_append(&http->next, bytes_of(length, sizeof length));
    buffer_append(&http->next, head);
    buffer_append(&http->next, payload);
    if (!http->up.waiting)
        loop_defer(loop_of(http), &http->start);
}

/* What is left to say, RESET say, goes behind what is under way. */
static void close_carrier(struct carrier *carrier)
{
    struct http_carrier *http = http_of(carrier);

    if (!http->ended && http->state == HTTP_CARRIER_RUNNING && buffer_len(&http->next) > 0) {
        http->up.number++;
        post_body(http, buffer_peek(&http->next), true);
    }
    free_carrier(carrier);
}

static const struct carrier_ops ops = {
    .framing = TUNNEL_LENGTHS,
    .begin = begin,
    .room = room_of,
    .is_broken = is_broken,
    .send = send_frame,
    .stop = stop,
    .close = close_carrier,
    .free = free_carrier,
};

/* ---- opening -----------------------------------------------------------------------------------
 */

/* …/healthz beside …/proxy. */
static void probe(struct http_carrier *http)
{
    struct connect_origin origin = connector_origin(http->shared->connector);
    const char *end = strrchr(origin.path, '/');
    char *path = mem_format("%.*s/healthz", (int)(end - origin.path), origin.path);

    http->up.waiting = true;
    http_line_ask(&http->up.line, &(struct http_line_request){.method = "GET",
                                                              .path = path,
                                                              .cookies = http->cookies,
                                                              .patience = POST_PATIENCE});
    free(path);
}

static void on_ready_to_open(struct loop_task *task)
{
    struct http_carrier *http = task->owner;

    http->start.run = on_start;
    open_up(http);
}

struct carrier *http_carrier_open(struct tunnel_shared *shared,
                                  const struct http_carrier_settings *settings,
                                  const struct carrier_events *events, void *owner)
{
    static const struct http_line_events up_events = {.on_head = on_up_head,
                                                      .on_body = on_up_body,
                                                      .on_heard = on_heard,
                                                      .on_end = on_up_end,
                                                      .on_failed = on_up_failed};
    static const struct http_line_events down_events = {.on_head = on_down_head,
                                                        .on_body = on_down_body,
                                                        .on_heard = on_heard,
                                                        .on_end = on_down_end,
                                                        .on_failed = on_down_failed};
    struct http_carrier *http = mem_new(sizeof *http);

    http->carrier = (struct carrier){.ops = &ops, .events = events, .owner = owner};
    http->shared = shared;
    http->cookies = settings->cookies;
    snprintf(http->route, sizeof http->route, "%s", settings->session);
    if (shared->post_max == 0)
        shared->post_max = POST_FIRST;
    buffer_init(&http->sending, TUNNEL_HTTP_BODY_MAX);
    buffer_init(&http->next, TUNNEL_HTTP_BODY_MAX);
    http_line_init(&http->up.line, shared, &up_events, http);
    http_line_init(&http->down.line, shared, &down_events, http);
    http->up.retry = (struct loop_timer){.on_time = on_retry, .owner = http};
    http->down.retry = (struct loop_timer){.on_time = on_retry, .owner = http};
    http->start = (struct loop_task){.run = on_start, .owner = http};
    if (settings->probe) {
        probe(http);
    } else {
        http->start.run = on_ready_to_open;
        loop_defer(shared->loop, &http->start);
    }
    return &http->carrier;
}
