/* Reading and writing a socket, plain, through TLS, or through libcurl's TLS with a proxy. */
#include "client/transport.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>

/* ---- the socket, or libcurl's TLS around it ----------------------------------------------------
 */

/* Like read(): the count, 0 at the end, -1 with errno (EAGAIN: nothing there). */
static ssize_t lower_read(const struct transport *transport, void *data, size_t len)
{
    size_t count = 0;
    CURLcode code;

    if (transport->easy == NULL)
        return read(transport->watch.fd, data, len);
    code = curl_easy_recv(transport->easy, data, len, &count);
    if (code == CURLE_OK)
        return (ssize_t)count;
    errno = code == CURLE_AGAIN ? EAGAIN : ECONNRESET;
    return -1;
}

static ssize_t lower_write(const struct transport *transport, const void *data, size_t len)
{
    size_t count = 0;
    CURLcode code;

    if (transport->easy == NULL)
        return write(transport->watch.fd, data, len);
    code = curl_easy_send(transport->easy, data, len, &count);
    if (code == CURLE_OK)
        return (ssize_t)count;
    errno = code == CURLE_AGAIN ? EAGAIN : EPIPE;
    return -1;
}

static bool is_blocked(int error_number)
{
    return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

const char *transport_reason(int error_number)
{
    switch (error_number) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset by peer";
    case EPIPE:
        return "the peer has closed the connection";
    case ETIMEDOUT:
        return "connection timed out";
    case EHOSTUNREACH:
        return "no route to host";
    case ENETUNREACH:
        return "network is unreachable";
    default:
        return strerror(error_number);
    }
}

static enum status broken(struct error *error, int error_number)
{
    return error_set(error, STATUS_SYSTEM, "08006", "%s", transport_reason(error_number));
}

/* ---- TLS over libcurl: a BIO -------------------------------------------------------------------
 */

static int bio_write(BIO *bio, const char *data, int len)
{
    ssize_t count = lower_write(BIO_get_data(bio), data, (size_t)len);

    BIO_clear_retry_flags(bio);
    if (count < 0 && is_blocked(errno))
        BIO_set_retry_write(bio);
    return (int)count;
}

static int bio_read(BIO *bio, char *data, int len)
{
    ssize_t count = lower_read(BIO_get_data(bio), data, (size_t)len);

    BIO_clear_retry_flags(bio);
    if (count < 0 && is_blocked(errno))
        BIO_set_retry_read(bio);
    return (int)count;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO *bio_over_curl(struct transport *transport)
{
    static BIO_METHOD *method;
    BIO *bio;

    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "libcurl");
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_ctrl(method, bio_control);
    }
    bio = BIO_new(method);
    BIO_set_data(bio, transport);
    BIO_set_init(bio, 1);
    return bio;
}

void transport_start_tls(struct transport *transport, SSL *ssl)
{
    transport->ssl = ssl;
    SSL_set_connect_state(ssl);
    if (transport->easy != NULL) {
        BIO *bio = bio_over_curl(transport);

        SSL_set_bio(ssl, bio, bio);
    } else {
        SSL_set_fd(ssl, transport->watch.fd);
    }
}

void transport_init(struct transport *transport)
{
    memset(transport, 0, sizeof *transport);
    transport->watch.fd = -1;
}

/* close_notify; a session that ended without it would not be resumed with TLS 1.2. */
static void end_tls(struct transport *transport)
{
    if (transport->ssl == NULL)
        return;
    if (!transport->tls_failed && SSL_is_init_finished(transport->ssl)) {
        ERR_clear_error();
        SSL_shutdown(transport->ssl);
    }
    SSL_free(transport->ssl);
}

