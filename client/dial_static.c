/* Dialling without libcurl, for the static client: straight to the service, or through an http://
 * proxy by CONNECT (RFC 9110, section 9.3.6), with Basic credentials. */
#include "client/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "client/http_message.h"
#include "client/resolve.h"
#include "common/memory.h"

struct dialer {
    struct loop *loop;
    long timeout;
    const struct hop_observer *observer;
};

struct dial {
    struct dialer *dialer;
    const struct url *url;
    struct url proxy; /* host NULL: none */
    const char *proxy_variable;
    struct transport *transport;
    dial_done *done;
    void *owner;
    struct resolution *resolution;
    struct addrinfo *list;
    struct addrinfo *next; /* address to try */
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_task task; /* what fails at once is told later */
    struct error failure;
    enum hop hop;   /* being passed */
    int64_t hop_at; /* since when; hop_now() */
    char *request;  /* CONNECT; secret */
    size_t request_len;
    size_t request_sent;
    char head[HTTP_HEAD_MAX + 1];
    size_t head_len;
};

struct dialer *dialer_new(struct loop *loop, long timeout, const char *ca_file,
                          const struct hop_observer *observer)
{
    struct dialer *dialer = mem_new(sizeof *dialer);

    (void)ca_file; /* of https:// proxies, which this dialer does not know */
    *dialer = (struct dialer){.loop = loop, .timeout = timeout, .observer = observer};
    return dialer;
}

void dialer_free(struct dialer *dialer)
{
    free(dialer);
}

/* ---- which proxy -------------------------------------------------------------------------------
 */

static const char *find_variable(const char *const *names, const char **value)
{
    for (; *names != NULL; names++) {
        *value = getenv(*names);
        if (*value != NULL && **value != '\0')
            return *names;
    }
    *value = NULL;
    return NULL;
}

/* Whether `host` is `entry` or in its domain; a leading dot says nothing. */
static bool is_within(const char *host, const char *entry, size_t len)
{
    size_t host_len = strlen(host);

    if (len > 0 && entry[0] == '.') {
        entry++;
        len--;
    }
    if (len == 0 || len > host_len)
        return false;
    return strncasecmp(host + host_len - len, entry, len) == 0 &&
           (len == host_len || host[host_len - len - 1] == '.');
}

static bool is_exempt(const char *host)
{
    static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};
    const char *list;

    if (find_variable(names, &list) == NULL)
        return false;
    if (strcmp(list, "*") == 0)
        return true;
    while (*list != '\0') {
        size_t len = strcspn(list, ", ");
        if (is_within(host, list, len))
            return true;
        list += len + strspn(list + len, ", ");
    }
    return false;
}

static enum status choose_proxy(struct dial *dial, struct error *error)
{
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL};
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    const char *value;

    dial->proxy_variable = find_variable(dial->url->secure ? for_https : for_http, &value);
    if (dial->proxy_variable == NULL || is_exempt(dial->url->host))
        return STATUS_OK;
    if ((strstr(value, "://") != NULL && strncasecmp(value, "http://", 7) != 0) ||
        url_parse(value, &dial->proxy, error) != STATUS_OK) {
        url_clear(&dial->proxy);
        error_set(error, STATUS_UNAVAILABLE, "08001",
                  "%s names a proxy that this build of electric-tunnel does not know",
                  dial->proxy_variable);
        error_hint(error, "The static build speaks to http:// proxies only; the usual one knows "
                          "https:// and socks5h://, too.");
        return STATUS_UNAVAILABLE;
    }
    return STATUS_OK;
}

