/* Frames in POSTs and in answers to GETs. */
#include "client/http_carrier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/http_direction.h"
#include "client/tunnel.h"
#include "common/memory.h"
#include "common/tunnel/tunnel_http.h"

enum {
    POST_PATIENCE = 10000,
    POLL_PATIENCE = 35000, /* the service answers within 20 s, something in between may be slow */
    /* Something that gives up a GET after this long does so because nothing was said … */
    POLL_SLOW = 2000,
    /* … and when it has done so this often, the service is to answer sooner. */
    POLL_CUTS_MAX = 2,
    /* A body should take about this long: more, and nothing is heard for too long; less, and most
     * of the time is spent waiting for answers. */
    POST_SHORT = 500,
    POST_LONG = 3000,
};
#define POST_MIN ((size_t)16 * 1024)
#define POST_FIRST ((size_t)64 * 1024)

enum http_carrier_state {
    HTTP_CARRIER_PROBING, /* whether the service speaks this */
    HTTP_CARRIER_READY,   /* nothing was sent */
    HTTP_CARRIER_OPENING, /* OPEN or RESUME is under way */
    HTTP_CARRIER_RUNNING,
};

struct http_carrier {
    struct carrier carrier; /* first */
    struct tunnel_shared *shared;
    char route[17];
    struct tunnel_key key;
    struct tunnel_request request; /* id and attempt of all of them */
    enum http_carrier_state state;
    struct http_direction up;
    struct http_direction down;
    struct buffer sending; /* the POST under way */
    struct buffer next;    /* frames for the one behind it */
    struct loop_task start;
    uint64_t serial; /* of the latest answer that came in whole */
    bool ended;      /* no event follows */
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
    http_direction_close(&http->down);
    http_direction_close(&http->up);
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

/* The service's path with that query; the caller's. */
static char *target(const struct http_carrier *http, const char *query)
{
    struct buffer path;
    char *text;

    buffer_init(&path, 64u * 1024u);
    http_write_target(&path, connector_origin(http->shared->connector).path, query);
    text = mem_copy_chars((const char *)buffer_peek(&path).data, buffer_len(&path));
    buffer_clear(&path);
    return text;
}

static char *sealed_fields(const struct http_carrier *http, const struct tunnel_request *request)
{
    char field[TUNNEL_HTTP_FIELD_SIZE];

    tunnel_http_write_field(&http->key, request, field);
    return mem_format(TUNNEL_HTTP_FIELD ": %s\r\nContent-Type: " TUNNEL_HTTP_TYPE "\r\n", field);
}

static void post_body(struct http_carrier *http, struct bytes body,
                      void (*ask)(struct http_direction *, const struct http_question *))
{
    struct tunnel_request request = http->request;
    bool running = http->state == HTTP_CARRIER_RUNNING;
    struct http_question question = {
        .expects = running ? HTTP_EXPECTS_RECEIPT : HTTP_EXPECTS_FRAMES,
        .method = "POST",
        .body = body,
        .patience = POST_PATIENCE,
    };
    char query[64];
    int len = snprintf(query, sizeof query, "session=%s", http->route);
    char *path, *fields;

    if (running)
        snprintf(query + len, sizeof query - (size_t)len, "&up=%" PRIu64, http->up.number);
    request.method = question.method;
    request.number = http->up.number;
    request.body = body;
    question.path = path = target(http, query);
    question.fields = fields = sealed_fields(http, &request);
    ask(&http->up, &question);
    free(path);
    free(fields);
}

/* What is under way, or is to be sent again. */
static void post(struct http_carrier *http)
{
    post_body(http, buffer_peek(&http->sending), http_direction_ask);
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
    struct http_question question = {
        .expects = HTTP_EXPECTS_FRAMES, .method = "GET", .patience = POLL_PATIENCE};
    unsigned wait = http->shared->poll_wait;
    char query[160];
    int len;
    char *path, *fields;

    request.method = question.method;
    request.number = ++http->down.number;
    request.got = http->serial;
    len = snprintf(query, sizeof query, "session=%s&down=%" PRIu64 "&got=%" PRIu64, http->route,
                   request.number, request.got);
    if (wait > 0)
        snprintf(query + len, sizeof query - (size_t)len, "&wait=%u", wait);
    question.path = path = target(http, query);
    question.fields = fields = sealed_fields(http, &request);
    http_direction_ask(&http->down, &question);
    free(path);
    free(fields);
}

/* At the end of a turn, so that what the turn has brought goes together. */
static void on_start(struct loop_task *task)
{
    struct http_carrier *http = task->owner;

    if (http->up.busy || buffer_len(&http->next) == 0 || http->state == HTTP_CARRIER_PROBING)
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

static void on_again(void *owner, struct http_direction *direction)
{
    struct http_carrier *http = owner;

    if (direction == &http->up)
        post(http);
    else
        poll(http);
}

static void try_again(struct http_carrier *http, struct http_direction *direction,
                      const char *reason)
{
    int64_t took = loop_now(loop_of(http)) - direction->asked_at;

    /* Whatever the first one has led to, a RESUME finds out. */
    if (http->state != HTTP_CARRIER_RUNNING || !http_direction_retry(direction))
        end(http, reason);
    else if (direction == &http->down && took >= POLL_SLOW && direction->failures >= POLL_CUTS_MAX)
        http->shared->poll_wait = (unsigned)(took / 2000);
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static void on_frames(void *owner, struct bytes piece)
{
    struct http_carrier *http = owner;

    if (!http->ended)
        http->carrier.events->on_data(http->carrier.owner, piece, false);
}

static void on_heard(void *owner)
{
    struct http_carrier *http = owner;

    if (!http->ended && http->state != HTTP_CARRIER_PROBING)
        http->carrier.events->on_heard(http->carrier.owner);
}

/* What was cut short is sent again; what is begun is to be forgotten. */
static void end_frames(struct http_carrier *http, const struct http_direction *direction,
                       bool whole)
{
    http->carrier.events->on_data(http->carrier.owner, bytes_of(NULL, 0), true);
    if (whole)
        http->serial = direction->serial;
}

/* A session that begins may wait while there are too many. Whoever reaches nobody should be told.
 */
static bool is_passing(const struct http_carrier *http, const struct http_direction *direction)
{
    return http->state == HTTP_CARRIER_RUNNING ||
           (http->state == HTTP_CARRIER_OPENING &&
            (direction->status == 429 || (direction->status == 503 && direction->genuine)));
}

static void on_bad_answer(struct http_carrier *http, struct http_direction *direction,
                          enum http_verdict verdict)
{
    bool probing = http->state == HTTP_CARRIER_PROBING;
    struct connect_result result;
    struct error error;
    char text[64];

    snprintf(text, sizeof text, "a request was answered %u", direction->status);
    if (verdict == HTTP_TOO_LONG && http->shared->post_max > POST_MIN)
        http->shared->post_max /= 2;
    if (verdict == HTTP_GONE && !probing) {
        end(http, "the service has let go of it");
    } else if (verdict == HTTP_TOO_LONG && !probing) {
        end(http, text);
    } else if (verdict == HTTP_LATER && is_passing(http, direction)) {
        try_again(http, direction, text);
    } else {
        http_direction_describe(direction, &error, &result);
        refuse(http, &result);
    }
}

/* The way up */

static void adapt(struct http_carrier *http)
{
    int64_t took = loop_now(loop_of(http)) - http->up.asked_at;
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
    if (buffer_len(&http->next) > 0)
        loop_defer(loop_of(http), &http->start);
    http->carrier.events->on_room(http->carrier.owner);
}

static void on_opened(struct http_carrier *http, bool whole)
{
    end_frames(http, &http->up, whole);
    if (http->ended)
        return;
    if (!whole) {
        end(http, "its answer may have been cut short");
        return;
    }
    http->state = HTTP_CARRIER_RUNNING;
    poll(http);
    on_posted(http);
}

static void on_up_answered(struct http_carrier *http, bool whole)
{
    switch (http->state) {
    case HTTP_CARRIER_PROBING:
        open_up(http);
        break;
    case HTTP_CARRIER_OPENING:
        on_opened(http, whole);
        break;
    case HTTP_CARRIER_RUNNING:
        on_posted(http);
        break;
    case HTTP_CARRIER_READY:
        break;
    }
}

/* The way down */

static void on_down_answered(struct http_carrier *http, bool whole)
{
    end_frames(http, &http->down, whole);
    if (!http->ended)
        poll(http);
}

/* Either */

static void on_answer(void *owner, struct http_direction *direction, enum http_verdict verdict,
                      bool whole)
{
    struct http_carrier *http = owner;

    if (verdict != HTTP_ANSWERED)
        on_bad_answer(http, direction, verdict);
    else if (direction == &http->up)
        on_up_answered(http, whole);
    else
        on_down_answered(http, whole);
}

static void on_failed(void *owner, struct http_direction *direction,
                      const struct connect_result *result)
{
    struct http_carrier *http = owner;
    bool began = direction->expects == HTTP_EXPECTS_FRAMES && direction->status == 200;

    if (began)
        http->carrier.events->on_data(http->carrier.owner, bytes_of(NULL, 0), true);
    if (http->ended)
        return;
    if (http->state == HTTP_CARRIER_PROBING ||
        (http->state == HTTP_CARRIER_OPENING && !result->cut))
        refuse(http, result);
    else
        try_again(http, direction, result->error->message);
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
    if (!http->up.busy)
        loop_defer(loop_of(http), &http->start);
}

/* What is left to say, RESET say, goes behind what is under way. */
static void close_carrier(struct carrier *carrier)
{
    struct http_carrier *http = http_of(carrier);

    if (!http->ended && http->state == HTTP_CARRIER_RUNNING && buffer_len(&http->next) > 0) {
        http->up.number++;
        post_body(http, buffer_peek(&http->next), http_direction_ask_last);
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

    http_direction_ask(&http->up, &(struct http_question){.expects = HTTP_EXPECTS_SERVICE,
                                                          .method = "GET",
                                                          .path = path,
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
    static const struct http_direction_events direction_events = {.on_frames = on_frames,
                                                                  .on_heard = on_heard,
                                                                  .on_answer = on_answer,
                                                                  .on_failed = on_failed,
                                                                  .on_again = on_again};
    struct http_carrier *http = mem_new(sizeof *http);

    http->carrier = (struct carrier){.ops = &ops, .events = events, .owner = owner};
    http->shared = shared;
    snprintf(http->route, sizeof http->route, "%s", settings->session);
    if (shared->post_max == 0)
        shared->post_max = POST_FIRST;
    buffer_init(&http->sending, TUNNEL_HTTP_BODY_MAX);
    buffer_init(&http->next, TUNNEL_HTTP_BODY_MAX);
    http_direction_init(&http->up, shared, settings->cookies, &direction_events, http);
    http_direction_init(&http->down, shared, settings->cookies, &direction_events, http);
    http->start = (struct loop_task){.run = on_start, .owner = http};
    if (settings->probe) {
        probe(http);
    } else {
        http->start.run = on_ready_to_open;
        loop_defer(shared->loop, &http->start);
    }
    return &http->carrier;
}
