/* The client's adapter: dials, and passes bytes between its links and its endpoint. */
#include "tests/simulation/world.h"

#include <string.h>

static struct bytes head_of(const struct endpoint_output *output)
{
    return bytes_of(output->head, output->head_len);
}

static struct tunnel_id new_id(struct world *world)
{
    struct tunnel_id id;

    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (uint8_t)random_next(&world->random);
    return id;
}

void client_dial(struct world *world)
{
    bool is_http = world->http && random_chance(&world->random, 50);
    struct link *link;

    if (world->link_count >= LINKS_MAX)
        return;
    link = link_new(world, is_http ? LINK_HTTP : LINK_WEBSOCKET);
    link->client_attachment = endpoint_attach(world->client.endpoint, world->now);
    world->counts->dials++;
    if (is_http) {
        world->counts->http_links++;
        http_client_begin(world, link);
    }
}

static void capture(struct world *world, const struct endpoint_output *output)
{
    struct captured *captured = &world->captured[world->captured_count++ % CAPTURED_MAX];

    captured->len = output->head_len;
    memcpy(captured->bytes, output->head, output->head_len);
}

void client_send(struct world *world, struct link *link)
{
    struct endpoint_output output;
    size_t room = world->healed ? 65536 : 16 + random_below(&world->random, 400);

    if (link->client_closed)
        return;
    if (link->kind == LINK_HTTP) {
        http_client_send(world, link);
        return;
    }
    if (link->up.queued > 3000 ||
        !endpoint_take(world->client.endpoint, world->now, link->client_attachment,
                       room < TUNNEL_CONTROL_MAX && random_chance(&world->random, 50)
                           ? TUNNEL_CONTROL_MAX
                           : room,
                       &output))
        return;
    if (output.head[0] == TUNNEL_RESUME)
        capture(world, &output);
    pipe_send(&link->up, world->now + link_delay(world), head_of(&output), output.payload);
}

static void on_refused(struct world *world, const struct tunnel_frame *frame)
{
    struct party *client = &world->client;

    world->counts->refusals++;
    if (frame->refused.reason == TUNNEL_REFUSAL_UNKNOWN && !world->client_confirmed) {
        struct tunnel_id id = new_id(world);
        endpoint_reopen(client->endpoint, &id, endpoint_key(client->endpoint));
        world->counts->reopened++;
    }
}

/* The links left before can be closed, but need not. */
static void on_up(struct world *world, const struct link *link)
{
    world->client_confirmed = true;
    world->counts->resumes += endpoint_attempt(world->client.endpoint) > 0;
    for (struct link *other = world->links; other != NULL; other = other->next)
        if (other != link && random_chance(&world->random, 50))
            link_close_client(world, other);
}

void client_event(struct world *world, struct link *link, enum endpoint_event event,
                  const struct tunnel_frame *frame)
{
    switch (event) {
    case ENDPOINT_UP:
        on_up(world, link);
        break;
    case ENDPOINT_DATA:
        party_take_fresh(&world->client);
        break;
    case ENDPOINT_MOVE:
        world->counts->moves++;
        world->dial_at = world->now;
        break;
    case ENDPOINT_REFUSED:
        on_refused(world, frame);
        link_close_client(world, link);
        break;
    case ENDPOINT_TXN:
        if (frame->txn.offset > frame->txn.xid)
            world_fail(world, "TXN came with fields of another");
        break;
    case ENDPOINT_DEAD:
    case ENDPOINT_CANCEL:
        world_fail(world, "a frame gave an event of another");
        break;
    case ENDPOINT_NOTHING:
        break;
    }
}

void client_decode(struct world *world, struct link *link, struct bytes in, bool last)
{
    struct endpoint *endpoint = world->client.endpoint;
    struct tunnel_frame frame;
    struct error error;
    enum status status;

    endpoint_heard(endpoint, world->now, link->client_attachment);
    while ((status = tunnel_decode(&link->client_decoder, &in, last, &frame, &error)) == STATUS_OK)
        client_event(world, link,
                     endpoint_frame(endpoint, world->now, link->client_attachment, &frame), &frame);
    if (status == STATUS_INVALID)
        world_fail(world, "the client could not decode what the server sent");
}

bool client_receive(struct world *world, struct link *link)
{
    struct message *message = pipe_due(&link->down, world->now);

    if (link->client_closed || link->hostile)
        return false;
    if (message == NULL) {
        if (link->down.first != NULL || link->down.end_at > world->now)
            return false;
        link_close_client(world, link);
        return true;
    }
    if (link->kind == LINK_HTTP) {
        http_client_receive(world, link, message);
        return true;
    }
    size_t count = link_piece(world, message);
    struct bytes piece = bytes_of(message->bytes + message->done, count);
    bool ends = message->done + count == message->len;
    client_decode(world, link, piece, ends && !message->cut);
    message->done += count;
    link->down.queued -= count;
    if (ends)
        pipe_drop(&link->down);
    return true;
}

static bool is_without_link(const struct world *world)
{
    enum endpoint_state state = endpoint_state(world->client.endpoint);

    return state == ENDPOINT_NEW || state == ENDPOINT_DETACHED;
}

void client_timer(struct world *world)
{
    struct endpoint *endpoint = world->client.endpoint;

    if (endpoint_timer(endpoint, world->now) == ENDPOINT_DEAD) {
        world->counts->deaths++;
        world->dial_at = world->now;
    }
    if (is_without_link(world) && world->dial_at == INT64_MAX)
        world->dial_at = world->now + random_between(&world->random, 0, 200);
    if (world->dial_at <= world->now) {
        world->dial_at = INT64_MAX;
        client_dial(world);
    }
}

int64_t client_next(const struct world *world)
{
    int64_t at = endpoint_deadline(world->client.endpoint, world->now);

    if (is_without_link(world) && world->dial_at == INT64_MAX)
        return world->now;
    return world->dial_at < at ? world->dial_at : at;
}
