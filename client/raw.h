/* Raw mode over a WebSocket that is open already. */
#ifndef CLIENT_RAW_H
#define CLIENT_RAW_H

#include "client/tunnel.h"
#include "client/websocket.h"

/* Takes the WebSocket, inside its on_open(); the new tunnel is to be told of that event, too. */
struct tunnel *raw_adopt(struct tunnel_shared *shared, struct websocket *websocket);

#endif
