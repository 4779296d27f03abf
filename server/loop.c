/* The lws context, our epoll set inside it, timers. */
#include "server/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"

enum {
    EVENTS_MAX = 128,
    PROTOCOLS = 4,
    HTTP_BUFFER = 4096, /* libwebsockets sees requests only */
    CONTROL_FRAME = 128,
};

struct loop {
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[PROTOCOLS]; /* HTTP, the subprotocol, the epoll set, end */
    void *user;
    int epoll_fd;
    bool stopping;
    /* The batch being dispatched: a watch removed meanwhile is taken out of what is left of it. */
    struct epoll_event events[EVENTS_MAX];
    int event_count;
    int event_next;
    struct block *scratch;
};

/* libwebsockets' own lines; what matters to an operator is logged by us. */
static void on_library_log(int level, const char *line)
{
    size_t len = strlen(line);

    while (len > 0 && line[len - 1] == '\n')
        len--;
    if (level & LLL_ERR)
        log_warn(NULL, "libwebsockets: %.*s", (int)len, line);
    else
        log_debug(NULL, "libwebsockets: %.*s", (int)len, line);
}

static void dispatch_epoll(struct loop *loop)
{
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, 0);

    loop->event_count = count > 0 ? count : 0;
    for (loop->event_next = 0; loop->event_next < loop->event_count;) {
        struct epoll_event *event = &loop->events[loop->event_next++];
        struct loop_watch *watch = event->data.ptr;

        if (watch != NULL)
            watch->on_ready(watch, event->events);
    }
    loop->event_count = 0;
}

static int on_epoll_readable(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                             void *in, size_t len)
{
    (void)user;
    (void)in;
    (void)len;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        dispatch_epoll(lws_context_user(lws_get_context(wsi)));
    return 0;
}

/* Our WebSockets watch over their peers themselves (watchdog.c). The library sees none of their
 * bytes: by its default it would ping into them after 300 s and hang up after 310 s. */
static const lws_retry_bo_t no_idle_policy = {.secs_since_valid_hangup = 0};

static enum status create_context(struct loop *loop, const struct loop_http *http,
                                  struct error *error)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .user = loop,
        .pt_serv_buf_size = HTTP_BUFFER,
        /* One request's headers; a long bearer token must fit. */
        .max_http_header_data = 32 * 1024,
        .timeout_secs = http->header_timeout_s,
        .timeout_secs_ah_idle = http->header_timeout_s,
        .keepalive_timeout = (int)http->idle_timeout_s,
        .retry_and_idle_policy = &no_idle_policy,
    };

    lws_set_log_level(LLL_ERR | LLL_WARN | (log_enabled(LOG_DEBUG) ? LLL_NOTICE : 0),
                      on_library_log);
    loop->context = lws_create_context(&info);
    if (loop->context == NULL)
        return error_set(error, STATUS_SYSTEM, "53000", "could not start libwebsockets");

    loop->protocols[0] = *http->protocol;
    /* What a WebSocket would be read into there is never used, but allocated for each. */
    loop->protocols[0].rx_buffer_size = CONTROL_FRAME;
    loop->protocols[0].tx_packet_size = HTTP_BUFFER;
    loop->protocols[1] = loop->protocols[0];
    loop->protocols[1].name = http->subprotocol;
    loop->protocols[2] = (struct lws_protocols){.name = "epoll", .callback = on_epoll_readable};
    info.protocols = loop->protocols;
    info.vhost_name = "default";
    info.alpn = "http/1.1"; /* over HTTP/2 there is no flow control */
    info.user = http->user;
    loop->vhost = lws_create_vhost(loop->context, &info);
    if (loop->vhost == NULL)
        return error_set(error, STATUS_SYSTEM, "53000", "could not start the HTTP server");
    return STATUS_OK;
}

static enum status adopt_epoll(struct loop *loop, struct error *error)
{
    lws_sock_file_fd_type file;

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return error_set(error, STATUS_SYSTEM, "53000", "could not make an epoll set: %s",
                         strerror(errno));
    file.filefd = loop->epoll_fd;
    if (lws_adopt_descriptor_vhost(loop->vhost, LWS_ADOPT_RAW_FILE_DESC, file, "epoll", NULL) ==
        NULL)
        return error_set(error, STATUS_SYSTEM, "53000",
                         "could not give the epoll set to libwebsockets");
    return STATUS_OK;
}

struct loop *loop_new(const struct loop_http *http, struct error *error)
{
    struct loop *loop = mem_new(sizeof(*loop));

    loop->epoll_fd = -1;
    loop->scratch = block_new(LOOP_SCRATCH);
    loop->user = http->user;
    if (create_context(loop, http, error) == STATUS_OK && adopt_epoll(loop, error) == STATUS_OK)
        return loop;
    loop_free(loop);
    return NULL;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    /* Closes the epoll descriptor too: it was adopted. */
    if (loop->context != NULL)
        lws_context_destroy(loop->context);
    block_drop(loop->scratch);
    free(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopping && lws_service(loop->context, 0) >= 0)
        ;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    lws_cancel_service(loop->context);
}

void *loop_user(struct lws *wsi)
{
    struct lws_vhost *vhost = lws_get_vhost(wsi);

    return vhost != NULL ? lws_get_vhost_user(vhost) : NULL;
}

struct lws_vhost *loop_vhost(const struct loop *loop)
{
    return loop->vhost;
}

bool loop_watch_add(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    watch->events = events;
    watch->added = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0;
    return watch->added;
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (!watch->added || watch->events == events)
        return;
    watch->events = events;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    if (!watch->added)
        return;
    watch->added = false;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->event_next; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

static void on_sul(lws_sorted_usec_list_t *sul)
{
    struct loop_timer *timer = lws_container_of(sul, struct loop_timer, sul);

    timer->on_expired(timer);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, unsigned long ms)
{
    lws_sul_schedule(loop->context, 0, &timer->sul, on_sul, (lws_usec_t)ms * LWS_US_PER_MS);
}

void loop_timer_stop(struct loop_timer *timer)
{
    lws_sul_cancel(&timer->sul);
}

uint8_t *loop_scratch(struct loop *loop)
{
    /* Somebody keeps what was read last. */
    if (loop->scratch->holders > 1) {
        block_drop(loop->scratch);
        loop->scratch = block_new(LOOP_SCRATCH);
    }
    return loop->scratch->data;
}

struct block *loop_scratch_block(struct loop *loop, struct bytes data)
{
    return block_contains(loop->scratch, data) ? loop->scratch : NULL;
}

uint64_t loop_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
