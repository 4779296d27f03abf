/* Who a client is, as far as it can be known before it says so itself. */
#ifndef SERVER_VISITOR_H
#define SERVER_VISITOR_H

#include "server/client_address.h"
#include "server/tls.h"

struct visitor {
    struct client_address address;
    uint8_t certificate[TLS_IDENTITY_SIZE]; /* what tls_client_identity() says */
};

#endif
