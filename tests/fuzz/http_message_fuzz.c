/* HTTP responses: whatever comes, in pieces or whole, means the same, and no more than came. */
#include "client/http_message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* What a decoding has given, to be compared with another's. */
struct trace {
    unsigned heads, ends;
    unsigned statuses; /* mixed */
    size_t body_len;
    uint64_t body; /* mixed */
    bool failed, open;
};

static void note(struct trace *trace, const struct http_event *event)
{
    switch (event->type) {
    case HTTP_HEAD:
        trace->heads++;
        trace->statuses = trace->statuses * 31 + event->head.status;
        assert(event->head.status <= 999);
        (void)http_head_field(&event->head, "content-type");
        break;
    case HTTP_BODY:
        assert(event->body.len > 0);
        trace->body_len += event->body.len;
        for (size_t i = 0; i < event->body.len; i++)
            trace->body = trace->body * 31 + event->body.data[i];
        break;
    case HTTP_END:
        trace->ends++;
        break;
    }
}

static struct trace decode(const uint8_t *data, size_t size, size_t piece)
{
    struct trace trace = {.heads = 0};
    struct http_decoder decoder;
    struct http_event event;
    struct error error;
    enum status status = STATUS_MORE;

    http_decoder_init(&decoder);
    for (size_t at = 0; at < size && status != STATUS_INVALID; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        uint8_t *copy = mem_new(len);
        struct bytes in = bytes_of(copy, len);

        memcpy(copy, data + at, len);
        while ((status = http_decode(&decoder, &in, &event, &error)) == STATUS_OK)
            note(&trace, &event);
        assert(status == STATUS_INVALID || in.len == 0);
        free(copy);
    }
    trace.failed = status == STATUS_INVALID;
    trace.open = http_decoder_ends_with_connection(&decoder);
    assert(trace.ends <= trace.heads && trace.heads <= trace.ends + 1);
    assert(trace.body_len <= size);
    http_decoder_clear(&decoder);
    return trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace whole, pieces;

    if (size < 2)
        return 0;
    whole = decode(data + 1, size - 1, size - 1);
    pieces = decode(data + 1, size - 1, 1 + data[0] % 16);
    assert(whole.heads == pieces.heads && whole.ends == pieces.ends);
    assert(whole.statuses == pieces.statuses && whole.body == pieces.body);
    assert(whole.body_len == pieces.body_len);
    assert(whole.failed == pieces.failed && whole.open == pieces.open);
    return 0;
}
