/* A directory of our own for a unix socket, which no other user can enter. */
#ifndef CLIENT_PRIVATE_DIRECTORY_H
#define CLIENT_PRIVATE_DIRECTORY_H

#include "common/status.h"

/* Makes one in XDG_RUNTIME_DIR, TMPDIR or /tmp, the first that is there and short enough for the
 * path of a socket. Owned by the caller. NULL with the reason. */
char *private_directory_make(struct error *error);
/* Removes it and frees `path`. NULL-safe. */
void private_directory_remove(char *path);

#endif
