/* The inside of a check, shared by its own files only. */
#ifndef CLIENT_CHECK_STATE_H
#define CLIENT_CHECK_STATE_H

#include "client/report.h"
#include "client/service.h"

struct check {
    const struct client_settings *settings;
    struct loop *loop;
    struct service service;
    struct report *report;
    struct hop_observer observer;
    enum status status; /* of the first hop that failed */
    int signal;         /* that ended it early; 0: none */

    /* The path (check.c) */
    struct transport transport;
    struct connecting *connecting;
    bool walking;   /* hops are told of */
    bool upgrading; /* the last one that was told of is the upgrade, and failed */
    bool agreed;    /* on the tunnel's own protocol */
};

void check_pass(struct check *check, const char *name, int64_t microseconds, const char *detail);
void check_note(struct check *check, const char *name, const char *detail, const char *fix);
void check_fail(struct check *check, const char *name, int64_t microseconds,
                const struct error *error, enum status status);
/* Microseconds on a clock that does not run backwards. */
int64_t check_now(void);

/* A Postgres session through the tunnel, to its end (check_session.c). */
void check_session(struct check *check);
/* How long a silence the path survives (check_idle.c). */
void check_idle(struct check *check);

#endif
