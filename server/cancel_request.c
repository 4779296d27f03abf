/* A connection for each CancelRequest: dialled, written, closed once the other end has. */
#include "server/cancel_request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "server/channel.h"
#include "server/dial.h"
#include "server/loop.h"
#include "server/pgwire/startup.h"
#include "server/proxy/control.h"
#include "server/server.h"

enum {
    REQUESTS_MAX = 64,
    PATIENCE_MS = 10000, /* from dialling to the destination's close */
    HEADER_SIZE = 12,    /* length, code, pid */
};
#define CANCEL_REQUEST_CODE UINT32_C(80877102)

struct cancel_request {
    LIST_ENTRY(cancel_request) link;
    struct cancel_requests *all;
    struct control_waiter *waiter; /* NULL: nobody waits */
    struct dial *dial;             /* while connecting */
    struct stream *stream;         /* then */
    struct loop_timer patience;
    struct buffer message;
};

LIST_HEAD(cancel_request_list, cancel_request);

struct cancel_requests {
    struct server *server;
    struct cancel_request_list list;
    unsigned count;
};

static void drop(struct cancel_request *request)
{
    if (request->dial != NULL)
        dial_cancel(request->dial);
    if (request->stream != NULL)
        stream_close(request->stream);
    loop_timer_stop(&request->patience);
    buffer_clear(&request->message);
    LIST_REMOVE(request, link);
    request->all->count--;
    free(request);
}

static void end(struct cancel_request *request)
{
    struct control_waiter *waiter = request->waiter;

    drop(request);
    if (waiter != NULL)
        waiter->on_answer(waiter);
}

static void on_patience(struct loop_timer *timer)
{
    log_warn(NULL, "a CancelRequest was not worked off in time");
    end(lws_container_of(timer, struct cancel_request, patience));
}

/* The answer to a CancelRequest is that the connection is closed. */
static void on_data(void *owner, struct bytes data)
{
    (void)owner, (void)data;
}

static void on_end(void *owner)
{
    end(owner);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, const char *reason)
{
    struct cancel_request *request = owner;

    (void)reason;
    request->stream = NULL;
    end(request);
}

static void on_dialled(void *owner, int fd, const struct error *error)
{
    static const struct stream_events events = {
        .on_data = on_data,
        .on_end = on_end,
        .on_drained = on_drained,
        .on_closed = on_closed,
    };
    struct cancel_request *request = owner;

    request->dial = NULL;
    if (fd < 0) {
        log_warn(NULL, "a CancelRequest is lost: %s", error->message);
        end(request);
        return;
    }
    request->stream =
        channel_new(request->all->server->loop, fd, NULL, CHANNEL_OWNS_SOCKET, &events, request);
    if (request->stream == NULL) {
        close(fd);
        end(request);
        return;
    }
    stream_send(request->stream, buffer_peek(&request->message));
}

static void encode(struct buffer *message, uint32_t pid, struct bytes key)
{
    buffer_init(message, HEADER_SIZE + STARTUP_CANCEL_KEY_MAX);
    buffer_append_u32(message, (uint32_t)(HEADER_SIZE + key.len));
    buffer_append_u32(message, CANCEL_REQUEST_CODE);
    buffer_append_u32(message, pid);
    buffer_append(message, key);
    assert(!buffer_failed(message));
}

bool cancel_requests_send(struct cancel_requests *requests, uint32_t pid, struct bytes key,
                          struct control_waiter *waiter)
{
    struct server *server = requests->server;
    struct cancel_request *request;

    if (requests->count >= REQUESTS_MAX) {
        log_warn(NULL, "a CancelRequest is dropped: %u others are under way", requests->count);
        return false;
    }
    request = mem_new(sizeof(*request));
    request->all = requests;
    request->waiter = waiter;
    request->patience.on_expired = on_patience;
    encode(&request->message, pid, key);
    LIST_INSERT_HEAD(&requests->list, request, link);
    requests->count++;
    loop_timer_set(server->loop, &request->patience, PATIENCE_MS);
    request->dial = dial_start(server->loop, server->workers, server->relay, on_dialled, request);
    return true;
}

void cancel_requests_forget(struct cancel_requests *requests, const struct control_waiter *waiter)
{
    struct cancel_request *request;

    for (request = LIST_FIRST(&requests->list); request != NULL; request = LIST_NEXT(request, link))
        if (request->waiter == waiter)
            request->waiter = NULL;
}

struct cancel_requests *cancel_requests_new(struct server *server)
{
    struct cancel_requests *requests = mem_new(sizeof(*requests));

    requests->server = server;
    LIST_INIT(&requests->list);
    return requests;
}

void cancel_requests_free(struct cancel_requests *requests)
{
    if (requests == NULL)
        return;
    for (struct cancel_request *request = LIST_FIRST(&requests->list), *next; request != NULL;
         request = next) {
        next = LIST_NEXT(request, link);
        drop(request);
    }
    free(requests);
}
