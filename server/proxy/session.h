/* One client's conversation with the migrations proxy: start-up, authentication, then every message
 * in both directions, with DDLX statements rewritten on the way.
 *
 * Sans-I/O: bytes and events in, bytes and decisions out through `struct session_host`. Host
 * functions are called synchronously from within session_* functions; they must not call back into
 * the session, and must not free it: the host frees it after its `close` was called and the call
 * into the session has returned. */
#ifndef SERVER_PROXY_SESSION_H
#define SERVER_PROXY_SESSION_H

#include "common/bytes.h"
#include "common/status.h"
#include "common/tunnel/tunnel_frame.h"

#include <stdbool.h>
#include <stdint.h>

struct session;
struct auth_verifier;
struct statement_job;

enum session_entrance { SESSION_TCP, SESSION_WEBSOCKET };

/* Chosen by database and user name. */
enum session_mode {
    SESSION_ELECTRIC,      /* DDLX, capture */
    SESSION_TRANSPARENT,   /* nothing is touched */
    SESSION_SHADOW,        /* a scratch database: DDLX grammar and checks only */
    SESSION_INTROSPECTION, /* sees only electrified tables */
};

const char *session_mode_name(enum session_mode mode);

/* What all sessions share; owned by the server, outlives them. */
struct session_settings {
    const struct auth_verifier *verifier;
    const char *md5_password;     /* PG_PROXY_AUTH=md5: the password itself; else NULL */
    const char *database;         /* the one of DATABASE_URL */
    const char *shadow_databases; /* comma-separated names, a trailing * matches any rest */
    bool tls;                     /* offered on the TCP port … */
    bool tls_required;            /* … and insisted on there */
    unsigned long auth_timeout_ms;
    size_t query_max; /* longest SQL text that is looked at; longer ones pass unchanged */
    /* Known once sessions can be served. */
    bool fallback; /* as in struct statement_settings, like the next */
    const char *framework_tables;
};

/* Where the session wants to be connected; borrowed for the call. */
struct session_target {
    enum session_mode mode;
    const char *database;       /* to connect to; NULL: the one of DATABASE_URL */
    const char *asked_database; /* what the client named when it is another one, to be looked up in
                                   pg_database; NULL: nothing to look up */
    const char *user;           /* the client's user name, for audit; not the login upstream */
    const char *const *parameters; /* name, value, name, value, …, NULL: start-up parameters allowed
                                      to be forwarded, `options` already filtered */
};

/* Upstream is connected and idle. Borrowed for the call. */
struct session_upstream {
    uint32_t pid;                  /* the backend's real one */
    uint32_t secret;               /* ours, for the client's CancelRequest */
    const char *const *parameters; /* ParameterStatus: name, value, …, NULL */
    bool asked_database_exists;
    const struct error *notice; /* for the client; NULL: none */
    bool may_ask_xid;           /* everybody may call pg_current_xact_id_if_assigned() */
    uint64_t system;            /* which Postgres, as in struct tunnel_txn; 0: not known */
    uint32_t timeline;
    uint64_t generation;
};

/* What a text is, for metrics. */
enum session_statement {
    SESSION_STATEMENT_DDLX,   /* some of it */
    SESSION_STATEMENT_SCHEMA, /* it may change tables */
    SESSION_STATEMENT_OTHER,
    SESSION_STATEMENTS,
};

#define SESSION_BINDING_MAX 64

