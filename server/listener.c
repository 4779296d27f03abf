/* Listening sockets: bind, accept, and hold back at the limits. */
#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/loop.h"

enum {
    SOCKETS_MAX = 16,
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64,
    PAUSE_MS = 100,
    COMPLAIN_EVERY_MS = 60000,
    PORT_ATTEMPTS = 16, /* to find one free port for all addresses */
};

struct listening_socket {
    struct loop_watch watch;
    struct listener *listener;
};

struct listener {
    struct listener_options options;
    struct loop *loop;
    struct loop_timer resume;
    struct listening_socket sockets[SOCKETS_MAX];
    size_t count;
    int reserve_fd; /* given up for a moment to close what cannot be served */
    uint64_t complained_at;
};

/* Accepting */

static void watch_all(struct listener *listener, uint32_t events)
{
    for (size_t i = 0; i < listener->count; i++)
        loop_watch_change(listener->loop, &listener->sockets[i].watch, events);
}

static void on_resume(struct loop_timer *timer)
{
    watch_all(lws_container_of(timer, struct listener, resume), EPOLLIN);
}

static void hold_back(struct listener *listener, const char *why)
{
    uint64_t now = loop_now_ms();

    if (listener->complained_at == 0 || now - listener->complained_at >= COMPLAIN_EVERY_MS) {
        listener->complained_at = now;
        log_warn(NULL, "not accepting on the %s port for now: %s", listener->options.purpose, why);
    }
    watch_all(listener, 0);
    loop_timer_set(listener->loop, &listener->resume, PAUSE_MS);
}

/* Without a descriptor the connection would wait in the backlog, silent; better it is closed. */
static void turn_away(struct listener *listener, int listening_fd)
{
    int fd;

    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        close(fd);
    listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool is_transient(int error)
{
    /* accept(2): errors of the new connection, not of the listening socket. */
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN ||
           error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
           error == EOPNOTSUPP || error == ENETUNREACH || error == EPERM;
}

/* Whether to go on accepting. */
static bool accept_one(struct listener *listener, int listening_fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    const struct listener_options *options = &listener->options;
    int one = 1;
    int fd;

    if (options->has_room != NULL && !options->has_room(options->owner)) {
        hold_back(listener, "the limit of connections is reached");
        return false;
    }
    fd = accept4(listening_fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
        options->on_accept(options->owner, fd, &address);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return false;
    if (is_transient(errno))
        return true;
    hold_back(listener, strerror(errno));
    turn_away(listener, listening_fd);
    return false;
}

static void on_connections(struct loop_watch *watch, uint32_t events)
{
    struct listening_socket *socket = lws_container_of(watch, struct listening_socket, watch);

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(socket->listener, watch->fd); i++)
        ;
}

/* Binding */

static unsigned port_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)address)->sin6_port)
                                          : ntohs(((const struct sockaddr_in *)address)->sin_port);
}

static void set_port(struct sockaddr *address, unsigned port)
{
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
}

static unsigned bound_port(const struct listener *listener)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    memset(&address, 0, sizeof(address));
    if (listener->count == 0 ||
        getsockname(listener->sockets[0].watch.fd, (struct sockaddr *)&address, &size) != 0)
        return listener->options.port;
    return port_of(&address);
}

