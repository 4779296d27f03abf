/* SCRAM-SHA-256 from the server's side, as Postgres does it; and MD5. */
#include "server/proxy/auth.h"

#include "common/memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define MECHANISM "SCRAM-SHA-256"
#define MECHANISM_PLUS "SCRAM-SHA-256-PLUS"
#define BINDING_TYPE "tls-server-end-point"

enum {
    KEY_SIZE = SHA256_DIGEST_LENGTH,
    SALT_SIZE = 16,
    SALT_MAX = 64,
    ITERATIONS = 4096, /* RFC 7677 section 4, and Postgres's default */
    NONCE_SIZE = 18,   /* as Postgres; 24 characters of base64 */
    BINDING_MAX = 64,  /* the longest hash a certificate may be signed with */
    BODY_MAX = 1024,   /* Postgres's limit for messages of the exchange */
    BINDING_INPUT_MAX = 128,
};

struct auth_verifier {
    uint8_t salt[SALT_MAX];
    size_t salt_len;
    unsigned iterations;
    uint8_t stored_key[KEY_SIZE];
    uint8_t server_key[KEY_SIZE];
};

enum exchange_state { EXCHANGE_CLIENT_FIRST, EXCHANGE_CLIENT_FINAL, EXCHANGE_DONE };

struct auth_exchange {
    const struct auth_verifier *verifier;
    enum exchange_state state;
    uint8_t binding[BINDING_MAX];
    size_t binding_len;
    bool binds; /* the client chose -PLUS */
    char flag;  /* the client's gs2 channel binding flag: n, y or p */
    char server_nonce[2 * NONCE_SIZE + 1];
    struct buffer nonce;   /* the client's, then ours */
    struct buffer message; /* AuthMessage of RFC 5802 section 3, as far as it is known */
};

/* Cryptographic pieces */

static bool hmac(const uint8_t key[KEY_SIZE], struct bytes data, uint8_t out[KEY_SIZE])
{
    return HMAC(EVP_sha256(), key, KEY_SIZE, data.data, data.len, out, NULL) != NULL;
}

/* Text of `data` in base64, with a NUL; `out` has room for 4 characters per started 3 bytes. */
static void encode_base64(struct bytes data, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data.data, (int)data.len);
}

/* True when `text` is the one base64 spelling of exactly `size` (at most KEY_SIZE) bytes. */
static bool decode_base64(struct bytes text, uint8_t *out, size_t size)
{
    uint8_t decoded[KEY_SIZE + 3];
    char again[2 * KEY_SIZE];

    if (text.len != (size + 2) / 3 * 4)
        return false;
    if (EVP_DecodeBlock(decoded, text.data, (int)text.len) < (int)size)
        return false;
    /* OpenSSL's decoder forgives white space and padding bits; encoding again does not. */
    encode_base64(bytes_of(decoded, size), again);
    if (!bytes_equal_string(text, again))
        return false;
    memcpy(out, decoded, size);
    return true;
}

/* StoredKey and ServerKey (RFC 5802 section 3). A password beyond ASCII is taken as its bytes: what
 * SASLprep (RFC 4013) makes of nearly all that are typed, but not of decomposed characters. */
static bool derive_keys(struct auth_verifier *verifier, const char *password)
{
    static const char client_label[] = "Client Key";
    static const char server_label[] = "Server Key";
    uint8_t salted[KEY_SIZE];
    uint8_t client_key[KEY_SIZE];

    bool done =
        PKCS5_PBKDF2_HMAC(password, (int)strlen(password), verifier->salt, (int)verifier->salt_len,
                          (int)verifier->iterations, EVP_sha256(), sizeof salted, salted) == 1 &&
        hmac(salted, bytes_of_string(client_label), client_key) &&
        hmac(salted, bytes_of_string(server_label), verifier->server_key) &&
        SHA256(client_key, sizeof client_key, verifier->stored_key) != NULL;
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    return done;
}

