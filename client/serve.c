/* Builds the parts of forward mode, says where it listens, and runs them. */
#include "client/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/forward.h"
#include "client/listener.h"
#include "client/ready.h"
#include "client/v1.h"
#include "client/websocket.h"
#include "common/log.h"
#include "common/memory.h"

#define PAGE 4096u
/* Of a session, while there is memory. 4 MiB are 300 Mbit/s over 100 ms. */
#define WINDOW (4u * 1024u * 1024u)

struct server {
    const struct client_settings *settings;
    struct loop *loop;
    struct frame_keys keys;
    struct connector *connector;
    uint8_t *memory; /* of `shared` */
    struct budget budget;
    struct endpoint_settings endpoint;
    struct tunnel_shared shared;
    struct forwards *forwards;
    struct listener *listener;
    int signal;
};

static void on_accepted(void *owner, int fd)
{
    struct server *server = owner;

    forwards_add(server->forwards, fd);
}

static void on_signal(void *owner, int signal_number)
{
    struct server *server = owner;

    server->signal = signal_number;
    loop_stop(server->loop);
}

/* ---- saying where
 * -------------------------------------------------------------------------------- */

/* The host that a client on this machine is best told. */
static const char *shown_host(const struct server *server)
{
    return server->settings->listen == NULL ? "localhost" : listener_host(server->listener);
}

static void announce_text(const struct server *server)
{
    const char *name;

    for (size_t i = 0; (name = listener_name(server->listener, i)) != NULL; i++)
        fprintf(stderr, "listening on %s\n", name);
    fprintf(stderr, "tunnel to %s\n", connector_display(server->connector));
    fprintf(stderr, "connect with: psql -h %s -p %u -U USER DATABASE\n", shown_host(server),
            listener_port(server->listener));
}

/* As a JSON string: what a path may hold. */
static void print_json_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

/* As a value in the query of a URI (RFC 3986, section 3.4). The slash may stay there, and the paths
 * people use stay readable. Owned by the caller. */
static char *percent_encode(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    char *encoded = mem_new(3 * strlen(text) + 1);
    char *end = encoded;

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            *end++ = *text;
        else
            end += sprintf(end, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return encoded;
}

/* A connection URI of libpq; a directory goes into its query. */
static char *make_url(const struct server *server)
{
    const char *host = listener_host(server->listener);
    unsigned port = listener_port(server->listener);

    if (host[0] == '/') {
        char *directory = percent_encode(host);
        char *url = mem_format("postgresql:///?host=%s&port=%u", directory, port);

        free(directory);
        return url;
    }
    return mem_format(strchr(host, ':') != NULL ? "postgresql://[%s]:%u/" : "postgresql://%s:%u/",
                      host, port);
}

static void announce_json(const struct server *server)
{
    char *url = make_url(server);

    printf("{\"host\":");
    print_json_string(listener_host(server->listener));
    printf(",\"port\":%u,\"url\":", listener_port(server->listener));
    print_json_string(url);
    printf("}\n");
    fflush(stdout);
    free(url);
}

static void announce(const struct server *server)
{
    if (!server->settings->quiet)
        announce_text(server);
    if (server->settings->output == CLIENT_OUTPUT_JSON)
        announce_json(server);
    if (server->settings->ready_fd != 0)
        ready_write((int)server->settings->ready_fd);
    ready_notify();
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static void complain(const struct error *error)
{
    fprintf(stderr, "electric-tunnel: %s\n", error->message);
    if (error->hint[0] != '\0')
        fprintf(stderr, "hint: %s\n", error->hint);
}

static int start(struct server *server, struct error *error)
{
    const struct client_settings *settings = server->settings;
    struct connect_settings connect_settings = {
        .service = &settings->service,
        .token = settings->token,
        .ca_file = settings->ca_file,
        .certificate = settings->certificate,
        .key = settings->key,
        .timeout = settings->connect_timeout,
    };

    /* Copies to and from page boundaries are half as fast again. The page in front is for a
     * frame's header. */
    server->memory = aligned_alloc(PAGE, PAGE + 2 * TUNNEL_READ_SIZE);
    if (server->memory == NULL)
        abort();
    server->connector = connector_new(server->loop, &connect_settings, &server->keys, error);
    if (server->connector == NULL)
        return EXIT_USAGE;
    server->shared = (struct tunnel_shared){
        .loop = server->loop,
        .connector = server->connector,
        .keys = &server->keys,
        .payload = server->memory + PAGE,
        .receive = server->memory + PAGE + TUNNEL_READ_SIZE,
        .endpoint = &server->endpoint,
        .may_be_raw = settings->protocol == CLIENT_PROTOCOL_AUTO,
    };
    server->budget = (struct budget){.limit = settings->tunnel_memory};
    server->endpoint = (struct endpoint_settings){
        .budget = &server->budget,
        .window = WINDOW,
        .max_frame = TUNNEL_READ_SIZE,
        .ring_max = WINDOW,
    };
    server->forwards = forwards_new(
        &server->shared, settings->protocol == CLIENT_PROTOCOL_RAW ? &tunnel_raw : &tunnel_v1);
    server->listener = listener_open(server->loop, settings->listen, settings->local_port,
                                     on_accepted, server, error);
    return server->listener == NULL ? EXIT_CANNOT_LISTEN : 0;
}

static void stop(struct server *server)
{
    struct error reason;

    error_set(&reason, STATUS_CLOSED, "57P01", "electric-tunnel is being stopped");
    listener_close(server->listener);
    forwards_free(server->forwards, &reason);
    v1_free_all(&server->shared);
    websocket_sweep(&server->shared);
    connector_free(server->connector);
    free(server->memory);
    loop_free(server->loop);
}

int serve_run(const struct client_settings *settings)
{
    struct server server = {.settings = settings, .loop = loop_new()};
    struct error error = {.message = ""};
    int code;

    frame_keys_init(&server.keys);
    loop_on_signals(server.loop, on_signal, &server);
    code = start(&server, &error);
    if (code == 0) {
        announce(&server);
        loop_run(server.loop);
        code = 128 + server.signal;
    } else {
        complain(&error);
    }
    stop(&server);
    return code;
}
