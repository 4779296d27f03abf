/* Requests and answers on one connection. */
#include "client/http_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tunnel.h"
#include "common/memory.h"

#define REQUEST_MAX (256u * 1024u)
/* Full reads in a row before others get their turn. */
#define READS_A_TURN 4

static struct loop *loop_of(const struct http_line *line)
{
    return line->shared->loop;
}

/* ---- ends --------------------------------------------------------------------------------------
 */

/* The head holds the credentials. */
static void forget_request(struct http_line *line)
{
    if (line->text != NULL)
        mem_free_secret(line->text, strlen(line->text));
    line->text = NULL;
    line->head = bytes_of(NULL, 0);
    line->body = bytes_of(NULL, 0);
    line->busy = false;
    loop_timer_stop(loop_of(line), &line->deadline);
}

static void hang_up(struct http_line *line)
{
    if (line->connecting != NULL)
        connect_cancel(line->connecting);
    line->connecting = NULL;
    loop_task_cancel(loop_of(line), &line->read_again);
    transport_close(&line->transport, loop_of(line));
    http_decoder_clear(&line->decoder);
    line->open = false;
}

void http_line_close(struct http_line *line)
{
    hang_up(line);
    forget_request(line);
}

static void fail(struct http_line *line, const struct connect_result *result)
{
    http_line_close(line);
    line->events->on_failed(line->owner, result);
}

static void fail_because(struct http_line *line, const char *reason)
{
    struct error error;

    error_set(&error, STATUS_UNAVAILABLE, "08001", "a request to %s was not answered: %s",
              connector_display(line->shared->connector), reason);
    error_hint(&error,
               "The service, or something in front of it, ended the connection; look at its log.");
    fail(line,
         &(struct connect_result){.status = STATUS_UNAVAILABLE, .error = &error, .cut = true});
}

static void dial(struct http_line *line);

/* The connection ended before an answer came. A server may end one that is kept at any time, also
 * when a request is on its way (RFC 9112 section 9.3.1), so that is sent once more. */
