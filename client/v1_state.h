/* The inside of a client's session of electric-tunnel.v1, shared by its own files only. */
#ifndef CLIENT_V1_STATE_H
#define CLIENT_V1_STATE_H

#include "client/cookies.h"
#include "client/gather.h"
#include "client/outcome.h"
#include "client/v1.h"
#include "client/websocket.h"
#include "common/tunnel/tunnel_decoder.h"

#define V1_NEVER INT64_MAX

/* A carrier for one session. */
struct attachment {
    struct v1 *v1;
    struct carrier *carrier;
    struct tunnel_decoder decoder;
    uint32_t number; /* the endpoint's; 0: it is not used yet */
    bool is_open;
    bool is_http;      /* not a WebSocket */
    int64_t joined_at; /* when it was open */
    /* Why it is no WebSocket; NULL: that was clear from the start. */
    struct connect_result *refusal;
    struct error refusal_error;
    int64_t began_at; /* loop_elapsed() */
};

/* Times are those of loop_elapsed(). */
struct v1 {
    struct tunnel tunnel;
    struct v1 *previous; /* in `sessions` of what all share */
    struct v1 *next;
    struct endpoint *endpoint;
    struct loop_timer timer;
    struct loop_task work;    /* v1_work(), later in this turn */
    struct loop_task destroy; /* nobody needs it any more */

    /* Attachments (v1_attach.c) */
    struct attachment *current; /* the endpoint's */
    struct attachment *coming;  /* not used yet */
    struct attachment *left;    /* closed once the current one is up */
    struct cookies cookies;
    char route[17];
    unsigned failures; /* attempts in a row */
    int64_t began_at;  /* the last attempt */
    int64_t retry_at;  /* or V1_NEVER */
    int64_t lost_at;   /* when an attachment that was up went; V1_NEVER: it is up */
    char loss[200];    /* why it went */
    bool lost_told;    /* that it takes a while */
    bool suspicious;   /* WebSockets may be blocked: the next attachment asks */

    /* Its loss (v1_loss.c) */
    struct tunnel_txn txn;         /* the last COMMIT that the service told of */
    struct outcome_search *search; /* what became of it */
    char end[200];                 /* why the session is lost */

    /* The local side (v1.c) */
    struct gather gather; /* for it, from the current read */
    size_t want;          /* what its next read may bring */
    int64_t opened_at;
    int64_t linger_until; /* without an owner: for the other end to have everything */
    int64_t timer_at;     /* what `timer` waits for */
    bool finished;        /* the local side sends no more */
    bool up_told;         /* on_up() was called: the session may have been opened */
    bool receiving;       /* the local side takes bytes */
    bool full;            /* the local side waits for on_room() */
    bool end_told;        /* on_end() was called */
    bool orphan;          /* the owner is gone */
    bool working;         /* inside v1_work() */
};

/* Does whatever can be done now: hands on, sends, attaches, ends. */
void v1_work(struct v1 *v1);
/* The session is lost for good. Tells the local side why, and what is known or can be found out. */
void v1_give_up(struct v1 *v1, const char *reason);
void v1_lose(struct v1 *v1, const struct tunnel_reset *end);
/* How much may have happened that the local side does not know of. */
enum doubt v1_doubt(const struct v1 *v1);
void v1_tell_end(struct v1 *v1, const struct error *error);
/* Nobody will hear of it any more. */
void v1_abort(struct v1 *v1, const char *text);
/* It never was one. */
void v1_refuse(struct v1 *v1, const struct error *error);
/* The current attachment brought bytes for the local side: to be taken from the endpoint. */
void v1_take_fresh(struct v1 *v1);
void v1_hand_on(struct v1 *v1);
/* Becomes raw mode on that WebSocket; the session is gone. */
void v1_become_raw(struct v1 *v1, struct attachment *attachment,
                   const struct connect_result *result);

/* Which kind of carrier an attachment gets (v1_carrier.c). */
void v1_open_carrier(struct v1 *v1, struct attachment *attachment,
                     const struct carrier_events *events);
/* Its WebSocket could not be opened. True: it gets another carrier, to be waited for. */
bool v1_try_http(struct v1 *v1, struct attachment *attachment, const struct connect_result *result,
                 const struct carrier_events *events);
/* It is open, or not. Gives what is to be told of it. */
const struct connect_result *v1_note_open(struct v1 *v1, struct attachment *attachment,
                                          const struct connect_result *result);
/* When a WebSocket that answers nothing is given up; V1_NEVER: there is none. */
int64_t v1_mute_at(const struct v1 *v1);
void v1_note_mute(struct v1 *v1);

/* Starts an attempt, unless one is under way. */
void v1_attach(struct v1 *v1);
/* The first one, on a prewarmed connection if there is one, whose id and key are then to be the
 * session's. */
bool v1_take_prewarmed(struct v1 *v1, struct tunnel_id *id, struct tunnel_key *key);
/* What the endpoint has to say, while the current attachment takes it. */
void v1_send(struct v1 *v1);
/* It is time: asks the endpoint whether its attachment is dead, and for the next attempt. */
void v1_check_time(struct v1 *v1);
/* Closes all attachments, with a Close frame where that takes no waiting. */
void v1_drop_attachments(struct v1 *v1);

#endif
