/* What --version says of electric-tunnel. */
#include "client/version.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

#include "common/version.h"

void client_print_version(FILE *out)
{
    const struct version_of libraries[] = {
        {"libcurl", curl_version_info(CURLVERSION_NOW)->version, LIBCURL_VERSION},
        {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING), OPENSSL_VERSION_STR},
        {NULL, NULL, NULL},
    };

    version_print("electric-tunnel", libraries, out);
}
