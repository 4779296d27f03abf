/* Opening a WebSocket to the service, step by step. */
#include "client/connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "client/dial.h"
#include "client/tls.h"
#include "client/upgrade.h"
#include "common/log.h"
#include "common/memory.h"

#define TUNNEL_PATH "/proxy"
#define REQUEST_MAX (64u * 1024u) /* a token may be long */
#define READ_SIZE 1024
/* libcurl keeps a dial's deadline; this is for what it might overlook. */
#define DIAL_GRACE 1000

/* Somewhere to ask for an upgrade. */
struct target {
    struct url url;
    char *path;
    char *display;
    struct buffer request; /* all of it but the key */
};

struct connector {
    struct loop *loop;
    struct connect_settings settings;
    struct frame_keys *keys;
    struct dialer *dialer;
    struct tls *tls; /* made when first needed: reading the system's authorities takes a while */
    struct target target;
    char *authorization;
    bool redirect_told;
};

enum connect_state {
    CONNECT_DIALLING, /* libcurl makes the path */
    CONNECT_SECURING, /* TLS handshake */
    CONNECT_ASKING,   /* the upgrade request is being sent */
    CONNECT_WAITING,  /* for the answer's head */
};

struct connecting {
    struct connector *connector;
    struct target *target;    /* the connector's, or `redirected` */
    struct target redirected; /* zero unless there was a redirect */
    struct transport *transport;
    enum connect_state state;
    struct dial *dial;
    struct loop_timer deadline;
    struct upgrade_key key;
    struct buffer out;
    struct buffer in;
    connect_done *done;
    void *owner;
};

/* ---- targets -----------------------------------------------------------------------------------
 */

static void target_clear(struct target *target)
{
    url_clear(&target->url);
    free(target->path);
    free(target->display);
    /* It holds the credentials. */
    if (target->request.data != NULL)
        OPENSSL_cleanse(target->request.data, target->request.allocated);
    buffer_clear(&target->request);
}

/* `path` is taken; of `url` a copy is made without its credentials. */
static void target_set(struct target *target, const struct url *url, char *path,
                       const char *authorization)
{
    struct upgrade_target what = {
        .service = url, .path = path, .authorization = authorization, .subprotocol = NULL};

    target->url = (struct url){.secure = url->secure,
                               .host = mem_copy_string(url->host),
                               .port = url->port,
                               .path = mem_copy_string(url->path)};
    target->path = path;
    target->display = url_display(url);
    buffer_init(&target->request, REQUEST_MAX);
    upgrade_write_request(&target->request, &what);
}

static char *base64(const char *text)
{
    size_t len = strlen(text);
    char *out = mem_new(len * 4 / 3 + 5);

    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
    return out;
}

/* The value of the Authorization header, or NULL. */
static char *make_authorization(const struct connect_settings *settings)
{
    const struct url *url = settings->service;
    char *pair;
    char *encoded;
    char *value;

    if (settings->token != NULL && settings->token[0] != '\0')
        return mem_format("Bearer %s", settings->token);
    if (url->user == NULL)
        return NULL;
    pair = mem_format("%s:%s", url->user, url->password == NULL ? "" : url->password);
    encoded = base64(pair);
    value = mem_format("Basic %s", encoded);
    mem_free_secret(encoded, strlen(encoded));
    mem_free_secret(pair, strlen(pair));
    return value;
}

static char *tunnel_path(const struct url *url)
{
    size_t len = strlen(url->path);

    if (len > 0 && url->path[len - 1] == '/')
        len--;
    return mem_format("%.*s" TUNNEL_PATH, (int)len, url->path);
}

/* ---- the connector -----------------------------------------------------------------------------
 */

static bool prepare_tls(struct connector *connector, struct error *error)
{
    if (connector->tls == NULL)
        connector->tls = tls_new(connector->settings.ca_file, connector->settings.certificate,
                                 connector->settings.key, error);
    return connector->tls != NULL;
}

