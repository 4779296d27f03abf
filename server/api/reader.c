/* Slots with a connection each, one queue, one timer for deadlines. */
#include "server/api/reader.h"

#include <stdlib.h>

#include "common/memory.h"
#include "server/loop.h"
#include "server/pgclient.h"

enum {
    SLOTS = 4,
    ANSWER_MS = 5000, /* a question waits and is answered within */
    IDLE_MS = 60000,  /* a connection that nobody needs is closed */
    HOLD_MS = 500,    /* after a connection failed, before the same slot tries again */
    TICK_MS = 250,
};

TAILQ_HEAD(questions, reader_question);

struct reader_slot {
    struct reader *reader;
    struct pgclient *client;
    struct reader_question *question; /* NULL also when it was forgotten */
    bool connecting;
    uint64_t idle_since;
    uint64_t hold_until;
};

struct reader {
    struct loop *loop;
    struct questions waiting;
    struct reader_slot slots[SLOTS];
    struct loop_timer timer; /* ticks while something is due */
    bool ticking;
};

static void fail_question(struct reader_question *question, const struct error *error)
{
    question->pending = false;
    question->slot = NULL;
    question->on_failed(question, error);
}

static void tick(struct reader *reader)
{
    if (!reader->ticking)
        loop_timer_set(reader->loop, &reader->timer, TICK_MS);
    reader->ticking = true;
}

static struct reader_slot *find_idle(struct reader *reader)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (pgclient_is_idle(reader->slots[i].client))
            return &reader->slots[i];
    return NULL;
}

static struct reader_slot *find_closed(struct reader *reader)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (pgclient_is_closed(reader->slots[i].client) &&
            loop_now_ms() >= reader->slots[i].hold_until)
            return &reader->slots[i];
    return NULL;
}

static size_t count_connecting(const struct reader *reader)
{
    size_t count = 0;

    for (size_t i = 0; i < SLOTS; i++)
        count += reader->slots[i].connecting;
    return count;
}

static size_t count_waiting(const struct reader *reader)
{
    const struct reader_question *question;
    size_t count = 0;

    TAILQ_FOREACH(question, &reader->waiting, entry)
    if (++count == SLOTS)
        break;
    return count;
}

static void dispatch(struct reader *reader)
{
    struct reader_question *question;
    struct reader_slot *slot;

    while ((question = TAILQ_FIRST(&reader->waiting)) != NULL &&
           (slot = find_idle(reader)) != NULL) {
        TAILQ_REMOVE(&reader->waiting, question, entry);
        question->slot = slot;
        slot->question = question;
        pgclient_ask(slot->client, question->sql, question->count, question->values,
                     2UL * ANSWER_MS);
    }
    while (count_waiting(reader) > count_connecting(reader) &&
           (slot = find_closed(reader)) != NULL) {
        slot->connecting = true;
        pgclient_connect(slot->client);
    }
}

/* The slots */

static void on_connected(void *owner)
{
    struct reader_slot *slot = owner;

    slot->connecting = false;
    slot->idle_since = loop_now_ms();
    dispatch(slot->reader);
}

/* All questions read the row of electric.head, and a damaged schema has none. */
static bool is_refusal(const PGresult *result, struct error *error)
{
    if (pgclient_is_error(result, error))
        return true;
    if (PQntuples(result) > 0)
        return false;
    (void)error_set(error, STATUS_INVALID, "XX001",
                    "the ledger has no head: electric.head is empty");
    return true;
}

static void on_result(void *owner, PGresult *result)
{
    struct reader_slot *slot = owner;
    struct reader_question *question = slot->question;
    struct error error;

    slot->question = NULL;
    slot->idle_since = loop_now_ms();
    if (question == NULL) {
        PQclear(result);
    } else if (is_refusal(result, &error)) {
        PQclear(result);
        fail_question(question, &error);
    } else {
        question->pending = false;
        question->slot = NULL;
        question->on_rows(question, result);
    }
    dispatch(slot->reader);
}

static bool is_any_open(const struct reader *reader)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (!pgclient_is_closed(reader->slots[i].client))
            return true;
    return false;
}

static void fail_all(struct reader *reader, const struct error *error)
{
    struct reader_question *question;
    size_t count = 0;

    TAILQ_FOREACH(question, &reader->waiting, entry)
    count++;
    /* Not those that are asked meanwhile. */
    for (; count > 0 && (question = TAILQ_FIRST(&reader->waiting)) != NULL; count--) {
        TAILQ_REMOVE(&reader->waiting, question, entry);
        fail_question(question, error);
    }
}

