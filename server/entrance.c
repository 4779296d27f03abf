/* Who is let in: limits before authentication, refusals in Postgres's words, the TCP port. */
#include <unistd.h>

#include "server/channel.h"
#include "server/connection_state.h"

enum {
    UNREADY_MAX = 100,       /* clients that have not logged in */
    UNREADY_GRACE_MS = 1000, /* this young none is dropped for that limit */
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

static struct connection *oldest_unready(const struct server *server)
{
    struct connection *oldest = NULL;

    for (struct server_client *entry = server->clients; entry != NULL; entry = entry->next) {
        struct connection *connection = lws_container_of(entry, struct connection, entry);

        if (connection->standing == STANDING_UNREADY)
            oldest = connection; /* the newest stand first */
    }
    return oldest;
}

/* Those who connect and say nothing must not keep others out. */
static bool make_room(struct server *server)
{
    struct connection *oldest;

    if (server->unready_count < UNREADY_MAX)
        return true;
    oldest = oldest_unready(server);
    if (oldest == NULL || loop_now_ms() - oldest->opened_at < UNREADY_GRACE_MS)
        return false;
    connection_note(oldest, "too many connections before authentication");
    oldest->closing = true;
    connection_settle(oldest);
    return true;
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
    (void)make_room(server);
    connection->client = client;
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

void connection_accept(void *owner, int fd, const struct sockaddr_storage *address)
{
    struct server *server = owner;
    struct connection *connection;
    struct stream *client;
    char peer[PEER_NAME_MAX];

    listener_peer_name(address, peer);
    connection = connection_new(server, peer, SESSION_TCP);
    client = channel_new(server->loop, fd, NULL, CHANNEL_OWNS_SOCKET, connection_client_events(),
                         connection);
    if (client == NULL) {
        close(fd);
        connection_note(connection, "out of resources");
        connection->closing = true;
        connection_settle(connection);
        return;
    }
    connection_start(connection, client);
}
