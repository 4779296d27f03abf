/* Listening sockets of one port, ours so that running out of descriptors cannot spin the loop. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct loop;
struct listener;

struct listener_options {
    const char *purpose;   /* "HTTP", for the log */
    const char *variable;  /* the setting that names the port, for messages */
    const char *addresses; /* numeric or names, comma-separated; NULL: all of both families */
    bool ipv6;             /* with NULL: also :: */
    unsigned port;         /* 0: a free one, the same for all addresses */
    /* Instead of all that: sockets that listen already, by whoever started us. */
    const int *inherited;
    size_t inherited_count;
    /* Whether one more connection can be served now; may be NULL. */
    bool (*has_room)(void *owner);
    /* `fd` is non-blocking, close-on-exec, TCP_NODELAY, and the callee's. */
    void (*on_accept)(void *owner, int fd, const struct sockaddr_storage *address);
    void *owner;
};

/* Logs a line for each address. Options are borrowed for the call, strings as long as it lives. */
enum status listener_open(struct loop *loop, const struct listener_options *options,
                          struct listener **out, struct error *error);
/* NULL-safe. */
void listener_close(struct listener *listener);

#define PEER_NAME_MAX 48
/* The numeric address without port; an IPv4-mapped one as IPv4. */
void listener_peer_name(const struct sockaddr_storage *address, char out[PEER_NAME_MAX]);

#endif
