/* The parts that tunnels are made of. */
#include "client/service.h"

#include <stdlib.h>

#include "client/prewarm.h"
#include "client/v1.h"
#include "client/websocket.h"

#define PAGE 4096u
/* Of a session, while there is memory. 4 MiB are 300 Mbit/s over 100 ms. */
#define WINDOW (4u * 1024u * 1024u)

bool service_start(struct service *service, struct loop *loop,
                   const struct client_settings *settings, const struct hop_observer *observer,
                   struct error *error)
{
    struct connect_settings connect_settings = {
        .service = &settings->service,
        .ca_file = settings->ca_file,
        .certificate = settings->certificate,
        .key = settings->key,
        .timeout = settings->connect_timeout,
        .observer = observer,
    };

    credentials_find(&service->credentials, settings);
    connect_settings.credentials = service->credentials.fields;
    frame_keys_init(&service->keys);
    /* Copies to and from page boundaries are half as fast again. The page in front is for a
     * frame's header. */
    service->memory = aligned_alloc(PAGE, PAGE + 2 * TUNNEL_READ_SIZE);
    if (service->memory == NULL)
        abort();
    service->budget = (struct budget){.limit = settings->tunnel_memory};
    service->endpoint = (struct endpoint_settings){
        .budget = &service->budget,
        .window = WINDOW,
        .max_frame = TUNNEL_READ_SIZE,
        .ring_max = WINDOW,
    };
    service->shared = (struct tunnel_shared){
        .loop = loop,
        .keys = &service->keys,
        .payload = service->memory + PAGE,
        .receive = service->memory + PAGE + TUNNEL_READ_SIZE,
        .endpoint = &service->endpoint,
        .choice = {.transport = (enum client_transport)settings->transport},
        .may_be_raw = settings->protocol == CLIENT_PROTOCOL_AUTO,
    };
    service->type = settings->protocol == CLIENT_PROTOCOL_RAW ? &tunnel_raw : &tunnel_v1;
    service->connector = connector_new(loop, &connect_settings, &service->keys, error);
    service->shared.connector = service->connector;
    if (service->connector != NULL && settings->prewarm > 0)
        service->shared.prewarm = prewarm_new(&service->shared, (unsigned)settings->prewarm);
    return service->connector != NULL;
}

void service_stop(struct service *service)
{
    v1_free_all(&service->shared);
    prewarm_free(service->shared.prewarm);
    carrier_sweep(&service->shared);
    connector_free(service->connector);
    credentials_clear(&service->credentials);
    free(service->memory);
}
