/* The checks of an upgrade request, in the order in which a user can mend them. */
#include "server/upgrade.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "server/reply.h"
#include "server/request.h"
#include "server/server.h"
#include "server/tunnel.h"

/* Longer values make libwebsockets drop the connection. */
enum { KEY_MAX = 127, CONNECTION_MAX = 126, PROTOCOL_MAX = 126, EXTENSIONS_MAX = 250 };

static const struct reply disabled = {
    .status = 404,
    .body = "the tunnel is turned off: PG_PROXY_PORT names a TCP port only; set it to \"http\" or "
            "\"http:<port>\"\n"};
static const struct reply elsewhere = {.status = 404,
                                       .body = "no WebSocket here; the tunnel is at /proxy\n"};
static const struct reply wrong_method = {.status = 405,
                                          .headers = TUNNEL_HERE "Allow: GET\r\n",
                                          .body = "an upgrade request must be a GET\n"};
static const struct reply wrong_version = {
    .status = 426,
    .headers = TUNNEL_HERE "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    .body = "only version 13 of the WebSocket protocol is spoken here (RFC 6455)\n"};
static const struct reply malformed = {
    .status = 400,
    .headers = TUNNEL_HERE,
    .body = "malformed upgrade request: it needs the headers Host, \"Connection: Upgrade\" and "
            "Sec-WebSocket-Key, of ordinary length (RFC 6455)\n"};
static const struct reply unknown_protocol = {
    .status = 400,
    .headers = TUNNEL_HERE,
    .body = "none of the offered subprotocols is known here; the raw tunnel has none\n"};
static const struct reply foreign_origin = {
    .status = 403,
    .headers = TUNNEL_HERE,
    .body = "requests from web pages are refused here unless ALLOWED_ORIGINS names their origin\n"};
static const struct reply no_token = {
    .status = 401,
    .headers = TUNNEL_HERE "WWW-Authenticate: Bearer realm=\"electric-tunnel\"\r\n",
    .body = "this tunnel needs a token: set ELECTRIC_TUNNEL_TOKEN for electric-tunnel as well\n"};
static const struct reply wrong_token = {
    .status = 401,
    .headers = TUNNEL_HERE
    "WWW-Authenticate: Bearer realm=\"electric-tunnel\", error=\"invalid_token\"\r\n",
    .body = "wrong token: ELECTRIC_TUNNEL_TOKEN differs between electric-tunnel and the server\n"};
static const struct reply no_certificate = {
    .status = 403,
    .headers = TUNNEL_HERE,
    .body = "this server needs a client certificate: electric-tunnel --cert FILE --key FILE\n"};
static const struct reply wrong_certificate = {
    .status = 403,
    .headers = TUNNEL_HERE,
    .body = "the client certificate is expired, or of an authority that the server does not know "
            "(HTTP_TLS_CLIENT_CA); its log says which\n"};
static const struct reply draining = {.status = 503,
                                      .headers = TUNNEL_HERE "Retry-After: 5\r\n",
                                      .body = "the server is shutting down\n"};
static const struct reply full = {.status = 503,
                                  .headers = TUNNEL_HERE "Retry-After: 5\r\n",
                                  .body = "too many connections (MAX_SESSIONS)\n"};

static bool has_token(const char *list, const char *token)
{
    size_t len = strlen(token);

    for (const char *at = list; *at != '\0';) {
        size_t skip = strspn(at, ", \t");
        size_t size = strcspn(at + skip, ", \t");

        if (size == len && strncasecmp(at + skip, token, len) == 0)
            return true;
        at += skip + size;
    }
    return false;
}

static bool is_well_formed(struct lws *wsi)
{
    char *connection = request_header(wsi, WSI_TOKEN_CONNECTION);
    bool ok = connection != NULL && strlen(connection) <= CONNECTION_MAX &&
              has_token(connection, "upgrade") && lws_hdr_total_length(wsi, WSI_TOKEN_HOST) > 0 &&
              lws_hdr_total_length(wsi, WSI_TOKEN_KEY) > 0 &&
              lws_hdr_total_length(wsi, WSI_TOKEN_KEY) <= KEY_MAX &&
              lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) <= PROTOCOL_MAX &&
              lws_hdr_total_length(wsi, WSI_TOKEN_EXTENSIONS) <= EXTENSIONS_MAX;

    free(connection);
    return ok;
}

