/* What the server counts, for /metrics. One table for the process, touched by the loop thread only.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "common/buffer.h"
#include "server/proxy/session.h"

#include <stdbool.h>
#include <stdint.h>

/* A client of the migrations proxy on its way; embed it, zeroed. */
enum metrics_state {
    METRICS_NONE, /* not counted */
    METRICS_LOGGING_IN,
    METRICS_CONNECTING, /* to Postgres */
    METRICS_OPEN,
    METRICS_CLOSING,
};
enum { METRICS_STATES = METRICS_CLOSING + 1, METRICS_ENTRANCES = 2, METRICS_MODES = 5 };

struct metrics_session {
    enum metrics_state state;
    unsigned entrance; /* enum session_entrance */
    unsigned mode;     /* enum session_mode and one, 0: not known yet */
};

void metrics_session_begin(struct metrics_session *session, enum session_entrance entrance);
void metrics_session_mode(struct metrics_session *session, enum session_mode mode);
/* METRICS_NONE ends it. */
void metrics_session_enter(struct metrics_session *session, enum metrics_state state);

/* Of sessions that outlive their WebSocket. */
enum metrics_counter {
    METRICS_TUNNEL_ATTACHMENTS,
    METRICS_TUNNEL_RESUMES,
    METRICS_TUNNEL_EXPIRIES,
    METRICS_TUNNEL_RESENT_BYTES,
};
enum { METRICS_COUNTERS = METRICS_TUNNEL_RESENT_BYTES + 1 };
void metrics_count(enum metrics_counter counter, uint64_t by);
/* What carries such a session for a while. */
enum metrics_carrier { METRICS_CARRIER_WEBSOCKET, METRICS_CARRIER_HTTP };
enum { METRICS_CARRIERS = METRICS_CARRIER_HTTP + 1 };
void metrics_attachment(enum metrics_carrier carrier);
/* Of clients: `up` towards Postgres. */
void metrics_bytes(bool up, size_t count);
/* A client was sent an error that is ours, or that a check of ours in Postgres has raised. */
void metrics_refusal(const char *sqlstate);
void metrics_statement(enum session_statement kind);
void metrics_migration(void);
/* Of sessions. */
void metrics_upstream_connected(uint64_t ms);
void metrics_upstream_failed(void);
/* `path` is one of few and lives as long as the program. */
void metrics_request(const char *path, int status);
/* By how much a timer was late. */
void metrics_loop_lag(uint64_t us);

/* A value that somebody knows at the moment, in the text format 0.0.4; `labels` may be "". */
void metrics_write_gauge(struct buffer *out, const char *name, const char *help, double value);
/* All of the table. */
void metrics_write(struct buffer *out);

#endif
