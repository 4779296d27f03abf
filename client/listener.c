/* Listening, and accepting without ever spinning. */
#include "client/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"

#define BACKLOG 512
#define SOCKETS_MAX 2
/* When descriptors run out, the listening socket stays readable; look again after this long. */
#define ACCEPT_PAUSE 100
#define COMPLAIN_EVERY 60000
/* With port 0, the port the system gave for one family may be taken in the other. */
#define PORT_TRIES 16

struct listener {
    struct loop *loop;
    listener_accepted *accepted;
    void *owner;
    struct loop_watch sockets[SOCKETS_MAX];
    char *names[SOCKETS_MAX];
    size_t count;
    unsigned port;
    char *host;
    char *socket_path; /* to be removed */
    struct loop_timer pause;
    int64_t complained_at;
};

/* ---- accepting ---------------------------------------------------------------------------------
 */

static void watch_all(struct listener *listener, unsigned interest)
{
    for (size_t i = 0; i < listener->count; i++)
        loop_watch_set(listener->loop, &listener->sockets[i], interest);
}

static void on_pause_over(struct loop_timer *timer)
{
    watch_all(timer->owner, LOOP_READ);
}

static void pause_accepting(struct listener *listener, int error_number)
{
    int64_t now = loop_now(listener->loop);

    watch_all(listener, 0);
    loop_timer_set(listener->loop, &listener->pause, ACCEPT_PAUSE);
    if (listener->complained_at != 0 && now - listener->complained_at < COMPLAIN_EVERY)
        return;
    listener->complained_at = now;
    log_warn(NULL, "cannot accept connections now: %s; raise the limit of open files (ulimit -n)",
             strerror(error_number));
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct listener *listener = watch->owner;
    int fd = loop_accept(watch->fd);

    (void)events;
    if (fd >= 0)
        listener->accepted(listener->owner, fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        pause_accepting(listener, errno);
    /* Anything else is about a connection that is gone again. */
}

/* ---- listening ---------------------------------------------------------------------------------
 */

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
    char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 32];
};

static bool address_parse(const char *text, unsigned port, struct address *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        out->len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        out->len = sizeof *v6;
        return true;
    }
    return false;
}

static void name_address(struct address *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address->storage;

        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        snprintf(address->name, sizeof address->name, "%s:%u", text, (unsigned)ntohs(v4->sin_port));
    } else if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->storage;

        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        snprintf(address->name, sizeof address->name, "[%s]:%u", text,
                 (unsigned)ntohs(v6->sin6_port));
    } else {
        struct sockaddr_un *unix_socket = (struct sockaddr_un *)&address->storage;

        snprintf(address->name, sizeof address->name, "%s", unix_socket->sun_path);
    }
}

