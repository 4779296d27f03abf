/* Connections made ahead of need: when to make one, which to use, and when to replace it. No I/O;
 * times are milliseconds of a clock that counts suspension. */
#ifndef CLIENT_SPARES_H
#define CLIENT_SPARES_H

#include <stdbool.h>
#include <stdint.h>

#define SPARES_NEVER INT64_MAX

/* Milliseconds. A service closes connections on which nothing came for 10 minutes; this side is
 * ahead of it. */
enum {
    SPARES_REFRESH_MIN = 480000, /* a spare gets a successor at an age from here … */
    SPARES_REFRESH_MAX = 540000, /* … to here, by chance, lest all do at once */
    SPARES_AGE_MAX = 590000,     /* from here on it is not used */
    SPARES_PING_AFTER = 20000,   /* of silence, and as often as the silence goes on */
    SPARES_SILENT_MAX = 30000,   /* of silence; then it is not used */
    SPARES_SETTLED = 60000,      /* one lost earlier speaks against making the next at once */
    SPARES_BACKOFF_MAX = 60000,
};

/* Embedded in whatever the connection is; private. */
struct spare {
    struct spare *next;
    int64_t began_at;
    int64_t ready_at; /* SPARES_NEVER: it is being made */
    int64_t refresh_at;
    int64_t heard_at;
    int64_t pinged_at;
};

/* Embedded by value; `wanted` may be read, the rest is private. Each spare belongs to the caller.
 */
struct spares {
    unsigned wanted;
    struct spare *first; /* the oldest */
    unsigned failures;   /* in a row */
    int64_t failed_at;   /* the last that counted */
    int64_t retry_at;
};

void spares_init(struct spares *spares, unsigned wanted);

enum spares_step {
    SPARES_WAIT, /* until spares_deadline() */
    SPARES_MAKE, /* a connection; then spares_add() */
    SPARES_PING, /* `*spare` */
    SPARES_DROP, /* `*spare`, which is forgotten: close it */
};

/* What to do next; to be called until it says SPARES_WAIT. */
enum spares_step spares_next(struct spares *spares, int64_t now, struct spare **spare);
/* When to ask again though nothing happened; SPARES_NEVER: no need. */
int64_t spares_deadline(const struct spares *spares, int64_t now);

/* It is being made. */
void spares_add(struct spares *spares, struct spare *spare, int64_t now);
/* It is there. `random` is any number. */
void spares_ready(struct spare *spare, int64_t now, uint32_t random);
/* Something came on it. */
void spares_heard(struct spare *spare, int64_t now);
/* It could not be made, or is lost; it is forgotten. */
void spares_lost(struct spares *spares, struct spare *spare, int64_t now, uint32_t random);
/* The service has no use for spares: none is made before `until`. */
void spares_pause(struct spares *spares, int64_t until);
/* One to be used, which is forgotten; NULL: there is none. */
struct spare *spares_take(struct spares *spares, int64_t now);

#endif
