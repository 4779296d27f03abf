/* TLS with the service: one context for all connections, and errors that say what is wrong. */
#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include <openssl/ssl.h>

#include "common/status.h"

#include <stdbool.h>

struct tls;

/* Files may be NULL. `ca_file` is trusted in addition to the system's authorities (OpenSSL's
 * defaults, which SSL_CERT_FILE and SSL_CERT_DIR replace). `certificate` and `key` are ours, for
 * services that ask for one; a missing `key` means that it is in the certificate's file.
 * NULL: a file cannot be used, described in `error` with STATUS_USAGE. */
struct tls *tls_new(const char *ca_file, const char *certificate, const char *key,
                    struct error *error);
/* NULL-safe. */
void tls_free(struct tls *tls);

/* Makes any context trust what ours does. */
bool tls_trust(SSL_CTX *context, const char *ca_file, struct error *error);

/* A client's connection to `host` (a name or an address), which its certificate must be for.
 * Resumes an earlier session with the same host where there is one. The caller's. */
SSL *tls_connection(struct tls *tls, const char *host);

/* What a handshake that is done has shown: "TLSv1.3; certificate from …, valid until …". */
void tls_describe(SSL *ssl, char *out, size_t size);

/* Why the handshake failed: names `host`, the certificate's fault, and what to do. `reason` is
 * SSL_get_error()'s; errors are still in OpenSSL's queue. */
void tls_describe_failure(SSL *ssl, int reason, int error_number, const char *host,
                          struct error *error);

#endif
