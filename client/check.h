/* `electric-tunnel check`: walks the way to Postgres hop by hop and says where it ends, why, and
 * what to do. */
#ifndef CLIENT_CHECK_H
#define CLIENT_CHECK_H

#include "client/options.h"

/* The program's exit code. */
int check_run(const struct client_settings *settings);

#endif
