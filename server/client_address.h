/* Whose connection it is: addresses, networks, and what proxies in front of us say. No I/O. */
#ifndef SERVER_CLIENT_ADDRESS_H
#define SERVER_CLIENT_ADDRESS_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of networks; zeroed: none. */
struct networks {
    struct network *list;
    size_t count;
};

/* `text`: addresses and CIDR blocks of both families, comma-separated; NULL: none. On a failure
 * nothing is left to clear. */
enum status networks_parse(struct networks *networks, const char *text, struct error *error);
void networks_clear(struct networks *networks);

#define CLIENT_ADDRESS_MAX 48

struct client_address {
    char text[CLIENT_ADDRESS_MAX]; /* without port; an IPv4-mapped one as IPv4 */
    /* It is one client's, as far as can be known: limits per address make sense. Else all who come
     * through some proxy or address translator may share it. */
    bool single;
};

/* The rightmost entry of the X-Forwarded-For lines that is not trusted, if `peer` is: whoever is
 * farther left may have invented the rest. Otherwise `peer` itself. */
void client_address_find(struct client_address *address, const char *peer,
                         const struct networks *trusted, const struct bytes *forwarded,
                         size_t forwarded_count);

#endif
