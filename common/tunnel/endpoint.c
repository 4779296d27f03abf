/* An endpoint's making and end, its source and sink, and what can be asked. */
#include "common/tunnel/endpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/tunnel/endpoint_state.h"

/* Making */

/* What the queue may be made to hold. Every end may count on the least. */
static uint32_t make_window(const struct endpoint_settings *settings)
{
    uint32_t window = (uint32_t)budget_window(settings->budget, settings->window);

    if (window < TUNNEL_WINDOW_MIN)
        window = TUNNEL_WINDOW_MIN;
    settings->budget->promised += window;
    return window;
}

static struct endpoint *endpoint_new(const struct endpoint_settings *settings,
                                     enum endpoint_role role, const struct tunnel_id *id,
                                     const struct tunnel_key *key)
{
    struct endpoint *endpoint = mem_new(sizeof *endpoint);

    assert(settings->window >= TUNNEL_WINDOW_MIN && settings->max_frame >= TUNNEL_FRAME_MIN);
    endpoint->settings = settings;
    endpoint->role = role;
    endpoint->id = *id;
    endpoint->key = *key;
    endpoint->peer_max_frame = TUNNEL_FRAME_MIN;
    endpoint->starved_until = INT64_MAX;
    endpoint->lost_at = INT64_MAX;
    sender_init(&endpoint->out, settings->budget, settings->ring_max);
    pace_reset(&endpoint->pace);
    sender_set_pace(&endpoint->out, pace_limit(&endpoint->pace));
    receiver_init(&endpoint->in, settings->budget, make_window(settings));
    return endpoint;
}

struct endpoint *endpoint_new_client(const struct endpoint_settings *settings,
                                     const struct tunnel_id *id, const struct tunnel_key *key,
                                     struct bytes info)
{
    struct endpoint *endpoint = endpoint_new(settings, ENDPOINT_CLIENT, id, key);

    assert(tunnel_info_is_valid(info));
    endpoint->info = mem_copy_chars((const char *)info.data, info.len);
    endpoint->info_len = info.len;
    return endpoint;
}

struct endpoint *endpoint_new_server(const struct endpoint_settings *settings,
                                     const struct tunnel_open *open)
{
    struct endpoint *endpoint = endpoint_new(settings, ENDPOINT_SERVER, &open->id, &open->key);

    endpoint->terms = (struct tunnel_terms){
        .instance = settings->instance,
        .window = endpoint->in.window,
        .max_frame = settings->max_frame,
        .retain_s = settings->retain_s,
        .ping_s = settings->ping_s,
    };
    endpoint->ping_ms = (int64_t)settings->ping_s * 1000;
    endpoint->peer_max_frame = open->max_frame;
    sender_set_window(&endpoint->out, open->window);
    return endpoint;
}

void endpoint_free(struct endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    sender_clear(&endpoint->out);
    receiver_clear(&endpoint->in);
    endpoint->settings->budget->promised -= endpoint->in.window;
    free(endpoint->info);
    free(endpoint->end_text);
    if (endpoint->cancel != NULL)
        mem_free_secret(endpoint->cancel, sizeof *endpoint->cancel + endpoint->cancel->key.len);
    mem_free_secret(endpoint, sizeof *endpoint);
}

/* The source */

uint8_t *endpoint_source_reserve(struct endpoint *endpoint, int64_t now, size_t want, size_t *len)
{
    struct sender *out = &endpoint->out;
    uint8_t *place = NULL;

    *len = 0;
    if (endpoint->state != ENDPOINT_OVER)
        place = sender_reserve(out, want, len);
    /* Nobody will say when other sessions give memory back. */
    bool starved = place == NULL && !out->ended && endpoint->state != ENDPOINT_OVER &&
                   ring_len(&out->ring) < out->ring.capacity;
    endpoint->starved_until = starved ? now + ENDPOINT_STARVED_MS : INT64_MAX;
    return place;
}

void endpoint_source_commit(struct endpoint *endpoint, size_t count)
{
    sender_commit(&endpoint->out, count);
}

bool endpoint_source_adopt(struct endpoint *endpoint, struct block *block, struct bytes data)
{
    return endpoint->state != ENDPOINT_OVER && sender_adopt(&endpoint->out, block, data);
}

bool endpoint_source_has_room(const struct endpoint *endpoint, size_t want)
{
    const struct ring *ring = &endpoint->out.ring;

    return ring_room(ring) >= (want < ring->capacity / 2 ? want : ring->capacity / 2);
}

void endpoint_source_end(struct endpoint *endpoint)
{
    sender_end(&endpoint->out);
}

