/* Dialling with libcurl's multi interface on our loop. */
#include "client/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/tls.h"
#include "common/memory.h"

/* Handles kept for the next dials; making one costs more than a connection. */
#define HANDLES_KEPT 16

struct dialer {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer; /* libcurl's next deadline */
    struct loop_task task;   /* what it wants done at once, and results */
    long timeout;
    const char *ca_file;
    const struct hop_observer *observer;
    CURL *kept[HANDLES_KEPT];
    size_t kept_count;
};

struct dial {
    struct dialer *dialer;
    CURL *easy;
    const struct url *url;
    const char *proxy; /* from the environment; "" for none */
    const char *proxy_variable;
    struct transport *transport;
    dial_done *done;
    void *owner;
    bool reached; /* TCP connected, to the service or to its proxy */
    char reason[CURL_ERROR_SIZE];
};

/* ---- libcurl on the loop -----------------------------------------------------------------------
 */

static void finish(struct dial *dial, CURLcode code);

static void handle_results(struct dialer *dialer)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(dialer->multi, &left)) != NULL) {
        struct dial *dial = NULL;
        CURLcode code = message->data.result;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &dial);
        finish(dial, code);
    }
}

static void act(struct dialer *dialer, curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(dialer->multi, fd, events, &running);
    handle_results(dialer);
}

static void on_time(struct loop_timer *timer)
{
    act(timer->owner, CURL_SOCKET_TIMEOUT, 0);
}

static void on_task(struct loop_task *task)
{
    act(task->owner, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket_ready(struct loop_watch *watch, unsigned events)
{
    int curl_events = 0;

    if ((events & LOOP_READ) != 0)
        curl_events |= CURL_CSELECT_IN;
    if ((events & LOOP_WRITE) != 0)
        curl_events |= CURL_CSELECT_OUT;
    if ((events & LOOP_ERROR) != 0)
        curl_events |= CURL_CSELECT_ERR;
    act(watch->owner, watch->fd, curl_events);
}

/* Something is to be read only from a socket that is connected. */
static void note_reached(CURL *easy, int what)
{
    struct dial *dial = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &dial);
    if (dial != NULL && what == CURL_POLL_IN)
        dial->reached = true;
}

/* libcurl says what it waits for on a socket; its watch is attached to the socket. */
static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *owner, void *attached)
{
    struct dialer *dialer = owner;
    struct loop_watch *watch = attached;
    unsigned interest = 0;

    note_reached(easy, what);
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            loop_watch_set(dialer->loop, watch, 0);
        free(watch);
        return 0;
    }
    if (watch == NULL) {
        watch = mem_new(sizeof *watch);
        *watch = (struct loop_watch){.fd = fd, .on_ready = on_socket_ready, .owner = dialer};
        curl_multi_assign(dialer->multi, fd, watch);
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        interest |= LOOP_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        interest |= LOOP_WRITE;
    loop_watch_set(dialer->loop, watch, interest);
    return 0;
}

static int on_timer_wanted(CURLM *multi, long milliseconds, void *owner)
{
    struct dialer *dialer = owner;

    (void)multi;
    if (milliseconds == 0) {
        loop_defer(dialer->loop, &dialer->task);
        return 0;
    }
    if (milliseconds < 0)
        loop_timer_stop(dialer->loop, &dialer->timer);
    else
        loop_timer_set(dialer->loop, &dialer->timer, milliseconds);
    return 0;
}

