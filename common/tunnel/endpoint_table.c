/* What an endpoint does when something happens: every state and input in tables. */
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/tunnel/endpoint.h"
#include "common/tunnel/endpoint_state.h"
#include "common/tunnel/tunnel_auth.h"

/* What fails after that does not start the clock again. */
static void note_loss(struct endpoint *endpoint, int64_t now)
{
    if (endpoint->lost_at == INT64_MAX)
        endpoint->lost_at = now;
}

/* The only place that assigns the state. */
static void enter_state(struct endpoint *endpoint, int64_t now, enum endpoint_state state)
{
    bool could_work = endpoint->state == ENDPOINT_OPENING || endpoint->state == ENDPOINT_ATTACHED;

    if (could_work && state != ENDPOINT_ATTACHED)
        note_loss(endpoint, now);
    else if (endpoint->state != state && state == ENDPOINT_ATTACHED)
        endpoint->lost_at = INT64_MAX;
    if (state == ENDPOINT_DETACHED || state == ENDPOINT_NEW)
        endpoint->attachment = 0;
    if (state == ENDPOINT_OVER) {
        endpoint->undelivered += ring_len(&endpoint->out.ring);
        sender_clear(&endpoint->out);
    }
    endpoint->state = state;
}

/* The end */

static void describe_end(struct endpoint *endpoint, const struct tunnel_reset *end)
{
    struct bytes text = bytes_first(end->text, bytes_utf8_cut(end->text, TUNNEL_TEXT_MAX));
    size_t len = tunnel_text_is_valid(text) ? text.len : 0;
    char *copy = mem_copy_chars((const char *)text.data, len);

    free(endpoint->end_text);
    endpoint->end_text = copy;
    endpoint->end = *end;
    endpoint->end.text = bytes_of(endpoint->end_text, len);
}

/* For ends that this end finds by itself: only the adapter knows more about the transaction. */
static void describe_own_end(struct endpoint *endpoint, enum tunnel_end reason, const char *text)
{
    const struct tunnel_reset end = {
        .reason = (uint16_t)reason,
        .outcome = reason == TUNNEL_END_FINISHED ? TUNNEL_OUTCOME_NONE : TUNNEL_OUTCOME_UNKNOWN,
        .xid = endpoint->txn.xid,
        .text = bytes_of_string(text),
    };

    describe_end(endpoint, &end);
}

void endpoint_violate(struct endpoint *endpoint, int64_t now, const char *text)
{
    describe_own_end(endpoint, TUNNEL_END_PROTOCOL, text);
    endpoint->reset_pending = true;
    enter_state(endpoint, now, ENDPOINT_OVER);
}

static enum status end_by_peer(struct endpoint *endpoint, int64_t now,
                               const struct tunnel_frame *frame)
{
    bool has_finished = endpoint->out.ended && receiver_is_finished(&endpoint->in);

    (void)now;
    /* Whoever says so has our acknowledgement of its end, and has seen ours. */
    if (frame->reset.reason == TUNNEL_END_FINISHED && !has_finished)
        return STATUS_INVALID;
    describe_end(endpoint, &frame->reset);
    return STATUS_OK;
}

static enum status end_by_expiry(struct endpoint *endpoint, int64_t now,
                                 const struct tunnel_frame *frame)
{
    (void)now, (void)frame;
    describe_own_end(endpoint, TUNNEL_END_EXPIRED, "");
    return STATUS_OK;
}

static enum status end_in_order(struct endpoint *endpoint, int64_t now,
                                const struct tunnel_frame *frame)
{
    (void)now, (void)frame;
    describe_own_end(endpoint, TUNNEL_END_FINISHED, "");
    return STATUS_OK;
}

static enum status abort_session(struct endpoint *endpoint, int64_t now,
                                 const struct tunnel_frame *frame)
{
    (void)now;
    describe_end(endpoint, &frame->reset);
    endpoint->reset_pending = endpoint->attachment != 0;
    return STATUS_OK;
}

/* Attachments */

static void begin_attachment(struct endpoint *endpoint, int64_t now,
                             enum tunnel_frame_type handshake)
{
    endpoint->attachments_made++;
    endpoint->attachment = endpoint->attachments_made;
    endpoint->handshake = handshake;
    endpoint->heard_at = now;
    endpoint->sent_at = now;
    endpoint->waiting_since = now;
    endpoint->dead_told = false;
    pace_reset(&endpoint->pace);
    /* What it said may not have arrived. An older MOVE is fulfilled by now. */
    endpoint->ack_pending = endpoint->in.consumed > 0;
    endpoint->txn_pending = endpoint->txn.xid != 0;
    endpoint->move_wanted = false;
    endpoint->move_pending = false;
}

