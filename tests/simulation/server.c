/* The server's adapter: first frames, sessions, and bytes between links and endpoints. */
#include "tests/simulation/world.h"

#include <stdlib.h>

#include "common/memory.h"

static struct bytes head_of(const struct endpoint_output *output)
{
    return bytes_of(output->head, output->head_len);
}

struct session *server_session(const struct world *world)
{
    for (struct session *session = world->sessions; session != NULL; session = session->next)
        if (tunnel_id_equal(endpoint_id(session->party.endpoint),
                            endpoint_id(world->client.endpoint)))
            return session;
    return NULL;
}

/* The answer that needs no endpoint. */
void server_refuse(struct world *world, struct link *link, const struct tunnel_frame *frame)
{
    uint8_t bytes[TUNNEL_LENGTH_SIZE + TUNNEL_CONTROL_MAX];
    size_t len = tunnel_frame_encode(frame, bytes + TUNNEL_LENGTH_SIZE);
    struct message *message;

    tunnel_frame_put_length(bytes, len);
    if (link->kind == LINK_HTTP)
        message = pipe_send(&link->down, world->now + link_delay(world),
                            bytes_of(bytes, TUNNEL_LENGTH_SIZE + len), bytes_of(NULL, 0));
    else
        message = pipe_send(&link->down, world->now + link_delay(world),
                            bytes_of(bytes + TUNNEL_LENGTH_SIZE, len), bytes_of(NULL, 0));
    if (message != NULL) {
        message->kind = HTTP_OPEN;
        message->status = HTTP_OK;
    }
    link_close_server(world, link);
}

static void refuse(struct world *world, struct link *link, enum tunnel_refusal reason)
{
    const struct tunnel_frame frame = {
        .type = TUNNEL_REFUSED,
        .refused = {.reason = (uint16_t)reason,
                    .text = bytes_of_string(tunnel_refusal_text(reason))},
    };

    server_refuse(world, link, &frame);
}

static void on_open(struct world *world, struct link *link, const struct tunnel_open *open)
{
    struct session *session = mem_new(sizeof *session);
    enum tunnel_refusal refusal = registry_open(world->registry, open, session, &session->entry);

    if (refusal != TUNNEL_REFUSAL_NONE) {
        free(session);
        refuse(world, link, refusal);
        return;
    }
    session->party = (struct party){
        .world = world,
        .side = SERVER,
        .length = world->server_length,
        .endpoint = endpoint_new_server(&world->server_settings, open),
    };
    endpoint_established(session->party.endpoint);
    session->next = world->sessions;
    world->sessions = session;
    link->session = session;
    link->server_attachment = endpoint_attach(session->party.endpoint, world->now);
}

/* What a refused RESUME must leave as it is. */
struct snapshot {
    enum endpoint_state state;
    uint32_t attachment;
    uint32_t attempt;
    uint64_t sink;
    int64_t deadline;
    bool has_output;
    struct endpoint_counts counts;
};

static struct snapshot snapshot_of(const struct world *world, const struct session *session)
{
    const struct endpoint *endpoint = session->party.endpoint;
    uint32_t attachment = endpoint_attachment(endpoint);

    return (struct snapshot){
        .state = endpoint_state(endpoint),
        .attachment = attachment,
        .attempt = endpoint_attempt(endpoint),
        .sink = endpoint_sink_offset(endpoint),
        .deadline = endpoint_deadline(endpoint, world->now),
        .has_output = endpoint_has_output(endpoint, world->now, attachment),
        .counts = endpoint_counts(endpoint),
    };
}

static bool snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
    return a->state == b->state && a->attachment == b->attachment && a->attempt == b->attempt &&
           a->sink == b->sink && a->deadline == b->deadline && a->has_output == b->has_output &&
           a->counts.attachments == b->counts.attachments &&
           a->counts.bytes_sent == b->counts.bytes_sent &&
           a->counts.bytes_resent == b->counts.bytes_resent &&
           a->counts.bytes_received == b->counts.bytes_received &&
           a->counts.ring == b->counts.ring && a->counts.queue == b->counts.queue;
}

static void resume_live(struct world *world, struct link *link, struct session *session,
                        const struct tunnel_resume *resume)
{
    struct snapshot before = snapshot_of(world, session);
    enum tunnel_refusal refusal =
        endpoint_resume(session->party.endpoint, world->now, resume, &link->server_attachment);

    if (refusal != TUNNEL_REFUSAL_NONE) {
        struct snapshot after = snapshot_of(world, session);
        if (!snapshot_equal(&before, &after))
            world_fail(world, "a refused RESUME has changed something");
        refuse(world, link, refusal);
        return;
    }
    if (link->forged)
        world_fail(world, "a forged RESUME was accepted");
    link->session = session;
    registry_attached(world->registry, session->entry);
}

