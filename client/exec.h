/* The command exec: a tunnel for as long as another command runs. */
#ifndef CLIENT_EXEC_H
#define CLIENT_EXEC_H

#include "client/options.h"

/* Returns the exit code: that of the command, or ours if it could not be run. */
int exec_run(const struct client_settings *settings);

#endif
