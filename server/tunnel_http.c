/* An attachment made of HTTP requests: frames come in the bodies of POSTs, and go out in the
 * answers to one GET after another.
 *
 * Whether an answer has arrived is known only when the next GET names its serial number; until then
 * what was in it may have to be sent again. So a request that is lost, repeated or overtaken does
 * no harm, whatever stands in between. */
#include "server/tunnel_http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/tunnel/tunnel_http.h"
#include "server/exchange.h"
#include "server/server.h"
#include "server/tunnel_http_state.h"
#include "server/upgrade.h"

enum {
    POLL_S = 20,      /* longest wait for something to answer a GET with */
    GATHER_MS = 10,   /* from the first frame to the end of the answer */
    ABSENT_MS = 10000 /* without any request: the client is gone, or its network */
};
/* A frame that is asked for once this much is in the answer would not fit any more. */
#define ANSWER_MAX ((size_t)TUNNEL_HTTP_BODY_MAX - 256 * 1024 - TUNNEL_CONTROL_MAX)

struct http_attachment {
    struct attachment attachment; /* first */
    struct exchange *answer;      /* under way; NULL: none */
    bool streams;                 /* its head has gone, and frames follow as they come */
    bool polls;                   /* it is a GET's */
    struct buffer held;           /* its frames, unless it streams */
    size_t answered;              /* bytes of frames in it */
    uint64_t serial;              /* of the latest answer */
    uint64_t get;                 /* number of the latest GET */
    uint64_t post;                /* and of the latest POST that was taken */
    uint32_t attempt;
    struct loop_timer timer; /* the answer's end; without one, the client's absence */
};

static const struct reply conflict = {
    .status = 409, .headers = TUNNEL_HERE, .body = "this is over: resume the session\n"};
static const struct reply taken = {.status = 204, .headers = TUNNEL_HERE, .body = ""};

static struct http_attachment *carrier_of(struct attachment *attachment)
{
    return (struct http_attachment *)attachment;
}

const struct reply *carrier_gone_reply(void)
{
    return &conflict;
}

static void set_timer(struct http_attachment *carrier, unsigned long ms)
{
    loop_timer_set(carrier->attachment.tunnel->server->loop, &carrier->timer, ms);
}

/* Answers */

/* What stands between us and the client must neither keep nor change it, nor wait for its end. */
static struct reply head_of(const struct http_attachment *carrier, char headers[128])
{
    (void)snprintf(headers, 128,
                   TUNNEL_HTTP_FIELD ": %" PRIu64 "\r\n"
                                     "Cache-Control: no-store, no-transform\r\n"
                                     "X-Accel-Buffering: no\r\n",
                   carrier->serial);
    return (struct reply){.status = 200, .type = TUNNEL_HTTP_TYPE, .headers = headers, .body = ""};
}

static void end_answer(struct http_attachment *carrier)
{
    struct exchange *answer = carrier->answer;
    char headers[128];
    struct reply head;

    if (answer == NULL)
        return;
    carrier->answer = NULL;
    if (carrier->streams) {
        exchange_end(answer);
    } else {
        head = head_of(carrier, headers);
        exchange_reply_body(answer, &head, buffer_peek(&carrier->held));
    }
    buffer_clear(&carrier->held);
    set_timer(carrier, ABSENT_MS);
}

/* Its client is not there any more. */
static void on_answer_gone(void *owner)
{
    struct http_attachment *carrier = owner;

    carrier->answer = NULL;
    buffer_clear(&carrier->held);
    set_timer(carrier, carrier->attachment.session != NULL ? ABSENT_MS : 0);
}

static void on_answer_room(void *owner)
{
    struct http_attachment *carrier = owner;

    if (carrier->attachment.session != NULL)
        tunnel_session_drained(carrier->attachment.session);
}

static void begin_answer(struct http_attachment *carrier, struct exchange *exchange)
{
    static const struct exchange_events events = {
        .on_room = on_answer_room,
        .on_gone = on_answer_gone,
    };

    carrier->serial++;
    carrier->answer = exchange;
    carrier->answered = 0;
    carrier->streams = false;
    carrier->polls = false;
    exchange_own(exchange, &events, carrier);
}

/* Says at once that it is there, so that nothing in between takes it for dead. What cannot be told
 * from an answer that was cut short (RFC 9112 section 6.3) waits for its end instead. */
static void begin_poll(struct http_attachment *carrier, uint64_t wait_s, struct exchange *exchange)
{
    char headers[128];
    struct reply head;

    begin_answer(carrier, exchange);
    carrier->polls = true;
    exchange_watch_client(exchange);
    if (exchange_marks_end(exchange)) {
        head = head_of(carrier, headers);
        carrier->streams = exchange_begin(exchange, &head);
    }
    set_timer(carrier, 1000 * (wait_s > 0 && wait_s < POLL_S ? (unsigned long)wait_s : POLL_S));
}

/* What the session and the server ask of it */

static bool has_room(const struct attachment *attachment)
{
    const struct http_attachment *carrier = (const struct http_attachment *)attachment;

    return carrier->answer != NULL && carrier->answered <= ANSWER_MAX &&
           (!carrier->streams || exchange_has_room(carrier->answer));
}

