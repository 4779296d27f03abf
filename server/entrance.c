/* Who is let in: limits before authentication, refusals in Postgres's words, the TCP port. */
#include <string.h>
#include <unistd.h>

#include "server/channel.h"
#include "server/connection_state.h"
#include "server/tls.h"

enum {
    UNREADY_MAX = 100,        /* clients that have not logged in */
    UNREADY_ADDRESS_MAX = 20, /* … from one address */
    UNREADY_GRACE_MS = 1000,  /* this young none is dropped for that limit */
};

static unsigned long *counter_of(struct server *server, enum standing standing)
{
    switch (standing) {
    case STANDING_UNREADY:
        return &server->unready_count;
    case STANDING_ADMITTED:
        return &server->admitted_count;
    case STANDING_OVER:
        break;
    }
    return NULL;
}

void connection_stand(struct connection *connection, enum standing standing)
{
    unsigned long *before = counter_of(connection->server, connection->standing);
    unsigned long *after = counter_of(connection->server, standing);

    if (before != NULL)
        --*before;
    if (after != NULL)
        ++*after;
    connection->standing = standing;
}

void connection_admit(struct connection *connection)
{
    const struct server *server = connection->server;
    bool full = server->admitted_count >= server->settings->max_sessions;

    connection_stand(connection, full ? STANDING_OVER : STANDING_ADMITTED);
}

bool connection_refusal(const struct connection *connection, struct error *error)
{
    const struct server *server = connection->server;
    const struct error *obstacle = control_obstacle(server->control);

    if (obstacle != NULL) {
        *error = *obstacle;
        return true;
    }
    if (connection->standing == STANDING_ADMITTED)
        return false;
    (void)error_set(error, STATUS_FULL, "53300", "sorry, too many clients already");
    error_hint(error, "The server allows %lu at once (MAX_SESSIONS).",
               server->settings->max_sessions);
    return true;
}

/* Of those that have not logged in; with `address` only of those that come from there. */
static struct connection *oldest_unready(const struct server *server, const char *address,
                                         unsigned *count)
{
    struct connection *oldest = NULL;

    *count = 0;
    for (struct server_client *entry = server->clients; entry != NULL; entry = entry->next) {
        struct connection *connection = lws_container_of(entry, struct connection, entry);

        if (connection->standing != STANDING_UNREADY ||
            (address != NULL && strcmp(connection->address.text, address) != 0))
            continue;
        oldest = connection; /* the newest stand first */
        ++*count;
    }
    return oldest;
}

static void close_because(struct connection *connection, const char *reason)
{
    connection_note(connection, reason);
    connection->closing = true;
    connection_settle(connection);
}

static bool is_young(const struct connection *connection)
{
    return loop_now_ms() - connection->opened_at < UNREADY_GRACE_MS;
}

/* Those who connect and say nothing must not keep others out. */
static bool make_room(struct server *server)
{
    struct connection *oldest;
    unsigned count;

    if (server->unready_count < UNREADY_MAX)
        return true;
    oldest = oldest_unready(server, NULL, &count);
    if (oldest == NULL || is_young(oldest))
        return false;
    close_because(oldest, "too many connections before authentication");
    return true;
}

/* Nor must one of them have all the places: `connection`, which has just come, or an older one from
 * its address goes. False: it was this one. */
static bool keep_to_share(struct connection *connection)
{
    const char *address = connection->address.text;
    struct connection *oldest;
    unsigned count;

    if (!connection->address.single)
        return true;
    oldest = oldest_unready(connection->server, address, &count);
    if (oldest == NULL || count <= UNREADY_ADDRESS_MAX)
        return true;
    if (is_young(oldest))
        oldest = connection;
    close_because(oldest, "too many connections from this address before authentication");
    return oldest != connection;
}

static bool is_refused(const struct server *server, struct error *error)
{
    if (!server->draining)
        return false;
    (void)error_set(error, STATUS_CLOSED, "57P03", "the server is shutting down");
    error_hint(error, "Connect again in a moment.");
    return true;
}

void connection_start(struct connection *connection, struct stream *client)
{
    struct server *server = connection->server;
    struct error error;

    log_info(&connection->log, "opened");
    connection->client = client;
    if (!keep_to_share(connection))
        return;
    (void)make_room(server);
    connection_enter(connection);
    session_start(connection->session);
    /* It gets its answer once it has said what it wants: a CancelRequest must pass. */
    if (is_refused(server, &error))
        session_terminate(connection->session, &error);
    connection_leave(connection);
}

/* The TCP port */

bool connection_has_room(void *owner)
{
    return make_room(owner);
}

/* Direct negotiation. */
static SSL *on_hello(void *owner)
{
    struct connection *connection = owner;
    SSL *ssl =
        tls_accept(connection->server->postgres_tls, channel_socket(connection->client), true);

    if (ssl != NULL)
        session_began_tls(connection->session);
    return ssl;
}

void connection_accept(void *owner, int fd, const struct sockaddr_storage *address)
{
    struct server *server = owner;
    struct connection *connection;
    struct stream *client;
    struct client_address from;
    char peer[PEER_NAME_MAX];

    listener_peer_name(address, peer);
    client_address_find(&from, peer, &server->settings->trusted_networks, NULL, 0);
    connection = connection_new(server, &from, SESSION_TCP);
    connection->over_tcp = true;
    client = channel_new(server->loop, fd, NULL, CHANNEL_OWNS_SOCKET, connection_client_events(),
                         connection);
    if (client == NULL) {
        close(fd);
        close_because(connection, "out of resources");
        return;
    }
    if (server->postgres_tls != NULL)
        channel_expect_tls(client, on_hello);
    connection_start(connection, client);
}
