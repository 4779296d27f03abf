/* The frame decoder at either end, whole and in pieces: both must see the same. */
#include "common/frame.h"

#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Everything a decoder reported, as bytes that can be compared. */
struct trace {
    uint8_t data[1 << 16];
    size_t len;
};

static void note(struct trace *trace, const void *data, size_t len)
{
    assert(trace->len + len <= sizeof trace->data);
    if (len > 0)
        memcpy(trace->data + trace->len, data, len);
    trace->len += len;
}

static void note_event(struct trace *trace, const struct frame_event *event)
{
    if (event->type != FRAME_EVENT_DATA) {
        uint8_t head[] = {(uint8_t)event->type, (uint8_t)(event->code >> 8), (uint8_t)event->code};
        assert(event->payload.len <= FRAME_CONTROL_MAX);
        note(trace, head, sizeof head);
    }
    note(trace, event->payload.data, event->payload.len);
    if (event->type == FRAME_EVENT_DATA && event->final)
        note(trace, "\xff", 1);
}

static enum status decode(struct frame_decoder *decoder, const uint8_t *data, size_t len,
                          struct trace *trace)
{
    uint8_t *copy = (uint8_t *)mem_copy_chars((const char *)data, len);
    struct bytes in = bytes_of(copy, len);
    struct frame_event event;
    struct error error = {0};
    enum status status;

    while ((status = frame_decode(decoder, &in, &event, &error)) == STATUS_OK)
        note_event(trace, &event);
    if (status == STATUS_INVALID) {
        assert(error.message[0] != '\0');
        note(trace, &event.code, sizeof event.code);
    } else {
        assert(status == STATUS_MORE && in.len == 0);
    }
    free(copy);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trace whole, pieces;
    struct frame_decoder decoder;

    if (size < 2 || size > 8192)
        return 0;
    enum frame_role role = data[0] & 1 ? FRAME_SERVER : FRAME_CLIENT;
    size_t step = 1 + data[1] % 16;
    data += 2;
    size -= 2;

    whole.len = pieces.len = 0;
    frame_decoder_init(&decoder, role);
    decode(&decoder, data, size, &whole);
    frame_decoder_init(&decoder, role);
    for (size_t at = 0; at < size; at += step)
        if (decode(&decoder, data + at, size - at < step ? size - at : step, &pieces) ==
            STATUS_INVALID)
            break;
    assert(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
    return 0;
}
