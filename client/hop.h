/* The hops on the way to the service, told one by one to whoever wants to know: how each went, and
 * how long it took. */
#ifndef CLIENT_HOP_H
#define CLIENT_HOP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/status.h"

/* In the order in which they are passed. */
enum hop {
    HOP_NAME,    /* the name of the service, or of the proxy in front of it, is resolved */
    HOP_TCP,     /* its port, or the proxy's, takes the connection */
    HOP_PROXY,   /* the proxy connects to the service; only with one */
    HOP_TLS,     /* the service proves who it is; only with https and wss */
    HOP_UPGRADE, /* HTTP becomes a WebSocket */
};

/* Views are valid during the call. */
struct hop_report {
    enum hop hop;
    int64_t microseconds;
    const char *detail;        /* what was found out; "" when nothing */
    const struct error *error; /* NULL: passed */
};

struct hop_observer {
    void (*on_hop)(void *owner, const struct hop_report *report);
    void *owner;
};

/* Microseconds on a clock that does not run backwards. */
static inline int64_t hop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* `observer` may be NULL. */
static inline void hop_tell(const struct hop_observer *observer, enum hop hop, int64_t microseconds,
                            const char *detail, const struct error *error)
{
    if (observer != NULL)
        observer->on_hop(observer->owner, &(struct hop_report){.hop = hop,
                                                               .microseconds = microseconds,
                                                               .detail = detail,
                                                               .error = error});
}

#endif
