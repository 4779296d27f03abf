/* common/tunnel/ring.c and stream.c. */
#include "common/tunnel/stream.h"

#include <string.h>

#include "common/tunnel/tunnel_frame.h"
#include "tests/support/suite.h"

static struct budget budget = {.limit = 64 << 20};

/* Byte number `offset` of every stream here. */
static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7);
}

static void assert_bytes(struct bytes data, uint64_t offset)
{
    size_t right = 0;

    /* One assertion for all: each is a system call. */
    while (right < data.len && data.data[right] == byte_at(offset + right))
        right++;
    ck_assert_uint_eq(right, data.len);
}

static struct bytes bytes_from(uint64_t offset, size_t len)
{
    static uint8_t data[1 << 20];

    ck_assert_uint_le(len, sizeof data);
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(offset + i);
    return bytes_of(data, len);
}

/* The ring */

static size_t fill(struct ring *ring, size_t want)
{
    size_t len;
    uint8_t *place = ring_reserve(ring, want, &len);

    ck_assert_uint_le(len, want);
    ck_assert((place == NULL) == (len == 0));
    for (size_t i = 0; i < len; i++)
        place[i] = byte_at(ring->end + i);
    if (len > 0)
        ring_commit(ring, len);
    return len;
}

/* Everything the ring holds, checked. */
static size_t drain(struct ring *ring, size_t count)
{
    size_t drained = 0;

    while (drained < count && ring_len(ring) > 0) {
        struct bytes piece = bytes_first(ring_peek(ring, ring->base), count - drained);
        assert_bytes(piece, ring->base);
        drained += piece.len;
        ring_forget(ring, ring->base + piece.len);
    }
    return drained;
}

START_TEST(a_ring_has_memory_only_while_it_holds_bytes)
{
    struct ring ring;

    ring_init(&ring, &budget, 100000);
    ck_assert_uint_eq(budget.used, 0);
    ck_assert_uint_eq(fill(&ring, 10), 10);
    ck_assert_uint_eq(budget.used, RING_SMALLEST);
    ck_assert_uint_eq(drain(&ring, 10), 10);
    ck_assert_uint_eq(budget.used, 0);
    size_t len;
    ck_assert_ptr_nonnull(ring_reserve(&ring, 10, &len));
    ring_commit(&ring, 0); /* nothing came after all */
    ck_assert_uint_eq(budget.used, 0);
    ck_assert_uint_eq(ring.base, 10);
}
END_TEST

