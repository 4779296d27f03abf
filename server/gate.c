/* One connection on the HTTP port, in front of libwebsockets. */
#include "server/gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/http_head.h"
#include "server/loop.h"
#include "server/reply.h"
#include "server/tls.h"

enum {
    PIECE_MAX = 64 * 1024,     /* read at once, either way */
    OUTWARD_MAX = 1024 * 1024, /* a piece, and what a pair holds */
    TLS_HANDSHAKE = 0x16,      /* the first byte of a TLS client (RFC 8446 section 5.1) */
    STALL_MS = 60000,          /* a client that takes nothing for so long has gone */
    LINGER_MS = 2000,          /* for the client to close once all is said */
};

struct gate {
    struct gate_options options;
    struct transport transport;
    struct loop_watch client;
    struct loop_watch inner;    /* our end of the pair; fd -1 before the first request */
    struct loop_timer deadline; /* for the client to say something */
    struct loop_timer stall;    /* for it to take something */
    struct buffer input;        /* from the client, not looked at */
    struct buffer inward;       /* for the library */
    struct buffer outward;      /* for the client */
    uint64_t body;              /* bytes of the request's body that are still to come */
    char peer[CLIENT_ADDRESS_MAX];
    bool sniffed;      /* whether TLS is spoken is known */
    bool pending;      /* the SSL holds bytes that no poll shows */
    bool timed;        /* the deadline runs */
    bool stalled;      /* `stall` runs: something waits for the client to take it */
    bool busy;         /* with a request: the next one waits for its answer */
    bool client_ended; /* its direction; the library knows once inner_told */
    bool inner_told;
    bool inner_ended; /* all has been said, or a request refused */
    bool finished;    /* and our direction has ended */
    bool gone;        /* to be freed by whoever entered */
};

static struct log_context context_of(const struct gate *gate)
{
    return (struct log_context){.role = "http", .peer = gate->peer};
}

/* Deadlines */

static void set_deadline(struct gate *gate, unsigned long ms)
{
    gate->timed = ms > 0;
    if (ms > 0)
        loop_timer_set(gate->options.loop, &gate->deadline, ms);
    else
        loop_timer_stop(&gate->deadline);
}

/* The end */

static void close_inner(struct gate *gate)
{
    if (gate->inner.fd < 0)
        return;
    loop_watch_remove(gate->options.loop, &gate->inner);
    close(gate->inner.fd);
    gate->inner.fd = -1;
}

static void free_gate(struct gate *gate)
{
    loop_timer_stop(&gate->deadline);
    loop_timer_stop(&gate->stall);
    loop_watch_remove(gate->options.loop, &gate->client);
    close_inner(gate);
    transport_close(&gate->transport);
    buffer_clear(&gate->input);
    buffer_clear(&gate->inward);
    buffer_clear(&gate->outward);
    free(gate);
}

static void say_finished(struct gate *gate)
{
    gate->finished = true;
    transport_finish(&gate->transport);
    set_deadline(gate, LINGER_MS);
    if (gate->client_ended)
        gate->gone = true;
}

/* Nothing more comes from inside: what is queued goes to the client, then the end. */
static void end_inner(struct gate *gate)
{
    close_inner(gate);
    buffer_clear(&gate->inward);
    gate->inner_ended = true;
    set_deadline(gate, 0);
    if (buffer_len(&gate->outward) == 0)
        say_finished(gate);
}

/* To the client */

static void write_client(struct gate *gate, struct bytes bytes)
{
    size_t put = 0;
    enum transfer outcome;

    if (buffer_len(&gate->outward) == 0) {
        outcome = transport_write(&gate->transport, bytes, bytes_of(NULL, 0), &put);
        if (outcome == TRANSFER_ENDED || outcome == TRANSFER_FAILED) {
            gate->gone = true;
            return;
        }
    }
    if (!buffer_append(&gate->outward, bytes_skip(bytes, put)))
        gate->gone = true; /* a pair held more than it should: better cut than a hole */
}

static void flush_outward(struct gate *gate)
{
    struct bytes queued = buffer_peek(&gate->outward);
    size_t put = 0;
    enum transfer outcome;

    if (queued.len == 0)
        return;
    outcome = transport_write(&gate->transport, queued, bytes_of(NULL, 0), &put);
    if (outcome == TRANSFER_ENDED || outcome == TRANSFER_FAILED) {
        gate->gone = true;
        return;
    }
    buffer_consume(&gate->outward, put);
    if (put > 0)
        gate->stalled = false; /* from the beginning, if at all */
    if (gate->inner_ended && buffer_len(&gate->outward) == 0)
        say_finished(gate);
}

