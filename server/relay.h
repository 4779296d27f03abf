/* Relay mode: one client stream joined to a new TCP connection to the configured address. */
#ifndef SERVER_RELAY_H
#define SERVER_RELAY_H

struct client_address;
struct relay;
struct server;
struct stream;
struct stream_events;

/* For a client that has just come in. The caller gives its stream `events` and the relay as owner,
 * then calls relay_start(). The relay frees itself when both ends are gone. */
struct relay *relay_new(struct server *server, const struct client_address *address);
const struct stream_events *relay_client_events(void);
void relay_start(struct relay *relay, struct stream *client);

#endif