static const struct url *first_stop(const struct dial *dial)
{
    return dial->proxy.host != NULL ? &dial->proxy : dial->url;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void dial_free(struct dial *dial)
{
    struct loop *loop = dial->dialer->loop;

    if (dial->resolution != NULL)
        resolve_cancel(dial->resolution);
    if (dial->list != NULL)
        freeaddrinfo(dial->list);
    loop_watch_close(loop, &dial->watch);
    loop_timer_stop(loop, &dial->timer);
    loop_task_cancel(loop, &dial->task);
    mem_free_secret(dial->request, dial->request_len);
    url_clear(&dial->proxy);
    free(dial);
}

void dial_cancel(struct dial *dial)
{
    dial_free(dial);
}

static void on_task(struct loop_task *task)
{
    struct dial *dial = task->owner;
    struct error failure = dial->failure;
    dial_done *done = dial->done;
    void *owner = dial->owner;

    dial_free(dial);
    done(owner, failure.status, &failure);
}

static void begin_hop(struct dial *dial, enum hop hop)
{
    dial->hop = hop;
    dial->hop_at = hop_now();
}

/* `error` NULL: it is passed. */
static void end_hop(const struct dial *dial, const struct error *error)
{
    hop_tell(dial->dialer->observer, dial->hop, hop_now() - dial->hop_at, "", error);
}

/* `dial->failure` says why. */
static void fail(struct dial *dial)
{
    end_hop(dial, &dial->failure);
    loop_timer_stop(dial->dialer->loop, &dial->timer);
    loop_watch_close(dial->dialer->loop, &dial->watch);
    loop_defer(dial->dialer->loop, &dial->task);
}

static void fail_to_connect(struct dial *dial, const char *reason)
{
    const struct url *stop = first_stop(dial);
    bool is_proxy = stop == &dial->proxy;

    error_set(&dial->failure, STATUS_UNAVAILABLE, "08001", "could not connect to %s\"%s:%u\": %s",
              is_proxy ? "the proxy " : "", stop->host, (unsigned)stop->port, reason);
    if (is_proxy)
        error_hint(&dial->failure, "Check %s, or name the service's host in no_proxy.",
                   dial->proxy_variable);
    else
        error_hint(&dial->failure, "Check that the service runs and --service is right; behind a "
                                   "corporate proxy set https_proxy.");
    fail(dial);
}

static void succeed(struct dial *dial)
{
    struct error none = {.message = ""};
    dial_done *done = dial->done;
    void *owner = dial->owner;

    end_hop(dial, NULL);
    loop_watch_set(dial->dialer->loop, &dial->watch, 0);
    dial->transport->watch.fd = dial->watch.fd;
    dial->watch.fd = -1;
    dial_free(dial);
    done(owner, STATUS_OK, &none);
}

static void on_time(struct loop_timer *timer)
{
    struct dial *dial = timer->owner;
    char reason[64];

    snprintf(reason, sizeof reason, "no answer within %g s", (double)dial->dialer->timeout / 1000);
    fail_to_connect(dial, reason);
}

/* ---- CONNECT -----------------------------------------------------------------------------------
 */

/* "Proxy-Authorization: Basic …\r\n"; owned by the caller, secret. */
static char *authorization(const struct url *proxy)
{
    char *plain, *header;
    unsigned char *encoded;
    size_t len;

    if (proxy->user == NULL)
        return mem_copy_string("");
    plain = mem_format("%s:%s", proxy->user, proxy->password == NULL ? "" : proxy->password);
    len = strlen(plain);
    encoded = mem_new(4 * ((len + 2) / 3) + 1);
    EVP_EncodeBlock(encoded, (const unsigned char *)plain, (int)len);
    header = mem_format("Proxy-Authorization: Basic %s\r\n", (const char *)encoded);
    mem_free_secret(plain, len);
    mem_free_secret((char *)encoded, 4 * ((len + 2) / 3));
    return header;
}

static void make_request(struct dial *dial)
{
    bool is_ipv6 = strchr(dial->url->host, ':') != NULL;
    char *target =
        mem_format(is_ipv6 ? "[%s]:%u" : "%s:%u", dial->url->host, (unsigned)dial->url->port);
    char *credentials = authorization(&dial->proxy);

    dial->request =
        mem_format("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, target, credentials);
    dial->request_len = strlen(dial->request);
    mem_free_secret(credentials, strlen(credentials));
    free(target);
}

static void refused(struct dial *dial, unsigned status)
{
    if (status == 407) {
        error_set(&dial->failure, STATUS_DENIED, "08001",
                  "the proxy \"%s:%u\" wants %scredentials (407)", dial->proxy.host,
                  (unsigned)dial->proxy.port, dial->proxy.user != NULL ? "other " : "");
        error_hint(&dial->failure,
                   "Put user:password@ in front of the host in %s; the static build of "
                   "electric-tunnel knows Basic only.",
                   dial->proxy_variable);
    } else {
        error_set(&dial->failure, STATUS_UNAVAILABLE, "08001",
                  "the proxy \"%s:%u\" refused to connect to \"%s:%u\" (%u)", dial->proxy.host,
                  (unsigned)dial->proxy.port, dial->url->host, (unsigned)dial->url->port, status);
        error_hint(&dial->failure,
                   dial->url->secure ? "Ask whoever runs the proxy to allow that host, or name it "
                                       "in no_proxy."
                                     : "Proxies usually allow CONNECT to port 443 only: use the "
                                       "service's https:// address, or name its host in no_proxy.");
    }
    fail(dial);
}

/* The head is whole. What a proxy says behind it belongs to the service, which speaks only when
 * spoken to: so there is nothing. */
static void judge_answer(struct dial *dial)
{
    struct bytes head = bytes_of(dial->head, dial->head_len);
    struct bytes line;
    unsigned minor, status;

    if (!http_take_line(&head, &line) || !http_read_status_line(line, &minor, &status))
        fail_to_connect(dial, "what answers there is no HTTP proxy");
    else if (status / 100 != 2)
        refused(dial, status);
    else
        succeed(dial);
}

static void read_answer(struct dial *dial)
{
    ssize_t count =
        read(dial->watch.fd, dial->head + dial->head_len, HTTP_HEAD_MAX - dial->head_len);

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        fail_to_connect(dial, count == 0 ? "it closed the connection" : transport_reason(errno));
        return;
    }
    dial->head_len += (size_t)count;
    dial->head[dial->head_len] = '\0';
    if (strstr(dial->head, "\r\n\r\n") != NULL)
        judge_answer(dial);
    else if (dial->head_len == HTTP_HEAD_MAX)
        fail_to_connect(dial, "its answer is too long");
}

static void write_request(struct dial *dial)
{
    ssize_t count = send(dial->watch.fd, dial->request + dial->request_sent,
                         dial->request_len - dial->request_sent, MSG_NOSIGNAL);

    if (count < 0 && errno != EAGAIN && errno != EINTR) {
        fail_to_connect(dial, transport_reason(errno));
        return;
    }
    dial->request_sent += count < 0 ? 0 : (size_t)count;
    if (dial->request_sent == dial->request_len)
        loop_watch_set(dial->dialer->loop, &dial->watch, LOOP_READ);
}

/* ---- the socket --------------------------------------------------------------------------------
 */

static void try_next(struct dial *dial, int error_number);

static void on_connected(struct dial *dial)
{
    if (dial->proxy.host == NULL) {
        succeed(dial);
        return;
    }
    end_hop(dial, NULL);
    begin_hop(dial, HOP_PROXY);
    make_request(dial);
    write_request(dial);
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct dial *dial = watch->owner;
    int error_number = 0;
    socklen_t size = sizeof error_number;

    (void)events;
    if (dial->request != NULL) {
        if (dial->request_sent < dial->request_len)
            write_request(dial);
        else
            read_answer(dial);
        return;
    }
    getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error_number, &size);
    if (error_number != 0)
        try_next(dial, error_number);
    else
        on_connected(dial);
}