void transport_close(struct transport *transport, struct loop *loop)
{
    end_tls(transport);
    /* Before libcurl closes its own copy of the descriptor. */
    loop_watch_close(loop, &transport->watch);
    if (transport->easy != NULL) {
        curl_multi_remove_handle(transport->multi, transport->easy);
        curl_easy_cleanup(transport->easy);
    }
    transport_init(transport);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Why an SSL call did not do what it should; remembers what it waits for. */
static enum status tls_outcome(struct transport *transport, int result, bool *needs_other,
                               int blocked_on_other, struct error *error)
{
    int saved = errno;
    int reason = SSL_get_error(transport->ssl, result);
    char text[160];

    *needs_other = reason == blocked_on_other;
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
        return STATUS_MORE;
    if (reason == SSL_ERROR_ZERO_RETURN)
        return STATUS_CLOSED;
    transport->tls_failed = true;
    if (reason == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
        return saved == 0 ? STATUS_CLOSED : broken(error, saved);
    ERR_error_string_n(ERR_peek_error(), text, sizeof text);
    return error_set(error, STATUS_SYSTEM, "08006", "TLS failed: %s", text);
}

static enum status tls_read(struct transport *transport, uint8_t *data, size_t len, size_t *count,
                            bool *drained, struct error *error)
{
    enum status status;

    *count = 0;
    *drained = false;
    do {
        size_t got = 0;
        int result;

        ERR_clear_error();
        errno = 0;
        result = SSL_read_ex(transport->ssl, data + *count, len - *count, &got);
        if (result <= 0) {
            *drained = true;
            status = tls_outcome(transport, result, &transport->read_needs_write,
                                 SSL_ERROR_WANT_WRITE, error);
            /* What came before an end is handed on first; the end shows again next time. */
            if (*count > 0 && status != STATUS_MORE)
                *drained = false;
            return *count > 0 ? STATUS_OK : status;
        }
        *count += got;
    } while (*count < len);
    return STATUS_OK;
}

enum status transport_read(struct transport *transport, void *data, size_t len, size_t *count,
                           bool *drained, struct error *error)
{
    ssize_t got;

    if (transport->ssl != NULL)
        return tls_read(transport, data, len, count, drained, error);
    *count = 0;
    *drained = true;
    got = lower_read(transport, data, len);
    if (got > 0) {
        *count = (size_t)got;
        /* libcurl hands out one TLS record at a time; only its EAGAIN says that no more is there.
         */
        *drained = *count < len && transport->easy == NULL;
        return STATUS_OK;
    }
    if (got == 0)
        return STATUS_CLOSED;
    return is_blocked(errno) ? STATUS_MORE : broken(error, errno);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static enum status tls_write(struct transport *transport, struct bytes data, size_t *count,
                             struct error *error)
{
    *count = 0;
    while (*count < data.len) {
        size_t sent = 0;
        int result;
        enum status status;

        ERR_clear_error();
        errno = 0;
        result = SSL_write_ex(transport->ssl, data.data + *count, data.len - *count, &sent);
        if (result <= 0) {
            status = tls_outcome(transport, result, &transport->write_needs_read,
                                 SSL_ERROR_WANT_READ, error);
            return status == STATUS_CLOSED ? broken(error, EPIPE) : status;
        }
        *count += sent;
    }
    return STATUS_OK;
}

enum status transport_write(struct transport *transport, struct bytes data, size_t *count,
                            struct error *error)
{
    ssize_t sent;

    if (transport->ssl != NULL)
        return tls_write(transport, data, count, error);
    *count = 0;
    sent = lower_write(transport, data.data, data.len);
    if (sent < 0)
        return is_blocked(errno) ? STATUS_MORE : broken(error, errno);
    *count = (size_t)sent;
    return *count == data.len ? STATUS_OK : STATUS_MORE;
}

/* ---- readiness ---------------------------------------------------------------------------------
 */

bool transport_has_pending(const struct transport *transport)
{
    /* What libcurl's TLS buffers cannot be asked for: assume there is some. */
    return transport->easy != NULL || (transport->ssl != NULL && SSL_has_pending(transport->ssl));
}

bool transport_wait(struct transport *transport, struct loop *loop, bool reading, bool writing)
{
    unsigned interest = 0;

    if (reading || (writing && transport->write_needs_read))
        interest |= LOOP_READ;
    if (writing || (reading && transport->read_needs_write))
        interest |= LOOP_WRITE;
    return loop_watch_set(loop, &transport->watch, interest);
}
