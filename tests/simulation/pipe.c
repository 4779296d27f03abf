/* A list of messages. */
#include "tests/simulation/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void pipe_init(struct pipe *pipe)
{
    *pipe = (struct pipe){.end_at = INT64_MAX};
}

void pipe_drop(struct pipe *pipe)
{
    struct message *message = pipe->first;

    pipe->first = message->next;
    if (pipe->first == NULL)
        pipe->last = NULL;
    pipe->queued -= message->len - message->done;
    free(message);
}

void pipe_clear(struct pipe *pipe)
{
    while (pipe->first != NULL)
        pipe_drop(pipe);
}

struct message *pipe_send(struct pipe *pipe, int64_t due, struct bytes head, struct bytes payload)
{
    if (pipe->broken)
        return NULL;

    struct message *message = mem_new(sizeof *message + head.len + payload.len);
    message->due = pipe->last != NULL && pipe->last->due > due ? pipe->last->due : due;
    message->len = head.len + payload.len;
    if (head.len > 0)
        memcpy(message->bytes, head.data, head.len);
    if (payload.len > 0)
        memcpy(message->bytes + head.len, payload.data, payload.len);
    if (pipe->last != NULL)
        pipe->last->next = message;
    else
        pipe->first = message;
    pipe->last = message;
    pipe->queued += message->len;
    return message;
}

struct message *pipe_due(const struct pipe *pipe, int64_t now)
{
    return pipe->first != NULL && pipe->first->due <= now ? pipe->first : NULL;
}

void pipe_cut(struct pipe *pipe, size_t keep, int64_t end_at)
{
    struct message **place = &pipe->first;
    struct message *kept = NULL;

    if (pipe->broken)
        return;
    while (*place != NULL) {
        struct message *message = *place;
        size_t left = message->len - message->done;
        if (keep > 0) {
            size_t stays = left < keep ? left : keep;
            message->cut = message->cut || stays < left;
            message->len = message->done + stays;
            keep -= stays;
            kept = message;
            place = &message->next;
        } else {
            *place = message->next;
            free(message);
        }
    }
    pipe->last = kept;
    pipe->queued = 0;
    for (const struct message *message = pipe->first; message != NULL; message = message->next)
        pipe->queued += message->len - message->done;
    pipe->broken = true;
    pipe->end_at = end_at;
}

int64_t pipe_next(const struct pipe *pipe)
{
    return pipe->first != NULL ? pipe->first->due : pipe->end_at;
}