static bool offers_tunnel(struct lws *wsi)
{
    char *offered = request_header(wsi, WSI_TOKEN_PROTOCOL);
    bool ok = offered != NULL && has_token(offered, TUNNEL_SUBPROTOCOL);

    free(offered);
    return ok;
}

static bool is_version_13(struct lws *wsi)
{
    char *version = request_header(wsi, WSI_TOKEN_VERSION);
    bool ok = version != NULL && strcmp(version, "13") == 0;

    free(version);
    return ok;
}

static bool is_allowed_origin(const struct server *server, struct lws *wsi)
{
    const char *allowed = server->settings->allowed_origins;
    char *origin = request_header(wsi, WSI_TOKEN_ORIGIN);
    bool ok = origin == NULL || (allowed != NULL && has_token(allowed, origin));

    free(origin);
    return ok;
}

/* Browsers cannot set Authorization on a WebSocket, but everything else can. */
static const struct reply *check_token(const struct server *server, struct lws *wsi)
{
    const char *wanted = server->settings->tunnel_token;
    char *given;
    bool ok;

    if (wanted == NULL || *wanted == '\0')
        return NULL;
    given = request_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
    if (given == NULL)
        return &no_token;
    ok = strncasecmp(given, "Bearer ", 7) == 0 &&
         bytes_equal_secret(bytes_of_string(given + 7 + strspn(given + 7, " ")),
                            bytes_of_string(wanted));
    mem_free_secret(given, strlen(given));
    return ok ? NULL : &wrong_token;
}

const struct reply *upgrade_check_certificate(const struct server *server,
                                              enum tls_client certificate)
{
    if (server->http_tls == NULL || server->settings->http_tls_client_ca == NULL ||
        certificate == TLS_CLIENT_RIGHT)
        return NULL;
    return certificate == TLS_CLIENT_NONE ? &no_certificate : &wrong_certificate;
}

const struct reply *upgrade_check_caller(const struct server *server, struct lws *wsi,
                                         enum tls_client certificate)
{
    const struct reply *refusal = upgrade_check_certificate(server, certificate);

    if (!is_allowed_origin(server, wsi))
        return &foreign_origin;
    return refusal != NULL ? refusal : check_token(server, wsi);
}

const struct reply *upgrade_check(const struct server *server, struct lws *wsi,
                                  enum tls_client certificate)
{
    char *path = NULL;
    int len = 0;
    int method = lws_http_get_uri_and_method(wsi, &path, &len);
    const struct reply *refusal;

    if (!bytes_equal_string(bytes_of(path, len > 0 ? (size_t)len : 0), "/proxy"))
        return &elsewhere;
    if (!server->settings->tunnel)
        return &disabled;
    if (method != LWSHUMETH_GET)
        return &wrong_method;
    if (!is_version_13(wsi))
        return &wrong_version;
    if (!is_well_formed(wsi))
        return &malformed;
    if (!is_allowed_origin(server, wsi))
        return &foreign_origin;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0 && !offers_tunnel(wsi))
        return &unknown_protocol;
    if ((refusal = upgrade_check_certificate(server, certificate)) != NULL)
        return refusal;
    /* In proxy mode the session says these, in Postgres's words; and a session that can be resumed
     * in its own. */
    if (server->relay != NULL && server->draining && !offers_tunnel(wsi))
        return &draining;
    if (server->relay != NULL && !server_has_room(server) && !offers_tunnel(wsi))
        return &full;
    return check_token(server, wsi);
}

const struct reply *upgrade_disabled_reply(void)
{
    return &disabled;
}