static enum status begin_open(struct endpoint *endpoint, int64_t now,
                              const struct tunnel_frame *frame)
{
    (void)frame;
    begin_attachment(endpoint, now, TUNNEL_OPEN);
    endpoint->lost_at = INT64_MAX;
    return sender_resume(&endpoint->out, 0);
}

static enum status begin_opened(struct endpoint *endpoint, int64_t now,
                                const struct tunnel_frame *frame)
{
    (void)frame;
    begin_attachment(endpoint, now, TUNNEL_OPENED);
    return STATUS_OK;
}

static enum status begin_resume(struct endpoint *endpoint, int64_t now,
                                const struct tunnel_frame *frame)
{
    (void)frame;
    endpoint->attempt++;
    begin_attachment(endpoint, now, TUNNEL_RESUME);
    return STATUS_OK;
}

static enum status begin_resumed(struct endpoint *endpoint, int64_t now,
                                 const struct tunnel_frame *frame)
{
    endpoint->attempt = frame->resume.attempt;
    begin_attachment(endpoint, now, TUNNEL_RESUMED);
    return sender_resume(&endpoint->out, frame->resume.next);
}

/* The session is over, and its client has not heard of it. */
static enum status begin_farewell(struct endpoint *endpoint, int64_t now,
                                  const struct tunnel_frame *frame)
{
    endpoint->attempt = frame->resume.attempt;
    begin_attachment(endpoint, now, TUNNEL_RESET);
    endpoint->reset_pending = true;
    return STATUS_OK;
}

/* An attachment that ends after a silence was probably cut because of it. */
static void count_cut(struct endpoint *endpoint, int64_t now)
{
    /* Attempts that fail say nothing about how long an idle connection lives. */
    if (endpoint->dead_told || endpoint->state != ENDPOINT_ATTACHED)
        return;
    if (now - endpoint->heard_at < ENDPOINT_PING_MIN_MS) {
        endpoint->silent_cuts = 0;
        return;
    }
    endpoint->silent_cuts++;
    if (endpoint->silent_cuts == 2) {
        endpoint->silent_cuts = 0;
        endpoint->ping_ms /= 2;
        if (endpoint->ping_ms < ENDPOINT_PING_MIN_MS)
            endpoint->ping_ms = ENDPOINT_PING_MIN_MS;
    }
}

static enum status lose(struct endpoint *endpoint, int64_t now, const struct tunnel_frame *frame)
{
    (void)frame;
    count_cut(endpoint, now);
    note_loss(endpoint, now);
    endpoint->dead_told = true;
    return STATUS_OK;
}

static enum status do_nothing(struct endpoint *endpoint, int64_t now,
                              const struct tunnel_frame *frame)
{
    (void)endpoint, (void)now, (void)frame;
    return STATUS_OK;
}

/* Terms */

static void adopt_lives(struct endpoint *endpoint, const struct tunnel_terms *terms)
{
    int64_t ping_ms = (int64_t)terms->ping_s * 1000;

    if (endpoint->ping_ms == 0 || ping_ms < endpoint->ping_ms)
        endpoint->ping_ms = ping_ms;
    endpoint->terms = *terms;
}

static enum status accept_terms(struct endpoint *endpoint, const struct tunnel_terms *terms)
{
    const struct tunnel_terms *known = &endpoint->terms;

    if (known->instance == 0) {
        sender_set_window(&endpoint->out, terms->window);
        endpoint->peer_max_frame = terms->max_frame;
    } else if (terms->instance != known->instance || terms->window != known->window ||
               terms->max_frame != known->max_frame) {
        return STATUS_INVALID; /* another session, whatever it says */
    }
    adopt_lives(endpoint, terms);
    return STATUS_OK;
}

static enum status on_opened(struct endpoint *endpoint, int64_t now,
                             const struct tunnel_frame *frame)
{
    (void)now;
    return accept_terms(endpoint, &frame->opened);
}

static enum status on_resumed(struct endpoint *endpoint, int64_t now,
                              const struct tunnel_frame *frame)
{
    (void)now;
    if (frame->resumed.attempt != endpoint->attempt ||
        accept_terms(endpoint, &frame->resumed.terms) != STATUS_OK)
        return STATUS_INVALID;
    return sender_resume(&endpoint->out, frame->resumed.next);
}

