/* The HTTP carrier: numbered requests and answers, each of which can be lost, repeated or cut
 * short.
 *
 * Frames go up in the bodies of POSTs, which take effect once, and down in the answers to GETs. An
 * answer has a serial number, and the next GET names the last one that came in whole: only then can
 * the server forget what it had said. (That the next GET comes is not enough: the one before may
 * have been answered twice, differently, and which of the two arrived only the client knows.) */
#include "tests/simulation/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/memory.h"

enum {
    BODY_MAX = 64 * 1024,
    POLL_MS = 20000,
    POST_AGAIN_MS = 5000,
    GET_AGAIN_MS = 25000,
};

/* Frames of an endpoint as a body. */
static void collect(struct world *world, struct endpoint *endpoint, uint32_t attachment,
                    struct buffer *body, size_t max)
{
    struct endpoint_output output;
    uint8_t length[TUNNEL_LENGTH_SIZE];

    buffer_init(body, BODY_MAX);
    while (buffer_len(body) + TUNNEL_LENGTH_SIZE < max &&
           endpoint_take(endpoint, world->now, attachment,
                         max - buffer_len(body) - TUNNEL_LENGTH_SIZE, &output)) {
        tunnel_frame_put_length(length, output.head_len + output.payload.len);
        buffer_append(body, bytes_of(length, sizeof length));
        buffer_append(body, bytes_of(output.head, output.head_len));
        buffer_append(body, output.payload);
    }
}

static size_t body_max(struct world *world)
{
    return world->healed ? BODY_MAX : TUNNEL_CONTROL_MAX + 8 + random_below(&world->random, 1000);
}

/* Lost, cut short, or neither. */
static struct message *transmit(struct world *world, struct pipe *pipe, struct bytes body)
{
    struct random *random = &world->random;
    bool is_cut = !world->healed && random_chance(random, 5);
    struct bytes arrives = is_cut ? bytes_first(body, random_below(random, body.len + 1)) : body;

    if (!world->healed && random_chance(random, 5))
        return NULL;
    struct message *message =
        pipe_send(pipe, world->now + link_delay(world), arrives, bytes_of(NULL, 0));
    if (message != NULL)
        message->cut = is_cut;
    return message;
}

/* The client */

static void request(struct world *world, struct link *link, int kind, const struct request *request)
{
    /* A proxy may send it twice. */
    unsigned times = !world->healed && random_chance(&world->random, 5) ? 2 : 1;

    world->counts->duplicates += times - 1;
    while (times-- > 0) {
        struct message *message = transmit(world, &link->up, bytes_of(request->body, request->len));
        if (message == NULL)
            continue;
        message->kind = kind;
        message->number = request->number;
        message->serial = request->serial;
    }
}

static void fill(struct world *world, struct link *link, struct request *post)
{
    struct buffer body;

    collect(world, world->client.endpoint, link->client_attachment, &body, body_max(world));
    free(post->body);
    post->len = buffer_len(&body);
    post->body = (uint8_t *)mem_copy_chars((const char *)buffer_peek(&body).data, post->len);
    buffer_clear(&body);
    post->waiting = true;
    post->again_at = world->now + POST_AGAIN_MS;
}

void http_client_begin(struct world *world, struct link *link)
{
    fill(world, link, &link->post);
    request(world, link, HTTP_OPEN, &link->post);
}

/* Not answered for long; or, in bad times, not so long. */
static bool is_to_repeat(struct world *world, const struct request *request)
{
    return request->waiting && (request->again_at <= world->now ||
                                (!world->healed && random_chance(&world->random, 2)));
}

static void poll(struct world *world, struct link *link)
{
    struct request *get = &link->get;

    if (get->waiting && !is_to_repeat(world, get))
        return;
    world->counts->duplicates += get->waiting;
    get->number += !get->waiting;
    get->waiting = true;
    get->again_at = world->now + GET_AGAIN_MS;
    request(world, link, HTTP_GET, get);
}

void http_client_send(struct world *world, struct link *link)
{
    struct request *post = &link->post;

    if (post->number == 0 && post->waiting) { /* the answer to the opening one may not come */
        if (post->again_at <= world->now)
            link_close_client(world, link);
        return;
    }
    poll(world, link);
    if (is_to_repeat(world, post)) {
        world->counts->duplicates++;
        post->again_at = world->now + POST_AGAIN_MS;
        request(world, link, HTTP_POST, post);
    } else if (!post->waiting &&
               endpoint_has_output(world->client.endpoint, world->now, link->client_attachment)) {
        post->number++;
        fill(world, link, post);
        request(world, link, HTTP_POST, post);
    }
}

static void take_answer(struct world *world, struct link *link, const struct message *message)
{
    tunnel_decoder_clear(&link->client_decoder);
    client_decode(world, link, bytes_of(message->bytes, message->len), false);
    if (!message->cut && tunnel_decoder_is_inside(&link->client_decoder))
        world_fail(world, "the body of an answer ends inside a frame");
    if (!message->cut && message->kind != HTTP_POST)
        link->get.serial = message->serial;
}

