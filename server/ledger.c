/* LISTEN, look, tell, look again. */
#include "server/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/ledger_describe.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/pgclient.h"

enum {
    LOOK_MS = 1000,       /* the safety net under pokes and notifications */
    CALM_MS = 40,         /* between looks that pokes ask for in vain */
    ANSWER_MS = 5000,     /* Postgres has to answer within */
    RETRY_FIRST_MS = 250, /* between attempts to connect, doubled up to … */
    RETRY_LAST_MS = 5000,
    LOG_LINE_MAX = 2000,
};

#define CHANNEL "electric_migrations"

static const struct log_context log_as = {.role = "ledger"};

/* What the question under way is about. */
enum question { QUESTION_NONE, QUESTION_LISTEN, QUESTION_LOOK, QUESTION_NOTIFY };

struct ledger {
    struct loop *loop;
    struct pgclient *client;
    struct loop_timer timer; /* the next look, or the next attempt to connect */
    struct ledger_listener *listeners;
    enum question question;
    struct ledger_head head; /* read up to here */
    bool started;            /* `head` is known */
    uint64_t told;           /* up to here all replicas were told: by us, or we by another */
    /* Since the last look began: why there is to be another, */
    bool poked;    /* our own sessions, */
    bool notified; /* another replica, */
    bool due;      /* it is time, */
    bool unread;   /* or not everything fitted on the page. */
    /* The same of the look under way. */
    bool was_poked, was_notified;
    uint64_t looked_at;
    bool in_vain;    /* it found nothing */
    bool failing;    /* to connect */
    bool unreadable; /* though connected */
    unsigned long retry_ms;
};

static void ask(struct ledger *ledger, enum question question, const char *sql, int count,
                const char *const *values)
{
    ledger->question = question;
    pgclient_ask(ledger->client, sql, count, values, ANSWER_MS);
}

static void look(struct ledger *ledger)
{
    char after[24];
    const char *const values[] = {after, ledger->started ? LEDGER_NEWEST : "0"};

    (void)snprintf(after, sizeof(after), "%" PRIu64, ledger->head.seq);
    /* What is poked from now on may have committed after this look's snapshot. */
    ledger->was_poked = ledger->poked;
    ledger->was_notified = ledger->notified;
    ledger->poked = ledger->notified = ledger->due = ledger->unread = false;
    ledger->looked_at = loop_now_ms();
    ledger->in_vain = true;
    loop_timer_set(ledger->loop, &ledger->timer, LOOK_MS);
    ask(ledger, QUESTION_LOOK, LEDGER_PAGE_SQL, 2, values);
}

/* Most DDL is about tables that are not electrified: a script of hundreds of statements must not
 * become hundreds of looks. */
static bool is_too_soon(struct ledger *ledger)
{
    uint64_t passed = loop_now_ms() - ledger->looked_at;

    if (!ledger->in_vain || ledger->notified || ledger->due || passed >= CALM_MS)
        return false;
    loop_timer_set(ledger->loop, &ledger->timer, CALM_MS - (unsigned long)passed);
    return true;
}

static void look_if_asked(struct ledger *ledger)
{
    if (pgclient_is_idle(ledger->client) && ledger->question == QUESTION_NONE &&
        (ledger->poked || ledger->notified || ledger->due || ledger->unread) &&
        !is_too_soon(ledger))
        look(ledger);
}

/* Only this connection tells others: in the migration's own transaction NOTIFY would make PREPARE
 * TRANSACTION fail, and would take one more lock while it commits. A look by the clock may have
 * found what the poke was about, so it is not its own rows that a poked look tells of. */
static bool tell_others(struct ledger *ledger)
{
    bool news = ledger->was_poked && ledger->head.seq > ledger->told;

    if (news || ledger->was_notified)
        ledger->told = ledger->head.seq;
    if (news)
        ask(ledger, QUESTION_NOTIFY, "NOTIFY " CHANNEL, 0, NULL);
    return news;
}

/* What was read */

/* On every replica: each log then tells the whole story of the database, also what a replica did
 * that is gone by now, or a direct session. `session` of the row tells whose it was. */
static void log_migration(const struct ledger_row *row)
{
    struct buffer line;

    if (!log_enabled(LOG_INFO))
        return;
    buffer_init(&line, LOG_LINE_MAX);
    ledger_describe(row, &line);
    log_info(&log_as, "%.*s", (int)buffer_len(&line), (const char *)buffer_peek(&line).data);
    buffer_clear(&line);
}

static void take_row(struct ledger *ledger, const struct ledger_row *row)
{
    metrics_migration();
    log_migration(row);
    for (struct ledger_listener *listener = ledger->listeners; listener != NULL;
         listener = listener->next)
        listener->on_migration(listener, row);
}

