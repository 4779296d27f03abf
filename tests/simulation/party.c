/* Sources and sinks: bytes that follow from their offsets. */
#include "tests/simulation/world.h"

#include <stdio.h>
#include <string.h>

void world_fail(struct world *world, const char *reason)
{
    if (world->failure[0] == '\0')
        snprintf(world->failure, sizeof world->failure, "%s", reason);
}

uint8_t stream_byte(enum side side, uint64_t offset)
{
    return (uint8_t)(random_mix(offset * 2 + (side == SERVER)) >> 17);
}

static void fill(const struct party *party, uint8_t *place, size_t count)
{
    for (size_t i = 0; i < count; i++)
        place[i] = stream_byte(party->side, party->produced + i);
}

static bool adopt(struct party *party, struct block *block, struct bytes piece)
{
    fill(party, block->data + (piece.data - block->data), piece.len);
    if (!endpoint_source_adopt(party->endpoint, block, piece))
        return false;
    party->produced += piece.len;
    return true;
}

/* What a socket was read into, with gaps between what is to be sent; nobody else keeps it. */
static void produce_block(struct party *party, uint64_t left)
{
    struct random *random = &party->world->random;
    struct block *block = block_new(1 + random_below(random, 300));
    struct bytes rest = bytes_of(block->data, block->size);
    bool taken = true;

    memset(block->data, 0, block->size);
    while (taken && rest.len > 0) {
        size_t len = 1 + random_below(random, rest.len);

        taken = len <= left && adopt(party, block, bytes_first(rest, len));
        left -= taken ? len : 0;
        rest = bytes_skip(rest, len);
        rest = bytes_skip(rest, random_below(random, rest.len + 1));
    }
    block_drop(block);
}

static void produce_bytes(struct party *party, uint64_t left)
{
    struct random *random = &party->world->random;
    size_t want = 1 + random_below(random, party->world->healed ? 4096 : 300);
    size_t len;
    uint8_t *place = endpoint_source_reserve(party->endpoint, party->world->now, want, &len);

    if (place == NULL)
        return;
    if (len > want)
        world_fail(party->world, "more was reserved than wanted");
    size_t count = left < len ? (size_t)left : len;
    if (!party->world->healed)
        count = random_below(random, count + 1);
    fill(party, place, count);
    endpoint_source_commit(party->endpoint, count);
    party->produced += count;
}

void party_produce(struct party *party)
{
    struct random *random = &party->world->random;
    uint64_t left = party->length - party->produced;

    if (party->source_ended)
        return;
    if (left == 0) {
        if (party->world->healed || random_chance(random, 20)) {
            endpoint_source_end(party->endpoint);
            party->source_ended = true;
        }
    } else if (!party->world->healed && random_chance(random, 30)) {
        produce_block(party, left);
    } else {
        produce_bytes(party, left);
    }
}

static uint64_t sent_by_other(const struct party *party)
{
    const struct world *world = party->world;
    const struct session *session;

    if (party->side == SERVER)
        return world->client.produced;
    session = server_session(world);
    return session == NULL ? 0 : session->party.produced;
}

static void deliver(struct party *party, struct bytes data)
{
    enum side from = party->side == CLIENT ? SERVER : CLIENT;

    for (size_t i = 0; i < data.len; i++)
        if (data.data[i] != stream_byte(from, party->delivered + i)) {
            world_fail(party->world, "a byte was lost, doubled or changed");
            break;
        }
    party->delivered += data.len;
    if (party->delivered > sent_by_other(party))
        world_fail(party->world, "more was delivered than sent");
}

static size_t appetite(const struct party *party, size_t len)
{
    if (party->world->healed)
        return len;
    return party->stalled ? 0 : random_below(&party->world->random, len + 1);
}

void party_take_fresh(struct party *party)
{
    struct bytes fresh = endpoint_fresh(party->endpoint);
    size_t taken = appetite(party, fresh.len);

    deliver(party, bytes_first(fresh, taken));
    endpoint_accept(party->endpoint, party->world->now, taken);
}

void party_consume(struct party *party)
{
    struct bytes queued = endpoint_queued(party->endpoint);
    size_t taken = appetite(party, queued.len);

    if (taken == 0)
        return;
    deliver(party, bytes_first(queued, taken));
    endpoint_consume(party->endpoint, party->world->now, taken);
}

void party_check(struct party *party)
{
    struct endpoint_counts counts = endpoint_counts(party->endpoint);
    const struct endpoint_settings *settings =
        party->side == CLIENT ? &party->world->client_settings : &party->world->server_settings;
    const struct endpoint_settings *other =
        party->side == CLIENT ? &party->world->server_settings : &party->world->client_settings;
    size_t ring_max = TUNNEL_WINDOW_MIN;

    if (party->side == SERVER || endpoint_terms(party->endpoint)->instance != 0)
        ring_max = other->window;
    if (counts.ring > ring_max || counts.ring > settings->ring_max)
        world_fail(party->world, "a ring holds more than its window");
    if (counts.queue > settings->window)
        world_fail(party->world, "a queue holds more than its window");
    if (endpoint_sink_ended(party->endpoint))
        party->sink_ended = true;
    if (party->sink_ended && party->delivered != endpoint_sink_offset(party->endpoint) - 1)
        world_fail(party->world, "a sink was ended before its last byte");
}
