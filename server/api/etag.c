/* Half of a SHA-256 in quotes. */
#include "server/api/etag.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void etag_make(struct bytes facts, char tag[ETAG_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    int at = 1;

    if (!EVP_Digest(facts.data, facts.len, digest, NULL, EVP_sha256(), NULL))
        abort(); /* no memory: as everywhere */
    tag[0] = '"';
    for (size_t i = 0; i < 16; i++)
        at += snprintf(tag + at, (size_t)(ETAG_SIZE - at), "%02x", digest[i]);
    (void)snprintf(tag + at, (size_t)(ETAG_SIZE - at), "\"");
}

bool etag_is_known(const char *if_none_match, const char *tag)
{
    return if_none_match != NULL &&
           (strcmp(if_none_match, "*") == 0 || strstr(if_none_match, tag) != NULL);
}
