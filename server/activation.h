/* Listening sockets that a service manager hands over (sd_listen_fds(3)): their names say which
 * port they stand for. */
#ifndef SERVER_ACTIVATION_H
#define SERVER_ACTIVATION_H

#include "common/status.h"

#include <stddef.h>

enum { ACTIVATION_SOCKETS_MAX = 16 };

struct activation_port {
    int sockets[ACTIVATION_SOCKETS_MAX];
    size_t count; /* 0: none was handed over, the port is ours to open */
};

struct activation {
    struct activation_port http;     /* FileDescriptorName=http */
    struct activation_port postgres; /* FileDescriptorName=postgres */
};

/* Reads the environment, once; the sockets are the caller's. A socket that is not known what for,
 * or does not listen, is a failure. */
enum status activation_take(struct activation *activation, struct error *error);

#endif
