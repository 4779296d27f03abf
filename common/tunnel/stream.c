/* Bookkeeping of offsets, for what is sent and for what is received. */
#include "common/tunnel/stream.h"

#include <assert.h>

#include "common/tunnel/pace.h"
#include "common/tunnel/tunnel_frame.h"

/* An end that keeps few bytes under way (see pace.h) waits for acknowledgements sooner than one
 * that uses the whole window. */
#define ACK_BYTES (PACE_LEAST / 4)

/* Sending */

void sender_init(struct sender *sender, struct budget *budget, size_t limit)
{
    *sender = (struct sender){.limit = limit, .pace = limit};
    ring_init(&sender->ring, budget, 0);
    sender_set_window(sender, TUNNEL_WINDOW_MIN);
}

void sender_clear(struct sender *sender)
{
    ring_clear(&sender->ring);
}

/* More than the window could not be under way; the other end decides how much is held here only as
 * long as it asks for less than we would give. */
static void set_capacity(struct sender *sender)
{
    size_t most = sender->limit < sender->pace ? sender->limit : sender->pace;

    sender->ring.capacity = sender->window < most ? sender->window : most;
}

void sender_set_window(struct sender *sender, uint32_t window)
{
    sender->window = window;
    set_capacity(sender);
}

void sender_set_pace(struct sender *sender, size_t pace)
{
    sender->pace = pace;
    set_capacity(sender);
}

uint8_t *sender_reserve(struct sender *sender, size_t want, size_t *len)
{
    *len = 0;
    return sender->ended ? NULL : ring_reserve(&sender->ring, want, len);
}

void sender_commit(struct sender *sender, size_t count)
{
    ring_commit(&sender->ring, count);
}

bool sender_adopt(struct sender *sender, struct block *block, struct bytes data)
{
    return !sender->ended && ring_adopt(&sender->ring, block, data);
}

void sender_end(struct sender *sender)
{
    sender->ended = true;
}

struct bytes sender_peek(const struct sender *sender, size_t max)
{
    uint64_t allowed = sender->consumed + sender->window;

    if (sender->sent >= sender->ring.end || sender->sent >= allowed)
        return bytes_of(NULL, 0);
    struct bytes piece = ring_peek(&sender->ring, sender->sent);
    if (piece.len > allowed - sender->sent)
        piece.len = (size_t)(allowed - sender->sent);
    return bytes_first(piece, max);
}

bool sender_owes_fin(const struct sender *sender)
{
    return sender->ended && sender->sent == sender->ring.end;
}

void sender_advance(struct sender *sender, size_t units)
{
    sender->sent += units;
    if (sender->sent > sender->sent_most)
        sender->sent_most = sender->sent;
}

/* The other end has everything below `units`: no need to keep it, or to send it again. */
static void confirm_received(struct sender *sender, uint64_t units)
{
    if (units <= sender->received)
        return;
    sender->received = units;
    ring_forget(&sender->ring, units < sender->ring.end ? units : sender->ring.end);
    if (sender->sent < units)
        sender->sent = units;
    if (sender->checkpoint < units)
        sender->checkpoint = units;
}

enum status sender_acknowledge(struct sender *sender, uint64_t consumed)
{
    if (consumed > sender->sent_most)
        return STATUS_INVALID;
    /* A lower one than before is an echo of a rewind, and says nothing new. */
    if (consumed > sender->consumed)
        sender->consumed = consumed;
    confirm_received(sender, consumed);
    return STATUS_OK;
}

enum status sender_resume(struct sender *sender, uint64_t next)
{
    /* Below what it has acknowledged nothing is left to be sent again. */
    if (next > sender->sent_most || next < sender->received)
        return STATUS_INVALID;
    confirm_received(sender, next);
    sender->sent = next;
    sender->checkpoint = next;
    return STATUS_OK;
}

void sender_rewind(struct sender *sender)
{
    sender->sent = sender->checkpoint;
}

void sender_confirm(struct sender *sender)
{
    sender->checkpoint = sender->sent;
}

bool sender_is_waiting(const struct sender *sender)
{
    return sender->sent > sender->consumed;
}

bool sender_is_finished(const struct sender *sender)
{
    return sender->ended && sender->consumed > sender->ring.end;
}

/* Receiving */

void receiver_init(struct receiver *receiver, struct budget *budget, uint32_t window)
{
    *receiver = (struct receiver){.window = window};
    ring_init(&receiver->queue, budget, window);
}

void receiver_clear(struct receiver *receiver)
{
    receiver->fresh = bytes_of(NULL, 0);
    ring_clear(&receiver->queue);
}

/* FIN is handed on with the last byte in front of it. */
static void settle(struct receiver *receiver)
{
    if (receiver->finished && receiver->consumed + 1 == receiver->next)
        receiver->consumed = receiver->next;
}

enum status receiver_data(struct receiver *receiver, uint64_t offset, struct bytes data)
{
    /* Where the bytes end that may be known already: FIN is no byte. */
    uint64_t known = receiver->next - (receiver->finished ? 1 : 0);
    uint64_t end = offset + data.len;

    assert(receiver->fresh.len == 0);
    if (offset > known || end > receiver->consumed + receiver->window)
        return STATUS_INVALID;
    if (end <= known)
        return STATUS_OK;
    if (receiver->finished)
        return STATUS_INVALID;
    data = bytes_skip(data, (size_t)(known - offset));
    receiver->next = end;
    if (ring_len(&receiver->queue) == 0)
        receiver->fresh = data;
    else
        ring_append(&receiver->queue, data);
    return STATUS_OK;
}

void receiver_accept(struct receiver *receiver, size_t taken)
{
    struct bytes rest = bytes_skip(receiver->fresh, taken);

    assert(taken <= receiver->fresh.len);
    receiver->fresh = bytes_of(NULL, 0);
    ring_pass(&receiver->queue, taken);
    receiver->consumed += taken;
    if (rest.len > 0)
        ring_append(&receiver->queue, rest);
}

enum status receiver_fin(struct receiver *receiver, uint64_t end)
{
    if (receiver->finished)
        return end + 1 == receiver->next ? STATUS_OK : STATUS_INVALID;
    if (end != receiver->next)
        return STATUS_INVALID;
    receiver->finished = true;
    receiver->next++;
    settle(receiver);
    return STATUS_OK;
}

struct bytes receiver_peek(const struct receiver *receiver)
{
    return ring_peek(&receiver->queue, receiver->queue.base);
}

void receiver_consume(struct receiver *receiver, size_t count)
{
    assert(count <= ring_len(&receiver->queue));
    ring_forget(&receiver->queue, receiver->queue.base + count);
    receiver->consumed += count;
    settle(receiver);
}

bool receiver_is_finished(const struct receiver *receiver)
{
    return receiver->finished && receiver->consumed == receiver->next;
}

bool receiver_owes_ack(const struct receiver *receiver)
{
    return receiver->consumed > receiver->acknowledged;
}

bool receiver_owes_ack_now(const struct receiver *receiver)
{
    uint64_t owed = receiver->consumed - receiver->acknowledged;

    return owed >= receiver->window / 4 || owed >= ACK_BYTES ||
           (receiver_owes_ack(receiver) && receiver_is_finished(receiver));
}
