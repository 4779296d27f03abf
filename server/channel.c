/* One raw socket: direct writes, a queue for what the kernel refuses, epoll flags changed only when
 * they must. */
#include "server/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/memory.h"
#include "server/loop.h"
#include "server/transport.h"

/* Far above the high watermark: only an owner that ignores it gets here, and loses the stream. */
#define QUEUE_MAX ((size_t)64 * 1024 * 1024)

/* In frames of any kind of tunnel this is still one read at the other end. */
#define READ_MAX (LOOP_SCRATCH - 64)

struct channel {
    struct stream stream;
    struct loop_watch watch;
    struct loop *loop;
    struct transport transport;
    struct buffer queue;
    SSL *(*on_hello)(void *owner); /* until the first byte has come */
    enum channel_ownership ownership;
    bool in_event; /* an event of ours is being handled: freeing waits */
    bool closed;   /* by the owner */
    bool paused;
    bool ended;      /* the peer's direction */
    bool finishing;  /* our direction ends once the queue is empty */
    bool finished;   /* and has */
    bool broken;     /* a write failed; reported from the next event */
    bool above_high; /* on_drained is owed */
    bool told_broken;
    bool read_pending; /* has_pending() at the last look */
    bool parked;       /* out of the epoll set */
};

static struct channel *channel_of(struct stream *stream)
{
    return (struct channel *)stream;
}

static void free_channel(struct channel *channel)
{
    loop_watch_remove(channel->loop, &channel->watch);
    if (channel->ownership == CHANNEL_OWNS_SOCKET)
        transport_close(&channel->transport);
    buffer_clear(&channel->queue);
    free(channel);
}

/* Decrypted bytes inside the SSL, which no poll shows. */
static bool has_pending(const struct channel *channel)
{
    return !channel->paused && !channel->ended && transport_has_pending(&channel->transport);
}

static void park(struct channel *channel)
{
    loop_watch_remove(channel->loop, &channel->watch);
    channel->parked = true;
}

static void update_interest(struct channel *channel)
{
    uint32_t events = 0;
    bool queued = buffer_len(&channel->queue) > 0 && !channel->broken;

    if (channel->parked && channel->paused)
        return;
    if (channel->parked) {
        channel->parked = false;
        (void)loop_watch_add(channel->loop, &channel->watch, 0);
    }
    if ((!channel->paused && !channel->ended) || channel->transport.write_wants_read)
        events |= EPOLLIN;
    if ((queued && !channel->transport.write_wants_read) || channel->transport.read_wants_write ||
        channel->read_pending || (channel->broken && !channel->paused))
        events |= EPOLLOUT;
    loop_watch_change(channel->loop, &channel->watch, events);
}

/* How many bytes of `data` the peer took; a failure is noted in `broken`. */
static size_t write_some(struct channel *channel, struct bytes data)
{
    size_t put;
    enum transfer outcome = transport_write(&channel->transport, data, bytes_of(NULL, 0), &put);

    if (outcome == TRANSFER_ENDED || outcome == TRANSFER_FAILED)
        channel->broken = true;
    return put;
}

static void end_our_direction(struct channel *channel)
{
    channel->finished = true;
    transport_finish(&channel->transport);
}

static void flush(struct channel *channel)
{
    struct bytes queued = buffer_peek(&channel->queue);

    if (queued.len > 0)
        buffer_consume(&channel->queue, write_some(channel, queued));
    if (channel->finishing && !channel->finished && buffer_len(&channel->queue) == 0)
        end_our_direction(channel);
}

static void report_closed(struct channel *channel)
{
    if (!channel->closed)
        channel->stream.events->on_closed(channel->stream.owner,
                                          transport_failure(&channel->transport));
    channel->closed = true;
}

