/* The command that runs while the tunnel is there. */
#ifndef CLIENT_CHILD_H
#define CLIENT_CHILD_H

#include <stdbool.h>
#include <sys/select.h>
#include <sys/types.h>

#include "client/loop.h"
#include "common/status.h"

/* As shells have it. */
enum {
    EXIT_CANNOT_RUN = 126,
    EXIT_NOT_FOUND = 127,
};

/* Which descriptors are open: at the start of the program, those that whoever started us may mean
 * for the command. */
void child_note_descriptors(fd_set *open);

struct child_program {
    char **argv; /* found as by a shell, in the PATH of `environment` */
    char **environment;
    const fd_set *inherited; /* the descriptors that it keeps */
};

/* Runs it. It shares our process group, so that a terminal treats both as one, and gets SIGTERM
 * when we are killed. -1: it cannot be run; `*code` is our exit code then. */
pid_t child_start(const struct loop *loop, const struct child_program *program, int *code,
                  struct error *error);

/* After a SIGCHLD: reaps every child that has ended (as the first process of a container we inherit
 * others'). True when `child` was among them; `*code` is its exit code, or 128 and its signal. */
bool child_reap(pid_t child, int *code);

#endif
