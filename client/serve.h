/* Forward mode: listen, and forward until a signal comes. */
#ifndef CLIENT_SERVE_H
#define CLIENT_SERVE_H

#include "client/options.h"

/* Returns the exit code. */
int serve_run(const struct client_settings *settings);

#endif
