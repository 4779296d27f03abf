/* A directory for sockets. */
#include "client/private_directory.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/memory.h"

#define NAME "/electric-tunnel-XXXXXX"
#define LONGEST_SOCKET "/.s.PGSQL.65535"

/* NULL with errno. */
static char *make_in(const char *parent)
{
    char *path;

    /* The path goes to programs that may run elsewhere. */
    if (parent[0] != '/') {
        errno = ENOENT;
        return NULL;
    }
    if (strlen(parent) + sizeof NAME + sizeof LONGEST_SOCKET >
        sizeof((struct sockaddr_un *)NULL)->sun_path) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    path = mem_format("%s" NAME, parent);
    if (mkdtemp(path) != NULL) /* 0700 */
        return path;
    free(path);
    return NULL;
}

char *private_directory_make(struct error *error)
{
    const char *parents[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    char *path = NULL;

    for (size_t i = 0; i < sizeof parents / sizeof parents[0] && path == NULL; i++)
        if (parents[i] != NULL && parents[i][0] != '\0')
            path = make_in(parents[i]);
    if (path == NULL)
        error_set(error, STATUS_SYSTEM, "58030",
                  "could not make a directory for a socket in XDG_RUNTIME_DIR, TMPDIR or /tmp: %s",
                  strerror(errno));
    return path;
}

void private_directory_remove(char *path)
{
    if (path != NULL)
        rmdir(path);
    free(path);
}
