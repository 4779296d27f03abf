/* Opening a WebSocket to the service, step by step. */
#include "client/connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

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

/* How long a service that does not take the offer of the subprotocol gets none. */
#define RETRACTED_FOR 600000

/* Somewhere to ask for an upgrade. */
struct target {
    struct url url;
    char *path;
    char *display;
};

struct connector {
    struct loop *loop;
    struct connect_settings settings;
    struct frame_keys *keys;
    struct dialer *dialer;
    struct tls *tls; /* made when first needed: reading the system's authorities takes a while */
    struct target target;
    struct target moved;     /* where redirects have led; zero when they have not */
    int64_t retracted_until; /* the service does not take the offer */
    bool agreed_once;        /* it has taken it in this run */
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
    struct connect_request request;
    const struct target *target; /* the connector's, or one of these */
    struct target resource;      /* zero unless a path was given */
    struct target redirected;    /* zero unless there was a redirect */
    struct transport *transport;
    enum connect_state state;
    bool retracted; /* asked again without the offer */
    struct dial *dial;
    struct loop_timer deadline;
    int64_t hop_began_at; /* hop_now() */
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
    memset(target, 0, sizeof *target);
}

/* `path` is taken; of `url` a copy is made without its credentials. */
static void target_set(struct target *target, const struct url *url, char *path)
{
    target->url = (struct url){.secure = url->secure,
                               .host = mem_copy_string(url->host),
                               .port = url->port,
                               .path = mem_copy_string(url->path)};
    target->path = path;
    target->display = url_display(url);
}

