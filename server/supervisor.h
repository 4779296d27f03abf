/* What the service manager that started us is told (sd_notify(3)), if there is one, and its
 * watchdog. */
#ifndef SERVER_SUPERVISOR_H
#define SERVER_SUPERVISOR_H

#include "server/loop.h"

struct supervisor {
    struct loop *loop;
    struct loop_timer watchdog;
    unsigned long interval_ms; /* of signs of life; 0: none is wanted */
};

/* Signs of life from now on, as long as the loop turns. */
void supervisor_start(struct supervisor *supervisor, struct loop *loop);
/* Before the loop goes; harmless before supervisor_start(). */
void supervisor_stop(struct supervisor *supervisor);

/* `status`: a line for people. */
void supervisor_ready(const char *status);
void supervisor_status(const char *status);
void supervisor_reloading(void);
void supervisor_stopping(void);

#endif