struct dialer *dialer_new(struct loop *loop, long timeout, const char *ca_file,
                          const struct hop_observer *observer)
{
    struct dialer *dialer = mem_new(sizeof *dialer);

    dialer->loop = loop;
    dialer->timeout = timeout;
    dialer->ca_file = ca_file;
    dialer->observer = observer;
    dialer->timer = (struct loop_timer){.on_time = on_time, .owner = dialer};
    dialer->task = (struct loop_task){.run = on_task, .owner = dialer};
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK ||
        (dialer->multi = curl_multi_init()) == NULL) {
        free(dialer);
        return NULL;
    }
    curl_multi_setopt(dialer->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(dialer->multi, CURLMOPT_SOCKETDATA, dialer);
    curl_multi_setopt(dialer->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(dialer->multi, CURLMOPT_TIMERDATA, dialer);
    return dialer;
}

void dialer_free(struct dialer *dialer)
{
    if (dialer == NULL)
        return;
    for (size_t i = 0; i < dialer->kept_count; i++)
        curl_easy_cleanup(dialer->kept[i]);
    curl_multi_cleanup(dialer->multi);
    loop_timer_stop(dialer->loop, &dialer->timer);
    loop_task_cancel(dialer->loop, &dialer->task);
    curl_global_cleanup();
    free(dialer);
}

/* ---- proxies -----------------------------------------------------------------------------------
 */

/* The URL we give to libcurl is always http://, since TLS is ours; so the choice by scheme is, too.
 * HTTP_PROXY in capitals is left out, since CGI servers set it from a request's header. */
static const char *choose_proxy(bool secure, const char **variable)
{
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL};
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};

    for (const char *const *name = secure ? for_https : for_http; *name != NULL; name++) {
        const char *value = getenv(*name);

        if (value != NULL && *value != '\0') {
            *variable = *name;
            return value;
        }
    }
    *variable = NULL;
    return "";
}

/* "host:port" of a proxy's URL, without its credentials. */
static void describe_proxy(const char *proxy, char *host, size_t host_size, char *port,
                           size_t port_size)
{
    CURLU *url = curl_url();
    char *text = NULL;

    snprintf(host, host_size, "unknown");
    snprintf(port, port_size, "1080");
    if (curl_url_set(url, CURLUPART_URL, proxy,
                     CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME | CURLU_NO_AUTHORITY) ==
        CURLUE_OK) {
        if (curl_url_get(url, CURLUPART_HOST, &text, 0) == CURLUE_OK)
            snprintf(host, host_size, "%s", text);
        curl_free(text);
        text = NULL;
        if (curl_url_get(url, CURLUPART_PORT, &text, 0) == CURLUE_OK)
            snprintf(port, port_size, "%s", text);
        curl_free(text);
    }
    curl_url_cleanup(url);
}

static bool is_https_proxy(const char *proxy)
{
    return strncasecmp(proxy, "https://", 8) == 0;
}

/* ---- what went wrong ---------------------------------------------------------------------------
 */

struct place {
    char service[280];
    char proxy_host[256];
    char proxy_port[8];
    bool proxy_failed; /* the proxy itself was not reached */
};

static void find_place(const struct dial *dial, struct place *place)
{
    snprintf(place->service, sizeof place->service,
             strchr(dial->url->host, ':') != NULL ? "[%s]:%u" : "%s:%u", dial->url->host,
             (unsigned)dial->url->port);
    place->proxy_failed = false;
    if (dial->proxy[0] == '\0')
        return;
    describe_proxy(dial->proxy, place->proxy_host, sizeof place->proxy_host, place->proxy_port,
                   sizeof place->proxy_port);
    /* libcurl may have gone past the proxy because of no_proxy; only its text tells. */
    place->proxy_failed = strstr(dial->reason, place->proxy_host) != NULL;
}

/* "Basic, Digest": what may be offered in Proxy-Authenticate (RFC 9110 section 11.7). */
static void list_schemes(const struct dial *dial, char *out, size_t size)
{
    static const struct {
        long bit;
        const char *name;
    } schemes[] = {{(long)CURLAUTH_BASIC, "Basic"},
                   {(long)CURLAUTH_DIGEST, "Digest"},
                   {(long)CURLAUTH_NEGOTIATE, "Negotiate"},
                   {(long)CURLAUTH_NTLM, "NTLM"},
                   {(long)CURLAUTH_BEARER, "Bearer"}};
    long offered = 0;
    size_t len = 0;

    out[0] = '\0';
    curl_easy_getinfo(dial->easy, CURLINFO_PROXYAUTH_AVAIL, &offered);
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if ((offered & schemes[i].bit) != 0 && len < size)
            len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "",
                                    schemes[i].name);
}

