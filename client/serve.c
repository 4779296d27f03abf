/* Builds the parts of forward mode, says where it listens, and runs them. */
#include "client/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/gateway.h"
#include "client/listener.h"
#include "common/json_string.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/ready.h"

struct server {
    const struct client_settings *settings;
    struct loop *loop;
    struct gateway *gateway;
    struct listener *listener;
    int signal;
};

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
    fprintf(stderr, "tunnel to %s\n", gateway_display(server->gateway));
    fprintf(stderr, "connect with: psql -h %s -p %u -U USER DATABASE\n", shown_host(server),
            listener_port(server->listener));
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
    json_print_string(stdout, listener_host(server->listener));
    printf(",\"port\":%u,\"url\":", listener_port(server->listener));
    json_print_string(stdout, url);
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
    ready_notify("READY=1");
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static void complain(const struct error *error)
{
    fprintf(stderr, "electric-tunnel: %s\n", error->message);
    if (error->hint[0] != '\0')
        fprintf(stderr, "hint: %s\n", error->hint);
}

/* A tunnel needs two descriptors a connection; the soft limit is often 1,024. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int start(struct server *server, struct error *error)
{
    const struct client_settings *settings = server->settings;

    server->gateway = gateway_new(settings, server->loop, error);
    if (server->gateway == NULL)
        return EXIT_USAGE;
    server->listener = listener_open(server->loop, settings->listen, settings->local_port,
                                     gateway_accept, server->gateway, error);
    return server->listener == NULL ? EXIT_CANNOT_LISTEN : 0;
}

static void stop(struct server *server)
{
    listener_close(server->listener);
    gateway_free(server->gateway);
    loop_free(server->loop);
}

int serve_run(const struct client_settings *settings)
{
    struct server server = {.settings = settings, .loop = loop_new()};
    struct error error = {.message = ""};
    int code;

    raise_file_limit();
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
