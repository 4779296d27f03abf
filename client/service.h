/* What all tunnels to the service share, built from the settings. */
#ifndef CLIENT_SERVICE_H
#define CLIENT_SERVICE_H

#include "client/credentials.h"
#include "client/hop.h"
#include "client/options.h"
#include "client/tunnel.h"

/* Must not move. To be read. */
struct service {
    struct frame_keys keys;
    struct credentials credentials;
    struct connector *connector;
    uint8_t *memory; /* of `shared` */
    struct budget budget;
    struct endpoint_settings endpoint;
    struct tunnel_shared shared;
    const struct tunnel_type *type; /* of the tunnels that the settings ask for */
};

/* `loop`, `settings` and `observer` (may be NULL) are borrowed. False: a setting is of no use,
 * described in `error`; service_stop() is due all the same. */
bool service_start(struct service *service, struct loop *loop,
                   const struct client_settings *settings, const struct hop_observer *observer,
                   struct error *error);
/* No tunnel may be left that has an owner. Harmless on one that is all zero. */
void service_stop(struct service *service);

#endif
