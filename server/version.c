/* What --version says of electric-proxy. */
#include "server/version.h"

#include <jansson.h>
#include <libpq-fe.h>
#include <libwebsockets.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <pg_config.h>
#include <string.h>
#include <zlib.h>

#include "common/version.h"

/* "15.17" of 150017. */
static const char *libpq_version(char *out, size_t size)
{
    snprintf(out, size, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
    return out;
}

void server_print_version(FILE *out)
{
    char libpq[32];
    const struct version_of libraries[] = {
        {"libpq", libpq_version(libpq, sizeof libpq), PG_VERSION},
        {"libwebsockets", lws_get_library_version(), LWS_LIBRARY_VERSION},
        {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING), OPENSSL_VERSION_STR},
        {"jansson", jansson_version_str(), JANSSON_VERSION},
        {"zlib", zlibVersion(), ZLIB_VERSION},
        {NULL, NULL, NULL},
    };

    version_print("electric-proxy", libraries, out);
}
