/* What --version says of electric-tunnel. */
#include "client/version.h"

#ifndef STATIC_CLIENT
#include <curl/curl.h>
#endif
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

#include "common/version.h"

void client_print_version(FILE *out)
{
    const struct version_of libraries[] = {
#ifndef STATIC_CLIENT
        {"libcurl", curl_version_info(CURLVERSION_NOW)->version, LIBCURL_VERSION},
#endif
        {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING), OPENSSL_VERSION_STR},
        {NULL, NULL, NULL},
    };

    version_print("electric-tunnel", libraries, out);
}