static void on_lost(struct http_line *line, const char *reason)
{
    if (!line->busy) {
        hang_up(line);
    } else if (line->used && !line->answered && !line->redialled) {
        hang_up(line);
        line->redialled = true;
        dial(line);
    } else {
        fail_because(line, reason);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    fail_because(timer->owner, "nothing moved for too long");
}

static void note_progress(struct http_line *line)
{
    if (line->busy)
        loop_timer_set(loop_of(line), &line->deadline, line->patience);
}

static bool is_sent(const struct http_line *line)
{
    return line->head.len == 0 && line->body.len == 0;
}

static void wait_for_more(struct http_line *line)
{
    if (line->open &&
        !transport_wait(&line->transport, loop_of(line), true, line->busy && !is_sent(line)))
        on_lost(line, "the system refuses to watch its socket");
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* False: it broke. The answer may be there all the same: a service may refuse a request before it
 * has read all of it. */
static bool write_some(struct http_line *line, struct bytes *bytes)
{
    struct error error;
    size_t count = 0;

    if (bytes->len == 0)
        return true;
    if (transport_write(&line->transport, *bytes, &count, &error) == STATUS_SYSTEM)
        return false;
    if (count > 0)
        note_progress(line);
    *bytes = bytes_skip(*bytes, count);
    return true;
}

static void flush(struct http_line *line)
{
    if (!line->open || !line->busy || is_sent(line))
        return;
    if (!write_some(line, &line->head) || (line->head.len == 0 && !write_some(line, &line->body))) {
        line->head = line->body = bytes_of(NULL, 0); /* reading tells the rest */
    }
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void end_answer(struct http_line *line, bool whole, bool keeps)
{

    line->used = true;
    forget_request(line);
    if (!keeps)
        hang_up(line);
    line->events->on_end(line->owner, whole);
}

/* `rest` came behind it; behind an answer nothing may come that was not asked for. */
static void on_event(struct http_line *line, const struct http_event *event, struct bytes rest)
{
    line->answered = true;
    switch (event->type) {
    case HTTP_HEAD:
        line->events->on_head(line->owner, &event->head);
        break;
    case HTTP_BODY:
        line->events->on_body(line->owner, event->body);
        break;
    case HTTP_END:
        end_answer(line, true,
                   is_sent(line) && rest.len == 0 && http_decoder_keeps(&line->decoder));
        break;
    }
}

/* An event may close the line, and end it or begin another request. */
static void decode(struct http_line *line, struct bytes bytes)
{
    struct http_event event;
    struct error error;
    enum status status = STATUS_OK;

    note_progress(line);
    event.type = HTTP_HEAD;
    while (line->open && line->busy && event.type != HTTP_END &&
           (status = http_decode(&line->decoder, &bytes, &event, &error)) == STATUS_OK)
        on_event(line, &event, bytes);
    line->events->on_heard(line->owner);
    if (line->open && status == STATUS_INVALID)
        fail_because(line, error.message);
}

static void on_closed(struct http_line *line, const char *reason)
{
    if (line->busy && line->answered && http_decoder_ends_with_connection(&line->decoder))
        end_answer(line, false, false);
    else
        on_lost(line, reason);
}

static void read_socket(struct http_line *line)
{
    for (int i = 0; line->open && i < READS_A_TURN; i++) {
        struct error error;
        bool drained;
        size_t count;
        enum status status = transport_read(&line->transport, line->shared->receive,
                                            TUNNEL_READ_SIZE, &count, &drained, &error);

        if (status == STATUS_OK && !line->busy)
            hang_up(line); /* what nobody asked for */
        else if (status == STATUS_OK)
            decode(line, bytes_of(line->shared->receive, count));
        else if (status != STATUS_MORE)
            on_closed(line, status == STATUS_CLOSED ? "it closed the connection" : error.message);
        if (status != STATUS_OK || drained)
            return;
    }
    if (line->open && transport_has_pending(&line->transport))
        loop_defer(loop_of(line), &line->read_again);
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct http_line *line = watch->owner;
    /* TLS may need the one to do the other. */
    bool both = line->transport.ssl != NULL;

    if (both || (events & LOOP_WRITE) != 0)
        flush(line);
    if (both || (events & (LOOP_READ | LOOP_ERROR)) != 0)
        read_socket(line);
    wait_for_more(line);
}

static void on_read_again(struct loop_task *task)
{
    read_socket(task->owner);
    wait_for_more(task->owner);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static void on_connected(void *owner, const struct connect_result *result)
{
    struct http_line *line = owner;

    line->connecting = NULL;
    if (result->status != STATUS_OK) {
        struct connect_result copy = *result;

        fail(line, &copy);
        return;
    }
    line->open = true;
    line->used = false;
    line->transport.watch.on_ready = on_ready;
    line->transport.watch.owner = line;
    note_progress(line);
    flush(line);
    wait_for_more(line);
}

static void dial(struct http_line *line)
{
    static const struct connect_request plain = {.plain = true};

    line->head = bytes_of_string(line->text);
    line->body = line->request.body;
    loop_timer_stop(loop_of(line), &line->deadline); /* connecting has its own */
    line->connecting =
        connect_open(line->shared->connector, &plain, &line->transport, on_connected, line);
}

static char *write_head(const struct http_line *line, const struct http_line_request *request)
{
    struct connect_origin origin = connector_origin(line->shared->connector);
    struct buffer out;
    char *text;

    buffer_init(&out, REQUEST_MAX);
    buffer_append_format(&out, "%s %s HTTP/1.1\r\nHost: ", request->method, request->path);
    http_write_host(&out, origin.url);
    buffer_append_format(&out, "\r\nUser-Agent: electric-tunnel/" ELECTRIC_VERSION "\r\n");
    buffer_append(&out, bytes_of_string(origin.credentials));
    if (request->cookies != NULL)
        cookies_write(request->cookies, &out);
    if (strcmp(request->method, "POST") == 0)
        buffer_append_format(&out, "Content-Length: %zu\r\n", request->body.len);
    buffer_append_format(&out, "%s\r\n", request->fields != NULL ? request->fields : "");
    text = mem_copy_chars((const char *)buffer_peek(&out).data, buffer_len(&out));
    OPENSSL_cleanse(out.data, out.allocated);
    buffer_clear(&out);
    return text;
}

void http_line_ask(struct http_line *line, const struct http_line_request *request)
{
    line->request = *request;
    line->patience = request->patience;
    line->text = write_head(line, request);
    line->busy = true;
    line->answered = false;
    line->redialled = false;
    if (!line->open) {
        dial(line);
        return;
    }
    line->head = bytes_of_string(line->text);
    line->body = request->body;
    note_progress(line);
    flush(line);
    /* Whatever is wrong is told from the loop. */
    (void)transport_wait(&line->transport, loop_of(line), true, !is_sent(line));
}

void http_line_ask_last(struct http_line *line, const struct http_line_request *request)
{
    char *text;
    struct bytes head, body = request->body;

    if (!line->open || !is_sent(line))
        return;
    text = write_head(line, request);
    head = bytes_of_string(text);
    (void)(write_some(line, &head) && head.len == 0 && write_some(line, &body));
    mem_free_secret(text, strlen(text));
}

void http_line_init(struct http_line *line, struct tunnel_shared *shared,
                    const struct http_line_events *events, void *owner)
{
    *line = (struct http_line){.shared = shared, .events = events, .owner = owner};
    line->deadline = (struct loop_timer){.on_time = on_deadline, .owner = line};
    line->read_again = (struct loop_task){.run = on_read_again, .owner = line};
    transport_init(&line->transport);
    http_decoder_init(&line->decoder);
}
