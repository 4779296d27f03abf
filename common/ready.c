/* Readiness by file descriptor and by sd_notify(3). */
#include "common/ready.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

void ready_write(int fd)
{
    static const char line[] = "ready\n";

    if (write(fd, line, sizeof line - 1) < 0)
        log_warn(NULL, "could not write to --ready-fd: %s", strerror(errno));
    close(fd);
}

void ready_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path == NULL ? 0 : strlen(path);
    int fd;

    if (len == 0 || len >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, len);
    /* '@' stands for the NUL that begins an abstract name. */
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), 0, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        log_warn(NULL, "could not notify %s: %s", path, strerror(errno));
    close(fd);
}