static enum status describe_proxy_answer(const struct dial *dial, const struct place *place,
                                         long answer, struct error *error)
{
    char schemes[64];

    if (answer == 407) {
        list_schemes(dial, schemes, sizeof schemes);
        error_set(error, STATUS_DENIED, "08001",
                  "the proxy \"%s:%s\" wants %scredentials (407%s%s)", place->proxy_host,
                  place->proxy_port, strchr(dial->proxy, '@') != NULL ? "other " : "",
                  schemes[0] != '\0' ? "; it takes " : "", schemes);
        error_hint(error, "Put user:password@ in front of the host in %s.", dial->proxy_variable);
        return STATUS_DENIED;
    }
    error_set(error, STATUS_UNAVAILABLE, "08001",
              "the proxy \"%s:%s\" refused to connect to \"%s\" (%ld)", place->proxy_host,
              place->proxy_port, place->service, answer);
    if (!dial->url->secure)
        error_hint(error,
                   "Proxies usually allow CONNECT to port 443 only: use the service's https:// "
                   "address, or name its host in no_proxy.");
    else
        error_hint(error, "Ask whoever runs the proxy to allow that host, or name it in no_proxy.");
    return STATUS_UNAVAILABLE;
}

/* libcurl's own words, unless they repeat the proxy's URL, which may hold a password. */
static const char *curl_reason(const struct dial *dial, CURLcode code)
{
    if (dial->proxy[0] != '\0' && strstr(dial->reason, dial->proxy) != NULL)
        return "the proxy's address is malformed or of an unknown kind";
    return dial->reason[0] != '\0' ? dial->reason : curl_easy_strerror(code);
}

static const char *connect_reason(const struct dial *dial, CURLcode code)
{
    long os_error = 0;

    curl_easy_getinfo(dial->easy, CURLINFO_OS_ERRNO, &os_error);
    if (os_error != 0 && os_error != EINPROGRESS)
        return transport_reason((int)os_error);
    return curl_reason(dial, code);
}

static enum status describe_connect(const struct dial *dial, const struct place *place,
                                    const char *reason, struct error *error)
{
    if (place->proxy_failed) {
        error_set(error, STATUS_UNAVAILABLE, "08001",
                  "could not connect to the proxy \"%s:%s\": %s", place->proxy_host,
                  place->proxy_port, reason);
        error_hint(error, "Check %s, or name the service's host in no_proxy.",
                   dial->proxy_variable);
        return STATUS_UNAVAILABLE;
    }
    error_set(error, STATUS_UNAVAILABLE, "08001", "could not connect to \"%s\": %s", place->service,
              reason);
    error_hint(error,
               dial->proxy_variable == NULL
                   ? "Check that the service runs and --service is right; behind a corporate "
                     "proxy set https_proxy."
                   : "Check that the service runs and --service is right.");
    return STATUS_UNAVAILABLE;
}

static enum status describe_proxy_failure(const struct dial *dial, const struct place *place,
                                          const char *reason, struct error *error)
{
    error_set(error, STATUS_UNAVAILABLE, "08001",
              "the proxy \"%s:%s\" does not connect to \"%s\": %s", place->proxy_host,
              place->proxy_port, place->service, reason);
    error_hint(error,
               "Check %s, its kind (http:// or socks5h://) included, or ask whoever runs it.",
               dial->proxy_variable);
    return STATUS_UNAVAILABLE;
}

static enum status describe_failure(const struct dial *dial, CURLcode code, struct error *error)
{
    struct place place = {0};
    char timeout[64];
    long answer = 0;

