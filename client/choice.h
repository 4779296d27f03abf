/* Which kind of carrier a session should use: WebSockets where they get through, else HTTP
 * requests; what was found out holds for the service for some minutes. No I/O. */
#ifndef CLIENT_CHOICE_H
#define CLIENT_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

enum client_transport {
    CLIENT_TRANSPORT_AUTO,
    CLIENT_TRANSPORT_WEBSOCKET,
    CLIENT_TRANSPORT_HTTP,
};

enum choice_mishap {
    CHOICE_REFUSED, /* the upgrade, in a way that something in between may have done */
    CHOICE_CUT,     /* the connection broke before the upgrade was answered */
    CHOICE_MUTE,    /* there was a WebSocket, but not one answer on it */
};

/* Embedded by value; private but for the first, all else zero at first. */
struct choice {
    enum client_transport transport;
    int64_t blocked_until; /* milliseconds of any clock that does not run backwards */
    unsigned cuts;         /* in a row */
    unsigned mutes;        /* likewise */
    bool told;
};

#define CHOICE_MUTE_MS 5000 /* without an answer a new WebSocket counts as mute */

bool choice_is_http(const struct choice *choice, int64_t now);
/* A WebSocket could not be used. True: HTTP requests should be tried. */
bool choice_on_mishap(struct choice *choice, enum choice_mishap mishap);
/* One could. */
void choice_on_websocket(struct choice *choice);
/* The service takes HTTP requests after such a mishap. True: people should be told. */
bool choice_on_blocked(struct choice *choice, int64_t now);
/* It does not take those either. */
void choice_on_http_failed(struct choice *choice);

#endif