struct connector *connector_new(struct loop *loop, const struct connect_settings *settings,
                                struct frame_keys *keys, struct error *error)
{
    struct connector *connector = mem_new(sizeof *connector);

    connector->loop = loop;
    connector->settings = *settings;
    connector->keys = keys;
    connector->authorization = make_authorization(settings);
    target_set(&connector->target, settings->service, tunnel_path(settings->service),
               connector->authorization);
    if (buffer_failed(&connector->target.request)) {
        error_set(error, STATUS_USAGE, "22023", "the token or the service's URL is too long");
        goto fail;
    }
    if (settings->service->secure && !prepare_tls(connector, error))
        goto fail;
    connector->dialer = dialer_new(loop, (long)settings->timeout, settings->ca_file);
    if (connector->dialer == NULL) {
        error_set(error, STATUS_SYSTEM, "53000", "cannot start libcurl");
        goto fail;
    }
    return connector;
fail:
    connector_free(connector);
    return NULL;
}

void connector_free(struct connector *connector)
{
    if (connector == NULL)
        return;
    dialer_free(connector->dialer);
    tls_free(connector->tls);
    target_clear(&connector->target);
    if (connector->authorization != NULL)
        mem_free_secret(connector->authorization, strlen(connector->authorization));
    free(connector);
}

const char *connector_display(const struct connector *connector)
{
    return connector->target.display;
}

/* ---- one connection ----------------------------------------------------------------------------
 */

static void connecting_free(struct connecting *connecting)
{
    if (connecting->dial != NULL)
        dial_cancel(connecting->dial);
    loop_timer_stop(connecting->connector->loop, &connecting->deadline);
    if (connecting->redirected.path != NULL)
        target_clear(&connecting->redirected);
    buffer_clear(&connecting->out);
    buffer_clear(&connecting->in);
    free(connecting);
}

void connect_cancel(struct connecting *connecting)
{
    transport_close(connecting->transport, connecting->connector->loop);
    connecting_free(connecting);
}

static void fail(struct connecting *connecting, enum status status, const struct error *error)
{
    transport_close(connecting->transport, connecting->connector->loop);
    connecting->done(connecting->owner, status, bytes_of(NULL, 0), error);
    connecting_free(connecting);
}

static const char *const step_names[] = {
    [CONNECT_DIALLING] = "connecting to",
    [CONNECT_SECURING] = "the TLS handshake with",
    [CONNECT_ASKING] = "sending the upgrade request to",
    [CONNECT_WAITING] = "the answer to the upgrade request from",
};

/* For failures of the socket in the middle of a step. */
static void fail_step(struct connecting *connecting, const char *reason)
{
    struct error error;

    error_set(&error, STATUS_UNAVAILABLE, "08001", "%s %s failed: %s",
              step_names[connecting->state], connecting->target->display, reason);
    error_hint(&error,
               "The service, or something in front of it, ended the connection; look at its log.");
    fail(connecting, STATUS_UNAVAILABLE, &error);
}

static void on_deadline(struct loop_timer *timer)
{
    struct connecting *connecting = timer->owner;
    struct error error;

    error_set(&error, STATUS_TIMEOUT, "08001", "%s %s took longer than %g s",
              step_names[connecting->state], connecting->target->display,
              (double)connecting->connector->settings.timeout / 1000);
    error_hint(&error,
               "Check the network, and whether the service or a proxy in front of it hangs.");
    fail(connecting, STATUS_TIMEOUT, &error);
}

/* The only place that assigns the state. */
static void enter(struct connecting *connecting, enum connect_state state)
{
    int64_t timeout = (int64_t)connecting->connector->settings.timeout;

    connecting->state = state;
    loop_timer_set(connecting->connector->loop, &connecting->deadline,
                   state == CONNECT_DIALLING ? timeout + DIAL_GRACE : timeout);
}