static char *service_path(const struct url *url, const char *path)
{
    size_t len = strlen(url->path);

    if (len > 0 && url->path[len - 1] == '/')
        len--;
    return mem_format("%.*s%s", (int)len, url->path, path);
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

/* What can grow without bound; the rest of a request fits beside it. */
static bool is_too_long(const struct connector *connector)
{
    size_t len = strlen(connector->target.path) + strlen(connector->target.url.host);

    return len + strlen(connector->settings.credentials) > REQUEST_MAX;
}

struct connector *connector_new(struct loop *loop, const struct connect_settings *settings,
                                struct frame_keys *keys, struct error *error)
{
    struct connector *connector = mem_new(sizeof *connector);

    connector->loop = loop;
    connector->settings = *settings;
    connector->keys = keys;
    target_set(&connector->target, settings->service, service_path(settings->service, TUNNEL_PATH));
    if (is_too_long(connector)) {
        error_set(error, STATUS_USAGE, "22023",
                  "the token, the headers or the service's URL are too long");
        goto fail;
    }
    if (settings->service->secure && !prepare_tls(connector, error))
        goto fail;
    connector->dialer =
        dialer_new(loop, (long)settings->timeout, settings->ca_file, settings->observer);
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
    target_clear(&connector->moved);
    free(connector);
}

static const struct target *origin_of(const struct connector *connector)
{
    return connector->moved.path != NULL ? &connector->moved : &connector->target;
}

struct connect_origin connector_origin(const struct connector *connector)
{
    const struct target *origin = origin_of(connector);

    return (struct connect_origin){.url = &origin->url,
                                   .path = origin->path,
                                   .credentials = connector->settings.credentials,
                                   .display = origin->display};
}

const char *connector_display(const struct connector *connector)
{
    return connector->target.display;
}

/* ---- one connection ----------------------------------------------------------------------------
 */

/* It holds the credentials. */
static void forget_request(struct connecting *connecting)
{
    if (connecting->out.data != NULL)
        OPENSSL_cleanse(connecting->out.data, connecting->out.allocated);
    buffer_clear(&connecting->out);
}

static void connecting_free(struct connecting *connecting)
{
    if (connecting->dial != NULL)
        dial_cancel(connecting->dial);
    loop_timer_stop(connecting->connector->loop, &connecting->deadline);
    if (connecting->redirected.path != NULL)
        target_clear(&connecting->redirected);
    if (connecting->resource.path != NULL)
        target_clear(&connecting->resource);
    forget_request(connecting);
    buffer_clear(&connecting->in);
    free(connecting);
}

void connect_cancel(struct connecting *connecting)
{
    transport_close(connecting->transport, connecting->connector->loop);
    connecting_free(connecting);
}

/* ---- the hops ----------------------------------------------------------------------------------
 */

static enum hop hop_of(const struct connecting *connecting)
{
    switch (connecting->state) {
    case CONNECT_DIALLING:
        return HOP_TCP;
    case CONNECT_SECURING:
        return HOP_TLS;
    case CONNECT_ASKING:
    case CONNECT_WAITING:
        break;
    }
    return HOP_UPGRADE;
}

static void tell_hop(const struct connecting *connecting, const char *detail,
                     const struct error *error)
{
    hop_tell(connecting->connector->settings.observer, hop_of(connecting),
             hop_now() - connecting->hop_began_at, detail, error);
}

static void tell_tls(const struct connecting *connecting)
{
    char detail[240];

    if (connecting->connector->settings.observer == NULL)
        return;
    tls_describe(connecting->transport->ssl, detail, sizeof detail);
    tell_hop(connecting, detail, NULL);
}

/* What answered the upgrade request; `error` NULL: it was granted, or asks to go elsewhere. */
static void tell_upgrade(const struct connecting *connecting,
                         const struct upgrade_response *response, const struct error *error)
{
    char detail[400];

    if (connecting->connector->settings.observer == NULL)
        return;
    upgrade_summarise(response, detail, sizeof detail);
    tell_hop(connecting, detail, error);
}

static void finish(struct connecting *connecting, const struct connect_result *result)
{
    if (result->status != STATUS_OK)
        transport_close(connecting->transport, connecting->connector->loop);
    connecting->done(connecting->owner, result);
    connecting_free(connecting);
}

static void fail(struct connecting *connecting, enum status status, const struct error *error)
{
    tell_hop(connecting, "", error);
    finish(connecting, &(struct connect_result){.status = status, .error = error});
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
    tell_hop(connecting, "", &error);
    finish(connecting,
           &(struct connect_result){.status = STATUS_UNAVAILABLE, .error = &error, .cut = true});
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
    if (state != CONNECT_WAITING)
        connecting->hop_began_at = hop_now();
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

static void dial_again(struct connecting *connecting)
{
    transport_close(connecting->transport, connecting->connector->loop);
    forget_request(connecting);
    buffer_clear(&connecting->in);
    dial(connecting);
}

/* ---- the offer of the subprotocol --------------------------------------------------------------
 */

static bool is_offered(const struct connecting *connecting)
{
    return connecting->request.offer && !connecting->retracted;
}

static bool may_retract(const struct connecting *connecting)
{
    /* One that has taken it has other reasons, or something on the way has. */
    return is_offered(connecting) && connecting->request.may_retract &&
           !connecting->connector->agreed_once;
}

/* The service, or something in front of it, may have stumbled over the offer: asks once more. */
static void retract(struct connecting *connecting)
{
    connecting->retracted = true;
    log_debug(NULL, "asking %s again without the offer of %s", connecting->target->display,
              CONNECT_SUBPROTOCOL);
    dial_again(connecting);
}

/* The connection ended while an answer was awaited. */
static bool retract_unanswered(struct connecting *connecting)
{
    bool asked = connecting->state == CONNECT_ASKING || connecting->state == CONNECT_WAITING;

    if (!asked || buffer_len(&connecting->in) > 0 || !may_retract(connecting))
        return false;
    retract(connecting);
    return true;
}

static void note_success(struct connecting *connecting, bool agreed)
{
    struct connector *connector = connecting->connector;

    if (agreed)
        connector->agreed_once = true;
    if (connecting->retracted && connecting->request.offer)
        connector->retracted_until = loop_now(connector->loop) + RETRACTED_FOR;
}

/* ---- the answer --------------------------------------------------------------------------------
 */

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
    tell_upgrade(connecting, response, NULL);
    target_set(&connecting->redirected, &next, path);
    url_clear(&next);
    connecting->target = &connecting->redirected;
    if (!connector->redirect_told) {
        log_warn(NULL, "%s redirects to %s%s; giving that with --service saves a round trip",
                 connector->target.display, connecting->target->display, connecting->target->path);
        connector->redirect_told = true;
    }
    dial_again(connecting);
}

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void note_cookies(struct connecting *connecting, const struct upgrade_response *response)
{
    if (connecting->request.cookies == NULL)
        return;
    for (size_t i = 0; i < response->cookie_count; i++)
        cookies_set(connecting->request.cookies, response->cookies[i]);
}

/* RFC 6455 section 4.1: a subprotocol that was not offered fails the connection. */
static bool is_agreement(const struct connecting *connecting,
                         const struct upgrade_response *response)
{
    return !is_offered(connecting) || response->subprotocol.len == 0 ||
           bytes_equal_string(response->subprotocol, CONNECT_SUBPROTOCOL);
}

static void succeed(struct connecting *connecting, const struct upgrade_response *response)
{
    struct connect_result result = {
        .status = STATUS_OK,
        .agreed = is_offered(connecting) && response->subprotocol.len > 0,
        .rest = response->body,
        .http_status = response->status,
    };

    note_success(connecting, result.agreed);
    tell_upgrade(connecting, response, NULL);
    finish(connecting, &result);
}

/* A service that says itself why it refuses is reached; that there is no upgrade, though, it says
 * when something on the way has taken the request for one off. */
static bool may_be_blocked(const struct upgrade_response *response)
{
    if (response->is_ours)
        return response->status == 400 || response->status == 426;
    return response->status != 101 && response->status != 401 && response->status != 407;
}

/* A proxy answers so what the network has cut short. A service that has taken such a request before
 * takes a whole one. */
static bool may_be_cut(const struct connecting *connecting, const struct upgrade_response *response)
{
    return response->status == 400 && !response->is_ours && is_offered(connecting) &&
           connecting->connector->agreed_once;
}

/* Once: requests under way rely on it. */
static void note_moved(const struct connecting *connecting)
{
    struct target *moved = &connecting->connector->moved;
    const char *path = connecting->redirected.path;

    if (path == NULL || moved->path != NULL)
        return;
    /* Its query is about this session. */
    target_set(moved, &connecting->redirected.url, mem_copy_chars(path, strcspn(path, "?")));
}

static void on_answer(struct connecting *connecting, const struct upgrade_response *response)
{
    const char *display = connecting->target->display;
    struct error error;
    enum status status;
    bool cut = may_be_cut(connecting, response);

    note_cookies(connecting, response);
    if (response->upgraded && is_agreement(connecting, response)) {
        succeed(connecting, response);
        return;
    }
    if (is_redirect(response->status)) {
        follow_redirect(connecting, response);
        return;
    }
    if (connecting->request.path != NULL) {
        finish(connecting, &(struct connect_result){.status = STATUS_OK,
                                                    .rest = response->body,
                                                    .http_status = response->status});
        return;
    }
    /* Who knows the HTTP carrier knows the subprotocol. */
    if ((response->status == 400 || response->status == 426) && !response->is_ours &&
        may_retract(connecting)) {
        tell_upgrade(connecting, response, NULL);
        retract(connecting);
        return;
    }
    if (response->status == 101) {
        status = error_set(
            &error, STATUS_INVALID, "08004", "%s agreed to the upgrade, but %s", display,
            response->fault != NULL ? response->fault : "chose a subprotocol that was not offered");
        error_hint(&error, "This does not look like the service; check --service.");
    } else {
        status = upgrade_describe(response, display,
                                  connecting->connector->settings.credentials[0] != '\0', &error);
    }
    tell_upgrade(connecting, response, &error);
    note_moved(connecting);
    finish(connecting, &(struct connect_result){.status = status,
                                                .error = &error,
                                                .http_status = response->status,
                                                .cut = cut,
                                                .blocked = !cut && may_be_blocked(response)});
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

/* Only of what was asked for by its path. */
static bool lacks_body(const struct connecting *connecting, const struct upgrade_response *response)
{
    return connecting->request.path != NULL && response->status == 200 &&
           !connecting->request.is_whole(response->body) && buffer_room(&connecting->in) > 0;
}

/* Looks at what has been read; true when more is needed. */
static bool wants_more(struct connecting *connecting)
{
    struct upgrade_response response;
    struct error error;
    enum status status =
        upgrade_read_response(buffer_peek(&connecting->in), &connecting->key, &response, &error);

    if (status == STATUS_MORE || (status == STATUS_OK && lacks_body(connecting, &response)))
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
            if (!retract_unanswered(connecting))
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
        if (!retract_unanswered(connecting))
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
    bool offered = is_offered(connecting);
    struct upgrade_target what = {
        .service = &connecting->target->url,
        .path = connecting->target->path,
        .session = offered ? connecting->request.session : NULL,
        .credentials = connecting->connector->settings.credentials,
        .subprotocol = offered ? CONNECT_SUBPROTOCOL : NULL,
        .cookies = connecting->request.cookies,
    };

    enter(connecting, CONNECT_ASKING);
    if (connecting->request.path != NULL) {
        upgrade_write_get(&connecting->out, &what);
    } else {
        upgrade_key_make(&connecting->key, connecting->connector->keys);
        upgrade_write_request(&connecting->out, &what, &connecting->key);
    }
    send_request(connecting);
}

/* ---- TLS ---------------------------------------------------------------------------------------
 */

static void use(struct connecting *connecting)
{
    if (connecting->request.plain)
        finish(connecting, &(struct connect_result){.status = STATUS_OK});
    else
        ask(connecting);
}

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
        tell_tls(connecting);
        use(connecting);
        return;
    }
    reason = SSL_get_error(transport->ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        wait_for(connecting, reason == SSL_ERROR_WANT_READ, reason == SSL_ERROR_WANT_WRITE);
        return;
    }
    tls_describe_failure(transport->ssl, reason, saved, connecting->target->url.host, &error);
    tell_hop(connecting, "", &error);
    /* An alert is an answer, and so is a certificate that will not do. */
    finish(connecting, &(struct connect_result){.status = STATUS_UNAVAILABLE,
                                                .error = &error,
                                                .cut = reason != SSL_ERROR_SSL});
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
        finish(connecting, &(struct connect_result){.status = status, .error = error});
        return;
    }
    connecting->transport->watch.on_ready = on_ready;
    connecting->transport->watch.owner = connecting;
    if (connecting->target->url.secure)
        secure(connecting);
    else
        use(connecting);
}

static void dial(struct connecting *connecting)
{
    enter(connecting, CONNECT_DIALLING);
    connecting->dial = dial_open(connecting->connector->dialer, &connecting->target->url,
                                 connecting->transport, on_dialled, connecting);
}

struct connecting *connect_open(struct connector *connector, const struct connect_request *request,
                                struct transport *transport, connect_done *done, void *owner)
{
    struct connecting *connecting = mem_new(sizeof *connecting);

    connecting->connector = connector;
    connecting->request = *request;
    if (request->may_retract && loop_now(connector->loop) < connector->retracted_until)
        connecting->request.offer = false;
    connecting->target = request->plain ? origin_of(connector) : &connector->target;
    if (request->path != NULL) {
        target_set(&connecting->resource, connector->settings.service,
                   service_path(connector->settings.service, request->path));
        connecting->target = &connecting->resource;
    }
    connecting->transport = transport;
    connecting->done = done;
    connecting->owner = owner;
    connecting->deadline = (struct loop_timer){.on_time = on_deadline, .owner = connecting};
    buffer_init(&connecting->out, REQUEST_MAX + COOKIES_SIZE + 4096);
    buffer_init(&connecting->in, HTTP_HEAD_MAX);
    dial(connecting);
    return connecting;
}