static void send_frame(struct attachment *attachment, struct bytes head, struct bytes payload)
{
    struct http_attachment *carrier = carrier_of(attachment);
    uint8_t bytes[TUNNEL_LENGTH_SIZE + TUNNEL_CONTROL_MAX];
    struct bytes front = bytes_of(bytes, TUNNEL_LENGTH_SIZE + head.len);

    if (carrier->answer == NULL)
        return;
    tunnel_frame_put_length(bytes, head.len + payload.len);
    memcpy(bytes + TUNNEL_LENGTH_SIZE, head.data, head.len);
    if (carrier->streams) {
        exchange_write_parts(carrier->answer, front, payload);
    } else {
        (void)buffer_append(&carrier->held, front);
        (void)buffer_append(&carrier->held, payload);
    }
    if (carrier->polls && carrier->answered == 0)
        set_timer(carrier, GATHER_MS);
    carrier->answered += front.len + payload.len;
}

static void on_attached(struct attachment *attachment)
{
    carrier_of(attachment)->attempt = endpoint_attempt(attachment->session->endpoint);
}

static void finish(struct attachment *attachment, enum stream_end end, const char *reason)
{
    (void)end;
    log_debug(NULL, "%s: HTTP carrier closed: %s", attachment->visitor.address.text, reason);
    end_answer(carrier_of(attachment));
    set_timer(carrier_of(attachment), 0);
}

static void free_carrier(struct http_attachment *carrier)
{
    if (carrier->answer != NULL)
        exchange_own(carrier->answer, NULL, NULL);
    loop_timer_stop(&carrier->timer);
    attachment_clear(&carrier->attachment);
    buffer_clear(&carrier->held);
    free(carrier);
}

static void stop(struct attachment *attachment)
{
    if (attachment->session != NULL)
        attachment->session->attachment = NULL;
    free_carrier(carrier_of(attachment));
}

static const struct attachment_ops http_ops = {
    .carrier = METRICS_CARRIER_HTTP,
    .has_room = has_room,
    .send = send_frame,
    .attached = on_attached,
    .finish = finish,
    .stop = stop,
};

static void on_timer(struct loop_timer *timer)
{
    struct http_attachment *carrier = lws_container_of(timer, struct http_attachment, timer);
    struct attachment *attachment = &carrier->attachment;

    if (!attachment->over && carrier->answer != NULL) {
        end_answer(carrier);
        return;
    }
    log_debug(NULL, "%s: HTTP carrier gone", attachment->visitor.address.text);
    attachment->over = true;
    if (attachment->session != NULL)
        tunnel_session_detached(attachment->session);
    free_carrier(carrier);
}

/* Requests */

/* The frames of one body. */
static void decode_body(struct attachment *attachment, struct bytes body)
{
    struct error error;

    attachment_decode(attachment, body, true);
    if (!attachment->over && tunnel_decoder_is_inside(&attachment->decoder)) {
        (void)error_set(&error, STATUS_INVALID, "08P01", "a body ends inside a frame");
        attachment_fault(attachment, &error);
    }
    tunnel_decoder_clear(&attachment->decoder);
}

void carrier_open(struct tunnel *tunnel, const struct visitor *visitor, struct bytes body,
                  struct exchange *exchange)
{
    struct http_attachment *carrier = mem_new(sizeof(*carrier));
    struct attachment *attachment = &carrier->attachment;
    struct error error;

    attachment_init(attachment, &http_ops, tunnel, TUNNEL_LENGTHS, visitor);
    carrier->timer.on_expired = on_timer;
    buffer_init(&carrier->held, TUNNEL_HTTP_BODY_MAX);
    begin_answer(carrier, exchange);
    decode_body(attachment, body);
    if (attachment->waiting) {
        (void)error_set(&error, STATUS_INVALID, "08P01", "no frame");
        attachment_fault(attachment, &error);
    } else if (attachment->session != NULL) {
        end_answer(carrier);
    }
}

/* The session's attachment, if the request belongs to that. */
static struct http_attachment *find_carrier(const struct tunnel_session *session,
                                            const struct tunnel_request *request)
{
    struct attachment *attachment = session->attachment;

    if (attachment == NULL || attachment->ops != &http_ops ||
        carrier_of(attachment)->attempt != request->attempt)
        return NULL;
    return carrier_of(attachment);
}

void carrier_up(struct tunnel_session *session, const struct tunnel_request *request,
                struct exchange *exchange)
{
    struct http_attachment *carrier = find_carrier(session, request);

    if (carrier == NULL || request->number > carrier->post + 1) {
        exchange_reply(exchange, &conflict);
        return;
    }
    exchange_reply(exchange, &taken);
    if (carrier->answer == NULL)
        set_timer(carrier, ABSENT_MS);
    tunnel_session_heard(session);
    if (request->number <= carrier->post)
        return; /* once more: its answer may have been lost */
    carrier->post = request->number;
    decode_body(&carrier->attachment, request->body);
}

void carrier_down(struct tunnel_session *session, const struct tunnel_request *request,
                  uint64_t wait_s, struct exchange *exchange)
{
    struct http_attachment *carrier = find_carrier(session, request);
    uint32_t number = carrier != NULL ? carrier->attachment.number : 0;

    if (carrier == NULL || request->number < carrier->get) {
        exchange_reply(exchange, &conflict);
        return;
    }
    end_answer(carrier);
    carrier->get = request->number;
    tunnel_session_heard(session);
    if (request->got == carrier->serial)
        endpoint_confirm(session->endpoint, number);
    else
        endpoint_rewind(session->endpoint, number);
    begin_poll(carrier, wait_s, exchange);
    tunnel_session_drained(session);
}
