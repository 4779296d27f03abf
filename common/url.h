/* Service URLs: http, https, ws, wss (RFC 3986, as far as they need it). */
#ifndef COMMON_URL_H
#define COMMON_URL_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Owns its strings; url_clear() frees them. */
struct url {
    bool secure;    /* https or wss */
    char *user;     /* percent-decoded, NULL when absent */
    char *password; /* percent-decoded, NULL when absent; secret */
    char *host;     /* lower case, IPv6 without brackets */
    uint16_t port;  /* given, or the scheme's default */
    char *path;     /* always begins with '/', never ends with one unless it is "/"; no query */
};

/* A missing scheme means http. Error 22023-like texts quote the URL with its password as ***. */
enum status url_parse(const char *text, struct url *url, struct error *error);
void url_clear(struct url *url);

/* The URL for people: scheme, host, port when not the default, path; never user or password.
 * Owned by the caller. */
char *url_display(const struct url *url);

/* "host:port", "[v6]:port"; splits "HOST:PORT" with the same bracket rule. */
enum status url_split_host_port(const char *text, char **host, uint16_t *port, struct error *error);

/* Owned by the caller; NULL when an escape is malformed or hides a NUL. */
char *url_percent_decode(struct bytes text);

/* A Postgres connection string fit for logs: the password replaced by ***. Owned by the caller. */
char *url_redact(const char *text);

#endif
