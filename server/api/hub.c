/* A window of rendered events for each dialect, fetches from the ledger, heartbeats. */
#include "server/api/hub.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/api/reader.h"
#include "server/ledger.h"
#include "server/loop.h"

enum {
    DIALECTS = 2,
    WINDOW_PAGES = 256,
    HEARTBEAT_MS = 15000,
    SEQ_SIZE = 24,
};
#define WINDOW_BYTES ((size_t)4 * 1024 * 1024)
#define PAGE_BYTES ((size_t)48 * 1024 * 1024)

static const struct log_context log_as = {.role = "stream"};

TAILQ_HEAD(listeners, hub_listener);
TAILQ_HEAD(fetches, fetch);

/* The newest events, one a page, without gaps. */
struct window {
    struct hub_page *pages[WINDOW_PAGES]; /* a ring */
    size_t start, count;
    size_t bytes;
    size_t listeners;
};

struct fetch {
    struct reader_question question;
    TAILQ_ENTRY(fetch) entry;
    struct hub *hub;
    enum render_dialect dialect;
    uint64_t after;
    char after_text[SEQ_SIZE];
    struct listeners waiting;
};

struct hub {
    struct loop *loop;
    struct reader *reader;
    struct ledger *ledger;
    struct ledger_listener following;
    struct listeners listeners;
    struct window windows[DIALECTS];
    struct fetches fetches;
    struct loop_timer heartbeat;
};

/* Pages */

void hub_page_release(struct hub_page *page)
{
    if (page != NULL && --page->references == 0)
        free(page);
}

static enum status append_event(const struct ledger_row *row, enum render_dialect dialect,
                                struct buffer *out, struct error *error)
{
    const struct render_migration migration = {
        .version = row->version,
        .label = *row->label != '\0' ? row->label : NULL,
        .ops = row->ops,
    };
    enum status status;

    (void)buffer_append_format(out, "id: %" PRIu64 "\nevent: migration\ndata: ", row->seq);
    status = render_event(row->seq, &migration, dialect, out, error);
    (void)buffer_append(out, bytes_of_string("\n\n"));
    if (status == STATUS_OK && buffer_failed(out))
        return error_set(error, STATUS_FULL, "54000", "migration %s is too large", row->version);
    return status;
}

/* With one reference. */
static struct hub_page *page_of(const struct buffer *text, uint64_t first, uint64_t last)
{
    struct bytes bytes = buffer_peek(text);
    struct hub_page *page = mem_new(sizeof(*page) + bytes.len);

    page->references = 1;
    page->first = first;
    page->last = last;
    page->len = bytes.len;
    memcpy(page->bytes, bytes.data, bytes.len);
    return page;
}

/* NULL with an error. */
static struct hub_page *render_rows(const PGresult *rows, enum render_dialect dialect,
                                    struct error *error)
{
    int count = ledger_page_count(rows);
    struct buffer text;
    enum status status = STATUS_OK;
    struct hub_page *page = NULL;

    buffer_init(&text, PAGE_BYTES);
    for (int i = 0; status == STATUS_OK && i < count; i++) {
        struct ledger_row row = ledger_page_row(rows, i);

        status = append_event(&row, dialect, &text, error);
    }
    if (status == STATUS_OK)
        page = page_of(&text, ledger_page_row(rows, 0).seq, ledger_page_row(rows, count - 1).seq);
    buffer_clear(&text);
    return page;
}

/* The window */

static void drop_oldest(struct window *window)
{
    struct hub_page *page = window->pages[window->start];

    window->start = (window->start + 1) % WINDOW_PAGES;
    window->count--;
    window->bytes -= page->len;
    hub_page_release(page);
}

static void clear_window(struct window *window)
{
    while (window->count > 0)
        drop_oldest(window);
}

static void push(struct window *window, struct hub_page *page)
{
    if (window->count > 0) {
        size_t newest = (window->start + window->count - 1) % WINDOW_PAGES;

        if (window->pages[newest]->last + 1 != page->first)
            clear_window(window);
    }
    while (window->count > 0 &&
           (window->count == WINDOW_PAGES || window->bytes + page->len > WINDOW_BYTES))
        drop_oldest(window);
    window->pages[(window->start + window->count) % WINDOW_PAGES] = page;
    window->count++;
    window->bytes += page->len;
}