static void wait_for(struct connecting *connecting, bool reading, bool writing)
{
    if (!transport_wait(connecting->transport, connecting->connector->loop, reading, writing))
        fail_step(connecting, strerror(errno));
}

/* ---- the upgrade -------------------------------------------------------------------------------
 */

static void dial(struct connecting *connecting);

/* Consumes the answer's head; after that `connecting` may be gone. */
static void follow_redirect(struct connecting *connecting, const struct upgrade_response *response)
{
    struct connector *connector = connecting->connector;
    struct error error;
    struct url next;
    char *path;

    if (connecting->redirected.path != NULL) {
        error_set(&error, STATUS_DENIED, "08004", "%s redirects more than once",
                  connecting->target->display);
        error_hint(&error, "Give the address where the redirects end with --service.");
        fail(connecting, STATUS_DENIED, &error);
        return;
    }
    if (upgrade_follow(response, &connecting->target->url, &next, &path, &error) != STATUS_OK) {
        fail(connecting, STATUS_DENIED, &error);
        return;
    }
    target_set(&connecting->redirected, &next, path, connector->authorization);
    url_clear(&next);
    connecting->target = &connecting->redirected;
    if (!connector->redirect_told) {
        log_warn(NULL, "%s redirects to %s%s; giving that with --service saves a round trip",
                 connector->target.display, connecting->target->display, connecting->target->path);
        connector->redirect_told = true;
    }
    transport_close(connecting->transport, connector->loop);
    buffer_clear(&connecting->in);
    dial(connecting);
}

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void on_answer(struct connecting *connecting, const struct upgrade_response *response)
{
    const char *display = connecting->target->display;
    struct error error;
    enum status status;

    if (response->upgraded) {
        connecting->done(connecting->owner, STATUS_OK, response->body, NULL);
        connecting_free(connecting);
        return;
    }
    if (is_redirect(response->status)) {
        follow_redirect(connecting, response);
        return;
    }
    if (response->status == 101) {
        status = error_set(&error, STATUS_INVALID, "08004", "%s agreed to the upgrade, but %s",
                           display, response->fault);
        error_hint(&error, "This does not look like the service; check --service.");
    } else {
        status = upgrade_describe(response, display, connecting->connector->authorization != NULL,
                                  &error);
    }
    fail(connecting, status, &error);
}

static void on_bad_answer(struct connecting *connecting, const struct error *reason)
{
    struct error error;

    error_set(&error, STATUS_INVALID, "08004",
              "%s gave no usable answer to the upgrade request: %s", connecting->target->display,
              reason->message);
    error_hint(&error, "Check --service: its host, its port, and http:// or https://.");
    fail(connecting, STATUS_INVALID, &error);
}

/* Looks at what has been read; true when more is needed. */
static bool wants_more(struct connecting *connecting)
{
    struct upgrade_response response;
    struct error error;
    enum status status =
        upgrade_read_response(buffer_peek(&connecting->in), &connecting->key, &response, &error);

    if (status == STATUS_MORE)
        return true;
    if (status == STATUS_OK)
        on_answer(connecting, &response);
    else
        on_bad_answer(connecting, &error);
    return false;
}

static void read_answer(struct connecting *connecting)
{
    for (;;) {
        struct error error;
        size_t room;
        size_t count;
        bool drained;
        uint8_t *into = buffer_reserve(&connecting->in, READ_SIZE, &room);
        enum status status =
            transport_read(connecting->transport, into, room, &count, &drained, &error);

        if (status == STATUS_MORE) {
            wait_for(connecting, true, false);
            return;
        }
        if (status != STATUS_OK) {
            fail_step(connecting, status == STATUS_CLOSED
                                      ? "it closed the connection without an answer"
                                      : error.message);
            return;
        }
        buffer_commit(&connecting->in, count);
        if (!wants_more(connecting))
            return;
        if (drained) {
            wait_for(connecting, true, false);
            return;
        }
    }
}