/* Streams */

static enum status on_data(struct endpoint *endpoint, int64_t now, const struct tunnel_frame *frame)
{
    (void)now;
    return receiver_data(&endpoint->in, frame->data.offset, frame->data.bytes);
}

static enum status on_ack(struct endpoint *endpoint, int64_t now, const struct tunnel_frame *frame)
{
    enum status status = sender_acknowledge(&endpoint->out, frame->ack);

    pace_acknowledged(&endpoint->pace, now, frame->ack);
    sender_set_pace(&endpoint->out, pace_limit(&endpoint->pace));
    return status;
}

static enum status on_fin(struct endpoint *endpoint, int64_t now, const struct tunnel_frame *frame)
{
    bool owed_before = receiver_owes_ack(&endpoint->in);

    if (!owed_before)
        endpoint->owing_since = now;
    return receiver_fin(&endpoint->in, frame->fin);
}

/* The table */

typedef enum status endpoint_action(struct endpoint *endpoint, int64_t now,
                                    const struct tunnel_frame *frame);

struct transition {
    enum endpoint_state from;
    enum endpoint_input on;
    endpoint_action *action;
    enum endpoint_state to;
    enum endpoint_event event; /* for the adapter */
};

/* Either end; the frequent ones first. */
static const struct transition common_transitions[] = {
    {ENDPOINT_ATTACHED, INPUT_DATA, on_data, ENDPOINT_ATTACHED, ENDPOINT_DATA},
    {ENDPOINT_ATTACHED, INPUT_ACK, on_ack, ENDPOINT_ATTACHED, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_KEEPALIVE, do_nothing, ENDPOINT_ATTACHED, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_FIN, on_fin, ENDPOINT_ATTACHED, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_RESET, end_by_peer, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_DONE, end_in_order, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_DETACH, lose, ENDPOINT_DETACHED, ENDPOINT_NOTHING},

    {ENDPOINT_NEW, INPUT_ABORT, abort_session, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_OPENING, INPUT_ABORT, abort_session, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_ABORT, abort_session, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_DETACHED, INPUT_ABORT, abort_session, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_RESUMING, INPUT_ABORT, abort_session, ENDPOINT_OVER, ENDPOINT_NOTHING},
};

static const struct transition client_transitions[] = {
    {ENDPOINT_NEW, INPUT_ATTACH, begin_open, ENDPOINT_OPENING, ENDPOINT_NOTHING},
    {ENDPOINT_NEW, INPUT_REOPEN, do_nothing, ENDPOINT_NEW, ENDPOINT_NOTHING},

    {ENDPOINT_OPENING, INPUT_OPENED, on_opened, ENDPOINT_ATTACHED, ENDPOINT_UP},
    /* No session was made, so the next attachment opens again. */
    {ENDPOINT_OPENING, INPUT_REFUSED, do_nothing, ENDPOINT_NEW, ENDPOINT_REFUSED},
    /* A proxy has repeated the request, and the first one succeeded. */
    {ENDPOINT_OPENING, INPUT_EXISTS, do_nothing, ENDPOINT_DETACHED, ENDPOINT_REFUSED},
    {ENDPOINT_OPENING, INPUT_RESET, end_by_peer, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_OPENING, INPUT_ATTACH, begin_resume, ENDPOINT_RESUMING, ENDPOINT_NOTHING},
    {ENDPOINT_OPENING, INPUT_DETACH, lose, ENDPOINT_DETACHED, ENDPOINT_NOTHING},
    {ENDPOINT_OPENING, INPUT_DEAD, lose, ENDPOINT_DETACHED, ENDPOINT_DEAD},

    {ENDPOINT_ATTACHED, INPUT_MOVE, do_nothing, ENDPOINT_ATTACHED, ENDPOINT_MOVE},
    {ENDPOINT_ATTACHED, INPUT_TXN, do_nothing, ENDPOINT_ATTACHED, ENDPOINT_TXN},
    {ENDPOINT_ATTACHED, INPUT_REFUSED, do_nothing, ENDPOINT_DETACHED, ENDPOINT_REFUSED},
    {ENDPOINT_ATTACHED, INPUT_ATTACH, begin_resume, ENDPOINT_RESUMING, ENDPOINT_NOTHING},
    /* It stays in use until there is another one. */
    {ENDPOINT_ATTACHED, INPUT_DEAD, lose, ENDPOINT_ATTACHED, ENDPOINT_DEAD},

    {ENDPOINT_DETACHED, INPUT_ATTACH, begin_resume, ENDPOINT_RESUMING, ENDPOINT_NOTHING},
    {ENDPOINT_DETACHED, INPUT_REOPEN, do_nothing, ENDPOINT_NEW, ENDPOINT_NOTHING},

    {ENDPOINT_RESUMING, INPUT_RESUMED, on_resumed, ENDPOINT_ATTACHED, ENDPOINT_UP},
    {ENDPOINT_RESUMING, INPUT_REFUSED, do_nothing, ENDPOINT_DETACHED, ENDPOINT_REFUSED},
    {ENDPOINT_RESUMING, INPUT_EXISTS, do_nothing, ENDPOINT_DETACHED, ENDPOINT_REFUSED},
    {ENDPOINT_RESUMING, INPUT_RESET, end_by_peer, ENDPOINT_OVER, ENDPOINT_NOTHING},
    {ENDPOINT_RESUMING, INPUT_ATTACH, begin_resume, ENDPOINT_RESUMING, ENDPOINT_NOTHING},
    {ENDPOINT_RESUMING, INPUT_DETACH, lose, ENDPOINT_DETACHED, ENDPOINT_NOTHING},
    {ENDPOINT_RESUMING, INPUT_DEAD, lose, ENDPOINT_DETACHED, ENDPOINT_DEAD},
};

