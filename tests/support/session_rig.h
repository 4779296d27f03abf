/* A session against a host that only records, and a client and a server that say what a test wants.
 */
#ifndef TESTS_SUPPORT_SESSION_RIG_H
#define TESTS_SUPPORT_SESSION_RIG_H

#include "common/buffer.h"
#include "server/proxy/session.h"

/* What a wrong password waits for its answer. */
#define SESSION_RIG_DELAY_MS 1000
#define LITERAL(text) bytes_of(text, sizeof(text) - 1)

/* What the session did. */
extern struct session_rig {
    struct buffer client, upstream;
    char closed[128];
    char asked[64], database[64];
    char parameters[256];
    bool connecting, paused, upstream_full, finished, tls;
    unsigned long timer;
    uint32_t cancelled;
    uint64_t committing, in_question;
    unsigned migrated;
    char refused[8];
    unsigned statements[SESSION_STATEMENTS];
    struct statement_job *job;
} host;

extern struct session *session;
/* Some may be changed before begin(). */
extern struct session_settings settings;
/* How what client and server say arrives. */
extern bool byte_by_byte;

void begin(void);
void end(void);

void from_client(struct bytes data);
void from_server(struct bytes data);
void from_client_message(uint8_t type, struct bytes body);
void send_query(const char *sql);

/* Login: each of these takes it one step further. */
void start(const char *parameters, size_t len);
#define START(parameters) start(parameters, sizeof(parameters) - 1)
void answer_md5(const char *password, const char *user);
void upstream_ready_with(bool asked_exists);
/* All of it, for a session in which messages flow. */
void begin_ready(void);

/* These two forget what they have looked at. */
void client_got(struct bytes expected);
void upstream_got(struct bytes expected);
bool client_got_text(const char *text);

#endif