static void render_live(struct hub *hub, enum render_dialect dialect, const struct ledger_row *row)
{
    struct window *window = &hub->windows[dialect];
    struct buffer text;
    struct error error;

    if (window->listeners == 0) {
        clear_window(window);
        return;
    }
    buffer_init(&text, PAGE_BYTES);
    if (append_event(row, dialect, &text, &error) == STATUS_OK) {
        push(window, page_of(&text, row->seq, row->seq));
    } else {
        /* Whoever comes to it fetches it, and fails there. */
        log_error(&log_as, "migration %s cannot be sent: %s", row->version, error.message);
        clear_window(window);
    }
    buffer_clear(&text);
}

struct hub_page *hub_take(struct hub *hub, enum render_dialect dialect, uint64_t after)
{
    struct window *window = &hub->windows[dialect];
    uint64_t oldest = window->count > 0 ? window->pages[window->start]->first : 0;
    struct hub_page *page;

    if (window->count == 0 || after + 1 < oldest || after + 1 - oldest >= window->count)
        return NULL;
    page = window->pages[(window->start + (size_t)(after + 1 - oldest)) % WINDOW_PAGES];
    page->references++;
    return page;
}

/* Fetches */

static void end_fetch(struct fetch *fetch)
{
    TAILQ_REMOVE(&fetch->hub->fetches, fetch, entry);
    free(fetch);
}

static struct hub_listener *take_waiting(struct fetch *fetch)
{
    struct hub_listener *listener = TAILQ_FIRST(&fetch->waiting);

    if (listener != NULL) {
        TAILQ_REMOVE(&fetch->waiting, listener, fetch_entry);
        listener->fetch = NULL;
    }
    return listener;
}

static void on_failed(struct reader_question *question, const struct error *error)
{
    struct fetch *fetch = lws_container_of(question, struct fetch, question);
    struct hub_listener *listener;

    while ((listener = take_waiting(fetch)) != NULL)
        listener->on_fetch_failed(listener, error);
    end_fetch(fetch);
}

static void deliver(struct fetch *fetch, const struct ledger_head *head, struct hub_page *page)
{
    struct hub_listener *listener;

    while ((listener = take_waiting(fetch)) != NULL) {
        if (page != NULL)
            page->references++;
        listener->on_fetched(listener, head, page);
    }
    hub_page_release(page);
    end_fetch(fetch);
}

static void on_rows(struct reader_question *question, PGresult *rows)
{
    struct fetch *fetch = lws_container_of(question, struct fetch, question);
    struct ledger_head head = {.seq = 0};
    struct hub_page *page = NULL;
    struct error error;

    (void)ledger_page_head(rows, &head);
    if (ledger_page_count(rows) > 0)
        page = render_rows(rows, fetch->dialect, &error);
    if (ledger_page_count(rows) > 0 && page == NULL) {
        log_error(&log_as, "migrations after %" PRIu64 " cannot be sent: %s", fetch->after,
                  error.message);
        on_failed(question, &error);
    } else {
        deliver(fetch, &head, page);
    }
    PQclear(rows);
}

/* Only one that has not been sent to Postgres yet: its snapshot will be younger than the request
 * that joins it. */
static struct fetch *find_fetch(struct hub *hub, enum render_dialect dialect, uint64_t after)
{
    struct fetch *fetch;

    TAILQ_FOREACH(fetch, &hub->fetches, entry)
    if (fetch->after == after && (fetch->dialect == dialect || after == HUB_NEWEST) &&
        reader_is_waiting(&fetch->question))
        return fetch;
    return NULL;
}

static struct fetch *start_fetch(struct hub *hub, enum render_dialect dialect, uint64_t after)
{
    struct fetch *fetch = mem_new(sizeof(*fetch));

    fetch->hub = hub;
    fetch->dialect = dialect;
    fetch->after = after;
    TAILQ_INIT(&fetch->waiting);
    TAILQ_INSERT_TAIL(&hub->fetches, fetch, entry);
    (void)snprintf(fetch->after_text, sizeof(fetch->after_text), "%" PRIu64,
                   after == HUB_NEWEST ? 0 : after);
    fetch->question.sql = LEDGER_PAGE_SQL;
    fetch->question.count = 2;
    fetch->question.values[0] = fetch->after_text;
    fetch->question.values[1] = after == HUB_NEWEST ? "0" : LEDGER_NEWEST;
    fetch->question.on_rows = on_rows;
    fetch->question.on_failed = on_failed;
    reader_ask(hub->reader, &fetch->question);
    return fetch;
}

void hub_fetch(struct hub *hub, struct hub_listener *listener, uint64_t after)
{
    struct fetch *fetch = find_fetch(hub, listener->dialect, after);

    if (fetch == NULL)
        fetch = start_fetch(hub, listener->dialect, after);
    TAILQ_INSERT_TAIL(&fetch->waiting, listener, fetch_entry);
    listener->fetch = fetch;
}