/* What the library has said so far stands in front of what the gate says. */
static void drain_inner(struct gate *gate)
{
    uint8_t *scratch = loop_scratch(gate->options.loop);
    ssize_t n;

    while (gate->inner.fd >= 0 && !gate->gone &&
           (n = recv(gate->inner.fd, scratch, PIECE_MAX, 0)) > 0)
        write_client(gate, bytes_of(scratch, (size_t)n));
}

static void refuse(struct gate *gate, int status, const char *reason)
{
    const struct reply reply = {.status = status};
    const struct log_context context = context_of(gate);
    size_t len = strlen(reason) + 1;
    struct buffer out;

    log_debug(&context, "request refused: %s", reason);
    gate->options.events->on_refused(gate->options.owner, status);
    buffer_init(&out, PIECE_MAX);
    reply_append_head(&out, &reply, REPLY_LENGTH, len, false);
    (void)buffer_append_format(&out, "%s\n", reason);
    drain_inner(gate);
    if (!gate->gone)
        write_client(gate, buffer_peek(&out));
    buffer_clear(&out);
    buffer_clear(&gate->input);
    if (!gate->gone)
        end_inner(gate);
}

/* To the library */

static void flush_inward(struct gate *gate)
{
    struct bytes queued = buffer_peek(&gate->inward);
    ssize_t n;

    if (queued.len == 0 || gate->inner.fd < 0)
        return;
    do
        n = send(gate->inner.fd, queued.data, queued.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        buffer_consume(&gate->inward, (size_t)n);
    else if (errno != EAGAIN && errno != EWOULDBLOCK)
        buffer_clear(&gate->inward); /* it has closed; its answer may still be there to be read */
}

static void on_inner(struct loop_watch *watch, uint32_t events);

static bool open_inner(struct gate *gate)
{
    int pair[2];

    if (gate->inner.fd >= 0)
        return true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    gate->inner = (struct loop_watch){.on_ready = on_inner, .fd = pair[0]};
    if (loop_watch_add(gate->options.loop, &gate->inner, EPOLLIN) &&
        gate->options.events->on_request(gate->options.owner, pair[1]))
        return true;
    close_inner(gate);
    return false;
}

static void append_client(struct gate *gate, const struct http_head *head)
{
    struct client_address address;

    client_address_find(&address, gate->peer, gate->options.trusted, head->forwarded,
                        head->forwarded_count);
    (void)buffer_append_format(&gate->inward, HTTP_HEAD_CLIENT ": %s %s\r\n\r\n",
                               address.single ? "single" : "shared", address.text);
}

/* Whether there is more to look at. */
static bool take_head(struct gate *gate)
{
    struct bytes in = buffer_peek(&gate->input);
    size_t before = in.len;
    struct http_head head;
    enum status status = http_head_take(&in, &head, &gate->inward);

    if (status == STATUS_MORE) {
        if (!gate->timed)
            set_deadline(gate, gate->options.head_ms);
        return false;
    }
    if (status != STATUS_OK) {
        refuse(gate, head.status, head.reason);
        return false;
    }
    append_client(gate, &head);
    buffer_consume(&gate->input, before - in.len);
    set_deadline(gate, 0);
    gate->body = head.body;
    gate->busy = true;
    if (open_inner(gate))
        return true;
    refuse(gate, 503, "the server is out of resources");
    return false;
}

static bool take_body(struct gate *gate)
{
    struct bytes in = buffer_peek(&gate->input);

    in = bytes_first(in, gate->body < in.len ? (size_t)gate->body : in.len);
    (void)buffer_append(&gate->inward, in);
    gate->body -= in.len;
    buffer_consume(&gate->input, in.len);
    return true;
}

/* Whether what stands next in the input may be looked at. Whoever does not take its answers gets no
 * more of them: libwebsockets turns in circles when it cannot write one and the next request is
 * there. */
static bool may_take(const struct gate *gate)
{
    return gate->body > 0 || (!gate->busy && buffer_len(&gate->outward) == 0);
}

/* Passes on what may be passed on. */
static void process(struct gate *gate)
{
    bool more = true;

    flush_inward(gate);
    while (more && !gate->gone && !gate->inner_ended && may_take(gate) &&
           buffer_len(&gate->input) > 0 && buffer_len(&gate->inward) == 0) {
        more = gate->body > 0 ? take_body(gate) : take_head(gate);
        if (more)
            flush_inward(gate);
    }
    if (!gate->client_ended || gate->inner_told || gate->gone || buffer_len(&gate->inward) > 0 ||
        (!may_take(gate) && buffer_len(&gate->input) > 0))
        return;
    gate->inner_told = true;
    if (gate->inner.fd >= 0)
        (void)shutdown(gate->inner.fd, SHUT_WR);
    else if (!gate->inner_ended)
        gate->gone = true; /* nothing was asked */
}

/* Events */

/* Clear text where TLS is asked for is answered in clear text. */
static bool sniff(struct gate *gate)
{
    uint8_t first;
    ssize_t n;

    if (gate->sniffed)
        return true;
    n = recv(gate->transport.fd, &first, 1, MSG_PEEK);
    if (n <= 0) {
        gate->gone = n == 0 || (errno != EAGAIN && errno != EINTR);
        return false;
    }
    gate->sniffed = true;
    if (first == TLS_HANDSHAKE)
        return true;
    SSL_free(gate->transport.ssl);
    gate->transport.ssl = NULL;
    refuse(gate, 400, "this port speaks TLS: use https://");
    return false;
}

static void note_failure(struct gate *gate)
{
    const struct log_context context = context_of(gate);

    if (gate->transport.ssl != NULL && !gate->transport.established)
        log_info(&context, "TLS handshake failed: %s", transport_failure(&gate->transport));
    gate->gone = true;
}

static bool may_read(const struct gate *gate)
{
    return !gate->client_ended && !gate->gone &&
           (gate->inner_ended ||
            (buffer_len(&gate->inward) == 0 && buffer_len(&gate->input) < HTTP_HEAD_MAX));
}

static void read_client(struct gate *gate)
{
    uint8_t *scratch = loop_scratch(gate->options.loop);
    size_t got;

    switch (transport_read(&gate->transport, scratch, PIECE_MAX, &got)) {
    case TRANSFER_DONE:
        gate->pending = got == PIECE_MAX && transport_has_pending(&gate->transport);
        /* After the end, what still comes is thrown away. */
        if (!gate->inner_ended)
            (void)buffer_append(&gate->input, bytes_of(scratch, got));
        break;
    case TRANSFER_BLOCKED:
        gate->pending = false;
        break;
    case TRANSFER_ENDED:
        gate->client_ended = true;
        gate->pending = false;
        if (gate->finished)
            gate->gone = true;
        break;
    case TRANSFER_FAILED:
        note_failure(gate);
        break;
    }
}

/* The time runs anew whenever something was taken. */
static void watch_stall(struct gate *gate, bool queued)
{
    if (!queued)
        loop_timer_stop(&gate->stall);
    else if (!gate->stalled)
        loop_timer_set(gate->options.loop, &gate->stall, STALL_MS);
    gate->stalled = queued;
}

static void update_interest(struct gate *gate)
{
    struct loop *loop = gate->options.loop;
    bool queued = buffer_len(&gate->outward) > 0;
    uint32_t inner = (queued ? 0U : EPOLLIN) | (buffer_len(&gate->inward) > 0 ? EPOLLOUT : 0U);
    uint32_t client = 0;

    watch_stall(gate, queued);
    if (may_read(gate) || gate->transport.write_wants_read)
        client |= EPOLLIN;
    if ((queued && !gate->transport.write_wants_read) || gate->transport.read_wants_write ||
        (gate->pending && may_read(gate)))
        client |= EPOLLOUT;
    loop_watch_change(loop, &gate->client, client);
    if (gate->inner.fd < 0)
        return;
    /* A hang-up is reported whatever is asked for: while its last words wait, look away. */
    if (inner == 0)
        loop_watch_remove(loop, &gate->inner);
    else if (!gate->inner.added)
        gate->gone = !loop_watch_add(loop, &gate->inner, inner);
    else
        loop_watch_change(loop, &gate->inner, inner);
}

static void leave(struct gate *gate)
{
    if (!gate->gone)
        update_interest(gate);
    if (!gate->gone) {
        gate->options.events->on_turn(gate->options.owner);
        return;
    }
    gate->options.events->on_closed(gate->options.owner);
    free_gate(gate);
}

static void on_client(struct loop_watch *watch, uint32_t events)
{
    struct gate *gate = lws_container_of(watch, struct gate, client);

    flush_outward(gate);
    if (!gate->gone && may_read(gate) && sniff(gate))
        read_client(gate);
    else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        gate->gone = true;
    if (!gate->gone)
        process(gate);
    leave(gate);
}

static void on_inner(struct loop_watch *watch, uint32_t events)
{
    struct gate *gate = lws_container_of(watch, struct gate, inner);
    uint8_t *scratch = loop_scratch(gate->options.loop);
    ssize_t n = -1;

    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && buffer_len(&gate->outward) == 0) {
        n = recv(gate->inner.fd, scratch, PIECE_MAX, 0);
        if (n > 0)
            write_client(gate, bytes_of(scratch, (size_t)n));
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            end_inner(gate);
    }
    if (!gate->gone)
        process(gate);
    leave(gate);
}