static void replace(struct ledger *ledger, const struct ledger_head *head)
{
    log_warn(&log_as,
             "the ledger was replaced: it ends at migration %" PRIu64 " now, not at %" PRIu64,
             head->seq, ledger->head.seq);
    ledger->head = *head;
    ledger->told = head->seq;
    for (struct ledger_listener *listener = ledger->listeners; listener != NULL;
         listener = listener->next)
        listener->on_replaced(listener, head);
}

/* Hashes chain: `previous` is what the migration after ours says ours is. */
static bool is_replaced(const struct ledger *ledger, const struct ledger_head *head,
                        const PGresult *page)
{
    const char *previous = head->hash;

    if (head->seq < ledger->head.seq)
        return true;
    if (ledger_page_count(page) > 0) {
        struct ledger_row first = ledger_page_row(page, 0);

        if (first.seq != ledger->head.seq + 1)
            return true;
        previous = first.previous_hash;
    }
    return strcmp(previous, ledger->head.hash) != 0;
}

static void take_page(struct ledger *ledger, const PGresult *page)
{
    struct ledger_head head;
    int count = ledger_page_count(page);

    if (!ledger_page_head(page, &head))
        return;
    if (!ledger->started) {
        ledger->started = true;
        ledger->head = head;
        ledger->told = head.seq;
        return;
    }
    if (is_replaced(ledger, &head, page)) {
        replace(ledger, &head);
        return;
    }
    for (int i = 0; i < count; i++) {
        struct ledger_row row = ledger_page_row(page, i);

        ledger->in_vain = false;
        ledger_row_head(&row, &ledger->head);
        take_row(ledger, &row);
    }
    ledger->unread = count > 0 && ledger->head.seq < head.seq;
}

/* The connection */

static void on_connected(void *owner)
{
    struct ledger *ledger = owner;

    if (ledger->failing)
        log_info(&log_as, "connected again");
    ledger->failing = false;
    ledger->retry_ms = RETRY_FIRST_MS;
    ask(ledger, QUESTION_LISTEN, "LISTEN " CHANNEL, 0, NULL);
}

static void note_failure(struct ledger *ledger, enum question question, const struct error *error)
{
    /* A standby knows neither LISTEN nor NOTIFY; looking each second is enough there. */
    if (question != QUESTION_LOOK) {
        log_debug(&log_as, "%s", error->message);
        return;
    }
    if (!ledger->unreadable)
        log_warn(&log_as, "could not read the ledger: %s", error->message);
    ledger->unreadable = true;
}

static void on_result(void *owner, PGresult *result)
{
    struct ledger *ledger = owner;
    enum question question = ledger->question;
    struct error error;

    /* What listeners do must not ask in between. */
    if (pgclient_is_error(result, &error)) {
        note_failure(ledger, question, &error);
    } else if (question == QUESTION_LOOK) {
        ledger->unreadable = false;
        take_page(ledger, result);
    }
    PQclear(result);
    ledger->question = QUESTION_NONE;
    if (question == QUESTION_LISTEN)
        look(ledger);
    else if (question == QUESTION_NOTIFY || !tell_others(ledger))
        look_if_asked(ledger);
}

static void on_notified(void *owner)
{
    struct ledger *ledger = owner;

    ledger->notified = true;
    look_if_asked(ledger);
}

static void on_failed(void *owner, const struct error *error)
{
    struct ledger *ledger = owner;

    ledger->question = QUESTION_NONE;
    if (!ledger->failing)
        log_warn(&log_as, "%s; trying again until it works", error->message);
    ledger->failing = true;
    loop_timer_set(ledger->loop, &ledger->timer, ledger->retry_ms);
    ledger->retry_ms = ledger->retry_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : ledger->retry_ms * 2;
}

static const struct pgclient_events events = {
    .on_connected = on_connected,
    .on_result = on_result,
    .on_notified = on_notified,
    .on_failed = on_failed,
};

static void on_timer(struct loop_timer *timer)
{
    struct ledger *ledger = lws_container_of(timer, struct ledger, timer);

    if (pgclient_is_closed(ledger->client))
        pgclient_connect(ledger->client);
    ledger->due = true;
    look_if_asked(ledger);
}

struct ledger *ledger_new(struct loop *loop, struct worker_pool *workers,
                          const struct server_settings *settings)
{
    struct ledger *ledger = mem_new(sizeof(*ledger));

    ledger->loop = loop;
    ledger->timer.on_expired = on_timer;
    ledger->retry_ms = RETRY_FIRST_MS;
    ledger->client = pgclient_new(loop, workers, settings, &events, ledger);
    pgclient_connect(ledger->client);
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    loop_timer_stop(&ledger->timer);
    pgclient_free(ledger->client);
    free(ledger);
}

void ledger_listen(struct ledger *ledger, struct ledger_listener *listener)
{
    listener->next = ledger->listeners;
    ledger->listeners = listener;
}

void ledger_poke(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    ledger->poked = true;
    look_if_asked(ledger);
}

const struct ledger_head *ledger_head(const struct ledger *ledger)
{
    return ledger->started ? &ledger->head : NULL;
}
