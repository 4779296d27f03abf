/* The server's own connection to Postgres: installs the schema at start, answers whether Postgres
 * is up, cancels statements. Everything that waits runs on a thread of its own. */
#ifndef SERVER_PROXY_CONTROL_H
#define SERVER_PROXY_CONTROL_H

#include "common/bytes.h"
#include "common/status.h"
#include "server/schema.h"

#include <stdbool.h>
#include <stdint.h>

struct control;
struct engine_health;
struct loop;
struct server_settings;

struct control_events {
    /* Once: the schema is installed, sessions can be served. */
    void (*on_prepared)(void *owner);
    /* Trying again will not help: somebody must change the configuration or grant a right. */
    void (*on_hopeless)(void *owner, const struct error *error);
};

/* Begins to prepare at once. NULL when the system gives no thread. */
struct control *control_new(struct loop *loop, const struct server_settings *settings,
                            const struct control_events *events, void *owner);
/* Cuts off what is under way. Waiters and cancels must be gone or are not answered. NULL-safe. */
void control_free(struct control *control);

/* NULL when sessions can be served, else why not. */
const struct error *control_obstacle(const struct control *control);
/* UPSTREAM_CANCEL_KEY_SIZE bytes; only when there is no obstacle. */
const uint8_t *control_cancel_key(const struct control *control);
/* What marks sessions that may change electrified tables; NULL when nothing is captured. Only when
 * there is no obstacle. */
const char *control_proxied_token(const struct control *control);
/* As of the start; off unless the options ask for capture. Only when there is no obstacle. */
enum schema_mode control_capture_mode(const struct control *control);
/* As in struct schema_settings; stays until control_free(). Only when there is no obstacle. */
const char *control_framework_tables(const struct control *control);

/* What is known of the engine in Postgres; for the loop thread, valid until its next run. */
const struct engine_health *control_engine(const struct control *control);

/* Somebody who waits for an answer; embed it, zeroed. */
struct control_waiter {
    struct control_waiter *next;
    void (*on_answer)(struct control_waiter *waiter);
};

/* True: what control_health() says is not older than a second. Else the waiter is answered later,
 * soon even when Postgres hangs. */
bool control_check(struct control *control, struct control_waiter *waiter);
/* NULL: reachable and prepared. */
const struct error *control_health(const struct control *control);

/* Cancels what the backend runs if `key` is the secret of upstream_secret(), then answers the
 * waiter. Wrong ones are logged; after too many in a second the rest of that second's are dropped,
 * since which are right is not known before. False when it is dropped at once. */
bool control_cancel(struct control *control, uint32_t pid, struct bytes key,
                    struct control_waiter *waiter);
/* The same for a session of our own that is being ended, whose backend may be gone already. */
bool control_stop(struct control *control, uint32_t pid, uint32_t secret,
                  struct control_waiter *waiter);
/* The waiter goes away; harmless when it does not wait. */
void control_forget(struct control *control, struct control_waiter *waiter);

#endif
