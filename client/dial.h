/* A connected socket to the service, by whatever path it takes: name resolution, happy eyeballs,
 * HTTP and SOCKS proxies. All of it libcurl's, on our loop, and never blocking. */
#ifndef CLIENT_DIAL_H
#define CLIENT_DIAL_H

#include "client/hop.h"
#include "client/transport.h"
#include "common/status.h"
#include "common/url.h"

struct dialer;
struct dial;

/* Called once. STATUS_OK: the transport handed to dial_open() has a connected socket that is not
 * watched yet. Otherwise `error` names the hop that failed and what to do. The dial is gone. */
typedef void dial_done(void *owner, enum status status, const struct error *error);

/* `timeout` in milliseconds covers all of a path. `ca_file` (borrowed, may be NULL) is trusted for
 * https:// proxies beside the system's authorities. `observer` (borrowed, may be NULL) is told of
 * the hops up to HOP_PROXY. NULL when libcurl cannot start. */
struct dialer *dialer_new(struct loop *loop, long timeout, const char *ca_file,
                          const struct hop_observer *observer);
/* NULL-safe; no dial and no transport made by it may be left. */
void dialer_free(struct dialer *dialer);

/* Connects to host and port of `url`, whose scheme chooses the proxy variable: https_proxy,
 * HTTPS_PROXY or http_proxy, then all_proxy, ALL_PROXY; no_proxy and NO_PROXY exempt hosts.
 * `url` is borrowed until done. Never calls `done` before it returns. */
struct dial *dial_open(struct dialer *dialer, const struct url *url, struct transport *transport,
                       dial_done *done, void *owner);
/* `done` will not be called. */
void dial_cancel(struct dial *dial);

#endif
