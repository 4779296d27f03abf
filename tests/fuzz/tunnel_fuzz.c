/* Both ends of the tunnel protocol against a peer that says anything, in any order and in any
 * pieces.
 *
 * The input is a script: what the adapter does, and the bytes that come, as whole frames (of which
 * the fuzzer chooses the fields) or raw. Nothing may crash, hold more than its window, or send
 * anything but what the state allows; a violation ends the session with RESET, and only that. */
#include "common/tunnel/endpoint.h"
#include "common/tunnel/ring.h"
#include "common/tunnel/tunnel_auth.h"
#include "common/tunnel/tunnel_decoder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct budget budget;
static struct endpoint_settings settings = {
    .budget = &budget,
    .window = TUNNEL_WINDOW_MIN,
    .max_frame = TUNNEL_FRAME_MIN,
    .ring_max = 100000,
    .instance = 0x0101010101010101, /* easy to guess */
    .retain_s = 120,
    .ping_s = 20,
};
static const struct tunnel_id id = {{1}};
static const struct tunnel_key key = {{2}};

struct world {
    struct endpoint *endpoint;
    struct tunnel_decoder decoder;
    uint32_t attachment;
    int64_t now;
    bool is_server;
    bool ended;
};

static void check(struct world *world)
{
    struct endpoint_counts counts = endpoint_counts(world->endpoint);

    assert(counts.queue <= settings.window);
    assert(counts.ring <= settings.ring_max);
    /* Twice: sizes are powers of two. */
    assert(budget.used <= 2 * (settings.window + settings.ring_max) + 2 * RING_SMALLEST);
    assert(!world->ended || endpoint_end(world->endpoint) != NULL);
    world->ended = endpoint_end(world->endpoint) != NULL;
    assert(endpoint_deadline(world->endpoint, world->now) >= 0);
}

static void take_output(struct world *world, size_t max)
{
    struct endpoint_output output;
    struct tunnel_frame frame;
    struct error error;
    bool was_over = endpoint_end(world->endpoint) != NULL;

    while (endpoint_take(world->endpoint, world->now, world->attachment, max, &output)) {
        uint8_t *wire = malloc(output.head_len + output.payload.len);
        memcpy(wire, output.head, output.head_len);
        if (output.payload.len > 0)
            memcpy(wire + output.head_len, output.payload.data, output.payload.len);
        assert(tunnel_frame_decode(bytes_of(wire, output.head_len + output.payload.len), &frame,
                                   &error) == STATUS_OK);
        assert(!was_over || frame.type == TUNNEL_RESET);
        assert(frame.type != TUNNEL_REFUSED && frame.type != TUNNEL_IGNORED);
        free(wire);
    }
}

static void give(struct world *world, const struct tunnel_frame *frame, size_t appetite)
{
    struct endpoint *endpoint = world->endpoint;

    if (endpoint_frame(endpoint, world->now, world->attachment, frame) == ENDPOINT_DATA) {
        struct bytes fresh = endpoint_fresh(endpoint);
        assert(fresh.len > 0);
        endpoint_accept(endpoint, world->now, appetite < fresh.len ? appetite : fresh.len);
    }
}

static void give_bytes(struct world *world, struct bytes in, bool last, size_t appetite)
{
    struct tunnel_frame frame;
    struct error error;
    enum status status;

    while ((status = tunnel_decode(&world->decoder, &in, last, &frame, &error)) == STATUS_OK)
        give(world, &frame, appetite);
    if (status == STATUS_INVALID) {
        endpoint_malformed(world->endpoint, world->now, world->attachment, &error);
        assert(world->attachment == 0 ||
               world->attachment != endpoint_attachment(world->endpoint) ||
               endpoint_end(world->endpoint) != NULL);
    }
}

/* A RESUME with the right proof, or, changed afterwards, the wrong one. */
static void give_resume(struct world *world, struct bytes *script, bool forge)
{
    struct tunnel_resume resume = {.id = id, .instance = settings.instance};
    uint32_t attachment = 0;
    uint8_t byte = 0;

    bytes_take_u8(script, &byte);
    resume.attempt = byte;
    bytes_take_u8(script, &byte);
    resume.next = byte;
    resume.seal = tunnel_seal_resume(&key, &resume);
    if (forge)
        resume.next++;
    uint32_t before = endpoint_attachment(world->endpoint);
    enum tunnel_refusal refusal =
        endpoint_resume(world->endpoint, world->now, &resume, &attachment);
    assert(!forge || refusal == TUNNEL_REFUSAL_DENIED);
    assert((refusal == TUNNEL_REFUSAL_NONE) == (attachment != 0));
    if (attachment == 0) {
        assert(endpoint_attachment(world->endpoint) == before);
        return;
    }
    world->attachment = attachment;
    tunnel_decoder_clear(&world->decoder);
}

