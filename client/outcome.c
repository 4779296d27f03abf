/* GET /api/outcome, until it is known. */
#include "client/outcome.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/tunnel/tunnel_outcome.h"

#define PATIENCE 30000
#define RETRY 500

struct outcome_search {
    struct loop *loop;
    struct connector *connector;
    struct transport transport;
    struct connecting *connecting;
    struct cookies *cookies;
    struct loop_timer timer;
    int64_t until;
    char *path;
    enum tunnel_outcome latest;
    outcome_found *found;
    void *owner;
};

/* One key and a plain word as its value is all that is looked for, so that it does not matter how
 * the body is cut into chunks in front of it or behind. */
bool outcome_read(struct bytes body, enum tunnel_outcome *outcome)
{
    static const char key[] = "\"outcome\":\"";
    struct bytes rest = bytes_skip(body, bytes_find_ignoring_case(body, key));
    const uint8_t *quote;

    if (rest.len < sizeof key)
        return false;
    rest = bytes_skip(rest, sizeof key - 1);
    quote = memchr(rest.data, '"', rest.len);
    if (quote == NULL)
        return false;
    *outcome = tunnel_outcome_of_name(bytes_first(rest, (size_t)(quote - rest.data)));
    return true;
}

static bool is_whole(struct bytes body)
{
    enum tunnel_outcome outcome;

    return outcome_read(body, &outcome);
}

static char *path_of(const struct tunnel_txn *txn)
{
    char proof[2 * TUNNEL_PROOF_SIZE + 1];

    tunnel_proof_text(txn->proof, proof);
    return mem_format("/api/outcome?xid=%" PRIu64 "&system=%" PRIu64 "&timeline=%" PRIu32
                      "&generation=%" PRIu64 "&proof=%s",
                      txn->xid, txn->system, txn->timeline, txn->generation, proof);
}

static void finish(struct outcome_search *search)
{
    search->found(search->owner, search->latest);
    outcome_search_stop(search);
}

static void ask_again(struct outcome_search *search)
{
    if (loop_elapsed(search->loop) >= search->until)
        finish(search);
    else
        loop_timer_set(search->loop, &search->timer, RETRY);
}

static void on_answer(void *owner, const struct connect_result *result)
{
    struct outcome_search *search = owner;
    enum tunnel_outcome outcome;
    bool known = result->status == STATUS_OK && result->http_status == 200 &&
                 outcome_read(result->rest, &outcome);

    search->connecting = NULL;
    if (result->status != STATUS_OK)
        log_debug(NULL, "outcome: %s", result->error->message);
    else if (!known)
        log_debug(NULL, "outcome: the service answered %u", result->http_status);
    if (known)
        search->latest = outcome;
    transport_close(&search->transport, search->loop);
    /* Not this transaction's proof, or nothing of that kind there: no use in asking again. */
    if (result->status == STATUS_OK && result->http_status >= 400 && result->http_status < 500 &&
        result->http_status != 429)
        search->until = 0;
    if (known && outcome != TUNNEL_OUTCOME_IN_PROGRESS)
        finish(search);
    else
        ask_again(search);
}

static void on_time(struct loop_timer *timer)
{
    struct outcome_search *search = timer->owner;
    const struct connect_request request = {
        .path = search->path, .is_whole = is_whole, .cookies = search->cookies};

    transport_init(&search->transport);
    search->connecting =
        connect_open(search->connector, &request, &search->transport, on_answer, search);
}

struct outcome_search *outcome_search_start(struct loop *loop, struct connector *connector,
                                            const struct tunnel_txn *txn, struct cookies *cookies,
                                            outcome_found *found, void *owner)
{
    struct outcome_search *search = mem_new(sizeof *search);

    search->loop = loop;
    search->connector = connector;
    search->cookies = cookies;
    search->until = loop_elapsed(loop) + PATIENCE;
    search->path = path_of(txn);
    search->latest = TUNNEL_OUTCOME_UNKNOWN;
    search->found = found;
    search->owner = owner;
    search->timer = (struct loop_timer){.on_time = on_time, .owner = search};
    loop_timer_set(loop, &search->timer, 0);
    return search;
}

void outcome_search_stop(struct outcome_search *search)
{
    if (search == NULL)
        return;
    if (search->connecting != NULL)
        connect_cancel(search->connecting);
    loop_timer_stop(search->loop, &search->timer);
    mem_free_secret(search->path, strlen(search->path));
    free(search);
}