static void on_deadline(struct loop_timer *timer)
{
    struct gate *gate = lws_container_of(timer, struct gate, deadline);

    gate->timed = false;
    if (!gate->inner_ended && buffer_len(&gate->input) > 0)
        refuse(gate, 408, "the request did not come in time");
    else
        gate->gone = true;
    leave(gate);
}

static void on_stall(struct loop_timer *timer)
{
    struct gate *gate = lws_container_of(timer, struct gate, stall);

    gate->gone = true;
    leave(gate);
}

/* Life */

struct gate *gate_new(int fd, const struct gate_options *options)
{
    const unsigned stall_ms = STALL_MS;
    struct gate *gate = mem_new(sizeof(*gate));
    SSL *ssl = NULL;

    gate->options = *options;
    (void)snprintf(gate->peer, sizeof(gate->peer), "%s", options->peer);
    gate->options.peer = gate->peer;
    gate->client = (struct loop_watch){.on_ready = on_client, .fd = fd};
    gate->inner.fd = -1;
    gate->deadline.on_expired = on_deadline;
    gate->stall.on_expired = on_stall;
    gate->sniffed = options->tls == NULL;
    buffer_init(&gate->input, HTTP_HEAD_MAX + PIECE_MAX);
    buffer_init(&gate->inward, HTTP_HEAD_MAX + PIECE_MAX);
    buffer_init(&gate->outward, OUTWARD_MAX);
    if (options->tls != NULL)
        ssl = tls_accept(options->tls, fd, false);
    if ((options->tls != NULL && ssl == NULL) ||
        !loop_watch_add(options->loop, &gate->client, EPOLLIN)) {
        SSL_free(ssl);
        free(gate);
        return NULL;
    }
    transport_init(&gate->transport, fd, ssl);
    /* One that vanishes without a word is found when what we send stays unacknowledged. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall_ms, sizeof(stall_ms));
    set_deadline(gate, options->head_ms);
    return gate;
}

void gate_answered(struct gate *gate)
{
    gate->busy = false;
    process(gate);
    leave(gate);
}

bool gate_is_busy(const struct gate *gate)
{
    return gate->busy && !gate->inner_ended;
}

bool gate_is_delivering(const struct gate *gate)
{
    int inside = 0;

    if (gate->inner.fd >= 0)
        (void)ioctl(gate->inner.fd, FIONREAD, &inside);
    return inside > 0 || buffer_len(&gate->outward) > 0;
}

void gate_close(struct gate *gate)
{
    free_gate(gate);
}

bool gate_leave(struct gate *gate, struct transport *transport, struct buffer *unsent)
{
    const unsigned for_ever = 0;
    bool waited = buffer_len(&gate->input) == 0;

    drain_inner(gate);
    (void)buffer_append(unsent, buffer_peek(&gate->outward));
    (void)setsockopt(gate->transport.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &for_ever,
                     sizeof(for_ever));
    loop_watch_remove(gate->options.loop, &gate->client);
    *transport = gate->transport;
    gate->transport = (struct transport){.fd = -1};
    free_gate(gate);
    return waited;
}

const SSL *gate_ssl(const struct gate *gate)
{
    return gate->transport.ssl;
}
