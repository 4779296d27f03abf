/* The inside of a check, shared by its own files only. */
#ifndef CLIENT_CHECK_STATE_H
#define CLIENT_CHECK_STATE_H

#include "client/report.h"
#include "client/service.h"

/* The upgrade that was refused, until it is known whether something else takes its place. */
struct check_upgrade {
    bool failed;
    enum status status;
    int64_t microseconds;
    struct error error;
};

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
    struct check_upgrade upgrade;
    bool walking; /* hops are told of */
};

void check_pass(struct check *check, const char *name, int64_t microseconds, const char *detail);
void check_note(struct check *check, const char *name, const char *detail, const char *fix);
void check_fail(struct check *check, const char *name, int64_t microseconds,
                const struct error *error, enum status status);

/* The tunnel is made of HTTP requests. */
bool check_uses_http(const struct check *check);
/* What the session says of an upgrade that was refused: it did without, or it did not come to
 * anything (true: it is that which was told). */
void check_session_up(struct check *check);
bool check_session_failed(struct check *check);

/* A Postgres session through the tunnel, to its end (check_session.c). */
void check_session(struct check *check);
/* How long a silence the path survives (check_idle.c). */
void check_idle(struct check *check);

#endif
