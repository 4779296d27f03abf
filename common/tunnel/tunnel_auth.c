/* What is sealed is laid out here, once, for both ends. */
#include "common/tunnel/tunnel_auth.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/buffer.h"

enum { SEALED_MAX = 128 };

static struct tunnel_seal seal(const struct tunnel_key *key, const struct buffer *sealed)
{
    struct bytes message = buffer_peek(sealed);
    struct tunnel_seal out;
    unsigned len = sizeof out.bytes;

    /* Fails only without memory or without SHA-256; nobody may take what is then in `out`. */
    if (buffer_failed(sealed) || HMAC(EVP_sha256(), key->bytes, (int)sizeof key->bytes,
                                      message.data, message.len, out.bytes, &len) == NULL)
        abort();
    return out;
}

struct tunnel_seal tunnel_seal_resume(const struct tunnel_key *key,
                                      const struct tunnel_resume *resume)
{
    struct buffer sealed;

    buffer_init(&sealed, SEALED_MAX);
    buffer_append(&sealed, bytes_of_string("electric-tunnel.v1 resume"));
    buffer_append(&sealed, bytes_of(resume->id.bytes, sizeof resume->id.bytes));
    buffer_append_u64(&sealed, resume->instance);
    buffer_append_u32(&sealed, resume->attempt);
    buffer_append_u64(&sealed, resume->next);

    struct tunnel_seal out = seal(key, &sealed);
    buffer_clear(&sealed);
    return out;
}

bool tunnel_resume_is_genuine(const struct tunnel_key *key, const struct tunnel_resume *resume)
{
    struct tunnel_seal expected = tunnel_seal_resume(key, resume);

    return tunnel_seal_equal(&expected, &resume->seal);
}

struct tunnel_seal tunnel_seal_request(const struct tunnel_key *key,
                                       const struct tunnel_request *request)
{
    struct buffer sealed;
    uint8_t digest[32];

    if (EVP_Digest(request->body.data, request->body.len, digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    buffer_init(&sealed, SEALED_MAX);
    buffer_append(&sealed, bytes_of_string("electric-tunnel.v1 http"));
    buffer_append(&sealed, bytes_of(request->id.bytes, sizeof request->id.bytes));
    buffer_append_u32(&sealed, request->attempt);
    /* All else is of fixed length, so the method needs no mark of its end. */
    buffer_append(&sealed, bytes_of_string(request->method));
    buffer_append_u64(&sealed, request->number);
    buffer_append_u64(&sealed, request->got);
    buffer_append(&sealed, bytes_of(digest, sizeof digest));

    struct tunnel_seal out = seal(key, &sealed);
    buffer_clear(&sealed);
    return out;
}

bool tunnel_seal_equal(const struct tunnel_seal *a, const struct tunnel_seal *b)
{
    return bytes_equal_secret(bytes_of(a->bytes, sizeof a->bytes),
                              bytes_of(b->bytes, sizeof b->bytes));
}
