/* One run: a world from a seed, a time of trouble, then a time in which all must arrive. */
#include "tests/simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum {
    /* Virtual time in which all must have arrived once the network is well: two silences until a
     * dead attachment is noticed, and the rest at 64 bytes a round trip. */
    HEAL_MS = 600 * 1000,
    HEAL_ROUNDS = 300 * 1000,
};

/* Links */

int64_t link_delay(struct world *world)
{
    if (world->healed || random_chance(&world->random, 80))
        return random_between(&world->random, 1, 20);
    return random_between(&world->random, 0, 3000);
}

size_t link_piece(struct world *world, const struct message *message)
{
    size_t left = message->len - message->done;

    return world->healed || random_chance(&world->random, 50)
               ? left
               : random_below(&world->random, left + 1);
}

struct link *link_new(struct world *world, enum link_kind kind)
{
    enum tunnel_framing framing = kind == LINK_HTTP ? TUNNEL_LENGTHS : TUNNEL_MESSAGES;
    struct link *link = mem_new(sizeof *link);

    link->kind = kind;
    pipe_init(&link->up);
    pipe_init(&link->down);
    tunnel_decoder_init(&link->client_decoder, framing, world->client_settings.max_frame);
    tunnel_decoder_init(&link->server_decoder, framing, world->server_settings.max_frame);
    link->next = world->links;
    world->links = link;
    world->link_count++;
    return link;
}

/* The other side learns of it when it has read what was sent before. */
static void end_pipe(struct world *world, struct pipe *pipe)
{
    if (!pipe->broken)
        pipe->end_at = world->now + link_delay(world);
    pipe->broken = true;
}

void link_close_client(struct world *world, struct link *link)
{
    if (link->client_closed)
        return;
    link->client_closed = true;
    if (link->kind == LINK_WEBSOCKET) /* nobody tells a server that no more requests come */
        end_pipe(world, &link->up);
    if (!link->hostile)
        endpoint_detach(world->client.endpoint, world->now, link->client_attachment);
}

void link_close_server(struct world *world, struct link *link)
{
    struct session *session = link->session;

    if (link->server_closed)
        return;
    link->server_closed = true;
    end_pipe(world, &link->down);
    if (session == NULL)
        return;
    endpoint_detach(session->party.endpoint, world->now, link->server_attachment);
    if (endpoint_state(session->party.endpoint) == ENDPOINT_DETACHED && !session->buried)
        registry_detached(world->registry, session->entry, true);
}

static void link_free(struct link *link)
{
    pipe_clear(&link->up);
    pipe_clear(&link->down);
    tunnel_decoder_clear(&link->client_decoder);
    tunnel_decoder_clear(&link->server_decoder);
    free(link->post.body);
    free(link->get.body);
    free(link);
}

static bool is_current_of_client(const struct world *world, const struct link *link)
{
    return !link->hostile && !link->client_closed &&
           link->client_attachment == endpoint_attachment(world->client.endpoint);
}

static bool is_current_of_server(const struct link *link)
{
    return link->session != NULL &&
           link->server_attachment == endpoint_attachment(link->session->party.endpoint);
}

/* An adapter closes sooner or later what its endpoint has left, or what is over. */
static void tidy_link(struct world *world, struct link *link)
{
    const struct endpoint *client = world->client.endpoint;
    unsigned percent = world->healed ? 100 : 3;
    bool client_is_over = endpoint_end(client) != NULL &&
                          !endpoint_has_output(client, world->now, link->client_attachment);
    bool server_is_over =
        link->session != NULL && endpoint_end(link->session->party.endpoint) != NULL &&
        !endpoint_has_output(link->session->party.endpoint, world->now, link->server_attachment);
    bool is_vain = link->session == NULL && link->client_closed && link->up.first == NULL;

    if ((!is_current_of_client(world, link) || client_is_over) && !link->hostile &&
        random_chance(&world->random, percent))
        link_close_client(world, link);
    if (((link->session != NULL && !is_current_of_server(link)) || server_is_over || is_vain) &&
        random_chance(&world->random, percent))
        link_close_server(world, link);
}