    find_place(dial, &place);
    curl_easy_getinfo(dial->easy, CURLINFO_HTTP_CONNECTCODE, &answer);
    if (answer != 0 && answer / 100 != 2)
        return describe_proxy_answer(dial, &place, answer, error);
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
        place.proxy_failed = true;
        return describe_connect(dial, &place, "its name cannot be resolved", error);
    case CURLE_COULDNT_RESOLVE_HOST:
        error_set(error, STATUS_UNAVAILABLE, "08001", "could not resolve \"%s\"", dial->url->host);
        error_hint(error, "Check --service and this machine's name resolution; behind a corporate "
                          "proxy set https_proxy.");
        return STATUS_UNAVAILABLE;
    case CURLE_PROXY:
        return describe_proxy_failure(dial, &place, curl_reason(dial, code), error);
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(timeout, sizeof timeout, "no answer within %g s",
                 (double)dial->dialer->timeout / 1000);
        if (dial->reached && dial->proxy[0] != '\0')
            return describe_proxy_failure(dial, &place, timeout, error);
        return describe_connect(dial, &place, timeout, error);
    case CURLE_COULDNT_CONNECT:
        return describe_connect(dial, &place, connect_reason(dial, code), error);
    default:
        return describe_connect(dial, &place, curl_reason(dial, code), error);
    }
}

/* ---- the hops ----------------------------------------------------------------------------------
 */

/* Through which hops it went, and how far: microseconds since its beginning; 0: not known. */
struct passage {
    curl_off_t named;
    curl_off_t connected; /* also through a proxy's answer */
    curl_off_t total;
    bool reached; /* TCP connected */
    bool proxied;
    char address[INET6_ADDRSTRLEN + 1];
    long port;
};

static void find_passage(const struct dial *dial, const struct place *place,
                         struct passage *passage)
{
    char *address = NULL;
    long answer = 0;

    curl_easy_getinfo(dial->easy, CURLINFO_NAMELOOKUP_TIME_T, &passage->named);
    curl_easy_getinfo(dial->easy, CURLINFO_CONNECT_TIME_T, &passage->connected);
    curl_easy_getinfo(dial->easy, CURLINFO_TOTAL_TIME_T, &passage->total);
    curl_easy_getinfo(dial->easy, CURLINFO_PRIMARY_IP, &address);
    curl_easy_getinfo(dial->easy, CURLINFO_PRIMARY_PORT, &passage->port);
    curl_easy_getinfo(dial->easy, CURLINFO_HTTP_CONNECTCODE, &answer);
    snprintf(passage->address, sizeof passage->address, "%s", address == NULL ? "" : address);
    passage->reached = dial->reached || answer != 0;
    /* Whether no_proxy was heeded is for libcurl to know. */
    passage->proxied =
        dial->proxy[0] != '\0' && (answer != 0 || passage->port == 0 || place->proxy_failed ||
                                   (passage->port == strtol(place->proxy_port, NULL, 10) &&
                                    passage->port != (long)dial->url->port));
}

static enum hop failed_hop(CURLcode code, const struct passage *passage)
{
    if (code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_RESOLVE_HOST ||
        (code == CURLE_OPERATION_TIMEDOUT && passage->named == 0))
        return HOP_NAME;
    return passage->reached && passage->proxied ? HOP_PROXY : HOP_TCP;
}

/* Tells of each hop up to the one that failed, if one did. */
static void tell_hops(const struct dial *dial, CURLcode code, const struct error *error)
{
    const struct hop_observer *observer = dial->dialer->observer;
    struct place place = {0};
    struct passage passage;
    char detail[600];
    enum hop last;

    if (observer == NULL)
        return;
    find_place(dial, &place);
    find_passage(dial, &place, &passage);
    last = code == CURLE_OK ? HOP_TLS : failed_hop(code, &passage);
    snprintf(detail, sizeof detail, "%s", passage.proxied ? place.proxy_host : dial->url->host);
    hop_tell(observer, HOP_NAME, last == HOP_NAME ? passage.total : passage.named, detail,
             last == HOP_NAME ? error : NULL);
    if (last == HOP_NAME)
        return;
    snprintf(detail, sizeof detail, "%s port %ld", passage.address, passage.port);
    hop_tell(observer, HOP_TCP,
             passage.proxied && last != HOP_TCP
                 ? -1 /* libcurl does not tell the two apart */
                 : (last == HOP_TCP ? passage.total : passage.connected) - passage.named,
             passage.address[0] != '\0' ? detail : "", last == HOP_TCP ? error : NULL);
    if (last == HOP_TCP || !passage.proxied)
        return;
    snprintf(detail, sizeof detail, "%s:%s, from %s, connects to %s", place.proxy_host,
             place.proxy_port, dial->proxy_variable, place.service);
    hop_tell(observer, HOP_PROXY, passage.total - passage.named, detail,
             last == HOP_PROXY ? error : NULL);
}

