/* The inside of a session, shared by the files that make it up: session.c (states), login.c
 * (start-up and authentication), frontend.c (client → server), backend.c (server → client), loss.c
 * (the end of the latter in COMMIT). */
#ifndef SERVER_PROXY_SESSION_STATE_H
#define SERVER_PROXY_SESSION_STATE_H

#include "common/buffer.h"
#include "common/log.h"
#include "server/proxy/auth.h"
#include "server/proxy/parameters.h"
#include "server/proxy/pipeline.h"
#include "server/proxy/session.h"
#include "server/proxy/statement.h"

enum session_state {
    SESSION_STARTUP,        /* waits for the start-up packet */
    SESSION_AUTHENTICATING, /* waits for the client's next authentication message */
    SESSION_REJECTING,      /* a wrong password is answered late */
    SESSION_CONNECTING,     /* waits for upstream */
    SESSION_READY,          /* messages flow */
    SESSION_IN_DOUBT,       /* Postgres is lost; waits for what became of the COMMIT it had */
    SESSION_CLOSING,        /* the host is closing both sides */
};

/* What the next authentication message of the client must be. */
enum login_step { LOGIN_SASL_INITIAL, LOGIN_SASL_RESPONSE, LOGIN_MD5 };

/* Bytes a client may send before it is authenticated. */
#define LOGIN_INPUT_MAX ((size_t)64 * 1024)
/* Messages that are looked at whole, beside SQL texts. */
#define SESSION_MESSAGE_MAX ((size_t)64 * 1024)
#define SESSION_REPORT_MAX ((size_t)1024 * 1024)
/* CommandComplete, EmptyQueryResponse and PortalSuspended: no tag is longer. In front of it there
 * may be a RowDescription. */
#define SESSION_TAG_MAX ((size_t)128)
#define SESSION_HELD_MAX (SESSION_MESSAGE_MAX + SESSION_TAG_MAX + 2)
/* For a message under way to end, so that the client can be told why the session does. */
#define SESSION_DOOM_MS 2000
#define SESSION_PIECE ((size_t)256 * 1024)

struct session {
    const struct session_settings *settings;
    const struct session_host *ops;
    void *host;
    struct log_context log;
    char *peer;
    enum session_entrance entrance;
    enum session_state state;
    enum session_mode mode;
    bool tls; /* the client's bytes come through TLS of ours */

    /* login.c */
    bool asked_ssl, asked_gssenc;
    enum login_step login_step;
    struct auth_exchange *exchange;
    uint8_t md5_salt[4];
    char *user;
    char *database; /* as the client named it; NULL when it did not */
    struct parameters parameters;
    struct error doom; /* session_terminate() while the client cannot be told */
    bool doomed;

    /* frontend.c */
    struct buffer client_input; /* what could not be processed yet */
    size_t client_pass;         /* bytes of the current message that go upstream as they are … */
    bool client_drop;           /* … or nowhere */
    bool client_skips;          /* after a refusal of ours: everything up to the next Sync */
    bool awaits_idle;           /* the message at the front waits for what is under way */
    size_t client_wants;        /* length of the message that is waited for whole; 0: none */
    size_t client_defer;        /* length of the message to be examined on a worker; 0: none */
    struct statement_job *job;
    struct statement_job *examined; /* is done, but its text has yet to go upstream */
    struct buffer outgoing;         /* a large message on its way upstream, piece by piece */
    bool client_paused;
    bool client_terminated; /* it sent Terminate or ended: upstream's end is no loss */
    bool client_ended;      /* upstream is to be told once what waits has gone there */

    /* backend.c */
    struct buffer server_input;
    size_t server_pass; /* bytes of the current message that go to the client as they are … */
    bool server_drop;   /* … or are hidden */
    struct buffer held; /* an answer that waits for what follows its statement */
    bool server_fatal;  /* a FATAL was passed on: nothing more is to be said */
    struct statement_settings text_settings;
    enum encoding server_encoding;
    struct pipeline pipeline;

    /* loss.c */
    char loss[200];              /* of Postgres */
    enum tunnel_outcome outcome; /* when it was closed: as far as known by then */
};

/* session.c */
void session_enter(struct session *session, enum session_state state);
void session_send_client(struct session *session, struct buffer *out); /* and empties it */
/* FATAL to the client and close. */
void session_fail(struct session *session, const struct error *error);
void session_close(struct session *session, const char *reason);
/* Processes what waits in client_input. */
void session_feed(struct session *session);

/* login.c: takes from the front of `in` what start-up and authentication need. */
void login_process(struct session *session, struct bytes *in);
void login_reject(struct session *session);
void login_connected(struct session *session, const struct session_upstream *upstream);

/* frontend.c: takes whole messages, or pieces of those that pass, from the front of `in`. */
void frontend_process(struct session *session, struct bytes *in);
/* The SQL text in a whole Query or Parse message. */
struct bytes frontend_text(struct bytes message);
void frontend_job_done(struct session *session, struct statement_job *job);
/* Sends of `outgoing` what upstream has room for. */
void frontend_pump(struct session *session);

/* backend.c: likewise. */
void backend_process(struct session *session, struct bytes *in);
/* Whether a message of ours may be put in front of what the server sends next. */
bool backend_at_boundary(const struct session *session);
/* ParameterStatus that matter for reading SQL texts. */
void backend_note_parameter(struct session *session, struct bytes name, struct bytes value);

#endif