static void leave_fetch(struct hub *hub, struct hub_listener *listener)
{
    struct fetch *fetch = listener->fetch;

    if (fetch == NULL)
        return;
    TAILQ_REMOVE(&fetch->waiting, listener, fetch_entry);
    listener->fetch = NULL;
    /* Within its own delivery nothing is pending any more, and the delivery ends it. */
    if (TAILQ_EMPTY(&fetch->waiting) && reader_is_pending(&fetch->question)) {
        reader_forget(hub->reader, &fetch->question);
        end_fetch(fetch);
    }
}

/* The ledger's calls */

static void on_migration(struct ledger_listener *following, const struct ledger_row *row)
{
    struct hub *hub = lws_container_of(following, struct hub, following);
    struct hub_listener *listener, *next;

    for (int dialect = 0; dialect < DIALECTS; dialect++)
        render_live(hub, (enum render_dialect)dialect, row);
    for (listener = TAILQ_FIRST(&hub->listeners); listener != NULL; listener = next) {
        next = TAILQ_NEXT(listener, entry);
        listener->on_news(listener);
    }
}

static void on_replaced(struct ledger_listener *following, const struct ledger_head *head)
{
    struct hub *hub = lws_container_of(following, struct hub, following);
    struct hub_listener *listener, *next;

    for (int dialect = 0; dialect < DIALECTS; dialect++)
        clear_window(&hub->windows[dialect]);
    for (listener = TAILQ_FIRST(&hub->listeners); listener != NULL; listener = next) {
        next = TAILQ_NEXT(listener, entry);
        listener->on_replaced(listener, head);
    }
}

static void on_heartbeat(struct loop_timer *timer)
{
    struct hub *hub = lws_container_of(timer, struct hub, heartbeat);
    struct hub_listener *listener, *next;

    for (listener = TAILQ_FIRST(&hub->listeners); listener != NULL; listener = next) {
        next = TAILQ_NEXT(listener, entry);
        listener->on_heartbeat(listener);
    }
    if (!TAILQ_EMPTY(&hub->listeners))
        loop_timer_set(hub->loop, timer, HEARTBEAT_MS);
}

/* Listeners */

void hub_join(struct hub *hub, struct hub_listener *listener)
{
    if (TAILQ_EMPTY(&hub->listeners))
        loop_timer_set(hub->loop, &hub->heartbeat, HEARTBEAT_MS);
    TAILQ_INSERT_TAIL(&hub->listeners, listener, entry);
    hub->windows[listener->dialect].listeners++;
}

void hub_leave(struct hub *hub, struct hub_listener *listener)
{
    leave_fetch(hub, listener);
    TAILQ_REMOVE(&hub->listeners, listener, entry);
    hub->windows[listener->dialect].listeners--;
}

void hub_drain(struct hub *hub)
{
    struct hub_listener *listener, *next;

    for (listener = TAILQ_FIRST(&hub->listeners); listener != NULL; listener = next) {
        next = TAILQ_NEXT(listener, entry);
        listener->on_drain(listener);
    }
}

size_t hub_count(const struct hub *hub)
{
    size_t count = 0;

    for (int dialect = 0; dialect < DIALECTS; dialect++)
        count += hub->windows[dialect].listeners;
    return count;
}

/* Life */

struct hub *hub_new(struct loop *loop, struct reader *reader)
{
    struct hub *hub = mem_new(sizeof(*hub));

    hub->loop = loop;
    hub->reader = reader;
    hub->heartbeat.on_expired = on_heartbeat;
    hub->following =
        (struct ledger_listener){.on_migration = on_migration, .on_replaced = on_replaced};
    TAILQ_INIT(&hub->listeners);
    TAILQ_INIT(&hub->fetches);
    return hub;
}

void hub_follow(struct hub *hub, struct ledger *ledger)
{
    hub->ledger = ledger;
    ledger_listen(ledger, &hub->following);
}

bool hub_is_live(const struct hub *hub)
{
    return hub->ledger != NULL;
}

const struct ledger_head *hub_head(const struct hub *hub)
{
    return hub->ledger != NULL ? ledger_head(hub->ledger) : NULL;
}

void hub_stop(struct hub *hub)
{
    if (hub != NULL)
        loop_timer_stop(&hub->heartbeat);
}

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (struct fetch *fetch = TAILQ_FIRST(&hub->fetches), *next; fetch != NULL; fetch = next) {
        next = TAILQ_NEXT(fetch, entry);
        free(fetch);
    }
    for (int dialect = 0; dialect < DIALECTS; dialect++)
        clear_window(&hub->windows[dialect]);
    free(hub);
}
