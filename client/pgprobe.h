/* A Postgres client that wants to know how far it gets: start-up, login, and whether the migrations
 * proxy's statements are understood. Postgres documentation, "Frontend/Backend Protocol". No I/O.
 */
#ifndef CLIENT_PGPROBE_H
#define CLIENT_PGPROBE_H

#include "common/buffer.h"
#include "common/status.h"

enum pgprobe_stage {
    PGPROBE_STARTING,   /* the StartupMessage is to be answered */
    PGPROBE_LOGGING_IN, /* it was: there is a Postgres, or something that speaks like it */
    PGPROBE_ASKING,     /* logged in; a statement is to be answered */
    PGPROBE_OVER,       /* nothing more is to be sent, and what comes is of no interest */
};

enum pgprobe_goal {
    PGPROBE_ANSWER, /* it ends with the first answer */
    PGPROBE_LOGIN,  /* … once it knows what there is to be known */
    PGPROBE_STAY,   /* the same, but the session is left as it is, for somebody else to use */
};

/* What became of it so far. To be read; strings live as long as the probe. */
struct pgprobe_result {
    bool answered;       /* the start-up was */
    bool password_asked; /* and there was none to give */
    bool logged_in;
    bool asked; /* whether DDLX is understood; then `ddlx` says */
    bool ddlx;
    char version[40];    /* server_version; empty: not told */
    enum status failure; /* STATUS_OK: none */
    struct error error;  /* the failure's */
};

struct pgprobe;

/* Strings are borrowed. `password` NULL: there is none. */
struct pgprobe *pgprobe_new(const char *user, const char *database, const char *password,
                            enum pgprobe_goal goal);
/* NULL-safe. */
void pgprobe_free(struct pgprobe *probe);

/* What it has to say: consume what was sent. */
struct buffer *pgprobe_output(struct pgprobe *probe);
/* What the server says. */
void pgprobe_input(struct pgprobe *probe, struct bytes in);

enum pgprobe_stage pgprobe_stage(const struct pgprobe *probe);
const struct pgprobe_result *pgprobe_result(const struct pgprobe *probe);

#endif