static void tidy_links(struct world *world)
{
    for (struct link **place = &world->links; *place != NULL;) {
        struct link *link = *place;
        tidy_link(world, link);
        if (link->client_closed && link->server_closed) {
            *place = link->next;
            world->link_count--;
            link_free(link);
        } else {
            place = &link->next;
        }
    }
}

static struct link *random_link(struct world *world)
{
    struct link *link = world->links;

    for (size_t i = random_below(&world->random, world->link_count); i > 0; i--)
        link = link->next;
    return link;
}

/* Trouble */

static int64_t notice_at(struct world *world)
{
    /* Some cuts are noticed by silence only. */
    return random_chance(&world->random, 25) ? INT64_MAX
                                             : world->now + random_between(&world->random, 0, 2000);
}

static void cut(struct world *world)
{
    struct link *link = random_link(world);
    unsigned which = (unsigned)random_below(&world->random, 5);

    if (link == NULL)
        return;
    world->counts->cuts++;
    if (which != 0)
        pipe_cut(&link->up, random_below(&world->random, link->up.queued + 1), notice_at(world));
    if (which != 1)
        pipe_cut(&link->down, random_below(&world->random, link->down.queued + 1),
                 notice_at(world));
}

/* Somebody sends a RESUME that was seen on the way, as it was or changed. */
static void replay(struct world *world)
{
    struct random *random = &world->random;
    size_t known = world->captured_count < CAPTURED_MAX ? world->captured_count : CAPTURED_MAX;
    bool is_forged = random_chance(random, 50);

    if (known == 0 || world->link_count >= LINKS_MAX)
        return;
    struct captured copy = world->captured[random_below(random, known)];
    if (is_forged)
        copy.bytes[1 + random_below(random, copy.len - 1)] ^=
            (uint8_t)(1u << random_below(random, 8));
    world->counts->replays += !is_forged;
    world->counts->forgeries += is_forged;

    struct link *link = link_new(world, LINK_WEBSOCKET);
    link->hostile = true;
    link->forged = is_forged;
    link->client_closed = true;
    pipe_send(&link->up, world->now, bytes_of(copy.bytes, copy.len), bytes_of(NULL, 0));
    link->up.end_at = world->now + random_between(random, 0, 5000);
}

static void speak(struct world *world)
{
    struct session *session = server_session(world);
    static const uint8_t key[] = {1, 2, 3, 4};

    switch (random_below(&world->random, 3)) {
    case 0:
        endpoint_cancel(world->client.endpoint,
                        &(struct tunnel_cancel){.pid = 7, .key = bytes_of(key, sizeof key)});
        break;
    case 1:
        if (session != NULL)
            endpoint_move(session->party.endpoint, 5);
        break;
    default:
        if (session != NULL) /* an xid that is never below the offset, so that it can be checked */
            endpoint_txn(session->party.endpoint,
                         &(struct tunnel_txn){
                             .xid = endpoint_source_offset(session->party.endpoint) + 1,
                             .offset = endpoint_source_offset(session->party.endpoint),
                         });
        break;
    }
}

static void pass_time(struct world *world)
{
    struct random *random = &world->random;
    size_t dice = random_below(random, 1000);

    if (dice < 2)
        world->now += random_between(random, 0, 60000);
    else if (dice < 40)
        world->now += random_between(random, 0, 2000);
    else
        world->now += random_between(random, 0, 5);
}

static void trouble(struct world *world)
{
    struct random *random = &world->random;
    size_t dice = random_below(random, 1000);

    if (dice < 15)
        cut(world);
    else if (dice < 20)
        client_dial(world);
    else if (dice < 30)
        replay(world);
    else if (dice < 45)
        speak(world);
    else if (dice < 55)
        world->client.stalled = !world->client.stalled;
    else if (dice < 65 && server_session(world) != NULL)
        server_session(world)->party.stalled = !server_session(world)->party.stalled;
}

/* Everybody does what there is to do */