START_TEST(bytes_keep_their_offsets_while_a_ring_wraps_and_grows)
{
    struct ring ring;
    size_t step = 1 + (size_t)_i * 997;
    size_t total = 0;

    ring_init(&ring, &budget, 300000);
    for (int round = 0; round < 400; round++) {
        size_t want = step * (1 + (size_t)round % 5);
        total += fill(&ring, want);
        if (round % 7 == 3)
            drain(&ring, ring_len(&ring) / 2);
        if (round % 50 == 49)
            drain(&ring, ring_len(&ring));
        ck_assert_uint_le(ring_len(&ring), 300000);
    }
    drain(&ring, ring_len(&ring));
    ck_assert_uint_eq(ring.end, total);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(a_full_ring_gives_no_place)
{
    struct ring ring;
    size_t total = 0;
    size_t len;

    ring_init(&ring, &budget, 100000); /* not a power of two */
    while ((len = fill(&ring, 7000)) > 0)
        total += len;
    ck_assert_uint_eq(total, 100000);
    ring_clear(&ring);
    ck_assert_uint_eq(ring.base, 100000);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(a_ring_holds_what_others_have_read_without_a_copy)
{
    struct ring ring;
    struct block *block = block_new(50000);
    struct bytes data = bytes_of(block->data + 100, 40000);
    size_t len;

    for (size_t i = 0; i < data.len; i++)
        block->data[100 + i] = byte_at(10 + i);
    ring_init(&ring, &budget, 60000);
    fill(&ring, 10);
    ck_assert(ring_adopt(&ring, block, bytes_first(data, 30000)));
    ck_assert(ring_adopt(&ring, block, bytes_skip(data, 30000)));
    ck_assert_uint_eq(budget.used, RING_SMALLEST + 50000);
    ck_assert_ptr_eq(ring_peek(&ring, 10).data, data.data);
    ck_assert_uint_eq(ring_peek(&ring, 10).len, 30000);
    ck_assert(!ring_adopt(&ring, block, data) && ring_adopt(&ring, block, bytes_of(data.data, 1)));
    /* What is read next lies behind, and changes nothing of it. */
    ck_assert_ptr_nonnull(ring_reserve(&ring, 10, &len));
    ck_assert(!block_contains(block, bytes_of(ring_reserve(&ring, 10, &len), 1)));
    ring_forget(&ring, 5);
    block_drop(block);
    ck_assert_uint_eq(drain(&ring, 10 + 40000 - 5), 10 + 40000 - 5);
    ck_assert_uint_eq(ring_len(&ring), 1);
    ring_clear(&ring);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(a_ring_above_the_budget_adopts_nothing)
{
    struct budget small = {.limit = 40000};
    struct block *block = block_new(50000);
    struct ring ring;

    ring_init(&ring, &small, 100000);
    ck_assert(!ring_adopt(&ring, block, bytes_of(block->data, 10)));
    ck_assert_uint_eq(block->holders, 1);
    ck_assert_uint_eq(small.used, 0);
    block_drop(block);
}
END_TEST

START_TEST(a_large_read_is_not_cut_by_the_end_of_a_piece)
{
    struct ring ring;
    size_t len;

    ring_init(&ring, &budget, 1000000);
    ck_assert_uint_eq(fill(&ring, RING_LARGEST - 100), RING_LARGEST - 100);
    ck_assert_uint_eq(fill(&ring, RING_LARGEST - 100), RING_LARGEST - 100);
    ck_assert_uint_eq(ring_peek(&ring, RING_LARGEST - 100).len, RING_LARGEST - 100);
    /* But few bytes share a piece, whatever was wanted. */
    for (int i = 0; i < 1000; i++) {
        ck_assert_ptr_nonnull(ring_reserve(&ring, RING_SMALLEST, &len));
        ring_commit(&ring, 10);
    }
    ck_assert_uint_le(budget.used, 3 * RING_LARGEST);
    ring_clear(&ring);
}
END_TEST

START_TEST(above_the_budget_a_ring_still_gets_the_least)
{
    struct budget small = {.limit = 10};
    struct ring ring;
    size_t total = 0;
    size_t len;

    ring_init(&ring, &small, 100000);
    while ((len = fill(&ring, 50000)) > 0)
        total += len;
    ck_assert_uint_eq(total, RING_SMALLEST);
    ck_assert_uint_eq(small.used, RING_SMALLEST);
    /* What was promised is kept all the same. */
    ring_append(&ring, bytes_from(ring.end, 40000));
    ck_assert_uint_eq(drain(&ring, 100000), RING_SMALLEST + 40000);
    ck_assert_uint_eq(small.used, 0);
}
END_TEST

/* Sending */

static struct sender sender;

static void start_sender(size_t bytes)
{
    size_t len;

    sender_init(&sender, &budget, 1 << 20);
    for (size_t filled = 0; filled < bytes; filled += len) {
        uint8_t *place = sender_reserve(&sender, bytes - filled, &len);
        ck_assert_ptr_nonnull(place);
        for (size_t i = 0; i < len; i++)
            place[i] = byte_at(sender.ring.end + i);
        sender_commit(&sender, len);
    }
}

/* Sends all that may be sent; how much that was. */
static size_t send_all(size_t max)
{
    struct bytes piece;
    size_t sent = 0;

    while ((piece = sender_peek(&sender, max)).len > 0) {
        assert_bytes(piece, sender.sent);
        ck_assert_uint_le(piece.len, max);
        sender_advance(&sender, piece.len);
        sent += piece.len;
    }
    return sent;
}

START_TEST(no_more_is_sent_than_the_window_allows)
{
    start_sender(TUNNEL_WINDOW_MIN); /* the other end has not named its window */
    ck_assert_uint_eq(send_all(1000), TUNNEL_WINDOW_MIN);
    sender.window = 5000; /* smaller than what waits */
    ck_assert_int_eq(sender_resume(&sender, 0), STATUS_OK);
    ck_assert_uint_eq(send_all(1000), 5000);
    ck_assert_int_eq(sender_acknowledge(&sender, 3000), STATUS_OK);
    ck_assert_uint_eq(send_all(1000), 3000);
    sender_clear(&sender);
}
END_TEST

START_TEST(a_new_attachment_goes_on_where_the_other_end_is)
{
    start_sender(5000);
    ck_assert_uint_eq(send_all(700), 5000);
    ck_assert_int_eq(sender_acknowledge(&sender, 1000), STATUS_OK);
    ck_assert_int_eq(sender_resume(&sender, 3000), STATUS_OK);
    /* What it has is forgotten, though only a part of it is handed on. */
    ck_assert_uint_eq(sender.ring.base, 3000);
    ck_assert_uint_eq(sender.consumed, 1000);
    ck_assert_uint_eq(send_all(700), 2000);
    ck_assert_int_eq(sender_resume(&sender, 5000), STATUS_OK);
    ck_assert_uint_eq(send_all(700), 0);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(the_other_end_cannot_claim_what_cannot_be)
{
    start_sender(5000);
    sender_advance(&sender, 2000);
    ck_assert_int_eq(sender_acknowledge(&sender, 2001), STATUS_INVALID);
    ck_assert_int_eq(sender_resume(&sender, 2001), STATUS_INVALID);
    ck_assert_int_eq(sender_acknowledge(&sender, 1500), STATUS_OK);
    ck_assert_int_eq(sender_resume(&sender, 1499), STATUS_INVALID);
    ck_assert_int_eq(sender_acknowledge(&sender, 100), STATUS_OK); /* an old one: no news */
    ck_assert_uint_eq(sender.consumed, 1500);
    /* What was sent on an attachment before may be acknowledged, though sending has gone back. */
    ck_assert_int_eq(sender_resume(&sender, 1500), STATUS_OK);
    ck_assert_int_eq(sender_acknowledge(&sender, 2000), STATUS_OK);
    ck_assert_uint_eq(sender.sent, 2000);
    sender_clear(&sender);
}
END_TEST

START_TEST(fin_is_a_unit_that_is_sent_until_it_is_acknowledged)
{
    start_sender(10);
    ck_assert(!sender_owes_fin(&sender));
    sender_end(&sender);
    size_t len;
    ck_assert_ptr_null(sender_reserve(&sender, 1, &len));
    ck_assert(!sender_owes_fin(&sender)); /* bytes first */
    send_all(100);
    ck_assert(sender_owes_fin(&sender));
    sender_advance(&sender, 1);
    ck_assert(!sender_owes_fin(&sender));
    ck_assert_int_eq(sender_acknowledge(&sender, 10), STATUS_OK);
    ck_assert(sender_is_waiting(&sender));
    ck_assert(!sender_is_finished(&sender));

    ck_assert_int_eq(sender_resume(&sender, 10), STATUS_OK); /* it got lost */
    ck_assert(sender_owes_fin(&sender));
    sender_advance(&sender, 1);
    ck_assert_int_eq(sender_resume(&sender, 11), STATUS_OK); /* it came, but is not handed on */
    ck_assert(!sender_owes_fin(&sender));
    ck_assert(!sender_is_finished(&sender));
    ck_assert_int_eq(sender_acknowledge(&sender, 12), STATUS_INVALID);
    ck_assert_int_eq(sender_acknowledge(&sender, 11), STATUS_OK);
    ck_assert(sender_is_finished(&sender));
    ck_assert(!sender_is_waiting(&sender));
}
END_TEST

START_TEST(a_rewind_sends_again_what_is_not_confirmed)
{
    start_sender(100);
    sender_advance(&sender, 40);
    sender_confirm(&sender);
    sender_advance(&sender, 30);
    sender_rewind(&sender);
    ck_assert_uint_eq(sender.sent, 40);
    sender_advance(&sender, 60);
    ck_assert_int_eq(sender_acknowledge(&sender, 70), STATUS_OK);
    sender_rewind(&sender); /* not below what is acknowledged */
    ck_assert_uint_eq(sender.sent, 70);
    sender_clear(&sender);
}
END_TEST

START_TEST(the_ring_is_no_larger_than_either_end_wants)
{
    size_t len;
    size_t total = 0;

    sender_init(&sender, &budget, 1 << 20);
    sender_set_window(&sender, UINT32_MAX);
    while (sender_reserve(&sender, 1 << 19, &len) != NULL) {
        sender_commit(&sender, len);
        total += len;
    }
    ck_assert_uint_eq(total, 1 << 20);
    sender_clear(&sender);
}
END_TEST

/* Receiving */

static struct receiver receiver;

static void start_receiver(void)
{
    receiver_init(&receiver, &budget, TUNNEL_WINDOW_MIN);
}

/* `len` bytes come at `offset`, and the sink takes `taken` of what is fresh. */
static enum status receive(uint64_t offset, size_t len, size_t taken)
{
    enum status status = receiver_data(&receiver, offset, bytes_from(offset, len));

    if (receiver.fresh.len > 0) {
        assert_bytes(receiver.fresh, receiver.consumed);
        receiver_accept(&receiver, taken < receiver.fresh.len ? taken : receiver.fresh.len);
    }
    return status;
}

START_TEST(what_came_before_is_trimmed)
{
    start_receiver();
    ck_assert_int_eq(receive(0, 100, 100), STATUS_OK);
    ck_assert_int_eq(receive(50, 100, 100), STATUS_OK);
    ck_assert_uint_eq(receiver.consumed, 150);
    ck_assert_int_eq(receive(0, 150, 0), STATUS_OK);
    ck_assert_int_eq(receive(149, 1, 0), STATUS_OK);
    ck_assert_uint_eq(receiver.next, 150);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(a_gap_is_a_violation)
{
    start_receiver();
    ck_assert_int_eq(receive(1, 1, 1), STATUS_INVALID);
    ck_assert_int_eq(receive(0, 10, 10), STATUS_OK);
    ck_assert_int_eq(receive(11, 1, 1), STATUS_INVALID);
    ck_assert_int_eq(receiver_fin(&receiver, 11), STATUS_INVALID);
    ck_assert_int_eq(receiver_fin(&receiver, 9), STATUS_INVALID);
    ck_assert_uint_eq(receiver.next, 10);
}
END_TEST

START_TEST(the_sink_gets_what_is_queued_in_order)
{
    start_receiver();
    ck_assert_int_eq(receive(0, 100, 30), STATUS_OK);
    ck_assert_int_eq(receive(100, 100, 30), STATUS_OK); /* behind what is queued */
    ck_assert_uint_eq(receiver.consumed, 30);
    ck_assert_uint_eq(ring_len(&receiver.queue), 170);
    assert_bytes(receiver_peek(&receiver), 30);
    receiver_consume(&receiver, 170);
    ck_assert_uint_eq(receiver.consumed, 200);
    ck_assert_uint_eq(receiver_peek(&receiver).len, 0);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(more_than_the_window_is_a_violation)
{
    start_receiver();
    ck_assert_int_eq(receive(0, TUNNEL_WINDOW_MIN, 0), STATUS_OK);
    ck_assert_int_eq(receive(TUNNEL_WINDOW_MIN, 1, 0), STATUS_INVALID);
    ck_assert_uint_eq(ring_len(&receiver.queue), TUNNEL_WINDOW_MIN);
    receiver_consume(&receiver, 1);
    ck_assert_int_eq(receive(TUNNEL_WINDOW_MIN, 1, 0), STATUS_OK);
    ck_assert_int_eq(receive(TUNNEL_WINDOW_MIN + 1, 1, 0), STATUS_INVALID);
    receiver_clear(&receiver);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(fin_is_handed_on_behind_the_last_byte)
{
    start_receiver();
    ck_assert_int_eq(receive(0, 10, 4), STATUS_OK);
    ck_assert_int_eq(receiver_fin(&receiver, 10), STATUS_OK);
    ck_assert_int_eq(receiver_fin(&receiver, 10), STATUS_OK); /* again */
    ck_assert_uint_eq(receiver.next, 11);
    ck_assert(!receiver_is_finished(&receiver));
    receiver_consume(&receiver, 6);
    ck_assert(receiver_is_finished(&receiver));
    ck_assert_uint_eq(receiver.consumed, 11);
    ck_assert(receiver_owes_ack_now(&receiver));
    ck_assert_int_eq(receive(3, 7, 0), STATUS_OK); /* repeated */
    ck_assert_int_eq(receive(3, 8, 0), STATUS_INVALID);
    ck_assert_int_eq(receive(10, 1, 0), STATUS_INVALID);
    ck_assert_int_eq(receive(11, 1, 0), STATUS_INVALID);
    ck_assert_int_eq(receiver_fin(&receiver, 11), STATUS_INVALID);
}
END_TEST

START_TEST(an_acknowledgement_is_due_at_a_quarter_of_the_window)
{
    start_receiver();
    ck_assert(!receiver_owes_ack(&receiver));
    ck_assert_int_eq(receive(0, TUNNEL_WINDOW_MIN / 4 - 1, TUNNEL_WINDOW_MIN), STATUS_OK);
    ck_assert(receiver_owes_ack(&receiver));
    ck_assert(!receiver_owes_ack_now(&receiver));
    ck_assert_int_eq(receive(receiver.next, 1, 1), STATUS_OK);
    ck_assert(receiver_owes_ack_now(&receiver));
}
END_TEST

SUITE("tunnel_stream", TEST(a_ring_has_memory_only_while_it_holds_bytes),
      LOOP(bytes_keep_their_offsets_while_a_ring_wraps_and_grows, 0, 20),
      TEST(a_full_ring_gives_no_place), TEST(a_ring_holds_what_others_have_read_without_a_copy),
      TEST(a_ring_above_the_budget_adopts_nothing),
      TEST(a_large_read_is_not_cut_by_the_end_of_a_piece),
      TEST(above_the_budget_a_ring_still_gets_the_least),
      TEST(no_more_is_sent_than_the_window_allows),
      TEST(a_new_attachment_goes_on_where_the_other_end_is),
      TEST(the_other_end_cannot_claim_what_cannot_be),
      TEST(fin_is_a_unit_that_is_sent_until_it_is_acknowledged),
      TEST(a_rewind_sends_again_what_is_not_confirmed),
      TEST(the_ring_is_no_larger_than_either_end_wants), TEST(what_came_before_is_trimmed),
      TEST(a_gap_is_a_violation), TEST(the_sink_gets_what_is_queued_in_order),
      TEST(more_than_the_window_is_a_violation), TEST(fin_is_handed_on_behind_the_last_byte),
      TEST(an_acknowledgement_is_due_at_a_quarter_of_the_window))
