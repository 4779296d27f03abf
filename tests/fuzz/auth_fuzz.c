/* The SCRAM exchange: two messages of the peer, neither believed. */
#include "server/proxy/auth.h"

#include <assert.h>
#include <string.h>

enum { OUT_MAX = 16384 };

static struct auth_verifier *verifier;

static void check_answer(enum status status, const struct buffer *out, const struct error *error)
{
    assert(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_DENIED);
    assert((status == STATUS_OK) == (buffer_len(out) > 0));
    assert(status == STATUS_OK || error->message[0] != '\0');
}

/* The input is the two bodies with the first's length in front; its top bit says TLS. */
static void exchange(struct auth_exchange *exchange, struct bytes first, struct bytes final)
{
    struct buffer out;
    struct error error = {0};

    buffer_init(&out, OUT_MAX);
    enum status status = auth_start(exchange, first, &out, &error);
    check_answer(status, &out, &error);
    assert(status != STATUS_DENIED);
    buffer_clear(&out);
    status = auth_finish(exchange, final, &out, &error);
    check_answer(status, &out, &error);
    buffer_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t salt[4] = {1, 2, 3, 4};
    struct bytes in = bytes_of(data, size);
    struct bytes first;
    uint16_t head;

    if (verifier == NULL)
        verifier = auth_verifier_new_salted("pencil", bytes_of(salt, sizeof salt), 1, NULL);
    if (!bytes_take_u16(&in, &head) || !bytes_take(&in, head & 0x7fff, &first))
        return 0;
    /* A known nonce, so that the corpus can hold exchanges that go on. */
    struct auth_exchange *peer =
        auth_exchange_new(verifier, bytes_of(salt, head & 0x8000 ? sizeof salt : 0));
    auth_exchange_set_nonce(peer, "servernonce");
    exchange(peer, first, in);
    auth_exchange_free(peer);
    auth_check_md5("pencil", first, salt, in);
    return 0;
}
