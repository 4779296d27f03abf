/* The inside of the HTTP carrier, shared by tunnel_request.c (one request) and tunnel_http.c (one
 * attachment made of many). */
#ifndef SERVER_TUNNEL_HTTP_STATE_H
#define SERVER_TUNNEL_HTTP_STATE_H

#include "common/tunnel/tunnel_auth.h"
#include "server/tunnel_http.h"
#include "server/tunnel_state.h"

struct reply;

/* Each answers `exchange`, now or later. What is asked for has been found genuine. */

/* OPEN or RESUME, perhaps, is in `body`. */
void carrier_open(struct tunnel *tunnel, const struct visitor *visitor, struct bytes body,
                  struct exchange *exchange);
void carrier_up(struct tunnel_session *session, const struct tunnel_request *request,
                struct exchange *exchange);
/* Answers within `wait_s` seconds; 0: as it is best. */
void carrier_down(struct tunnel_session *session, const struct tunnel_request *request,
                  uint64_t wait_s, struct exchange *exchange);

/* 409: the client is to resume its session. */
const struct reply *carrier_gone_reply(void);

#endif