struct auth_verifier *auth_verifier_new_salted(const char *password, struct bytes salt,
                                               unsigned iterations, struct error *error)
{
    struct auth_verifier *verifier = mem_new(sizeof *verifier);

    salt = bytes_first(salt, SALT_MAX);
    memcpy(verifier->salt, salt.data, salt.len);
    verifier->salt_len = salt.len;
    verifier->iterations = iterations;
    if (derive_keys(verifier, password))
        return verifier;
    auth_verifier_free(verifier);
    error_set(error, STATUS_SYSTEM, "XX000", "could not derive the password's SCRAM keys");
    return NULL;
}

struct auth_verifier *auth_verifier_new(const char *password, struct error *error)
{
    uint8_t salt[SALT_SIZE];

    if (RAND_bytes(salt, sizeof salt) != 1) {
        error_set(error, STATUS_SYSTEM, "XX000", "could not get random bytes");
        return NULL;
    }
    return auth_verifier_new_salted(password, bytes_of(salt, sizeof salt), ITERATIONS, error);
}

void auth_verifier_free(struct auth_verifier *verifier)
{
    mem_free_secret(verifier, sizeof *verifier);
}

struct auth_exchange *auth_exchange_new(const struct auth_verifier *verifier,
                                        struct bytes channel_binding)
{
    struct auth_exchange *exchange = mem_new(sizeof *exchange);

    exchange->verifier = verifier;
    channel_binding = bytes_first(channel_binding, BINDING_MAX);
    if (channel_binding.len > 0)
        memcpy(exchange->binding, channel_binding.data, channel_binding.len);
    exchange->binding_len = channel_binding.len;
    buffer_init(&exchange->nonce, 2 * BODY_MAX);
    buffer_init(&exchange->message, 6 * BODY_MAX);
    return exchange;
}

void auth_exchange_free(struct auth_exchange *exchange)
{
    if (exchange == NULL)
        return;
    buffer_clear(&exchange->nonce);
    buffer_clear(&exchange->message);
    mem_free_secret(exchange, sizeof *exchange);
}

void auth_exchange_set_nonce(struct auth_exchange *exchange, const char *nonce)
{
    strncpy(exchange->server_nonce, nonce, sizeof exchange->server_nonce - 1);
}

static bool offers_plus(const struct auth_exchange *exchange)
{
    return exchange->binding_len > 0;
}

bool auth_append_mechanisms(const struct auth_exchange *exchange, struct buffer *out)
{
    if (offers_plus(exchange))
        buffer_append_string(out, MECHANISM_PLUS);
    buffer_append_string(out, MECHANISM);
    return buffer_append_u8(out, 0);
}

/* Parsing */

static enum status malformed(struct error *error, const char *detail)
{
    return error_set(error, STATUS_INVALID, "08P01", "malformed SCRAM message: %s", detail);
}

static enum status crypto_failed(struct error *error)
{
    return error_set(error, STATUS_SYSTEM, "XX000", "could not compute a SCRAM message");
}

static bool next_is(struct bytes in, char c)
{
    return in.len > 0 && in.data[0] == (uint8_t)c;
}

/* Takes any "x=value" with the comma behind it, if there is one. */
static bool take_any_attribute(struct bytes *in, char *name, struct bytes *value)
{
    struct bytes rest = bytes_skip(*in, 2);

    if (in->len < 2 || in->data[1] != '=')
        return false;
    uint8_t letter = in->data[0] | 0x20;
    if (letter < 'a' || letter > 'z')
        return false;
    const uint8_t *comma = rest.len == 0 ? NULL : memchr(rest.data, ',', rest.len);
    *name = (char)in->data[0];
    *value = comma == NULL ? rest : bytes_first(rest, (size_t)(comma - rest.data));
    *in = bytes_skip(rest, value->len + 1);
    return true;
}

static bool take_attribute(struct bytes *in, char name, struct bytes *value)
{
    char found;

    return next_is(*in, name) && take_any_attribute(in, &found, value);
}

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7E || text.data[i] == ',')
            return false;
    return true;
}

static enum status check_text(struct bytes text, struct error *error)
{
    if (text.len == 0)
        return malformed(error, "it is empty");
    if (text.len > BODY_MAX)
        return malformed(error, "it is too long");
    if (memchr(text.data, '\0', text.len) != NULL)
        return malformed(error, "it holds a zero byte");
    return STATUS_OK;
}

