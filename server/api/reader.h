/* Questions to Postgres on behalf of HTTP requests: a few connections, opened when they are needed,
 * and a queue in front of them. An answer comes within a deadline, or an error does. */
#ifndef SERVER_API_READER_H
#define SERVER_API_READER_H

#include "common/status.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;
struct reader;
struct reader_slot;
struct server_settings;
struct worker_pool;

enum { READER_VALUES_MAX = 5 };

/* Embed it, and fill in the first part. It must be a question that may be asked twice: one that was
 * lost with its connection is. */
struct reader_question {
    const char *sql;
    int count;
    const char *values[READER_VALUES_MAX]; /* borrowed until the answer */
    /* One of the two, later, once. The callee clears `rows`; it may ask again. */
    void (*on_rows)(struct reader_question *question, PGresult *rows);
    void (*on_failed)(struct reader_question *question, const struct error *error);
    /* The reader's */
    TAILQ_ENTRY(reader_question) entry;
    struct reader_slot *slot; /* where it is asked, or NULL while it waits */
    uint64_t deadline_ms;
    bool pending;
    bool asked_again;
};

struct reader *reader_new(struct loop *loop, struct worker_pool *workers,
                          const struct server_settings *settings);
/* What was asked is forgotten. NULL-safe. */
void reader_free(struct reader *reader);

void reader_ask(struct reader *reader, struct reader_question *question);
/* No answer is wanted any more; harmless when none is due. */
void reader_forget(struct reader *reader, struct reader_question *question);
/* Whether an answer is due, and whether the question may still be waiting, so that its snapshot is
 * yet to be taken. */
bool reader_is_pending(const struct reader_question *question);
bool reader_is_waiting(const struct reader_question *question);

#endif
