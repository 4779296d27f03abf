/* The protocol codec: every decoder sees the input; a report that is rewritten decodes again. */
#include "server/pgwire/decode.h"
#include "server/pgwire/report.h"
#include "server/pgwire/startup.h"

#include <stdlib.h>

static void decode_bodies(struct bytes body)
{
    struct pgwire_target target;
    struct pgwire_parse parse;
    struct pgwire_bind bind;
    struct bytes name, value;

    pgwire_decode_parse(body, &parse);
    pgwire_decode_bind(body, &bind);
    pgwire_decode_target(body, &target);
    pgwire_decode_execute(body, &name);
    pgwire_decode_query(body, &name);
    pgwire_decode_parameter(body, &name, &value);
}

static void rewrite_report(const struct pgwire_message *message)
{
    struct pgwire_message again;
    struct buffer out;
    struct bytes in;

    buffer_init(&out, message->whole.len + 64);
    report_rewrite(&out, message,
                   &(struct report_edit){.ours = report_is_ours(message->body), .hint = "hint"});
    in = buffer_peek(&out);
    if (pgwire_decode(&in, &again) != STATUS_OK || in.len != 0)
        abort();
    buffer_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct startup_packet packet;
    struct pgwire_message message;

    startup_decode(&in, &packet);
    in = bytes_of(data, size);
    while (pgwire_decode(&in, &message) == STATUS_OK) {
        decode_bodies(message.body);
        rewrite_report(&message);
    }
    return 0;
}
