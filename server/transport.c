/* Reading and writing one non-blocking socket, through TLS or not. */
#include "server/transport.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* What one record holds (RFC 8446 section 5.1). */
enum { RECORD_MAX = 16384 };

void transport_init(struct transport *transport, int fd, SSL *ssl)
{
    *transport = (struct transport){.fd = fd, .ssl = ssl};
    if (ssl == NULL)
        return;
    transport->established = SSL_is_init_finished(ssl);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* TLS */

/* What an SSL call that returned `result` <= 0 means. */
static enum transfer tls_outcome(struct transport *transport, int result, bool *wants_other,
                                 int other_direction)
{
    int reason = SSL_get_error(transport->ssl, result);

    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        /* Not to be asked any more once there was an error. */
        transport->established = SSL_is_init_finished(transport->ssl);
        *wants_other = reason == other_direction;
        return TRANSFER_BLOCKED;
    }
    if (reason == SSL_ERROR_ZERO_RETURN)
        return TRANSFER_ENDED;
    /* A peer that closes without close_notify, as Postgres does when it dies. What is carried here
     * says itself where it ends, so nobody gains by cutting it. */
    if ((reason == SSL_ERROR_SYSCALL && errno == 0) ||
        (reason == SSL_ERROR_SSL && transport->established &&
         ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING))
        return TRANSFER_ENDED;
    transport->error = reason == SSL_ERROR_SYSCALL ? errno : EPROTO;
    if (reason == SSL_ERROR_SSL)
        transport->reason = ERR_reason_error_string(ERR_peek_last_error());
    return TRANSFER_FAILED;
}

static enum transfer read_tls(struct transport *transport, uint8_t *out, size_t room, size_t *got)
{
    /* A call gives one record; several make one event. */
    while (*got < room) {
        int n;

        ERR_clear_error();
        errno = 0;
        n = SSL_read(transport->ssl, out + *got, (int)(room - *got));
        if (n <= 0) {
            enum transfer outcome =
                tls_outcome(transport, n, &transport->read_wants_write, SSL_ERROR_WANT_WRITE);

            /* What came before is delivered first; the call after next says it again. */
            return *got > 0 ? TRANSFER_DONE : outcome;
        }
        transport->established = true;
        transport->read_wants_write = false;
        *got += (size_t)n;
    }
    return TRANSFER_DONE;
}

static enum transfer write_tls(struct transport *transport, struct bytes data, size_t *put)
{
    while (data.len > 0) {
        int n;

        ERR_clear_error();
        errno = 0;
        n = SSL_write(transport->ssl, data.data, data.len > INT32_MAX ? INT32_MAX : (int)data.len);
        if (n <= 0)
            return tls_outcome(transport, n, &transport->write_wants_read, SSL_ERROR_WANT_READ);
        transport->established = true;
        transport->write_wants_read = false;
        *put += (size_t)n;
        data = bytes_skip(data, (size_t)n);
    }
    return TRANSFER_DONE;
}

static enum transfer write_tls_parts(struct transport *transport, struct bytes head,
                                     struct bytes payload, size_t *put)
{
    uint8_t record[RECORD_MAX];
    struct bytes joined;
    enum transfer outcome;

    if (head.len == 0 || payload.len == 0 || head.len >= RECORD_MAX) {
        outcome = write_tls(transport, head, put);
        return outcome == TRANSFER_DONE ? write_tls(transport, payload, put) : outcome;
    }
    joined = bytes_first(payload, RECORD_MAX - head.len);
    memcpy(record, head.data, head.len);
    memcpy(record + head.len, joined.data, joined.len);
    outcome = write_tls(transport, bytes_of(record, head.len + joined.len), put);
    return outcome == TRANSFER_DONE ? write_tls(transport, bytes_skip(payload, joined.len), put)
                                    : outcome;
}

/* Clear text */

static enum transfer plain_outcome(struct transport *transport)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return TRANSFER_BLOCKED;
    transport->error = errno;
    return TRANSFER_FAILED;
}

static enum transfer read_plain(struct transport *transport, uint8_t *out, size_t room, size_t *got)
{
    ssize_t n;

    do
        n = recv(transport->fd, out, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return plain_outcome(transport);
    *got = (size_t)n;
    return n > 0 ? TRANSFER_DONE : TRANSFER_ENDED;
}

static enum transfer write_plain(struct transport *transport, struct bytes head,
                                 struct bytes payload, size_t *put)
{
    struct iovec parts[] = {
        {.iov_base = (void *)(uintptr_t)head.data, .iov_len = head.len},
        {.iov_base = (void *)(uintptr_t)payload.data, .iov_len = payload.len},
    };
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = payload.len > 0 ? 2 : 1};
    ssize_t n;

    do
        n = sendmsg(transport->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return plain_outcome(transport);
    *put = (size_t)n;
    return TRANSFER_DONE;
}

/* Either */

enum transfer transport_read(struct transport *transport, uint8_t *out, size_t room, size_t *got)
{
    *got = 0;
    return transport->ssl != NULL ? read_tls(transport, out, room, got)
                                  : read_plain(transport, out, room, got);
}

enum transfer transport_write(struct transport *transport, struct bytes head, struct bytes payload,
                              size_t *put)
{
    *put = 0;
    return transport->ssl != NULL ? write_tls_parts(transport, head, payload, put)
                                  : write_plain(transport, head, payload, put);
}

bool transport_has_pending(const struct transport *transport)
{
    return transport->ssl != NULL && SSL_has_pending(transport->ssl);
}

void transport_finish(struct transport *transport)
{
    if (transport->ssl != NULL && SSL_is_init_finished(transport->ssl)) {
        ERR_clear_error();
        (void)SSL_shutdown(transport->ssl);
    }
    (void)shutdown(transport->fd, SHUT_WR);
}

void transport_close(struct transport *transport)
{
    SSL_free(transport->ssl);
    transport->ssl = NULL;
    if (transport->fd >= 0)
        close(transport->fd);
    transport->fd = -1;
}

const char *transport_failure(const struct transport *transport)
{
    if (transport->reason != NULL)
        return transport->reason;
    return transport->error != 0 ? strerror(transport->error) : "connection closed";
}
