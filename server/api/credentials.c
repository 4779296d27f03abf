/* Comparisons in constant time, tickets, and a table of wrong guesses. */
#include "server/api/credentials.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

enum { EXPIRY_DIGITS = 16, DIGEST_SIZE = 32, BASIC_MAX = 4096 };

/* What follows the scheme's name; NULL when it is another scheme. */
static const char *after_scheme(const char *authorization, const char *scheme)
{
    size_t len = strlen(scheme);

    if (strncasecmp(authorization, scheme, len) != 0 || authorization[len] != ' ')
        return NULL;
    return authorization + len + strspn(authorization + len, " ");
}

static bool is_secret(const char *given, const char *wanted)
{
    return wanted != NULL && *wanted != '\0' &&
           bytes_equal_secret(bytes_of_string(given), bytes_of_string(wanted));
}

/* The password is what stands behind the first colon. */
static bool is_basic_right(const char *encoded, const char *password)
{
    size_t len = strlen(encoded);
    unsigned char decoded[BASIC_MAX + 1];
    const char *colon;
    bool right;
    int size;

    if (len > BASIC_MAX)
        return false;
    size = EVP_DecodeBlock(decoded, (const unsigned char *)encoded, (int)len);
    if (size < 0)
        return false;
    /* Padding decodes to zeros, which end the string. */
    decoded[size] = '\0';
    colon = strchr((const char *)decoded, ':');
    right = colon != NULL && is_secret(colon + 1, password);
    OPENSSL_cleanse(decoded, sizeof(decoded));
    return right;
}

bool credentials_are_right(const struct credentials_policy *policy, const char *authorization)
{
    const char *value;

    if (policy->open)
        return true;
    if (authorization == NULL)
        return false;
    if ((value = after_scheme(authorization, "Bearer")) != NULL)
        return is_secret(value, policy->token);
    if ((value = after_scheme(authorization, "Basic")) != NULL)
        return is_basic_right(value, policy->password);
    return false;
}

bool credentials_are_beyond_guessing(const struct credentials_policy *policy,
                                     const char *authorization)
{
    return authorization != NULL && after_scheme(authorization, "Bearer") != NULL &&
           policy->token != NULL && strlen(policy->token) >= CREDENTIALS_LONG_TOKEN;
}

/* Guesses */

/* FNV-1a. */
static size_t slot_of(const char *peer)
{
    uint32_t hash = 2166136261U;

    for (; *peer != '\0'; peer++)
        hash = (hash ^ (uint8_t)*peer) * 16777619U;
    return (hash ^ hash >> 16) % CREDENTIALS_PEERS;
}

bool credentials_may_try(const struct credentials_guard *guard, const char *peer, uint64_t now_ms)
{
    size_t slot = slot_of(peer);

    return guard->peers[slot].second != now_ms / 1000 ||
           guard->peers[slot].wrong < CREDENTIALS_WRONG_MAX;
}

void credentials_note_wrong(struct credentials_guard *guard, const char *peer, uint64_t now_ms)
{
    size_t slot = slot_of(peer);

    if (guard->peers[slot].second != now_ms / 1000) {
        guard->peers[slot].second = now_ms / 1000;
        guard->peers[slot].wrong = 0;
    }
    guard->peers[slot].wrong++;
}

/* Tickets */

static void digest_of(const char *text, uint8_t digest[DIGEST_SIZE])
{
    if (!EVP_Digest(text != NULL ? text : "", text != NULL ? strlen(text) : 0, digest, NULL,
                    EVP_sha256(), NULL))
        abort(); /* no memory: as everywhere */
}

/* A changed password or token ends the tickets that were made before. */
static void sign(const uint8_t key[CREDENTIALS_KEY_SIZE], const struct credentials_policy *policy,
                 uint64_t expires_s, uint8_t signature[DIGEST_SIZE])
{
    static const char purpose[16] = "electric ticket";
    uint8_t input[sizeof(purpose) + 8 + 2 * DIGEST_SIZE];
    unsigned len = 0;

    memcpy(input, purpose, sizeof(purpose));
    for (unsigned i = 0; i < 8; i++)
        input[sizeof(purpose) + i] = (uint8_t)(expires_s >> (56 - 8 * i));
    digest_of(policy->password, input + sizeof(purpose) + 8);
    digest_of(policy->token, input + sizeof(purpose) + 8 + DIGEST_SIZE);
    if (HMAC(EVP_sha256(), key, CREDENTIALS_KEY_SIZE, input, sizeof(input), signature, &len) ==
        NULL)
        abort();
}

void credentials_ticket_make(const uint8_t key[CREDENTIALS_KEY_SIZE],
                             const struct credentials_policy *policy, uint64_t expires_s,
                             char out[CREDENTIALS_TICKET_MAX])
{
    uint8_t signature[DIGEST_SIZE];
    int at = snprintf(out, CREDENTIALS_TICKET_MAX, "%016" PRIx64, expires_s);

    sign(key, policy, expires_s, signature);
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        at += snprintf(out + at, (size_t)(CREDENTIALS_TICKET_MAX - at), "%02x", signature[i]);
}

bool credentials_ticket_is_valid(const uint8_t key[CREDENTIALS_KEY_SIZE],
                                 const struct credentials_policy *policy, const char *ticket,
                                 uint64_t now_s)
{
    char expiry[EXPIRY_DIGITS + 1] = "", right[CREDENTIALS_TICKET_MAX];
    uint64_t expires_s;

    (void)snprintf(expiry, sizeof(expiry), "%s", ticket);
    if (strspn(expiry, "0123456789abcdef") != EXPIRY_DIGITS)
        return false;
    expires_s = strtoull(expiry, NULL, 16);
    credentials_ticket_make(key, policy, expires_s, right);
    return bytes_equal_secret(bytes_of_string(ticket), bytes_of_string(right)) &&
           expires_s >= now_s;
}
