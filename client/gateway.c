/* Local connections on their way to the service. */
#include "client/gateway.h"

#include <stdlib.h>

#include "client/forward.h"
#include "client/same_user.h"
#include "common/memory.h"

struct gateway {
    const struct client_settings *settings;
    struct service service;
    struct forwards *forwards;
};

struct gateway *gateway_new(const struct client_settings *settings, struct loop *loop,
                            struct error *error)
{
    struct gateway *gateway = mem_new(sizeof *gateway);

    gateway->settings = settings;
    if (!service_start(&gateway->service, loop, settings, NULL, error)) {
        service_stop(&gateway->service);
        free(gateway);
        return NULL;
    }
    gateway->forwards = forwards_new(&gateway->service.shared, gateway->service.type);
    return gateway;
}

void gateway_free(struct gateway *gateway)
{
    struct error reason;

    if (gateway == NULL)
        return;
    error_set(&reason, STATUS_CLOSED, "57P01", "electric-tunnel is being stopped");
    forwards_free(gateway->forwards, &reason);
    service_stop(&gateway->service);
    free(gateway);
}

void gateway_accept(void *owner, int fd)
{
    struct gateway *gateway = owner;
    struct error error;

    if (!gateway->settings->same_user || same_user_check(fd, &error))
        forwards_add(gateway->forwards, fd);
    else
        forwards_refuse(gateway->forwards, fd, &error);
}

void gateway_when_empty(struct gateway *gateway, void (*on_empty)(void *owner), void *owner)
{
    forwards_when_empty(gateway->forwards, on_empty, owner);
}

bool gateway_is_empty(const struct gateway *gateway)
{
    return forwards_are_empty(gateway->forwards);
}

struct service *gateway_service(struct gateway *gateway)
{
    return &gateway->service;
}

const char *gateway_display(const struct gateway *gateway)
{
    return connector_display(gateway->service.connector);
}