static void move_parties(struct world *world)
{
    struct random *random = &world->random;

    if (world->healed || random_chance(random, 50))
        party_produce(&world->client);
    if (world->healed || random_chance(random, 50))
        party_consume(&world->client);
    party_check(&world->client);
    for (struct session *session = world->sessions; session != NULL; session = session->next) {
        if (world->healed || random_chance(random, 50))
            party_produce(&session->party);
        if (world->healed || random_chance(random, 50))
            party_consume(&session->party);
        party_check(&session->party);
        server_timer(world, session);
    }
    if (endpoint_end(world->client.endpoint) == NULL)
        client_timer(world);
}

static void move_links(struct world *world)
{
    struct random *random = &world->random;
    unsigned percent = world->healed ? 100 : 50;

    for (struct link *link = world->links; link != NULL; link = link->next) {
        if (random_chance(random, percent))
            client_send(world, link);
        if (random_chance(random, percent))
            server_send(world, link);
        if (random_chance(random, percent))
            client_receive(world, link);
        if (random_chance(random, percent))
            server_receive(world, link);
    }
}

static void step(struct world *world)
{
    world->counts->steps++;
    move_parties(world);
    move_links(world);
    tidy_links(world);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When anything happens next; INT64_MAX: never. */
static int64_t next_event(const struct world *world)
{
    int64_t at = client_next(world);

    for (const struct session *session = world->sessions; session != NULL; session = session->next)
        at = earlier(at, endpoint_deadline(session->party.endpoint, world->now));
    for (const struct link *link = world->links; link != NULL; link = link->next) {
        if (!link->client_closed && !link->hostile)
            at = earlier(at, earlier(pipe_next(&link->down), http_client_next(link)));
        if (!link->server_closed)
            at = earlier(at, earlier(pipe_next(&link->up), http_server_next(link)));
    }
    return at;
}

static bool has_arrived(const struct world *world)
{
    const struct session *session = server_session(world);

    return session != NULL && endpoint_end(world->client.endpoint) != NULL &&
           world->client.sink_ended && world->client.delivered == session->party.length &&
           session->party.sink_ended && session->party.delivered == world->client.length;
}

static void check_ends(struct world *world)
{
    const struct tunnel_reset *end = endpoint_end(world->client.endpoint);
    const struct session *session = server_session(world);

    if (end != NULL && end->reason != TUNNEL_END_FINISHED)
        world_fail(world,
                   end->text.len > 0 ? (const char *)end->text.data : tunnel_end_text(end->reason));
    if (session == NULL || (end = endpoint_end(session->party.endpoint)) == NULL)
        return;
    if (end->reason != TUNNEL_END_FINISHED)
        world_fail(world,
                   end->text.len > 0 ? (const char *)end->text.data : tunnel_end_text(end->reason));
}

/* To when something happens next. */
static void advance(struct world *world)
{
    int64_t next = next_event(world);

    if (has_arrived(world))
        return;
    if (next == INT64_MAX)
        world_fail(world, "deadlock: nothing will ever happen again");
    else
        world->now = next > world->now ? next : world->now + 1;
}

static void heal(struct world *world)
{
    int64_t began = world->now;

    world->healed = true;
    world->client.stalled = false;
    for (unsigned rounds = 0; world->failure[0] == '\0' && !has_arrived(world); rounds++) {
        step(world);
        check_ends(world);
        if (world->now - began > HEAL_MS || rounds > HEAL_ROUNDS)
            world_fail(world, "not all has arrived in time");
        if (rounds % 4 == 3) /* first all that can be done now */
            advance(world);
    }
    if (world->now - began > world->counts->slowest_ms)
        world->counts->slowest_ms = world->now - began;
}

/* The world */

static uint32_t random_window(struct random *random)
{
    switch (random_below(random, 4)) {
    case 0:
        return TUNNEL_WINDOW_MIN;
    case 1:
        return TUNNEL_WINDOW_MIN + (uint32_t)random_below(random, 200);
    default:
        return TUNNEL_WINDOW_MIN + (uint32_t)random_below(random, 4000);
    }
}

static uint64_t random_length(struct random *random)
{
    switch (random_below(random, 8)) {
    case 0:
        return 0;
    case 1:
        return random_below(random, 10);
    case 2:
        return random_below(random, 20000);
    default:
        return random_below(random, 1500);
    }
}

static struct endpoint_settings random_settings(struct random *random, struct budget *budget)
{
    budget->limit = random_chance(random, 20) ? random_below(random, 2000) : 1000000;
    return (struct endpoint_settings){
        .budget = budget,
        .window = random_window(random),
        .max_frame = TUNNEL_FRAME_MIN + (uint32_t)random_below(random, 3000),
        .ring_max = 32 + random_below(random, 6000),
        .instance = 1 + random_next(random) / 2,
        .retain_s = 65535,
        .ping_s = (uint16_t)random_between(random, 1, 20),
    };
}

static void world_init(struct world *world, uint64_t seed, struct counts *counts)
{
    static const struct registry_limits limits = {100, 100, 100, 100};
    struct random *random = &world->random;
    struct tunnel_id id;
    struct tunnel_key key;

    *world = (struct world){.random = {seed}, .now = 1000000, .counts = counts};
    world->http = random_chance(random, 40);
    world->client_settings = random_settings(random, &world->client_budget);
    world->server_settings = random_settings(random, &world->server_budget);
    world->server_length = random_length(random);
    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (uint8_t)random_next(random);
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)random_next(random);
    world->client = (struct party){
        .world = world,
        .side = CLIENT,
        .length = random_length(random),
        .endpoint = endpoint_new_client(&world->client_settings, &id, &key,
                                        bytes_of_string("program=simulation\n")),
    };
    world->dial_at = INT64_MAX;
    world->registry = registry_new(&limits);
}