static int bind_socket(const struct addrinfo *address)
{
    int one = 1, error;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum status add_address(struct listener *listener, const char *name,
                               struct addrinfo *address, struct error *error)
{
    struct listening_socket *socket = &listener->sockets[listener->count];
    const struct listener_options *options = &listener->options;
    unsigned port = options->port != 0 ? options->port : bound_port(listener);
    int fd;

    if (listener->count == SOCKETS_MAX)
        return error_set(error, STATUS_USAGE, "22023", "more than %d addresses to listen on",
                         SOCKETS_MAX);
    set_port(address->ai_addr, port);
    fd = bind_socket(address);
    if (fd < 0) {
        int failure = errno;

        (void)error_set(error, STATUS_SYSTEM, "58000", "cannot listen on %s port %u (%s): %s", name,
                        port, options->variable, strerror(failure));
        errno = failure;
        return STATUS_SYSTEM;
    }
    socket->listener = listener;
    socket->watch = (struct loop_watch){.on_ready = on_connections, .fd = fd};
    listener->count++;
    return STATUS_OK;
}

static enum status add_name(struct listener *listener, const char *name, struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    enum status status = STATUS_OK;
    int result = getaddrinfo(name, "0", &hints, &found);

    if (result != 0)
        return error_set(error, STATUS_USAGE, "22023", "cannot listen on \"%s\": %s", name,
                         gai_strerror(result));
    for (struct addrinfo *address = found; address != NULL && status == STATUS_OK;
         address = address->ai_next)
        status = add_address(listener, name, address, error);
    freeaddrinfo(found);
    return status;
}

static enum status add_listed(struct listener *listener, struct error *error)
{
    char *list = mem_copy_string(listener->options.addresses);
    char *rest = list, *name;
    enum status status = STATUS_OK;

    while (status == STATUS_OK && (name = strsep(&rest, ", ")) != NULL)
        if (*name != '\0')
            status = add_name(listener, name, error);
    free(list);
    return status;
}

static enum status add_all(struct listener *listener, struct error *error)
{
    enum status status = add_name(listener, "0.0.0.0", error);

    if (status != STATUS_OK || !listener->options.ipv6)
        return status;
    status = add_name(listener, "::", error);
    /* A host without IPv6. */
    if (status == STATUS_SYSTEM && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
        return STATUS_OK;
    return status;
}

static enum status add_inherited(struct listener *listener, struct error *error)
{
    const struct listener_options *options = &listener->options;

    if (options->inherited_count > SOCKETS_MAX)
        return error_set(error, STATUS_USAGE, "22023", "more than %d sockets to listen on",
                         SOCKETS_MAX);
    for (size_t i = 0; i < options->inherited_count; i++)
        listener->sockets[listener->count++] = (struct listening_socket){
            .listener = listener,
            .watch = {.on_ready = on_connections, .fd = options->inherited[i]},
        };
    return STATUS_OK;
}

static void close_sockets(struct listener *listener)
{
    for (size_t i = 0; i < listener->count; i++) {
        loop_watch_remove(listener->loop, &listener->sockets[i].watch);
        close(listener->sockets[i].watch.fd);
    }
    listener->count = 0;
}

static enum status bind_all(struct listener *listener, struct error *error)
{
    enum status status = STATUS_OK;

    if (listener->options.inherited_count > 0)
        return add_inherited(listener, error);
    /* A free port of one family may be taken in the other. */
    for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
        status = listener->options.addresses != NULL ? add_listed(listener, error)
                                                     : add_all(listener, error);
        if (status != STATUS_SYSTEM || listener->options.port != 0 || errno != EADDRINUSE)
            return status;
        close_sockets(listener);
    }
    return status;
}

void listener_peer_name(const struct sockaddr_storage *address, char out[PEER_NAME_MAX])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const void *bytes = &four->sin_addr;
    int family = address->ss_family;

    if (family == AF_INET6) {
        bytes = &six->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
            family = AF_INET;
            bytes = &six->sin6_addr.s6_addr[12];
        }
    }
    if ((family != AF_INET && family != AF_INET6) ||
        inet_ntop(family, bytes, out, PEER_NAME_MAX) == NULL)
        (void)snprintf(out, PEER_NAME_MAX, "unknown");
}

static void announce_one(const char *purpose, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char name[PEER_NAME_MAX];

    memset(&address, 0, sizeof(address));
    (void)getsockname(fd, (struct sockaddr *)&address, &size);
    if (address.ss_family == AF_UNIX) {
        log_info(NULL, "listening for %s on %s", purpose,
                 ((const struct sockaddr_un *)&address)->sun_path);
        return;
    }
    listener_peer_name(&address, name);
    log_info(NULL,
             address.ss_family == AF_INET6 ? "listening for %s on [%s]:%u"
                                           : "listening for %s on %s:%u",
             purpose, name, port_of(&address));
}

static void announce(const struct listener *listener)
{
    for (size_t i = 0; i < listener->count; i++)
        announce_one(listener->options.purpose, listener->sockets[i].watch.fd);
}

enum status listener_open(struct loop *loop, const struct listener_options *options,
                          struct listener **out, struct error *error)
{
    struct listener *listener = mem_new(sizeof(*listener));
    enum status status;

    listener->options = *options;
    listener->loop = loop;
    listener->resume.on_expired = on_resume;
    listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    status = bind_all(listener, error);
    for (size_t i = 0; i < listener->count && status == STATUS_OK; i++)
        if (!loop_watch_add(loop, &listener->sockets[i].watch, EPOLLIN))
            status = error_set(error, STATUS_SYSTEM, "53000", "could not watch a socket: %s",
                               strerror(errno));
    if (status != STATUS_OK) {
        listener_close(listener);
        return status;
    }
    announce(listener);
    *out = listener;
    return STATUS_OK;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    loop_timer_stop(&listener->resume);
    close_sockets(listener);
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    free(listener);
}