static const struct transition server_transitions[] = {
    {ENDPOINT_NEW, INPUT_ATTACH, begin_opened, ENDPOINT_ATTACHED, ENDPOINT_NOTHING},

    {ENDPOINT_ATTACHED, INPUT_CANCEL, do_nothing, ENDPOINT_ATTACHED, ENDPOINT_CANCEL},
    {ENDPOINT_ATTACHED, INPUT_ATTACH, begin_resumed, ENDPOINT_ATTACHED, ENDPOINT_NOTHING},
    {ENDPOINT_ATTACHED, INPUT_DEAD, lose, ENDPOINT_DETACHED, ENDPOINT_DEAD},

    {ENDPOINT_DETACHED, INPUT_ATTACH, begin_resumed, ENDPOINT_ATTACHED, ENDPOINT_NOTHING},
    {ENDPOINT_DETACHED, INPUT_EXPIRE, end_by_expiry, ENDPOINT_OVER, ENDPOINT_NOTHING},

    {ENDPOINT_OVER, INPUT_ATTACH, begin_farewell, ENDPOINT_OVER, ENDPOINT_NOTHING},
};

#define LOOK_UP(table, state, input) look_up(table, sizeof(table) / sizeof(table)[0], state, input)

static const struct transition *look_up(const struct transition *table, size_t count,
                                        enum endpoint_state state, enum endpoint_input input)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].from == state && table[i].on == input)
            return &table[i];
    return NULL;
}

/* NULL: this cannot happen here, so the other end violates the protocol. */
static const struct transition *transition_of(const struct endpoint *endpoint,
                                              enum endpoint_input input)
{
    const struct transition *row = LOOK_UP(common_transitions, endpoint->state, input);

    if (row != NULL)
        return row;
    return endpoint->role == ENDPOINT_CLIENT ? LOOK_UP(client_transitions, endpoint->state, input)
                                             : LOOK_UP(server_transitions, endpoint->state, input);
}

enum endpoint_event endpoint_input(struct endpoint *endpoint, int64_t now,
                                   enum endpoint_input input, const struct tunnel_frame *frame)
{
    const struct transition *row = transition_of(endpoint, input);
    char text[128];

    if (endpoint->state == ENDPOINT_OVER && row == NULL)
        return ENDPOINT_NOTHING; /* what was under way when it ended */
    if (row != NULL && row->action(endpoint, now, frame) == STATUS_OK) {
        enter_state(endpoint, now, row->to);
        return row->event;
    }
    snprintf(text, sizeof text, "%s is %s while %s",
             frame != NULL ? tunnel_frame_name(frame->type) : "this",
             row != NULL ? "inconsistent" : "not allowed", endpoint_state_name(endpoint->state));
    endpoint_violate(endpoint, now, text);
    return ENDPOINT_NOTHING;
}

void endpoint_finish_if_done(struct endpoint *endpoint, int64_t now)
{
    if (endpoint->state == ENDPOINT_ATTACHED && sender_is_finished(&endpoint->out) &&
        receiver_is_finished(&endpoint->in) && !receiver_owes_ack(&endpoint->in))
        endpoint_input(endpoint, now, INPUT_DONE, NULL);
}
