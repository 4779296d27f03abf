/* One raw socket: direct writes, a queue for what the kernel refuses, epoll flags changed only when
 * they must. */
#include "server/channel.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/memory.h"
#include "server/loop.h"

/* Far above the high watermark: only an owner that ignores it gets here, and loses the stream. */
#define QUEUE_MAX ((size_t)64 * 1024 * 1024)

enum transfer { TRANSFERRED, BLOCKED, ENDED, FAILED };

struct channel {
    struct stream stream;
    struct loop_watch watch;
    struct loop *loop;
    SSL *ssl;
    struct buffer queue;
    int error; /* errno of the failure, 0: none known */
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
    /* TLS may need the other direction for its own messages. */
    bool read_wants_write;
    bool write_wants_read;
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
    if (channel->ownership == CHANNEL_OWNS_SOCKET) {
        SSL_free(channel->ssl);
        close(channel->watch.fd);
    }
    buffer_clear(&channel->queue);
    free(channel);
}

/* Decrypted bytes inside the SSL, which no poll shows. */
static bool has_pending(const struct channel *channel)
{
    return channel->ssl != NULL && !channel->paused && !channel->ended &&
           SSL_has_pending(channel->ssl);
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
    if ((!channel->paused && !channel->ended) || channel->write_wants_read)
        events |= EPOLLIN;
    if ((queued && !channel->write_wants_read) || channel->read_wants_write ||
        channel->read_pending || (channel->broken && !channel->paused))
        events |= EPOLLOUT;
    loop_watch_change(channel->loop, &channel->watch, events);
}

/* What an SSL call that returned `result` <= 0 means. */
static enum transfer tls_outcome(struct channel *channel, int result, bool *wants_other,
                                 int other_direction)
{
    int reason = SSL_get_error(channel->ssl, result);

    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        *wants_other = reason == other_direction;
        return BLOCKED;
    }
    if (reason == SSL_ERROR_ZERO_RETURN)
        return ENDED;
    /* A peer that closes without close_notify, as Postgres does when it dies. */
    if (reason == SSL_ERROR_SYSCALL && errno == 0)
        return ENDED;
    channel->error = reason == SSL_ERROR_SYSCALL ? errno : EPROTO;
    return FAILED;
}

static enum transfer read_tls(struct channel *channel, uint8_t *out, size_t room, size_t *got)
{
    int n;

    *got = 0;
    /* A call gives one record; several make one event. */
    while (*got < room) {
        ERR_clear_error();
        errno = 0;
        n = SSL_read(channel->ssl, out + *got, (int)(room - *got));
        if (n <= 0) {
            enum transfer outcome =
                tls_outcome(channel, n, &channel->read_wants_write, SSL_ERROR_WANT_WRITE);

            /* What came before is delivered first; the call after next says it again. */
            return *got > 0 ? TRANSFERRED : outcome;
        }
        channel->read_wants_write = false;
        *got += (size_t)n;
    }
    return TRANSFERRED;
}

static enum transfer read_plain(struct channel *channel, uint8_t *out, size_t room, size_t *got)
{
    ssize_t n;

    do
        n = recv(channel->watch.fd, out, room, 0);
    while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return TRANSFERRED;
    if (n == 0)
        return ENDED;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return BLOCKED;
    channel->error = errno;
    return FAILED;
}

static enum transfer write_tls(struct channel *channel, struct bytes data, size_t *put)
{
    int n;

    *put = 0;
    while (*put < data.len) {
        size_t left = data.len - *put;

        ERR_clear_error();
        errno = 0;
        n = SSL_write(channel->ssl, data.data + *put, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n <= 0)
            return tls_outcome(channel, n, &channel->write_wants_read, SSL_ERROR_WANT_READ);
        channel->write_wants_read = false;
        *put += (size_t)n;
    }
    return TRANSFERRED;
}

static enum transfer write_plain(struct channel *channel, struct bytes data, size_t *put)
{
    ssize_t n;

    do
        n = send(channel->watch.fd, data.data, data.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    *put = n > 0 ? (size_t)n : 0;
    if (n >= 0)
        return TRANSFERRED;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return BLOCKED;
    channel->error = errno;
    return FAILED;
}

/* How many bytes of `data` the peer took; a failure is noted in `broken`. */
static size_t write_some(struct channel *channel, struct bytes data)
{
    size_t put;
    enum transfer outcome =
        channel->ssl != NULL ? write_tls(channel, data, &put) : write_plain(channel, data, &put);

    if (outcome == ENDED || outcome == FAILED)
        channel->broken = true;
    return put;
}

static void end_our_direction(struct channel *channel)
{
    channel->finished = true;
    if (channel->ssl != NULL) {
        ERR_clear_error();
        (void)SSL_shutdown(channel->ssl);
    }
    (void)shutdown(channel->watch.fd, SHUT_WR);
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
    const char *reason = channel->error != 0 ? strerror(channel->error) : "connection closed";

    if (!channel->closed)
        channel->stream.events->on_closed(channel->stream.owner, reason);
    channel->closed = true;
}

static enum transfer read_once(struct channel *channel)
{
    uint8_t *scratch = loop_scratch(channel->loop);
    const struct stream_events *events = channel->stream.events;
    size_t got;
    enum transfer outcome = channel->ssl != NULL ? read_tls(channel, scratch, LOOP_SCRATCH, &got)
                                                 : read_plain(channel, scratch, LOOP_SCRATCH, &got);

    switch (outcome) {
    case TRANSFERRED:
        events->on_data(channel->stream.owner, bytes_of(scratch, got));
        break;
    case BLOCKED:
        break;
    case ENDED:
        channel->ended = true;
        events->on_end(channel->stream.owner);
        break;
    case FAILED:
        report_closed(channel);
        break;
    }
    /* Only a read that had no room for more leaves decrypted bytes behind. */
    if (!channel->closed)
        channel->read_pending = got == LOOP_SCRATCH && has_pending(channel);
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
    return channel->broken && !channel->paused && outcome == BLOCKED;
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
    enum transfer outcome = BLOCKED;

    channel->in_event = true;
    if (buffer_len(&channel->queue) > 0 && !channel->broken)
        flush(channel);
    /* Nothing of it will ever leave. An owner that waits for it to drain, and has paused us because
     * of that, must go on, or neither would. */
    if (channel->broken)
        drop_queue(channel);
    if (!channel->closed && !channel->paused && !channel->ended &&
        ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || channel->read_pending ||
         channel->read_wants_write || channel->broken))
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
    channel->error = ENOBUFS;
    channel->broken = true;
    channel->ended = true;
    (void)shutdown(channel->watch.fd, SHUT_RDWR);
}

static void channel_send(struct stream *stream, struct bytes data)
{
    struct channel *channel = channel_of(stream);

    if (channel->finishing || channel->broken || channel->closed || data.len == 0)
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
    channel->ssl = ssl;
    channel->ownership = ownership;
    buffer_init(&channel->queue, QUEUE_MAX);
    if (ssl != NULL) {
        SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        channel->read_pending = has_pending(channel);
    }
    if (!loop_watch_add(loop, &channel->watch, EPOLLIN | (channel->read_pending ? EPOLLOUT : 0))) {
        free(channel);
        return NULL;
    }
    return &channel->stream;
}