static void send_request(struct connecting *connecting)
{
    struct error error;
    size_t count;
    enum status status =
        transport_write(connecting->transport, buffer_peek(&connecting->out), &count, &error);

    if (status == STATUS_SYSTEM) {
        fail_step(connecting, error.message);
        return;
    }
    buffer_consume(&connecting->out, count);
    if (buffer_len(&connecting->out) > 0) {
        wait_for(connecting, false, true);
        return;
    }
    enter(connecting, CONNECT_WAITING);
    wait_for(connecting, true, false);
}

static void ask(struct connecting *connecting)
{
    enter(connecting, CONNECT_ASKING);
    buffer_append(&connecting->out, buffer_peek(&connecting->target->request));
    upgrade_key_make(&connecting->key, connecting->connector->keys);
    upgrade_write_key(&connecting->out, &connecting->key);
    send_request(connecting);
}

/* ---- TLS ---------------------------------------------------------------------------------------
 */

static void shake_hands(struct connecting *connecting)
{
    struct transport *transport = connecting->transport;
    struct error error;
    int saved;
    int result;
    int reason;

    ERR_clear_error();
    errno = 0;
    result = SSL_connect(transport->ssl);
    saved = errno;
    if (result == 1) {
        ask(connecting);
        return;
    }
    reason = SSL_get_error(transport->ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        wait_for(connecting, reason == SSL_ERROR_WANT_READ, reason == SSL_ERROR_WANT_WRITE);
        return;
    }
    tls_describe_failure(transport->ssl, reason, saved, connecting->target->url.host, &error);
    fail(connecting, STATUS_UNAVAILABLE, &error);
}

static void secure(struct connecting *connecting)
{
    struct connector *connector = connecting->connector;
    struct error error;

    if (!prepare_tls(connector, &error)) {
        fail(connecting, STATUS_USAGE, &error);
        return;
    }
    enter(connecting, CONNECT_SECURING);
    transport_start_tls(connecting->transport,
                        tls_connection(connector->tls, connecting->target->url.host));
    shake_hands(connecting);
}

/* ---- the path ----------------------------------------------------------------------------------
 */

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct connecting *connecting = watch->owner;

    (void)events;
    switch (connecting->state) {
    case CONNECT_DIALLING:
        break; /* libcurl's socket, not ours yet */
    case CONNECT_SECURING:
        shake_hands(connecting);
        break;
    case CONNECT_ASKING:
        send_request(connecting);
        break;
    case CONNECT_WAITING:
        read_answer(connecting);
        break;
    }
}

static void on_dialled(void *owner, enum status status, const struct error *error)
{
    struct connecting *connecting = owner;

    connecting->dial = NULL;
    if (status != STATUS_OK) {
        fail(connecting, status, error);
        return;
    }
    connecting->transport->watch.on_ready = on_ready;
    connecting->transport->watch.owner = connecting;
    if (connecting->target->url.secure)
        secure(connecting);
    else
        ask(connecting);
}

static void dial(struct connecting *connecting)
{
    enter(connecting, CONNECT_DIALLING);
    connecting->dial = dial_open(connecting->connector->dialer, &connecting->target->url,
                                 connecting->transport, on_dialled, connecting);
}

struct connecting *connect_open(struct connector *connector, struct transport *transport,
                                connect_done *done, void *owner)
{
    struct connecting *connecting = mem_new(sizeof *connecting);

    connecting->connector = connector;
    connecting->target = &connector->target;
    connecting->transport = transport;
    connecting->done = done;
    connecting->owner = owner;
    connecting->deadline = (struct loop_timer){.on_time = on_deadline, .owner = connecting};
    buffer_init(&connecting->out, REQUEST_MAX + 256);
    buffer_init(&connecting->in, UPGRADE_HEAD_MAX);
    dial(connecting);
    return connecting;
}