static void world_clear(struct world *world)
{
    while (world->links != NULL) {
        struct link *link = world->links;
        world->links = link->next;
        link_free(link);
    }
    endpoint_free(world->client.endpoint);
    server_free(world);
    if (world->client_budget.used != 0 || world->server_budget.used != 0 ||
        world->client_budget.promised != 0 || world->server_budget.promised != 0)
        world_fail(world, "a budget is still charged though all is freed");
}

static void add_up(struct world *world)
{
    const struct session *session = server_session(world);
    struct endpoint_counts client = endpoint_counts(world->client.endpoint);

    world->counts->runs++;
    world->counts->bytes += world->client.delivered;
    world->counts->resent += client.bytes_resent;
    world->counts->virtual_ms += (uint64_t)(world->now - 1000000);
    if (session == NULL)
        return;
    world->counts->bytes += session->party.delivered;
    world->counts->resent += endpoint_counts(session->party.endpoint).bytes_resent;
}

/* For whoever repeats a failed run. */
static void describe(const struct world *world, const struct party *party)
{
    const struct endpoint *endpoint = party->endpoint;
    struct endpoint_counts counts = endpoint_counts(endpoint);

    printf(
        "%s: %s, attachment %u, attempt %u, produced %llu of %llu%s, delivered %llu%s, ring %zu, "
        "queue %zu, deadline in %lld ms\n",
        party->side == CLIENT ? "client" : "server", endpoint_state_name(endpoint_state(endpoint)),
        endpoint_attachment(endpoint), endpoint_attempt(endpoint),
        (unsigned long long)party->produced, (unsigned long long)party->length,
        party->source_ended ? " and ended" : "", (unsigned long long)party->delivered,
        party->sink_ended ? " and ended" : "", counts.ring, counts.queue,
        (long long)(endpoint_deadline(endpoint, world->now) - world->now));
}

static void describe_failure(const struct world *world)
{
    printf("at %lld ms, %s, %zu links\n", (long long)world->now,
           world->healed ? "healed" : "in trouble", world->link_count);
    describe(world, &world->client);
    for (const struct session *session = world->sessions; session != NULL; session = session->next)
        describe(world, &session->party);
}

bool simulation_run(uint64_t seed, struct counts *counts)
{
    struct world world;

    world_init(&world, seed, counts);
    for (size_t steps = random_below(&world.random, 800); steps > 0 && world.failure[0] == '\0';
         steps--) {
        pass_time(&world);
        trouble(&world);
        step(&world);
        check_ends(&world);
    }
    heal(&world);
    if (world.failure[0] != '\0')
        describe_failure(&world);
    add_up(&world);
    world_clear(&world);
    if (world.failure[0] != '\0')
        printf("FAILED: %s\n", world.failure);
    return world.failure[0] == '\0';
}
