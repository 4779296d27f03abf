/* The HTTP port: routes, upgrade requests, and libwebsockets' callback. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <sys/socket.h>

struct server;

/* For loop_new(); the loop's user is a struct server. */
extern const struct lws_protocols http_protocol;

/* A listener's callbacks; `owner` is the struct server. */
bool http_has_room(void *owner);
void http_accept(void *owner, int fd, const struct sockaddr_storage *address);
/* Some client has asked, or been answered, and does not have the answer yet. */
bool http_is_delivering(const struct server *server);
/* Closes every connection; libwebsockets' side of some ends with the loop. */
void http_stop(struct server *server);

#endif