uint64_t endpoint_source_offset(const struct endpoint *endpoint)
{
    return endpoint->out.ring.end;
}

/* The sink */

static void note_handed_on(struct endpoint *endpoint, int64_t now, bool owed_before)
{
    if (!owed_before)
        endpoint->owing_since = now;
}

struct bytes endpoint_fresh(const struct endpoint *endpoint)
{
    return endpoint->in.fresh;
}

void endpoint_accept(struct endpoint *endpoint, int64_t now, size_t taken)
{
    bool owed_before = receiver_owes_ack(&endpoint->in);

    receiver_accept(&endpoint->in, taken);
    note_handed_on(endpoint, now, owed_before);
}

struct bytes endpoint_queued(const struct endpoint *endpoint)
{
    return receiver_peek(&endpoint->in);
}

void endpoint_consume(struct endpoint *endpoint, int64_t now, size_t count)
{
    bool owed_before = receiver_owes_ack(&endpoint->in);

    receiver_consume(&endpoint->in, count);
    note_handed_on(endpoint, now, owed_before);
}

bool endpoint_sink_ended(const struct endpoint *endpoint)
{
    return receiver_is_finished(&endpoint->in);
}

uint64_t endpoint_sink_offset(const struct endpoint *endpoint)
{
    return endpoint->in.consumed;
}

/* What this end wants to be said */

void endpoint_move(struct endpoint *endpoint, uint16_t within_s)
{
    endpoint->move_within_s = within_s;
    endpoint->move_wanted = true;
    endpoint->move_pending = true;
}

void endpoint_cancel(struct endpoint *endpoint, const struct tunnel_cancel *cancel)
{
    struct bytes key = bytes_first(cancel->key, TUNNEL_CANCEL_KEY_MAX);

    if (endpoint->cancel != NULL)
        mem_free_secret(endpoint->cancel, sizeof *endpoint->cancel + endpoint->cancel->key.len);
    endpoint->cancel = mem_new(sizeof *endpoint->cancel + key.len);
    uint8_t *copy = (uint8_t *)(endpoint->cancel + 1);
    if (key.len > 0)
        memcpy(copy, key.data, key.len);
    *endpoint->cancel = (struct tunnel_cancel){.pid = cancel->pid, .key = bytes_of(copy, key.len)};
}

void endpoint_txn(struct endpoint *endpoint, const struct tunnel_txn *txn)
{
    endpoint->txn = *txn;
    endpoint->txn_pending = txn->xid != 0;
}

void endpoint_established(struct endpoint *endpoint)
{
    endpoint->established = true;
}

/* What can be asked */

uint32_t endpoint_attachment(const struct endpoint *endpoint)
{
    return endpoint->attachment;
}

enum endpoint_state endpoint_state(const struct endpoint *endpoint)
{
    return endpoint->state;
}

const char *endpoint_state_name(enum endpoint_state state)
{
    static const char *const names[] = {
        [ENDPOINT_NEW] = "new",           [ENDPOINT_OPENING] = "opening",
        [ENDPOINT_ATTACHED] = "attached", [ENDPOINT_DETACHED] = "detached",
        [ENDPOINT_RESUMING] = "resuming", [ENDPOINT_OVER] = "over",
    };

    return names[state];
}

const struct tunnel_reset *endpoint_end(const struct endpoint *endpoint)
{
    return endpoint->state == ENDPOINT_OVER ? &endpoint->end : NULL;
}

const struct tunnel_id *endpoint_id(const struct endpoint *endpoint)
{
    return &endpoint->id;
}

const struct tunnel_key *endpoint_key(const struct endpoint *endpoint)
{
    return &endpoint->key;
}

const struct tunnel_terms *endpoint_terms(const struct endpoint *endpoint)
{
    return &endpoint->terms;
}

uint32_t endpoint_attempt(const struct endpoint *endpoint)
{
    return endpoint->attempt;
}

struct endpoint_counts endpoint_counts(const struct endpoint *endpoint)
{
    const struct sender *out = &endpoint->out;
    const struct receiver *in = &endpoint->in;
    uint64_t sent = out->sent_most < out->ring.end ? out->sent_most : out->ring.end;

    return (struct endpoint_counts){
        .attachments = endpoint->attachments_made,
        .bytes_sent = sent,
        .bytes_resent = endpoint->bytes_resent,
        .bytes_received = in->next - (in->finished ? 1 : 0),
        .undelivered = endpoint->undelivered + ring_len(&out->ring),
        .ring = ring_len(&out->ring),
        .queue = ring_len(&in->queue),
    };
}