static void on_resume(struct world *world, struct link *link, const struct tunnel_resume *resume)
{
    struct registry_answer answer =
        registry_resume(world->registry, resume, world->server_settings.instance);

    switch (answer.verdict) {
    case REGISTRY_LIVE:
        resume_live(world, link, registry_session(answer.entry), resume);
        break;
    case REGISTRY_GONE:
        world->counts->farewells++;
        server_refuse(world, link,
                      &(struct tunnel_frame){.type = TUNNEL_RESET, .reset = answer.reset});
        break;
    case REGISTRY_REFUSED:
        refuse(world, link, answer.refusal);
        break;
    case REGISTRY_ELSEWHERE:
        refuse(world, link, TUNNEL_REFUSAL_NOT_HERE);
        break;
    }
}

static void on_first_frame(struct world *world, struct link *link, const struct tunnel_frame *frame)
{
    if (frame->type == TUNNEL_OPEN)
        on_open(world, link, &frame->open);
    else if (frame->type == TUNNEL_RESUME)
        on_resume(world, link, &frame->resume);
    else
        world_fail(world, "the client did not begin with OPEN or RESUME");
}

static void on_frame(struct world *world, struct link *link, const struct tunnel_frame *frame)
{
    struct session *session = link->session;

    if (session == NULL) {
        on_first_frame(world, link, frame);
        return;
    }
    switch (endpoint_frame(session->party.endpoint, world->now, link->server_attachment, frame)) {
    case ENDPOINT_DATA:
        party_take_fresh(&session->party);
        break;
    case ENDPOINT_CANCEL:
    case ENDPOINT_NOTHING:
        break;
    case ENDPOINT_UP:
    case ENDPOINT_MOVE:
    case ENDPOINT_TXN:
    case ENDPOINT_REFUSED:
    case ENDPOINT_DEAD:
        world_fail(world, "a frame gave an event of the client's");
        break;
    }
}

void server_decode(struct world *world, struct link *link, struct bytes in, bool last)
{
    struct tunnel_frame frame;
    struct error error;
    enum status status = STATUS_OK;

    if (link->session != NULL)
        endpoint_heard(link->session->party.endpoint, world->now, link->server_attachment);
    while (!link->server_closed &&
           (status = tunnel_decode(&link->server_decoder, &in, last, &frame, &error)) == STATUS_OK)
        on_frame(world, link, &frame);
    if (status != STATUS_INVALID)
        return;
    if (!link->hostile)
        world_fail(world, "the server could not decode what the client sent");
    link_close_server(world, link);
}

/* What the endpoint gives for this link, except on HTTP, where it waits to be asked. */
void server_send(struct world *world, struct link *link)
{
    struct endpoint_output output;
    size_t room = world->healed ? 65536 : 16 + random_below(&world->random, 400);

    if (link->server_closed || link->session == NULL)
        return;
    if (link->kind == LINK_HTTP) {
        http_server_send(world, link);
        return;
    }
    if (room < TUNNEL_CONTROL_MAX && random_chance(&world->random, 50))
        room = TUNNEL_CONTROL_MAX;
    if (link->down.queued <= 3000 && endpoint_take(link->session->party.endpoint, world->now,
                                                   link->server_attachment, room, &output))
        pipe_send(&link->down, world->now + link_delay(world), head_of(&output), output.payload);
}

bool server_receive(struct world *world, struct link *link)
{
    struct message *message = pipe_due(&link->up, world->now);

    if (link->server_closed)
        return false;
    if (message == NULL) {
        if (link->up.first != NULL || link->up.end_at > world->now)
            return false;
        link_close_server(world, link);
        return true;
    }
    if (link->kind == LINK_HTTP) {
        http_server_receive(world, link, message);
        return true;
    }
    size_t count = link_piece(world, message);
    bool ends = message->done + count == message->len;
    server_decode(world, link, bytes_of(message->bytes + message->done, count),
                  ends && !message->cut);
    message->done += count;
    link->up.queued -= count;
    if (ends)
        pipe_drop(&link->up);
    return true;
}

/* The tombstone takes over once the last frame has had its chance. */
static void bury_if_over(struct world *world, struct session *session)
{
    const struct endpoint *endpoint = session->party.endpoint;
    const struct tunnel_reset *end = endpoint_end(endpoint);

    if (end == NULL || session->buried || endpoint_attachment(endpoint) != 0)
        return;
    session->buried = true;
    registry_bury(world->registry, session->entry, end, INT64_MAX - 1);
}

void server_timer(struct world *world, struct session *session)
{
    struct endpoint *endpoint = session->party.endpoint;

    if (endpoint_timer(endpoint, world->now) == ENDPOINT_DEAD) {
        world->counts->deaths++;
        for (struct link *link = world->links; link != NULL; link = link->next)
            if (link->session == session &&
                link->server_attachment != endpoint_attachment(endpoint))
                link_close_server(world, link);
    }
    bury_if_over(world, session);
}

void server_free(struct world *world)
{
    while (world->sessions != NULL) {
        struct session *session = world->sessions;
        world->sessions = session->next;
        endpoint_free(session->party.endpoint);
        free(session);
    }
    registry_free(world->registry);
}