/* SASLInitialResponse: mechanism, then a length and the client-first-message. */
static enum status take_initial_response(struct auth_exchange *exchange, struct bytes body,
                                         struct bytes *first, struct error *error)
{
    struct bytes mechanism;
    uint32_t len;

    if (!bytes_take_string(&body, &mechanism) || !bytes_take_u32(&body, &len))
        return error_set(error, STATUS_INVALID, "08P01", "malformed SASLInitialResponse message");
    exchange->binds = offers_plus(exchange) && bytes_equal_string(mechanism, MECHANISM_PLUS);
    if (!exchange->binds && !bytes_equal_string(mechanism, MECHANISM))
        return error_set(error, STATUS_INVALID, "08P01",
                         "client selected an invalid SASL authentication mechanism");
    /* A length of -1, no response yet, is for mechanisms where the server speaks first. */
    if (len != body.len)
        return error_set(error, STATUS_INVALID, "08P01", "malformed SASLInitialResponse message");
    *first = body;
    return check_text(*first, error);
}

/* The gs2 flag says what the client thinks of channel binding (RFC 5802 section 6). */
static enum status take_binding_flag(struct auth_exchange *exchange, struct bytes *in,
                                     struct error *error)
{
    struct bytes type;
    uint8_t flag = in->len > 0 ? in->data[0] : 0;

    exchange->flag = (char)flag;
    if (flag != 'n' && flag != 'y' && flag != 'p')
        return malformed(error, "unexpected channel binding flag");
    if (flag == 'p') {
        if (!exchange->binds)
            return malformed(error, "channel binding data without " MECHANISM_PLUS);
        if (!take_attribute(in, 'p', &type))
            return malformed(error, "expected a channel binding type");
        return bytes_equal_string(type, BINDING_TYPE)
                   ? STATUS_OK
                   : error_set(error, STATUS_INVALID, "08P01",
                               "unsupported SCRAM channel binding type");
    }
    if (exchange->binds)
        return malformed(error, MECHANISM_PLUS " without channel binding data");
    /* A client that supports it but saw no offer: someone between us removed the offer. */
    if (flag == 'y' && offers_plus(exchange)) {
        error_set(error, STATUS_INVALID, "28000", "SCRAM channel binding negotiation error");
        error_hint(error, "The client thinks that this server does not support channel binding, "
                          "but it does; something between them may have changed the offer.");
        return STATUS_INVALID;
    }
    *in = bytes_skip(*in, 1);
    if (!next_is(*in, ','))
        return malformed(error, "expected a comma");
    *in = bytes_skip(*in, 1);
    return STATUS_OK;
}

/* client-first-message of RFC 5802 section 7. The user name in it is ignored, as in Postgres: the
 * start-up packet has named the user. */
static enum status parse_first(struct auth_exchange *exchange, struct bytes in, struct bytes *bare,
                               struct bytes *nonce, struct error *error)
{
    struct bytes ignored;
    char name;
    enum status status = take_binding_flag(exchange, &in, error);

    if (status != STATUS_OK)
        return status;
    if (next_is(in, 'a'))
        return error_set(error, STATUS_INVALID, "0A000",
                         "client uses authorization identity, but it is not supported");
    if (!next_is(in, ','))
        return malformed(error, "unexpected attribute in client-first-message");
    in = bytes_skip(in, 1);
    *bare = in;
    if (next_is(in, 'm'))
        return error_set(error, STATUS_INVALID, "0A000",
                         "client requires an unsupported SCRAM extension");
    if (!take_attribute(&in, 'n', &ignored))
        return malformed(error, "expected attribute \"n\"");
    if (!take_attribute(&in, 'r', nonce))
        return malformed(error, "expected attribute \"r\"");
    if (!is_printable(*nonce))
        return error_set(error, STATUS_INVALID, "08P01", "non-printable characters in SCRAM nonce");
    while (in.len > 0)
        if (!take_any_attribute(&in, &name, &ignored))
            return malformed(error, "expected an attribute");
    return STATUS_OK;
}

static bool make_server_nonce(struct auth_exchange *exchange)
{
    uint8_t random[NONCE_SIZE];

    if (exchange->server_nonce[0] != '\0')
        return true;
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    encode_base64(bytes_of(random, sizeof random), exchange->server_nonce);
    return true;
}