static void on_failed(void *owner, const struct error *error)
{
    struct reader_slot *slot = owner;
    struct reader *reader = slot->reader;
    struct reader_question *question = slot->question;

    slot->question = NULL;
    if (slot->connecting)
        slot->hold_until = loop_now_ms() + HOLD_MS;
    slot->connecting = false;
    if (question != NULL && !question->asked_again) {
        /* A connection that died unnoticed is no verdict: once more on another. */
        question->asked_again = true;
        question->slot = NULL;
        TAILQ_INSERT_HEAD(&reader->waiting, question, entry);
    } else if (question != NULL) {
        fail_question(question, error);
    } else if (!is_any_open(reader)) {
        fail_all(reader, error);
        return;
    }
    dispatch(reader);
}

static const struct pgclient_events events = {
    .on_connected = on_connected,
    .on_result = on_result,
    .on_failed = on_failed,
};

/* Time */

static void fail_overdue(struct reader *reader, uint64_t now)
{
    struct reader_question *question;
    struct error error;

    (void)error_set(&error, STATUS_TIMEOUT, "57014", "Postgres did not answer in time");
    /* They wait in order of their deadlines, but for one that was asked again. */
    while ((question = TAILQ_FIRST(&reader->waiting)) != NULL && question->deadline_ms <= now) {
        TAILQ_REMOVE(&reader->waiting, question, entry);
        fail_question(question, &error);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        question = reader->slots[i].question;
        if (question == NULL || question->deadline_ms > now)
            continue;
        reader->slots[i].question = NULL;
        pgclient_disconnect(reader->slots[i].client);
        fail_question(question, &error);
    }
}

static void close_unused(struct reader *reader, uint64_t now)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (pgclient_is_idle(reader->slots[i].client) &&
            now - reader->slots[i].idle_since >= IDLE_MS)
            pgclient_disconnect(reader->slots[i].client);
}

static void on_timer(struct loop_timer *timer)
{
    struct reader *reader = lws_container_of(timer, struct reader, timer);
    uint64_t now = loop_now_ms();

    reader->ticking = false;
    fail_overdue(reader, now);
    close_unused(reader, now);
    dispatch(reader);
    if (is_any_open(reader) || !TAILQ_EMPTY(&reader->waiting))
        tick(reader);
}

struct reader *reader_new(struct loop *loop, struct worker_pool *workers,
                          const struct server_settings *settings)
{
    struct reader *reader = mem_new(sizeof(*reader));

    reader->loop = loop;
    reader->timer.on_expired = on_timer;
    TAILQ_INIT(&reader->waiting);
    for (size_t i = 0; i < SLOTS; i++) {
        struct reader_slot *slot = &reader->slots[i];

        slot->reader = reader;
        slot->client = pgclient_new(loop, workers, settings, &events, slot);
    }
    return reader;
}

void reader_free(struct reader *reader)
{
    struct reader_question *question;

    if (reader == NULL)
        return;
    loop_timer_stop(&reader->timer);
    while ((question = TAILQ_FIRST(&reader->waiting)) != NULL)
        reader_forget(reader, question);
    for (size_t i = 0; i < SLOTS; i++) {
        if (reader->slots[i].question != NULL)
            reader_forget(reader, reader->slots[i].question);
        pgclient_free(reader->slots[i].client);
    }
    free(reader);
}

void reader_ask(struct reader *reader, struct reader_question *question)
{
    question->pending = true;
    question->asked_again = false;
    question->slot = NULL;
    question->deadline_ms = loop_now_ms() + ANSWER_MS;
    TAILQ_INSERT_TAIL(&reader->waiting, question, entry);
    tick(reader);
    dispatch(reader);
}

void reader_forget(struct reader *reader, struct reader_question *question)
{
    if (!question->pending)
        return;
    if (question->slot != NULL)
        question->slot->question = NULL;
    else
        TAILQ_REMOVE(&reader->waiting, question, entry);
    question->pending = false;
    question->slot = NULL;
}

bool reader_is_pending(const struct reader_question *question)
{
    return question->pending;
}

bool reader_is_waiting(const struct reader_question *question)
{
    return question->pending && question->slot == NULL;
}
