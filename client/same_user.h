/* Whose process is at the other end of a local connection. */
#ifndef CLIENT_SAME_USER_H
#define CLIENT_SAME_USER_H

#include "common/status.h"

#include <stdbool.h>

/* Whether the peer of the accepted socket `fd` (a unix socket, or TCP within this machine) is a
 * process of our own user, or of root, who could use our memory as well. Otherwise, and when that
 * cannot be found out, `error` tells the peer so (28000). Never waits. */
bool same_user_check(int fd, struct error *error);

#endif