/* ---- one dial ----------------------------------------------------------------------------------
 */

static size_t discard(char *data, size_t size, size_t count, void *owner)
{
    (void)data;
    (void)owner;
    return size * count;
}

static curl_socket_t open_socket(void *owner, curlsocktype purpose, struct curl_sockaddr *address)
{
    int fd = loop_socket(address->family, address->socktype, address->protocol);

    (void)owner;
    (void)purpose;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* libcurl's own TLS is only used with https:// proxies. */
static CURLcode trust_proxy(CURL *easy, void *context, void *owner)
{
    const struct dialer *dialer = owner;

    (void)easy;
    return tls_trust(context, dialer->ca_file, NULL) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

static CURL *new_handle(struct dialer *dialer)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)CURLAUTH_ANY);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, trust_proxy);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, dialer);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Else a name that is being resolved keeps curl_multi_remove_handle() waiting. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    return easy;
}

static CURL *take_handle(struct dialer *dialer)
{
    return dialer->kept_count > 0 ? dialer->kept[--dialer->kept_count] : new_handle(dialer);
}

static void release_handle(struct dialer *dialer, CURL *easy)
{
    curl_multi_remove_handle(dialer->multi, easy);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
    if (dialer->kept_count < HANDLES_KEPT)
        dialer->kept[dialer->kept_count++] = easy;
    else
        curl_easy_cleanup(easy);
}

static void set_destination(struct dial *dial)
{
    char text[300];

    snprintf(text, sizeof text,
             strchr(dial->url->host, ':') != NULL ? "http://[%s]:%u/" : "http://%s:%u/",
             dial->url->host, (unsigned)dial->url->port);
    curl_easy_setopt(dial->easy, CURLOPT_URL, text);
    curl_easy_setopt(dial->easy, CURLOPT_PROXY, dial->proxy);
    curl_easy_setopt(dial->easy, CURLOPT_CONNECTTIMEOUT_MS, dial->dialer->timeout);
    curl_easy_setopt(dial->easy, CURLOPT_ERRORBUFFER, dial->reason);
    curl_easy_setopt(dial->easy, CURLOPT_PRIVATE, dial);
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
    dial->proxy = choose_proxy(url->secure, &dial->proxy_variable);
    dial->easy = take_handle(dialer);
    if (dial->easy == NULL)
        abort(); /* libcurl is out of memory */
    set_destination(dial);
    curl_multi_add_handle(dialer->multi, dial->easy);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    release_handle(dial->dialer, dial->easy);
    free(dial);
}

/* Our own descriptor of the socket libcurl has connected; libcurl closes its own. */
static enum status take_socket(struct dial *dial, struct error *error)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    curl_easy_getinfo(dial->easy, CURLINFO_ACTIVESOCKET, &fd);
    dial->transport->watch.fd = fd == CURL_SOCKET_BAD ? -1 : loop_duplicate(fd);
    if (dial->transport->watch.fd < 0)
        return error_set(error, STATUS_SYSTEM, "53000", "cannot take over a connected socket: %s",
                         strerror(errno));
    return STATUS_OK;
}

static void finish(struct dial *dial, CURLcode code)
{
    struct error error = {.sqlstate = ""};
    enum status status =
        code == CURLE_OK ? take_socket(dial, &error) : describe_failure(dial, code, &error);

    tell_hops(dial, code, &error);
    curl_easy_setopt(dial->easy, CURLOPT_ERRORBUFFER, NULL);
    if (status == STATUS_OK && is_https_proxy(dial->proxy)) {
        dial->transport->easy = dial->easy;
        dial->transport->multi = dial->dialer->multi;
    } else {
        release_handle(dial->dialer, dial->easy);
    }
    dial->done(dial->owner, status, &error);
    free(dial);
}
