/* SCRAM-SHA-256 from the client's side. */
#include "client/scram.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "common/memory.h"

enum {
    KEY_SIZE = SHA256_DIGEST_LENGTH,
    KEY_BASE64 = 44,
    NONCE_SIZE = 18, /* 24 characters of base64 */
    NONCE_MAX = 36,
    USER_MAX = 36,
    SALT_MAX = 64,
    SALT_BASE64_MAX = 88,
    ITERATIONS_MAX = 1000000, /* half a second; Postgres's default is 4096 */
    MESSAGE_MAX = 1024,       /* Postgres's limit for messages of the exchange */
};

struct scram {
    char *password;
    char nonce[NONCE_MAX + 1];
    char user[USER_MAX + 1]; /* Postgres takes the start-up packet's instead, so: none */
    uint8_t server_signature[KEY_SIZE];
};

struct scram *scram_new(const char *password)
{
    struct scram *scram = mem_new(sizeof *scram);
    uint8_t random[NONCE_SIZE];

    if (RAND_bytes(random, sizeof random) != 1)
        abort(); /* a nonce that repeats would be worse */
    EVP_EncodeBlock((unsigned char *)scram->nonce, random, sizeof random);
    scram->password = mem_copy_string(password);
    return scram;
}

void scram_free(struct scram *scram)
{
    if (scram == NULL)
        return;
    mem_free_secret(scram->password, strlen(scram->password));
    mem_free_secret(scram, sizeof *scram);
}

void scram_set_nonce(struct scram *scram, const char *nonce, const char *user)
{
    if (strlen(nonce) > NONCE_MAX || strlen(user) > USER_MAX)
        abort();
    memcpy(scram->nonce, nonce, strlen(nonce) + 1);
    memcpy(scram->user, user, strlen(user) + 1);
}

void scram_begin(struct scram *scram, struct buffer *out)
{
    buffer_append_format(out, "n,,n=%s,r=%s", scram->user, scram->nonce);
}

/* ---- server-first-message ----------------------------------------------------------------------
 */

struct challenge {
    struct bytes nonce;
    uint8_t salt[SALT_MAX + 3];
    size_t salt_len;
    unsigned iterations;
};

/* Takes "name=value" up to the next comma. */
static bool take_attribute(struct bytes *in, char name, struct bytes *value)
{
    const uint8_t *comma;
    size_t len;

    if (in->len < 2 || in->data[0] != (uint8_t)name || in->data[1] != '=')
        return false;
    *in = bytes_skip(*in, 2);
    comma = in->len == 0 ? NULL : memchr(in->data, ',', in->len);
    len = comma == NULL ? in->len : (size_t)(comma - in->data);
    *value = bytes_first(*in, len);
    *in = bytes_skip(*in, comma == NULL ? len : len + 1);
    return true;
}

static bool read_salt(struct bytes text, struct challenge *challenge)
{
    int len;

    if (text.len == 0 || text.len % 4 != 0 || text.len > SALT_BASE64_MAX)
        return false;
    len = EVP_DecodeBlock(challenge->salt, text.data, (int)text.len);
    if (len < 0)
        return false;
    /* OpenSSL counts what stands for padding. */
    for (size_t i = text.len; i > text.len - 2 && text.data[i - 1] == '='; i--)
        len--;
    challenge->salt_len = (size_t)len;
    return len > 0;
}

static bool read_iterations(struct bytes text, struct challenge *challenge)
{
    unsigned long count = 0;

    if (text.len == 0 || text.len > 7)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        count = count * 10 + (text.data[i] - '0');
    }
    challenge->iterations = (unsigned)count;
    return count > 0 && count <= ITERATIONS_MAX;
}

static bool read_challenge(const struct scram *scram, struct bytes in, struct challenge *challenge)
{
    size_t own = strlen(scram->nonce);
    struct bytes salt;
    struct bytes iterations;

    return in.len <= MESSAGE_MAX && take_attribute(&in, 'r', &challenge->nonce) &&
           challenge->nonce.len > own && bytes_starts_with(challenge->nonce, scram->nonce) &&
           take_attribute(&in, 's', &salt) && read_salt(salt, challenge) &&
           take_attribute(&in, 'i', &iterations) && read_iterations(iterations, challenge);
}

/* ---- keys --------------------------------------------------------------------------------------
 */

static bool hmac(const uint8_t key[KEY_SIZE], struct bytes data, uint8_t out[KEY_SIZE])
{
    return HMAC(EVP_sha256(), key, KEY_SIZE, data.data, data.len, out, NULL) != NULL;
}

/* ClientProof, and ServerSignature for later (RFC 5802 section 3). */
static bool compute(struct scram *scram, const struct challenge *challenge, struct bytes message,
                    uint8_t proof[KEY_SIZE])
{
    uint8_t salted[KEY_SIZE];
    uint8_t client_key[KEY_SIZE];
    uint8_t stored_key[KEY_SIZE];
    uint8_t server_key[KEY_SIZE];
    uint8_t signature[KEY_SIZE];
    bool done = PKCS5_PBKDF2_HMAC(scram->password, (int)strlen(scram->password), challenge->salt,
                                  (int)challenge->salt_len, (int)challenge->iterations,
                                  EVP_sha256(), sizeof salted, salted) == 1 &&
                hmac(salted, bytes_of_string("Client Key"), client_key) &&
                hmac(salted, bytes_of_string("Server Key"), server_key) &&
                SHA256(client_key, sizeof client_key, stored_key) != NULL &&
                hmac(stored_key, message, signature) &&
                hmac(server_key, message, scram->server_signature);

    for (size_t i = 0; done && i < KEY_SIZE; i++)
        proof[i] = client_key[i] ^ signature[i];
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    OPENSSL_cleanse(server_key, sizeof server_key);
    return done;
}

enum status scram_answer(struct scram *scram, struct bytes server_first, struct buffer *out,
                         struct error *error)
{
    struct challenge challenge;
    struct buffer message; /* AuthMessage */
    uint8_t proof[KEY_SIZE];
    char text[KEY_BASE64 + 1];
    bool done;

    if (!read_challenge(scram, server_first, &challenge))
        return error_set(error, STATUS_INVALID, "08P01",
                         "the server's part of the password exchange is malformed");
    buffer_init(&message, 4 * MESSAGE_MAX);
    buffer_append_format(&message, "n=%s,r=%s,", scram->user, scram->nonce);
    buffer_append(&message, server_first);
    buffer_append_format(&message, ",c=biws,r=%.*s", (int)challenge.nonce.len,
                         (const char *)challenge.nonce.data);
    done = compute(scram, &challenge, buffer_peek(&message), proof);
    buffer_clear(&message);
    if (!done)
        return error_set(error, STATUS_SYSTEM, "XX000", "could not compute the password's proof");
    EVP_EncodeBlock((unsigned char *)text, proof, sizeof proof);
    buffer_append_format(out, "c=biws,r=%.*s,p=%s", (int)challenge.nonce.len,
                         (const char *)challenge.nonce.data, text);
    return STATUS_OK;
}

enum status scram_verify(const struct scram *scram, struct bytes server_final, struct error *error)
{
    char expected[KEY_BASE64 + 1];
    struct bytes signature;

    EVP_EncodeBlock((unsigned char *)expected, scram->server_signature,
                    sizeof scram->server_signature);
    if (take_attribute(&server_final, 'v', &signature) &&
        bytes_equal_secret(signature, bytes_of_string(expected)))
        return STATUS_OK;
    return error_set(error, STATUS_DENIED, "28000",
                     "the server does not prove that it knows the password");
}
