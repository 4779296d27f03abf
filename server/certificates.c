/* The certificates of a server's ports. */
#include "server/certificates.h"

#include "common/log.h"
#include "server/server.h"
#include "server/tls.h"

enum status certificates_load(struct server *server, struct error *error)
{
    const struct tls_files http = server_settings_http_tls(server->settings);
    const struct tls_files postgres = server_settings_postgres_tls(server->settings);

    if (http.certificate != NULL && (server->http_tls = tls_new(TLS_HTTP, &http, error)) == NULL)
        return STATUS_USAGE;
    if (postgres.certificate != NULL &&
        (server->postgres_tls = tls_new(TLS_POSTGRES, &postgres, error)) == NULL)
        return STATUS_USAGE;
    return STATUS_OK;
}

static void reload(struct tls *tls, const char *port)
{
    struct error error;

    if (tls == NULL)
        return;
    if (tls_reload(tls, &error) == STATUS_OK)
        log_info(NULL, "the %s port's certificate was read again", port);
    else
        log_error(NULL, "the %s port keeps its certificate: %s", port, error.message);
}

void certificates_reload(struct server *server)
{
    if (server->http_tls == NULL && server->postgres_tls == NULL)
        log_info(NULL, "SIGHUP: there are no certificates to read again");
    reload(server->http_tls, "HTTP");
    reload(server->postgres_tls, "Postgres");
}

void certificates_free(struct server *server)
{
    tls_free(server->http_tls);
    tls_free(server->postgres_tls);
}