void http_client_receive(struct world *world, struct link *link, struct message *message)
{
    bool is_get = message->kind == HTTP_GET;
    struct request *request = is_get ? &link->get : &link->post;
    bool is_awaited = request->waiting && request->number == message->number;

    if (is_awaited && message->status != HTTP_OK) {
        link_close_client(world, link);
    } else if (is_awaited) {
        request->waiting = false;
        take_answer(world, link, message);
        /* Without the whole answer the opening is not complete, whatever came of it. */
        if (message->kind == HTTP_OPEN && message->cut && !link->client_closed)
            link_close_client(world, link);
    }
    if (link->down.first == message) /* closing has dropped it */
        pipe_drop(&link->down);
}

int64_t http_client_next(const struct link *link)
{
    int64_t post = link->post.waiting ? link->post.again_at : INT64_MAX;
    int64_t get = link->get.waiting ? link->get.again_at : INT64_MAX;

    return post < get ? post : get;
}

/* The server */

static void answer(struct world *world, struct link *link, int kind, uint64_t number, int status,
                   struct bytes body)
{
    struct message *message = transmit(world, &link->down, body);

    if (message == NULL)
        return;
    message->kind = kind;
    message->number = number;
    message->status = status;
    message->serial = link->answer_serial;
}

static void answer_with_frames(struct world *world, struct link *link, int kind, uint64_t number)
{
    struct buffer body;

    collect(world, link->session->party.endpoint, link->server_attachment, &body, body_max(world));
    link->answer_serial++;
    answer(world, link, kind, number, HTTP_OK, buffer_peek(&body));
    buffer_clear(&body);
}

/* The same request again: to whom it looks like another OPEN or RESUME. */
static void refuse_repeated(struct world *world, struct link *link)
{
    uint8_t bytes[TUNNEL_LENGTH_SIZE + TUNNEL_CONTROL_MAX];
    const struct tunnel_frame frame = {.type = TUNNEL_REFUSED,
                                       .refused = {.reason = TUNNEL_REFUSAL_EXISTS}};
    size_t len = tunnel_frame_encode(&frame, bytes + TUNNEL_LENGTH_SIZE);

    tunnel_frame_put_length(bytes, len);
    answer(world, link, HTTP_OPEN, 0, HTTP_OK, bytes_of(bytes, TUNNEL_LENGTH_SIZE + len));
}

static void decode_body(struct world *world, struct link *link, const struct message *message)
{
    tunnel_decoder_clear(&link->server_decoder);
    server_decode(world, link, bytes_of(message->bytes, message->len), false);
}

static void on_opening(struct world *world, struct link *link, const struct message *message)
{
    if (link->session != NULL) {
        refuse_repeated(world, link);
        return;
    }
    decode_body(world, link, message);
    if (link->session != NULL)
        answer_with_frames(world, link, HTTP_OPEN, 0);
}

static void on_post(struct world *world, struct link *link, const struct message *message)
{
    bool is_new = message->number == link->posts_done + 1;

    if (message->number > link->posts_done + 1) {
        answer(world, link, HTTP_POST, message->number, HTTP_CONFLICT, bytes_of(NULL, 0));
        return;
    }
    if (is_new) {
        link->posts_done++;
        decode_body(world, link, message);
    }
    answer(world, link, HTTP_POST, message->number, HTTP_OK, bytes_of(NULL, 0));
}

static void on_get(struct world *world, struct link *link, const struct message *message)
{
    struct endpoint *endpoint = link->session->party.endpoint;

    if (message->number < link->get_number)
        return; /* its client has long gone on */
    if (message->serial == link->answer_serial)
        endpoint_confirm(endpoint, link->server_attachment);
    else
        endpoint_rewind(endpoint, link->server_attachment);
    link->get_number = message->number;
    link->get_waiting = true;
    link->get_until = world->now + POLL_MS;
}

void http_server_receive(struct world *world, struct link *link, struct message *message)
{
    bool is_whole = !message->cut; /* else no request has come */
    bool is_left = link->session != NULL &&
                   link->server_attachment != endpoint_attachment(link->session->party.endpoint);

    if (is_whole && message->kind == HTTP_OPEN)
        on_opening(world, link, message);
    else if (is_whole && (is_left || link->session == NULL))
        answer(world, link, message->kind, message->number, HTTP_CONFLICT, bytes_of(NULL, 0));
    else if (is_whole && message->kind == HTTP_POST)
        on_post(world, link, message);
    else if (is_whole)
        on_get(world, link, message);
    if (link->up.first == message)
        pipe_drop(&link->up);
}

void http_server_send(struct world *world, struct link *link)
{
    const struct endpoint *endpoint = link->session->party.endpoint;

    if (!link->get_waiting || (link->get_until > world->now &&
                               !endpoint_has_output(endpoint, world->now, link->server_attachment)))
        return;
    link->get_waiting = false;
    answer_with_frames(world, link, HTTP_GET, link->get_number);
}

int64_t http_server_next(const struct link *link)
{
    return link->get_waiting ? link->get_until : INT64_MAX;
}