/* One address after the other; `error_number` is why the one before is out. */
static void try_next(struct dial *dial, int error_number)
{
    struct loop *loop = dial->dialer->loop;

    loop_watch_close(loop, &dial->watch);
    for (; dial->next != NULL; dial->next = dial->next->ai_next) {
        const struct addrinfo *address = dial->next;

        dial->watch.fd = loop_socket(address->ai_family, SOCK_STREAM, 0);
        if (dial->watch.fd >= 0 &&
            (connect(dial->watch.fd, address->ai_addr, address->ai_addrlen) == 0 ||
             errno == EINPROGRESS)) {
            dial->next = address->ai_next;
            loop_watch_set(loop, &dial->watch, LOOP_WRITE);
            return;
        }
        error_number = errno;
        loop_watch_close(loop, &dial->watch);
    }
    fail_to_connect(dial, transport_reason(error_number));
}

static void on_resolved(void *owner, struct addrinfo *list, const char *reason)
{
    struct dial *dial = owner;

    dial->resolution = NULL;
    if (list == NULL) {
        error_set(&dial->failure, STATUS_UNAVAILABLE, "08001", "could not resolve \"%s\": %s",
                  first_stop(dial)->host, reason);
        error_hint(&dial->failure, "Check --service, the proxy variables and this machine's name "
                                   "resolution.");
        fail(dial);
        return;
    }
    end_hop(dial, NULL);
    begin_hop(dial, HOP_TCP);
    dial->list = list;
    dial->next = list;
    try_next(dial, EHOSTUNREACH);
}

struct dial *dial_open(struct dialer *dialer, const struct url *url, struct transport *transport,
                       dial_done *done, void *owner)
{
    struct dial *dial = mem_new(sizeof *dial);

    dial->dialer = dialer;
    dial->url = url;
    dial->transport = transport;
    dial->done = done;
    dial->owner = owner;
    dial->watch = (struct loop_watch){.fd = -1, .on_ready = on_ready, .owner = dial};
    dial->timer = (struct loop_timer){.on_time = on_time, .owner = dial};
    dial->task = (struct loop_task){.run = on_task, .owner = dial};
    loop_timer_set(dialer->loop, &dial->timer, dialer->timeout);
    begin_hop(dial, HOP_NAME);
    if (choose_proxy(dial, &dial->failure) != STATUS_OK) {
        fail(dial);
        return dial;
    }
    dial->resolution = resolve_open(dialer->loop, first_stop(dial)->host, first_stop(dial)->port,
                                    on_resolved, dial);
    if (dial->resolution == NULL)
        fail_to_connect(dial, "the system has no resources for it");
    return dial;
}