static void write_source(struct world *world, size_t want)
{
    size_t len;
    uint8_t *place = endpoint_source_reserve(world->endpoint, world->now, want, &len);

    if (place != NULL) {
        memset(place, 'x', len);
        endpoint_source_commit(world->endpoint, len);
    }
}

/* What one byte of the script stands for: the low bits say what, the high ones how much. */
static void act(struct world *world, uint8_t what, struct bytes *script)
{
    static const size_t amounts[] = {0, 1, 2, 9, 100, 1500, 20000, 70000};
    size_t amount = amounts[what >> 5];
    struct tunnel_id other = {{what}};
    struct bytes piece;
    uint8_t len = 0;

    switch (what & 31) {
    case 0: /* a whole message */
    case 1:
    case 2:
    case 3: /* a piece of one */
        bytes_take_u8(script, &len);
        bytes_take(script, len < script->len ? len : script->len, &piece);
        give_bytes(world, piece, (what & 31) != 3, amount);
        break;
    case 4: /* DATA without a long script */
        give_bytes(world,
                   bytes_of("\x10\0\0\0\0\0\0\0\0"
                            "0123456789",
                            19),
                   true, amount);
        break;
    case 5:
        write_source(world, amount);
        break;
    case 6:
        if (amount == 0)
            endpoint_source_end(world->endpoint);
        break;
    case 7:
        take_output(world, amount < 200 ? SIZE_MAX : amount);
        break;
    case 8: {
        size_t queued = endpoint_queued(world->endpoint).len;
        endpoint_consume(world->endpoint, world->now, amount < queued ? amount : queued);
        break;
    }
    case 9:
        world->now += (int64_t)amount;
        endpoint_timer(world->endpoint, world->now);
        break;
    case 10:
        endpoint_detach(world->endpoint, world->now, world->attachment);
        break;
    case 11:
        if (world->is_server) {
            give_resume(world, script, amount == 0);
        } else {
            world->attachment = endpoint_attach(world->endpoint, world->now);
            tunnel_decoder_clear(&world->decoder);
        }
        break;
    case 12:
        endpoint_rewind(world->endpoint, world->attachment);
        break;
    case 13:
        endpoint_confirm(world->endpoint, world->attachment);
        break;
    case 14:
        endpoint_heard(world->endpoint, world->now, (uint32_t)amount);
        break;
    case 15:
        if (world->is_server)
            endpoint_txn(world->endpoint, &(struct tunnel_txn){.xid = amount, .offset = amount});
        else
            endpoint_cancel(world->endpoint,
                            &(struct tunnel_cancel){.pid = 1, .key = bytes_of(&other, 16)});
        break;
    case 16:
        if (world->is_server)
            endpoint_move(world->endpoint, (uint16_t)amount);
        else if (endpoint_terms(world->endpoint)->instance == 0 &&
                 (endpoint_state(world->endpoint) == ENDPOINT_DETACHED ||
                  endpoint_state(world->endpoint) == ENDPOINT_NEW))
            endpoint_reopen(world->endpoint, &id, &key);
        break;
    case 17:
        if (amount == 0)
            endpoint_reset(world->endpoint,
                           &(struct tunnel_reset){.reason = TUNNEL_END_ABORTED, .text = *script});
        break;
    default:
        break;
    }
}

static void start(struct world *world, bool is_server, enum tunnel_framing framing)
{
    const struct tunnel_open open = {
        .id = id, .key = key, .window = UINT32_MAX, .max_frame = UINT32_MAX};

    *world = (struct world){.now = 1000, .is_server = is_server};
    world->endpoint = is_server ? endpoint_new_server(&settings, &open)
                                : endpoint_new_client(&settings, &id, &key, bytes_of(NULL, 0));
    world->attachment = endpoint_attach(world->endpoint, world->now);
    tunnel_decoder_init(&world->decoder, framing, settings.max_frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;
    struct bytes script = bytes_of(data, size);
    uint8_t first;
    uint8_t what;

    if (size > 8192 || !bytes_take_u8(&script, &first))
        return 0;
    budget = (struct budget){.limit = (first & 2) != 0 ? 1000 : 1 << 30};
    start(&world, (first & 1) != 0, (first & 4) != 0 ? TUNNEL_LENGTHS : TUNNEL_MESSAGES);
    while (bytes_take_u8(&script, &what)) {
        act(&world, what, &script);
        check(&world);
    }
    take_output(&world, SIZE_MAX);
    tunnel_decoder_clear(&world.decoder);
    endpoint_free(world.endpoint);
    assert(budget.used == 0);
    return 0;
}