struct session_host {
    void (*send_client)(void *host, struct bytes data);
    void (*send_upstream)(void *host, struct bytes data);
    /* More than the high watermark is queued to upstream; session_upstream_drained() will follow.
     */
    bool (*upstream_is_full)(void *host);
    /* End our direction to upstream once what is queued is sent; its answers still come. */
    void (*finish_upstream)(void *host);
    /* Do not read from the client until told so: a large SQL text is being looked at. Independent
     * of the host's own flow control. */
    void (*pause_client)(void *host, bool paused);
    /* Connect, then call session_upstream_ready() or session_upstream_failed(). Once. */
    void (*connect)(void *host, const struct session_target *target);
    /* A CancelRequest arrived: check `key` (≤ 256 bytes) and cancel; session closes afterwards. */
    void (*cancel)(void *host, uint32_t pid, struct bytes key);
    /* Run statement_job_run(job) on a worker, then session_job_done(), even if the session has
     * called close() meanwhile; it must not be freed in between. */
    void (*defer)(void *host, struct statement_job *job);
    /* Call session_timer() after `ms`; replaces the timer set before; 0 stops it. */
    void (*set_timer)(void *host, unsigned long ms);
    /* Postgres has a COMMIT of this transaction, whose answer comes behind what was sent so far. */
    void (*committing)(void *host, uint64_t xid);
    /* The connection to Postgres is lost, and what became of this transaction is in question: ask
     * for a while, then call session_outcome_told(). Not within the call. */
    void (*ask_outcome)(void *host, uint64_t xid);
    /* A statement that may have made a migration has been committed. */
    void (*migrated)(void *host);
    /* The client is sent an error that is ours, or that a check of ours in Postgres has raised. */
    void (*refused)(void *host, const char *sqlstate);
    /* A text of the client goes upstream. */
    void (*statement)(void *host, enum session_statement kind);
    /* The client's next byte, and everything after it both ways, belongs to TLS. */
    void (*start_tls)(void *host);
    /* The tls-server-end-point data of the client's TLS connection, at most
     * SESSION_BINDING_MAX bytes, and its size; 0: there is none. */
    size_t (*channel_binding)(void *host, uint8_t *out);
    /* Authentication finished, for the log and limits; how many milliseconds a failure waits for
     * its answer. */
    unsigned long (*authenticated)(void *host, bool success);
    /* Send what is queued to the client, then close both sides. `reason` is for the log and valid
     * during the call only. */
    void (*close)(void *host, const char *reason);
};

/* `host_ops` and `settings` are borrowed. `id` and `peer` are for the log. */
struct session *session_new(const struct session_settings *settings,
                            const struct session_host *host_ops, void *host, unsigned long long id,
                            const char *peer, enum session_entrance entrance);
void session_free(struct session *session);
/* The client has begun with TLS unasked (sslnegotiation=direct). */
void session_began_tls(struct session *session);
/* Starts the clock on the start-up packet. */
void session_start(struct session *session);

void session_client_bytes(struct session *session, struct bytes data);
/* The client has ended its direction. What it sent before is still worked off and answered, as
 * Postgres itself does. A client that is gone altogether is the host's to deal with: it frees the
 * session, and upstream is told to terminate. */
void session_client_end(struct session *session);

void session_upstream_ready(struct session *session, const struct session_upstream *upstream);
/* Sent to the client as FATAL. */
void session_upstream_failed(struct session *session, const struct error *error);
void session_upstream_bytes(struct session *session, struct bytes data);
/* Upstream's queue is down at the low watermark. */
void session_upstream_drained(struct session *session);
void session_upstream_end(struct session *session);

void session_timer(struct session *session);
void session_job_done(struct session *session, struct statement_job *job);
/* The answer to ask_outcome(). */
void session_outcome_told(struct session *session, enum tunnel_outcome outcome);
/* What becomes of the client's work if it hears nothing more: IN_PROGRESS, and of which
 * transaction, if known, while Postgres still owes an answer to a COMMIT. */
enum tunnel_outcome session_outcome(const struct session *session, uint64_t *xid);
/* Postgres owes an answer to a COMMIT, or to what may hold one. */
bool session_is_committing(const struct session *session);
/* Postgres is lost, and so may be its answer: session_outcome_told() is waited for. */
bool session_is_in_doubt(const struct session *session);
/* What Postgres has answered to the last COMMIT or ROLLBACK, and of which transaction, if known. */
enum tunnel_outcome session_last_outcome(const struct session *session, uint64_t *xid);
/* How many of these it has answered. */
unsigned long session_endings(const struct session *session);
/* Nothing was run since the last one. */
bool session_has_ended_last(const struct session *session);
/* Drain or limit: FATAL to the client at the next message boundary, then close; without the FATAL
 * when that boundary does not come in two seconds. */
void session_terminate(struct session *session, const struct error *error);

enum session_mode session_mode(const struct session *session);
/* "startup", "authenticating", "connecting", "ready", "in doubt", "closing": for the log and
 * metrics. */
const char *session_state_name(const struct session *session);

#endif
