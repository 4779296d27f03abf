/* Listening sockets that a service manager hands over. */
#include "server/activation.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"

enum { FIRST_DESCRIPTOR = 3 };

/* How many there are, unless they were meant for another process. */
static unsigned long count_of_ours(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");

    if (pid == NULL || count == NULL || strtoul(pid, NULL, 10) != (unsigned long)getpid())
        return 0;
    return strtoul(count, NULL, 10);
}

static bool listens(int fd)
{
    int value = 0;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value != 0;
}

static enum status take_one(struct activation *activation, int fd, const char *name,
                            struct error *error)
{
    struct activation_port *port = strcmp(name, "http") == 0       ? &activation->http
                                   : strcmp(name, "postgres") == 0 ? &activation->postgres
                                                                   : NULL;

    if (port == NULL)
        return error_set(error, STATUS_USAGE, "22023",
                         "the service manager hands over a socket named \"%s\": "
                         "FileDescriptorName= must be http or postgres",
                         name);
    if (!listens(fd))
        return error_set(error, STATUS_USAGE, "22023",
                         "descriptor %d of the service manager (\"%s\") is no listening socket", fd,
                         name);
    if (port->count == ACTIVATION_SOCKETS_MAX)
        return error_set(error, STATUS_USAGE, "22023", "more than %d sockets named \"%s\"",
                         ACTIVATION_SOCKETS_MAX, name);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    port->sockets[port->count++] = fd;
    return STATUS_OK;
}

enum status activation_take(struct activation *activation, struct error *error)
{
    unsigned long count = count_of_ours();
    const char *given = getenv("LISTEN_FDNAMES");
    char *names = mem_copy_string(given != NULL ? given : "");
    char *rest = names;
    enum status status = STATUS_OK;

    *activation = (struct activation){.http.count = 0};
    for (unsigned long i = 0; i < count && status == STATUS_OK; i++) {
        const char *name = strsep(&rest, ":");

        status = take_one(activation, FIRST_DESCRIPTOR + (int)i, name != NULL ? name : "", error);
    }
    free(names);
    return status;
}
