/* CancelRequests of sessions that are relayed: each goes to the relay's destination on a connection
 * of its own, as Postgres wants it (its documentation, "Canceling Requests in Progress").
 *
 * Bounded in number and time; nobody learns whether one was of use. */
#ifndef SERVER_CANCEL_REQUEST_H
#define SERVER_CANCEL_REQUEST_H

#include "common/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct cancel_requests;
struct control_waiter;
struct server;

/* `server` is one in relay mode. */
struct cancel_requests *cancel_requests_new(struct server *server);
/* Drops those under way; before the loop goes. NULL-safe. */
void cancel_requests_free(struct cancel_requests *requests);

/* Sends one with `pid` and `key`, at most STARTUP_CANCEL_KEY_MAX bytes, as they are; answers the
 * waiter when the destination has closed that connection, or has taken too long. False: too many
 * are under way, and this one is dropped. */
bool cancel_requests_send(struct cancel_requests *requests, uint32_t pid, struct bytes key,
                          struct control_waiter *waiter);
/* The waiter goes away, its request goes on; harmless when it does not wait. */
void cancel_requests_forget(struct cancel_requests *requests, const struct control_waiter *waiter);

#endif
