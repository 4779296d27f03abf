/* The certificates of a server's ports. */
#ifndef SERVER_CERTIFICATES_H
#define SERVER_CERTIFICATES_H

#include "common/status.h"

struct server;

/* What the settings name. */
enum status certificates_load(struct server *server, struct error *error);
/* Reads the files again; the log says with what success. */
void certificates_reload(struct server *server);
void certificates_free(struct server *server);

#endif