static unsigned port_of(const struct address *address)
{
    if (address->storage.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
}

/* A bound, listening socket, or -1 with errno. Fills in the port the system chose. */
static int listen_on(struct address *address)
{
    int on = 1;
    int fd = loop_socket(address->storage.ss_family, SOCK_STREAM, 0);
    int saved;

    if (fd < 0)
        return -1;
    if (address->storage.ss_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        /* Accepted sockets inherit it. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (address->storage.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address->storage, address->len) == 0 &&
        listen(fd, BACKLOG) == 0) {
        socklen_t len = sizeof address->storage;

        if (address->storage.ss_family != AF_UNIX)
            getsockname(fd, (struct sockaddr *)&address->storage, &len);
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void add_socket(struct listener *listener, int fd, struct address *address)
{
    name_address(address);
    listener->names[listener->count] = mem_copy_string(address->name);
    listener->sockets[listener->count] =
        (struct loop_watch){.fd = fd, .on_ready = on_ready, .owner = listener};
    listener->count++;
}

static bool refuse(struct address *address, int error_number, struct error *error)
{
    name_address(address);
    error_set(error, STATUS_SYSTEM, "58000", "cannot listen on %s: %s", address->name,
              error_number == EADDRINUSE ? "the address is in use" : strerror(error_number));
    if (error_number == EADDRINUSE)
        error_hint(error,
                   "Something else listens there, perhaps a Postgres or another tunnel: choose "
                   "another --local-port, or 0 for any.");
    return false;
}

/* 0, or the errno; then `address` says where it was tried. */
static int try_address(struct listener *listener, const char *text, unsigned port,
                       struct address *address)
{
    int fd;

    address_parse(text, port, address);
    fd = listen_on(address);
    if (fd < 0)
        return errno;
    listener->port = port_of(address);
    if (listener->host == NULL)
        listener->host = mem_copy_string(text);
    add_socket(listener, fd, address);
    return 0;
}

static bool open_address(struct listener *listener, const char *text, unsigned port,
                         struct error *error)
{
    struct address address;
    int failure;

    if (!address_parse(text, port, &address)) {
        error_set(error, STATUS_USAGE, "22023", "cannot listen on \"%s\": it is not an address",
                  text);
        error_hint(error, "Give an IPv4 or IPv6 address without a port, or a directory for a unix "
                          "socket, beginning with / or a dot.");
        return false;
    }
    failure = try_address(listener, text, port, &address);
    return failure == 0 || refuse(&address, failure, error);
}

static void drop_sockets(struct listener *listener)
{
    for (size_t i = 0; i < listener->count; i++) {
        loop_watch_close(listener->loop, &listener->sockets[i]);
        free(listener->names[i]);
    }
    listener->count = 0;
    free(listener->host);
    listener->host = NULL;
}

/* Most containers have no IPv6, and nothing in them will miss it. */
static bool warn_of(struct address *address, int error_number)
{
    bool usual = error_number == EADDRNOTAVAIL || error_number == EAFNOSUPPORT;

    name_address(address);
    if (usual)
        log_info(NULL, "not listening on %s: %s", address->name, strerror(error_number));
    else
        log_warn(NULL, "not listening on %s: %s", address->name, strerror(error_number));
    return true;
}

/* Clients that are told "localhost" try both addresses. A port that is somebody else's on one of
 * them would send some of them there, so that is an error, unlike a missing address family. */
static bool open_loopback(struct listener *listener, unsigned port, struct error *error)
{
    struct address v4;
    struct address v6;

    for (int i = 0; i < PORT_TRIES; i++) {
        int v4_failure = try_address(listener, "127.0.0.1", port, &v4);
        int v6_failure;

        if (v4_failure == EADDRINUSE)
            return refuse(&v4, v4_failure, error);
        v6_failure = try_address(listener, "::1", v4_failure == 0 ? listener->port : port, &v6);
        if (v4_failure == 0 && v6_failure == 0)
            return true;
        if (v4_failure != 0)
            return v6_failure == 0 ? warn_of(&v4, v4_failure) : refuse(&v4, v4_failure, error);
        if (v6_failure != EADDRINUSE)
            return warn_of(&v6, v6_failure);
        if (port != 0)
            return refuse(&v6, v6_failure, error);
        drop_sockets(listener);
    }
    error_set(error, STATUS_SYSTEM, "58000",
              "cannot find a port that is free on 127.0.0.1 and ::1");
    return false;
}

/* ---- unix sockets ------------------------------------------------------------------------------
 */

/* Left over from a program that was killed: nobody accepts connections there. */
static bool is_stale(const struct address *address)
{
    int fd = loop_socket(AF_UNIX, SOCK_STREAM, 0);
    bool stale = fd >= 0 &&
                 connect(fd, (const struct sockaddr *)&address->storage, address->len) != 0 &&
                 errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return stale;
}

static int listen_on_path(struct address *address)
{
    int fd = listen_on(address);

    if (fd >= 0 || errno != EADDRINUSE)
        return fd;
    if (!is_stale(address)) {
        errno = EADDRINUSE;
        return -1;
    }
    unlink(((struct sockaddr_un *)&address->storage)->sun_path);
    return listen_on(address);
}

/* Clients take only a path from the root for a directory of sockets, and they may be started
 * elsewhere. One that is given so stays as it is: resolving its links could make it too long.
 * NULL with errno. */
static char *absolute_path(const char *directory)
{
    return directory[0] == '/' ? mem_copy_string(directory) : realpath(directory, NULL);
}

/* Takes `directory`, which is absolute. */
static bool open_unix_in(struct listener *listener, char *directory, unsigned port,
                         struct error *error)
{
    struct address address;
    struct sockaddr_un *unix_socket = (struct sockaddr_un *)&address.storage;
    mode_t mask;
    int fd;
    int len;

    listener->host = directory;
    memset(&address, 0, sizeof address);
    unix_socket->sun_family = AF_UNIX;
    address.len = sizeof *unix_socket;
    /* Clients find the socket by the port's number, so there must be one. */
    listener->port = port == 0 ? 65432 : port;
    len = snprintf(unix_socket->sun_path, sizeof unix_socket->sun_path, "%s/.s.PGSQL.%u", directory,
                   listener->port);
    if (len < 0 || (size_t)len >= sizeof unix_socket->sun_path) {
        error_set(error, STATUS_USAGE, "22023", "cannot listen in \"%s\": the path is too long",
                  directory);
        return false;
    }
    /* For this user only, which is more than a port on 127.0.0.1 can do. */
    mask = umask(0077);
    fd = listen_on_path(&address);
    umask(mask);
    if (fd < 0)
        return refuse(&address, errno, error);
    listener->socket_path = mem_copy_string(unix_socket->sun_path);
    add_socket(listener, fd, &address);
    return true;
}

static bool open_unix(struct listener *listener, const char *directory, unsigned port,
                      struct error *error)
{
    char *absolute = absolute_path(directory);

    if (absolute != NULL)
        return open_unix_in(listener, absolute, port, error);
    error_set(error, STATUS_SYSTEM, "58000", "cannot listen in \"%s\": %s", directory,
              strerror(errno));
    return false;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

struct listener *listener_open(struct loop *loop, const char *where, unsigned port,
                               listener_accepted *accepted, void *owner, struct error *error)
{
    struct listener *listener = mem_new(sizeof *listener);
    bool opened;

    listener->loop = loop;
    listener->accepted = accepted;
    listener->owner = owner;
    listener->pause = (struct loop_timer){.on_time = on_pause_over, .owner = listener};
    if (where == NULL)
        opened = open_loopback(listener, port, error);
    else if (where[0] == '/' || where[0] == '.')
        opened = open_unix(listener, where, port, error);
    else
        opened = open_address(listener, where, port, error);
    if (!opened) {
        listener_close(listener);
        return NULL;
    }
    watch_all(listener, LOOP_READ);
    return listener;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->socket_path != NULL)
        unlink(listener->socket_path);
    loop_timer_stop(listener->loop, &listener->pause);
    drop_sockets(listener);
    free(listener->socket_path);
    free(listener);
}

const char *listener_host(const struct listener *listener)
{
    return listener->host;
}

unsigned listener_port(const struct listener *listener)
{
    return listener->port;
}

const char *listener_name(const struct listener *listener, size_t index)
{
    return index < listener->count ? listener->names[index] : NULL;
}
