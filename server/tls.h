/* TLS of our own ports: a certificate with its key, replaceable while connections live. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "common/bytes.h"
#include "common/status.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* What is spoken inside, by the name ALPN has for it (RFC 7301). */
enum tls_use { TLS_HTTP, TLS_POSTGRES };

/* PEM files; borrowed as long as the struct tls lives. */
struct tls_files {
    const char *certificate; /* and its chain */
    const char *key;
    const char *client_ca; /* whose certificates clients may show; NULL: none is asked for */
};

struct tls;

/* NULL when a file cannot be read or does not fit the others; `error` names it. */
struct tls *tls_new(enum tls_use use, const struct tls_files *files, struct error *error);
/* NULL-safe. */
void tls_free(struct tls *tls);
/* Reads the files again, for connections from now on. On a failure what was read before stays. */
enum status tls_reload(struct tls *tls, struct error *error);

/* The server's side of a new connection on `fd`; its handshake is done by reading and writing.
 * `direct`: it must agree on the protocol by ALPN. NULL when there is no memory. */
SSL *tls_accept(const struct tls *tls, int fd, bool direct);

/* Channel binding tls-server-end-point (RFC 5929 section 4.1) of our certificate on that
 * connection; the size of what stands in `out`, 0: there is none. */
#define TLS_BINDING_MAX 64
size_t tls_binding(const SSL *ssl, uint8_t out[TLS_BINDING_MAX]);

/* What the client has shown, once the handshake is done. */
enum tls_client { TLS_CLIENT_NONE, TLS_CLIENT_WRONG, TLS_CLIENT_RIGHT };
/* `reason`: what is wrong with it, in OpenSSL's words. */
enum tls_client tls_client(const SSL *ssl, const char **reason);
/* A digest of the names the client's certificate is for, subject and alternative ones: the same
 * after it was renewed. Zeros without one. */
#define TLS_IDENTITY_SIZE 32
void tls_client_identity(const SSL *ssl, uint8_t out[TLS_IDENTITY_SIZE]);

#endif
