/* Connects to one configured TCP address without blocking: names on a worker, then one address
 * after the other. */
#ifndef SERVER_DIAL_H
#define SERVER_DIAL_H

#include "common/status.h"

#include <stdint.h>

struct loop;
struct worker_pool;
struct dial_target;
struct dial;

/* Numeric addresses are looked up here, once; names anew by each dial. */
struct dial_target *dial_target_new(const char *host, uint16_t port);
/* No dial may be under way. NULL-safe. */
void dial_target_free(struct dial_target *target);

/* `fd` is connected, non-blocking and the owner's, or -1 with `error`. Always from the loop, never
 * from within dial_start(). */
typedef void dial_done(void *owner, int fd, const struct error *error);

struct dial *dial_start(struct loop *loop, struct worker_pool *workers, struct dial_target *target,
                        dial_done *done, void *owner);
/* Gives up; done is not called. */
void dial_cancel(struct dial *dial);

#endif