/* Appends server-first-message to `out` and both first messages to AuthMessage. */
static enum status answer_first(struct auth_exchange *exchange, struct bytes bare,
                                struct bytes nonce, struct buffer *out, struct error *error)
{
    const struct auth_verifier *verifier = exchange->verifier;
    char salt[2 * SALT_MAX];

    if (!make_server_nonce(exchange))
        return crypto_failed(error);
    buffer_append(&exchange->nonce, nonce);
    buffer_append(&exchange->nonce, bytes_of_string(exchange->server_nonce));

    encode_base64(bytes_of(verifier->salt, verifier->salt_len), salt);
    struct bytes full = buffer_peek(&exchange->nonce);
    buffer_append(&exchange->message, bare);
    buffer_append_u8(&exchange->message, ',');
    size_t start = buffer_len(&exchange->message);
    buffer_append_format(&exchange->message, "r=%.*s,s=%s,i=%u", (int)full.len,
                         (const char *)full.data, salt, verifier->iterations);
    buffer_append(out, bytes_skip(buffer_peek(&exchange->message), start));
    buffer_append_u8(&exchange->message, ',');
    if (buffer_failed(out) || buffer_failed(&exchange->message) || buffer_failed(&exchange->nonce))
        return error_set(error, STATUS_FULL, "54000", "a SCRAM message is too long");
    return STATUS_OK;
}

enum status auth_start(struct auth_exchange *exchange, struct bytes body, struct buffer *out,
                       struct error *error)
{
    struct bytes first = {0}, bare = {0}, nonce = {0};
    enum status status;

    if (exchange->state != EXCHANGE_CLIENT_FIRST)
        return malformed(error, "the exchange has already begun");
    exchange->state = EXCHANGE_DONE; /* unless all goes well */
    if ((status = take_initial_response(exchange, body, &first, error)) != STATUS_OK)
        return status;
    if ((status = parse_first(exchange, first, &bare, &nonce, error)) != STATUS_OK)
        return status;
    if ((status = answer_first(exchange, bare, nonce, out, error)) != STATUS_OK)
        return status;
    exchange->state = EXCHANGE_CLIENT_FINAL;
    return STATUS_OK;
}

/* The attribute c repeats the gs2 header and, with -PLUS, proves which certificate was seen. */
static enum status check_binding(const struct auth_exchange *exchange, struct bytes value,
                                 struct error *error)
{
    static const char header[] = "p=" BINDING_TYPE ",,";
    uint8_t input[BINDING_INPUT_MAX];
    char expected[2 * BINDING_INPUT_MAX];
    size_t len = sizeof header - 1;

    if (!exchange->binds) {
        /* base64 of "n,," and of "y,," */
        return bytes_equal_string(value, exchange->flag == 'n' ? "biws" : "eSws")
                   ? STATUS_OK
                   : error_set(error, STATUS_INVALID, "08P01",
                               "unexpected SCRAM channel binding attribute");
    }
    memcpy(input, header, len);
    memcpy(input + len, exchange->binding, exchange->binding_len);
    encode_base64(bytes_of(input, len + exchange->binding_len), expected);
    if (bytes_equal_secret(value, bytes_of_string(expected)))
        return STATUS_OK;
    error_set(error, STATUS_INVALID, "28000", "SCRAM channel binding check failed");
    error_hint(error, "The client saw another certificate than this server's; something between "
                      "them terminates TLS.");
    return STATUS_INVALID;
}

/* client-final-message; `unsigned_len` is the length of what the proof is about. */
static enum status parse_final(const struct auth_exchange *exchange, struct bytes text,
                               size_t *unsigned_len, uint8_t proof[KEY_SIZE], struct error *error)
{
    struct bytes in = text;
    struct bytes value;
    char name;

    if (!take_attribute(&in, 'c', &value))
        return malformed(error, "expected attribute \"c\"");
    enum status status = check_binding(exchange, value, error);
    if (status != STATUS_OK)
        return status;
    if (!take_attribute(&in, 'r', &value))
        return malformed(error, "expected attribute \"r\"");
    if (!bytes_equal(value, buffer_peek(&exchange->nonce)))
        return error_set(error, STATUS_INVALID, "08P01",
                         "invalid SCRAM response: the nonce does not match");
    do {
        *unsigned_len = text.len - in.len - 1; /* without the comma */
        if (!take_any_attribute(&in, &name, &value))
            return malformed(error, "expected attribute \"p\"");
    } while (name != 'p');
    if (in.len > 0 || !decode_base64(value, proof, KEY_SIZE))
        return malformed(error, "malformed proof in client-final-message");
    return STATUS_OK;
}