/* Direct negotiation, as Postgres 17 clients may choose. */
static bool sniff(struct channel *channel)
{
    SSL *(*on_hello)(void *owner) = channel->on_hello;
    uint8_t first = 0;
    ssize_t n;
    SSL *ssl;

    if (on_hello == NULL)
        return true;
    n = recv(channel->watch.fd, &first, 1, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    channel->on_hello = NULL;
    if (n <= 0 || first != CHANNEL_TLS_HELLO)
        return true;
    ssl = on_hello(channel->stream.owner);
    if (ssl != NULL)
        channel_start_tls(&channel->stream, ssl);
    else
        report_closed(channel);
    return ssl != NULL;
}

static enum transfer read_once(struct channel *channel)
{
    uint8_t *scratch = loop_scratch(channel->loop);
    const struct stream_events *events = channel->stream.events;
    size_t got;
    enum transfer outcome = transport_read(&channel->transport, scratch, READ_MAX, &got);

    switch (outcome) {
    case TRANSFER_DONE:
        events->on_data(channel->stream.owner, bytes_of(scratch, got));
        break;
    case TRANSFER_BLOCKED:
        break;
    case TRANSFER_ENDED:
        channel->ended = true;
        events->on_end(channel->stream.owner);
        break;
    case TRANSFER_FAILED:
        report_closed(channel);
        break;
    }
    /* Only a read that had no room for more leaves decrypted bytes behind. */
    if (!channel->closed)
        channel->read_pending = got == READ_MAX && has_pending(channel);
    return outcome;
}

static void report_drained(struct channel *channel)
{
    if (channel->above_high && buffer_len(&channel->queue) <= STREAM_QUEUE_LOW) {
        channel->above_high = false;
        channel->stream.events->on_drained(channel->stream.owner);
    }
}

/* Whether the connection is over for its owner. What the peer sent before it went is delivered
 * first: Postgres says why it ends a session and then resets. */
static bool is_gone(const struct channel *channel, uint32_t events, enum transfer outcome)
{
    if (channel->ended)
        return channel->broken || (events & (EPOLLERR | EPOLLHUP)) != 0;
    return channel->broken && !channel->paused && outcome == TRANSFER_BLOCKED;
}

static void drop_queue(struct channel *channel)
{
    buffer_clear(&channel->queue);
    if (channel->told_broken || channel->closed || channel->stream.events->on_broken == NULL)
        return;
    channel->told_broken = true;
    channel->stream.events->on_broken(channel->stream.owner);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct channel *channel = lws_container_of(watch, struct channel, watch);
    enum transfer outcome = TRANSFER_BLOCKED;

    channel->in_event = true;
    if (buffer_len(&channel->queue) > 0 && !channel->broken)
        flush(channel);
    /* Nothing of it will ever leave. An owner that waits for it to drain, and has paused us because
     * of that, must go on, or neither would. */
    if (channel->broken)
        drop_queue(channel);
    if (!channel->closed && !channel->paused && !channel->ended && sniff(channel) &&
        ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || channel->read_pending ||
         channel->transport.read_wants_write || channel->broken))
        outcome = read_once(channel);
    if (!channel->closed && is_gone(channel, events, outcome))
        report_closed(channel);
    if (!channel->closed)
        report_drained(channel);
    /* A hang-up is reported whatever is asked for, again and again: while the owner does not read,
     * look away. */
    if (!channel->closed && channel->paused && (events & (EPOLLERR | EPOLLHUP)))
        park(channel);
    channel->in_event = false;
    if (channel->closed)
        free_channel(channel);
    else
        update_interest(channel);
}

/* The owner went on sending far above the watermark. */
static void give_up(struct channel *channel)
{
    channel->transport.error = ENOBUFS;
    channel->broken = true;
    channel->ended = true;
    (void)shutdown(channel->watch.fd, SHUT_RDWR);
}

static void channel_send(struct stream *stream, struct bytes data)
{
    struct channel *channel = channel_of(stream);

    if (channel->finishing || channel->broken || channel->closed || data.len == 0)
        return;
    /* Whoever does not finish its handshake cannot be told anything. */
    if (channel->transport.ssl != NULL && !SSL_is_init_finished(channel->transport.ssl))
        return;
    if (buffer_len(&channel->queue) == 0)
        data = bytes_skip(data, write_some(channel, data));
    if (data.len > 0 && !channel->broken && !buffer_append(&channel->queue, data))
        give_up(channel);
    if (buffer_len(&channel->queue) >= STREAM_QUEUE_HIGH)
        channel->above_high = true;
    if (!channel->in_event)
        update_interest(channel);
}

static size_t channel_queued(const struct stream *stream)
{
    return buffer_len(&((const struct channel *)stream)->queue);
}

static void channel_pause(struct stream *stream, bool paused)
{
    struct channel *channel = channel_of(stream);

    channel->paused = paused;
    channel->read_pending = has_pending(channel);
    if (!channel->in_event)
        update_interest(channel);
}

static void channel_finish(struct stream *stream, enum stream_end end, const char *reason)
{
    struct channel *channel = channel_of(stream);

    (void)end;
    (void)reason;
    if (channel->finishing)
        return;
    channel->finishing = true;
    if (buffer_len(&channel->queue) == 0 && !channel->broken)
        end_our_direction(channel);
}

static void channel_close(struct stream *stream)
{
    struct channel *channel = channel_of(stream);

    assert(!channel->closed);
    channel->closed = true;
    if (!channel->in_event)
        free_channel(channel);
    else
        loop_watch_remove(channel->loop, &channel->watch);
}

static const struct stream_ops channel_ops = {
    .send = channel_send,
    .queued = channel_queued,
    .pause = channel_pause,
    .finish = channel_finish,
    .close = channel_close,
};

struct stream *channel_new(struct loop *loop, int fd, SSL *ssl, enum channel_ownership ownership,
                           const struct stream_events *events, void *owner)
{
    struct channel *channel = mem_new(sizeof(*channel));

    channel->stream = (struct stream){.ops = &channel_ops, .events = events, .owner = owner};
    channel->watch = (struct loop_watch){.on_ready = on_ready, .fd = fd};
    channel->loop = loop;
    transport_init(&channel->transport, fd, ssl);
    channel->ownership = ownership;
    buffer_init(&channel->queue, QUEUE_MAX);
    channel->read_pending = has_pending(channel);
    if (!loop_watch_add(loop, &channel->watch, EPOLLIN | (channel->read_pending ? EPOLLOUT : 0))) {
        free(channel);
        return NULL;
    }
    return &channel->stream;
}

void channel_start_tls(struct stream *stream, SSL *ssl)
{
    struct channel *channel = channel_of(stream);

    if (buffer_len(&channel->queue) > 0)
        give_up(channel);
    transport_init(&channel->transport, channel->watch.fd, ssl);
}

void channel_expect_tls(struct stream *stream, SSL *(*on_hello)(void *owner))
{
    channel_of(stream)->on_hello = on_hello;
}

const SSL *channel_ssl(const struct stream *stream)
{
    return ((const struct channel *)stream)->transport.ssl;
}

int channel_socket(const struct stream *stream)
{
    return ((const struct channel *)stream)->watch.fd;
}
