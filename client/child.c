/* Starting and reaping a command. */
#include "client/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"

extern char **environ;

static void close_on_exec(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void child_note_descriptors(fd_set *open)
{
    FD_ZERO(open);
    for (int fd = 0; fd < FD_SETSIZE; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            FD_SET(fd, open);
}

/* Libraries open some that would stay open in the command. New ones have the lowest free numbers,
 * so that none of ours is above these. */
static void close_ours_on_exec(const fd_set *inherited)
{
    for (int fd = 0; fd < FD_SETSIZE; fd++)
        if (!FD_ISSET(fd, inherited))
            close_on_exec(fd);
}

/* In the child. Tells of a failure through `report`, which closes silently when all is well. */
static _Noreturn void become(const struct child_program *program, const struct loop *loop,
                             pid_t parent, int report)
{
    int failure;
    ssize_t ignored;

    process_end_with(parent);
    loop_restore_signals(loop);
    close_ours_on_exec(program->inherited);
    environ = program->environment;
    execvp(program->argv[0], program->argv);
    failure = errno;
    ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(EXIT_CANNOT_RUN);
}

/* The errno of the child's exec(), or 0. Returns when the child runs or has given up. */
static int read_report(int fd)
{
    int failure = 0;
    ssize_t count;

    do
        count = read(fd, &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    return count == (ssize_t)sizeof failure ? failure : 0;
}

static pid_t refuse(const char *name, int failure, int *code, struct error *error)
{
    bool not_found = failure == ENOENT || failure == ENOTDIR;

    *code = not_found ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
    error_set(error, STATUS_SYSTEM, "58000", "cannot run \"%s\": %s", name,
              not_found && strchr(name, '/') == NULL ? "there is no such command in PATH"
                                                     : strerror(failure));
    return -1;
}

pid_t child_start(const struct loop *loop, const struct child_program *program, int *code,
                  struct error *error)
{
    pid_t parent = getpid();
    pid_t child;
    int report[2];
    int failure;

    if (pipe(report) != 0)
        return refuse(program->argv[0], errno, code, error);
    close_on_exec(report[0]);
    close_on_exec(report[1]);
    child = fork();
    if (child == 0)
        become(program, loop, parent, report[1]);
    failure = child < 0 ? errno : 0;
    close(report[1]);
    if (failure == 0)
        failure = read_report(report[0]);
    close(report[0]);
    if (failure == 0)
        return child;
    if (child > 0)
        waitpid(child, NULL, 0);
    return refuse(program->argv[0], failure, code, error);
}

bool child_reap(pid_t child, int *code)
{
    bool ended = false;
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != child)
            continue;
        ended = true;
        *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return ended;
}