/* RFC 5802 section 3: the proof is ClientKey XOR ClientSignature, and H(ClientKey) is known. */
static enum status check_proof(const struct auth_exchange *exchange, const uint8_t proof[KEY_SIZE],
                               struct error *error)
{
    const uint8_t *stored_key = exchange->verifier->stored_key;
    uint8_t key[KEY_SIZE];
    uint8_t hashed[KEY_SIZE];

    if (!hmac(stored_key, buffer_peek(&exchange->message), key))
        return crypto_failed(error);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] ^= proof[i];
    bool hashes = SHA256(key, sizeof key, hashed) != NULL;
    OPENSSL_cleanse(key, sizeof key);
    if (!hashes)
        return crypto_failed(error);
    if (CRYPTO_memcmp(hashed, stored_key, sizeof hashed) != 0)
        return error_set(error, STATUS_DENIED, "28P01", "password authentication failed");
    return STATUS_OK;
}

static enum status append_server_final(const struct auth_exchange *exchange, struct buffer *out,
                                       struct error *error)
{
    uint8_t signature[KEY_SIZE];
    char text[2 * KEY_SIZE];

    if (!hmac(exchange->verifier->server_key, buffer_peek(&exchange->message), signature))
        return crypto_failed(error);
    encode_base64(bytes_of(signature, sizeof signature), text);
    if (!buffer_append_format(out, "v=%s", text))
        return error_set(error, STATUS_FULL, "54000", "a SCRAM message is too long");
    return STATUS_OK;
}

enum status auth_finish(struct auth_exchange *exchange, struct bytes body, struct buffer *out,
                        struct error *error)
{
    uint8_t proof[KEY_SIZE] = {0};
    size_t unsigned_len = 0;
    enum status status;

    if (exchange->state != EXCHANGE_CLIENT_FINAL)
        return malformed(error, "it was not expected now");
    exchange->state = EXCHANGE_DONE;
    if ((status = check_text(body, error)) != STATUS_OK)
        return status;
    if ((status = parse_final(exchange, body, &unsigned_len, proof, error)) != STATUS_OK)
        return status;
    if (!buffer_append(&exchange->message, bytes_first(body, unsigned_len)))
        return error_set(error, STATUS_FULL, "54000", "a SCRAM message is too long");
    if ((status = check_proof(exchange, proof, error)) != STATUS_OK)
        return status;
    return append_server_final(exchange, out, error);
}

/* MD5 */

enum { MD5_SIZE = 16, MD5_HEX_SIZE = 2 * MD5_SIZE };

/* False where the crypto library has MD5 switched off (FIPS). */
static bool md5_hex(struct bytes first, struct bytes second, char out[MD5_HEX_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[MD5_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
                EVP_DigestUpdate(context, first.data, first.len) == 1 &&
                EVP_DigestUpdate(context, second.data, second.len) == 1 &&
                EVP_DigestFinal_ex(context, digest, NULL) == 1;

    EVP_MD_CTX_free(context);
    for (size_t i = 0; done && i < sizeof digest; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[MD5_HEX_SIZE] = '\0';
    return done;
}

bool auth_check_md5(const char *password, struct bytes user, const uint8_t salt[4],
                    struct bytes answer)
{
    char inner[MD5_HEX_SIZE + 1];
    char expected[3 + MD5_HEX_SIZE + 1] = "md5";

    bool done = md5_hex(bytes_of_string(password), user, inner) &&
                md5_hex(bytes_of(inner, MD5_HEX_SIZE), bytes_of(salt, 4), expected + 3) &&
                bytes_equal_secret(answer, bytes_of_string(expected));
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(expected, sizeof expected);
    return done;
}
