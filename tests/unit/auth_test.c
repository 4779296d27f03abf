/* server/proxy/auth.c, against published vectors, a client written here, and libpq. */
#include "server/proxy/auth.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HASH_SIZE = SHA256_DIGEST_LENGTH };

#define PASSWORD "pencil"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define NONCE CLIENT_NONCE SERVER_NONCE

/* RFC 7677 section 3 */
#define FIRST_BARE "n=user,r=" CLIENT_NONCE
#define SERVER_FIRST "r=" NONCE ",s=" SALT ",i=4096"
#define FINAL_UNSIGNED "c=biws,r=" NONCE
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SIGNATURE "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const uint8_t binding[32] = {0xb1, 0x4d, 0x14, 0x46};

static struct auth_verifier *verifier;
static struct auth_exchange *exchange;
static struct buffer out;
static struct error error;

static void set_up(struct bytes channel_binding)
{
    static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                   0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};

    if (verifier == NULL)
        verifier = auth_verifier_new_salted(PASSWORD, bytes_of(salt, sizeof salt), 4096, &error);
    ck_assert_ptr_nonnull(verifier);
    auth_exchange_free(exchange);
    exchange = auth_exchange_new(verifier, channel_binding);
    auth_exchange_set_nonce(exchange, SERVER_NONCE);
    buffer_clear(&out);
    buffer_init(&out, 8192);
    error = (struct error){0};
}

static void set_up_plain(void)
{
    set_up(bytes_of(NULL, 0));
}

static void tear_down(void)
{
    auth_exchange_free(exchange);
    exchange = NULL;
    auth_verifier_free(verifier);
    verifier = NULL;
    buffer_clear(&out);
}

static void expect_out(const char *text)
{
    ck_assert_str_eq(error.message, "");
    ck_assert(bytes_equal_string(buffer_peek(&out), text));
    buffer_clear(&out);
}

/* SASLInitialResponse as it stands on the wire, at a guard page. */
static enum status start_with(const char *mechanism, struct bytes first)
{
    struct buffer body;

    buffer_init(&body, 65536);
    buffer_append_string(&body, mechanism);
    buffer_append_u32(&body, (uint32_t)first.len);
    buffer_append(&body, first);
    struct bytes copy = guarded_copy(buffer_peek(&body).data, buffer_len(&body));
    buffer_clear(&body);
    enum status status = auth_start(exchange, copy, &out, &error);
    guarded_free(copy);
    return status;
}

static enum status start(const char *mechanism, const char *first)
{
    return start_with(mechanism, bytes_of_string(first));
}

static enum status finish_with(struct bytes text)
{
    struct bytes copy = guarded_copy(text.data, text.len);
    enum status status = auth_finish(exchange, copy, &out, &error);

    guarded_free(copy);
    return status;
}

static enum status finish(const char *text)
{
    return finish_with(bytes_of_string(text));
}

static void expect_failure(enum status status, const char *sqlstate)
{
    ck_assert_int_eq(status, STATUS_INVALID);
    ck_assert_str_eq(error.sqlstate, sqlstate);
    ck_assert_uint_eq(buffer_len(&out), 0);
    /* The exchange is over, whatever comes next. */
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=" PROOF), STATUS_INVALID);
}

START_TEST(the_exchange_of_rfc_7677_passes)
{
    set_up_plain();
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_OK);
    expect_out(SERVER_FIRST);
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=" PROOF), STATUS_OK);
    expect_out("v=" SIGNATURE);
    /* And only once. */
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=" PROOF), STATUS_INVALID);
    tear_down();
}
END_TEST

START_TEST(a_wrong_password_is_denied)
{
    set_up_plain();
    start("SCRAM-SHA-256", "n,," FIRST_BARE);
    buffer_clear(&out);
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
                     STATUS_DENIED);
    ck_assert_str_eq(error.sqlstate, "28P01");
    ck_assert_uint_eq(buffer_len(&out), 0);
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=" PROOF), STATUS_INVALID);
    tear_down();
}
END_TEST

/* A client: proof and expected signature for `password`, all else as given. */
struct answer {
    char final[1024];
    char signature[64];
};

static void keyed(const uint8_t *key, const char *text, uint8_t digest[HASH_SIZE])
{
    HMAC(EVP_sha256(), key, HASH_SIZE, (const uint8_t *)text, strlen(text), digest, NULL);
}

static struct answer answer_as_client(const char *password, const char *bare,
                                      const char *server_first, const char *final_unsigned)
{
    struct answer answer;
    char message[4096], salt_text[128] = "", proof_text[64];
    uint8_t salt[128], salted[HASH_SIZE], client_key[HASH_SIZE], stored_key[HASH_SIZE];
    uint8_t digest[HASH_SIZE], server_key[HASH_SIZE];
    int iterations = 0;

    ck_assert_int_eq(
        sscanf(strstr(server_first, ",s="), ",s=%127[^,],i=%d", salt_text, &iterations), 2);
    size_t salt_len = (size_t)EVP_DecodeBlock(salt, (uint8_t *)salt_text, (int)strlen(salt_text));
    for (size_t i = strlen(salt_text); salt_text[i - 1] == '='; i--)
        salt_len--;
    PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_len, iterations,
                      EVP_sha256(), HASH_SIZE, salted);
    keyed(salted, "Client Key", client_key);
    keyed(salted, "Server Key", server_key);
    SHA256(client_key, HASH_SIZE, stored_key);
    snprintf(message, sizeof message, "%s,%s,%s", bare, server_first, final_unsigned);
    keyed(stored_key, message, digest);
    for (size_t i = 0; i < HASH_SIZE; i++)
        client_key[i] ^= digest[i];
    EVP_EncodeBlock((uint8_t *)proof_text, client_key, HASH_SIZE);
    snprintf(answer.final, sizeof answer.final, "%s,p=%s", final_unsigned, proof_text);
    keyed(server_key, message, digest);
    strcpy(answer.signature, "v=");
    EVP_EncodeBlock((uint8_t *)answer.signature + 2, digest, HASH_SIZE);
    return answer;
}

static char *base64(const char *head, struct bytes tail)
{
    static char text[512];
    uint8_t input[256];

    memcpy(input, head, strlen(head));
    if (tail.len > 0)
        memcpy(input + strlen(head), tail.data, tail.len);
    EVP_EncodeBlock((uint8_t *)text, input, (int)(strlen(head) + tail.len));
    return text;
}

static enum status finish_plus(struct bytes seen)
{
    char final[1024];

    set_up(bytes_of(binding, sizeof binding));
    ck_assert_int_eq(start("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,," FIRST_BARE), STATUS_OK);
    expect_out(SERVER_FIRST);
    snprintf(final, sizeof final, "c=%s,r=%s", base64("p=tls-server-end-point,,", seen), NONCE);
    struct answer answer = answer_as_client(PASSWORD, FIRST_BARE, SERVER_FIRST, final);
    enum status status = finish(answer.final);
    if (status == STATUS_OK)
        expect_out(answer.signature);
    return status;
}

START_TEST(channel_binding_to_the_same_certificate_passes)
{
    ck_assert_int_eq(finish_plus(bytes_of(binding, sizeof binding)), STATUS_OK);
    tear_down();
}
END_TEST

START_TEST(channel_binding_to_another_certificate_is_refused)
{
    uint8_t other[sizeof binding] = {0};

    expect_failure(finish_plus(bytes_of(other, sizeof other)), "28000");
    expect_failure(finish_plus(bytes_of(binding, sizeof binding - 1)), "28000");
    expect_failure(finish_plus(bytes_of(NULL, 0)), "28000");
    tear_down();
}
END_TEST

START_TEST(a_client_that_believes_there_is_no_binding_is_believed_only_without_tls)
{
    set_up_plain();
    ck_assert_int_eq(start("SCRAM-SHA-256", "y,," FIRST_BARE), STATUS_OK);
    expect_out(SERVER_FIRST);
    struct answer answer = answer_as_client(PASSWORD, FIRST_BARE, SERVER_FIRST, "c=eSws,r=" NONCE);
    ck_assert_int_eq(finish(answer.final), STATUS_OK);
    expect_out(answer.signature);

    set_up(bytes_of(binding, sizeof binding));
    expect_failure(start("SCRAM-SHA-256", "y,," FIRST_BARE), "28000");
    tear_down();
}
END_TEST

START_TEST(a_client_over_tls_may_do_without_binding)
{
    set_up(bytes_of(binding, sizeof binding));
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_OK);
    expect_out(SERVER_FIRST);
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=" PROOF), STATUS_OK);
    tear_down();
}
END_TEST

START_TEST(the_repeated_binding_flag_must_be_the_first_one)
{
    set_up_plain();
    start("SCRAM-SHA-256", "n,," FIRST_BARE);
    buffer_clear(&out);
    expect_failure(finish("c=eSws,r=" NONCE ",p=" PROOF), "08P01");
    set_up_plain();
    start("SCRAM-SHA-256", "y,," FIRST_BARE);
    buffer_clear(&out);
    expect_failure(finish("c=biws,r=" NONCE ",p=" PROOF), "08P01");
    tear_down();
}
END_TEST

START_TEST(any_user_name_and_extensions_are_taken)
{
    static const char bare[] = "n=some=2Cone,r=" CLIENT_NONCE ",x=whatever";

    set_up_plain();
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,,n=some=2Cone,r=" CLIENT_NONCE ",x=whatever"),
                     STATUS_OK);
    expect_out(SERVER_FIRST);
    struct answer answer = answer_as_client(PASSWORD, bare, SERVER_FIRST, FINAL_UNSIGNED ",y=more");
    ck_assert_int_eq(finish(answer.final), STATUS_OK);
    expect_out(answer.signature);

    set_up_plain();
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,,n=,r=" CLIENT_NONCE), STATUS_OK); /* libpq's */
    tear_down();
}
END_TEST

START_TEST(mechanisms_depend_on_tls)
{
    set_up_plain();
    ck_assert(auth_append_mechanisms(exchange, &out));
    ck_assert(bytes_equal(buffer_peek(&out), bytes_of("SCRAM-SHA-256\0", 15)));
    set_up(bytes_of(binding, sizeof binding));
    ck_assert(auth_append_mechanisms(exchange, &out));
    ck_assert(bytes_equal(buffer_peek(&out), bytes_of("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", 34)));
    tear_down();
}
END_TEST

START_TEST(malformed_first_messages_are_refused)
{
    static const struct {
        const char *mechanism, *first, *sqlstate;
    } cases[] = {
        {"SCRAM-SHA-1", "n,," FIRST_BARE, "08P01"},
        {"", "n,," FIRST_BARE, "08P01"},
        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,," FIRST_BARE, "08P01"}, /* not offered */
        {"SCRAM-SHA-256", "", "08P01"},
        {"SCRAM-SHA-256", "n", "08P01"},
        {"SCRAM-SHA-256", "n,", "08P01"},
        {"SCRAM-SHA-256", "n,,", "08P01"},
        {"SCRAM-SHA-256", "x,," FIRST_BARE, "08P01"},
        {"SCRAM-SHA-256", "n;," FIRST_BARE, "08P01"},
        {"SCRAM-SHA-256", "n,a=admin," FIRST_BARE, "0A000"},
        {"SCRAM-SHA-256", "n,b=admin," FIRST_BARE, "08P01"},
        {"SCRAM-SHA-256", "p=tls-server-end-point,," FIRST_BARE, "08P01"},
        {"SCRAM-SHA-256", "n,,m=x," FIRST_BARE, "0A000"},
        {"SCRAM-SHA-256", "n,,r=" CLIENT_NONCE, "08P01"},
        {"SCRAM-SHA-256", "n,,n=user", "08P01"},
        {"SCRAM-SHA-256", "n,,n=user,", "08P01"},
        {"SCRAM-SHA-256", "n,,n=user,r", "08P01"},
        {"SCRAM-SHA-256", "n,,n=user,r=a\x7f", "08P01"},
        {"SCRAM-SHA-256", "n,,n=user,r=a b", "08P01"},
        {"SCRAM-SHA-256", "n,,n=user,r=abc,1=x", "08P01"},
        {"SCRAM-SHA-256", "n,,n=user,r=abc,xyz", "08P01"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_up_plain();
        expect_failure(start(cases[i].mechanism, cases[i].first), cases[i].sqlstate);
    }
    tear_down();
}
END_TEST

START_TEST(malformed_first_messages_with_binding_are_refused)
{
    static const struct {
        const char *mechanism, *first;
    } cases[] = {
        {"SCRAM-SHA-256-PLUS", "n,," FIRST_BARE},
        {"SCRAM-SHA-256-PLUS", "y,," FIRST_BARE},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,," FIRST_BARE},
        {"SCRAM-SHA-256-PLUS", "p=," FIRST_BARE},
        {"SCRAM-SHA-256-PLUS", "p,," FIRST_BARE},
        {"SCRAM-SHA-256-PLUS", "p"},
        {"SCRAM-SHA-256", "p=tls-server-end-point,," FIRST_BARE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_up(bytes_of(binding, sizeof binding));
        expect_failure(start(cases[i].mechanism, cases[i].first), "08P01");
    }
    tear_down();
}
END_TEST

START_TEST(an_initial_response_must_fit_its_length)
{
    static const char body[] = "SCRAM-SHA-256\0\0\0\0\x05n,,n=";

    for (size_t len = 0; len < sizeof body; len++) {
        set_up_plain();
        struct bytes copy = guarded_copy(body, len);
        expect_failure(auth_start(exchange, copy, &out, &error), "08P01");
        guarded_free(copy);
    }
    set_up_plain(); /* -1: no response yet */
    struct bytes none = guarded_copy("SCRAM-SHA-256\0\xff\xff\xff\xff", 18);
    expect_failure(auth_start(exchange, none, &out, &error), "08P01");
    guarded_free(none);
    tear_down();
}
END_TEST

START_TEST(every_prefix_of_the_first_message_is_refused) /* _i bytes */
{
    static const char first[] = "n,,n=user,r";

    set_up_plain();
    expect_failure(start_with("SCRAM-SHA-256", bytes_of(first, (size_t)_i)), "08P01");
    tear_down();
}
END_TEST

START_TEST(every_prefix_of_the_final_message_is_refused) /* _i bytes */
{
    static const char final[] = FINAL_UNSIGNED ",p=" PROOF;

    set_up_plain();
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_OK);
    buffer_clear(&out);
    expect_failure(finish_with(bytes_of(final, (size_t)_i)), "08P01");
    tear_down();
}
END_TEST

START_TEST(malformed_final_messages_are_refused)
{
    static const char *const finals[] = {
        "r=" NONCE ",c=biws,p=" PROOF,        /* the order is fixed */
        "c=biws,r=" NONCE "x,p=" PROOF,       /* another nonce */
        "c=biws,r=" CLIENT_NONCE ",p=" PROOF, /* the client's half only */
        "c=biws,r=,p=" PROOF,                 /* */
        "c=,r=" NONCE ",p=" PROOF,            /* */
        "c=biws,r=" NONCE ",p=",              /* */
        "c=biws,r=" NONCE ",p=" PROOF ",x=y", /* something behind the proof */
        "c=biws,r=" NONCE ",p=" PROOF "=",    /* too long */
        "c=biws,r=" NONCE ",p= HzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", /* white space */
        "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=", /* padding bits */
        "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQA", /* 33 bytes */
        "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndV==", /* 31 bytes */
        "c=biws,r=" NONCE ",p=!!!!ZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=" NONCE ",=,p=" PROOF,
    };

    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++) {
        set_up_plain();
        ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_OK);
        buffer_clear(&out);
        expect_failure(finish(finals[i]), "08P01");
    }
    tear_down();
}
END_TEST

START_TEST(messages_are_bounded_and_hold_no_nul)
{
    static char text[5000];

    memset(text, 'a', sizeof text);
    memcpy(text, "n,,n=user,r=", 12);
    set_up_plain();
    expect_failure(start_with("SCRAM-SHA-256", bytes_of(text, sizeof text)), "08P01");
    set_up_plain();
    ck_assert_int_eq(start_with("SCRAM-SHA-256", bytes_of(text, 1024)), STATUS_OK);
    set_up_plain();
    expect_failure(start_with("SCRAM-SHA-256", bytes_of("n,,n=u\0,r=abc", 13)), "08P01");
    set_up_plain();
    start("SCRAM-SHA-256", "n,," FIRST_BARE);
    buffer_clear(&out);
    expect_failure(finish_with(bytes_of(text, sizeof text)), "08P01");
    tear_down();
}
END_TEST

START_TEST(an_exchange_begins_once_and_in_order)
{
    set_up_plain();
    ck_assert_int_eq(finish(FINAL_UNSIGNED ",p=" PROOF), STATUS_INVALID);
    set_up_plain();
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_OK);
    ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_INVALID);
    tear_down();
}
END_TEST

START_TEST(salts_and_nonces_are_fresh)
{
    char first[2][256];

    for (int i = 0; i < 2; i++) {
        struct auth_verifier *fresh = auth_verifier_new("pw", &error);
        struct auth_exchange *peer = auth_exchange_new(fresh, bytes_of(NULL, 0));
        set_up_plain();
        auth_exchange_free(exchange);
        exchange = peer;
        ck_assert_int_eq(start("SCRAM-SHA-256", "n,," FIRST_BARE), STATUS_OK);
        struct bytes text = buffer_peek(&out);
        snprintf(first[i], sizeof first[i], "%.*s", (int)text.len, (const char *)text.data);
        ck_assert_uint_eq(strcspn(first[i], ","), 2 + 20 + 24);
        auth_exchange_free(exchange);
        exchange = NULL;
        auth_verifier_free(fresh);
    }
    ck_assert_str_ne(first[0], first[1]);
    ck_assert_str_ne(strstr(first[0], ",s="), strstr(first[1], ",s="));
    tear_down();
}
END_TEST

START_TEST(md5_is_checked_as_postgres_does)
{
    static const uint8_t salt[4] = {0x01, 0x02, 0x03, 0x04};
    struct bytes user = bytes_of_string("user");
    /* md5(md5("pencil" "user") 01 02 03 04), computed with md5sum */
    static const char good[] = "md54376eb6913b38f9aaff38dc7cf19ca76";

    ck_assert(auth_check_md5(PASSWORD, user, salt, bytes_of_string(good)));
    ck_assert(!auth_check_md5("pencils", user, salt, bytes_of_string(good)));
    ck_assert(!auth_check_md5(PASSWORD, bytes_of_string("users"), salt, bytes_of_string(good)));
    ck_assert(!auth_check_md5(PASSWORD, user, (const uint8_t *)"abcd", bytes_of_string(good)));
    ck_assert(!auth_check_md5(PASSWORD, user, salt, bytes_of_string("")));
    ck_assert(!auth_check_md5(PASSWORD, user, salt, bytes_of(good, sizeof good)));
    ck_assert(!auth_check_md5(PASSWORD, user, salt, bytes_of_string(PASSWORD)));
}
END_TEST

/* libpq as the client: just enough of a server, on a unix socket, to see it through. */

static void send_authentication(int fd, uint32_t code, struct bytes rest)
{
    struct buffer message;

    buffer_init(&message, 8192);
    buffer_append_u8(&message, 'R');
    buffer_append_u32(&message, (uint32_t)(8 + rest.len));
    buffer_append_u32(&message, code);
    buffer_append(&message, rest);
    struct bytes wire = buffer_peek(&message);
    ck_assert_int_eq(write(fd, wire.data, wire.len), (ssize_t)wire.len);
    buffer_clear(&message);
}

/* Takes one message's body; `typed` is false for the start-up packet. */
static struct bytes receive(int fd, bool typed)
{
    static uint8_t data[8192];
    ssize_t count = read(fd, data, sizeof data);
    size_t head = typed ? 5 : 4;

    ck_assert_int_gt(count, (ssize_t)head);
    return bytes_of(data + head, (size_t)count - head);
}

/* One step of the conversation with libpq; returns the status of the step that ended it. */
static enum status serve(int fd, struct auth_exchange *peer)
{
    enum status status;

    buffer_clear(&out);
    receive(fd, false);
    auth_append_mechanisms(peer, &out);
    send_authentication(fd, 10, buffer_peek(&out));
    buffer_clear(&out);
    if ((status = auth_start(peer, receive(fd, true), &out, &error)) != STATUS_OK)
        return status;
    send_authentication(fd, 11, buffer_peek(&out));
    buffer_clear(&out);
    if ((status = auth_finish(peer, receive(fd, true), &out, &error)) != STATUS_OK)
        return status;
    send_authentication(fd, 12, buffer_peek(&out));
    send_authentication(fd, 0, bytes_of(NULL, 0));
    ck_assert_int_eq(write(fd, "Z\0\0\0\x05I", 6), 6);
    return STATUS_OK;
}

static int listen_in(const char *directory, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s/.s.PGSQL.5432", directory);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

static ConnStatusType connect_with_libpq(const char *directory, const char *password)
{
    const char *const keys[] = {"host",   "port",    "user",       "password",
                                "dbname", "sslmode", "gssencmode", NULL};
    const char *const values[] = {directory, "5432",    "any one", password,
                                  "db",      "disable", "disable", NULL};
    PGconn *connection = PQconnectdbParams(keys, values, 0);
    ConnStatusType status = PQstatus(connection);

    PQfinish(connection);
    return status;
}

START_TEST(libpq_logs_in_with_the_right_password_only) /* _i: which password */
{
    static const struct {
        const char *server, *client;
        enum status status;
    } cases[] = {
        {"pencil", "pencil", STATUS_OK},
        {"pencil", "pencils", STATUS_DENIED},
        {"p\xc3\xa4ssw\xc3\xb6rd", "p\xc3\xa4ssw\xc3\xb6rd", STATUS_OK},
        {"bytes \xff that are no UTF-8", "bytes \xff that are no UTF-8", STATUS_OK},
    };
    char directory[] = "/tmp/auth_test.XXXXXX";
    struct sockaddr_un address;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    int listener = listen_in(directory, &address);
    pid_t client = check_fork();
    if (client == 0) {
        close(listener);
        _exit(connect_with_libpq(directory, cases[_i].client) == CONNECTION_OK ? 0 : 1);
    }
    int fd = accept(listener, NULL, NULL);
    struct auth_verifier *fresh = auth_verifier_new(cases[_i].server, &error);
    struct auth_exchange *peer = auth_exchange_new(fresh, bytes_of(NULL, 0));
    buffer_init(&out, 8192);
    enum status status = serve(fd, peer);
    close(fd);
    close(listener);
    unlink(address.sun_path);
    rmdir(directory);
    ck_assert_int_eq(status, cases[_i].status);
    auth_exchange_free(peer);
    auth_verifier_free(fresh);
    buffer_clear(&out);
    if (status == STATUS_OK)
        check_waitpid_and_exit(client); /* passes when libpq is content */
}
END_TEST

SUITE("auth", TEST(the_exchange_of_rfc_7677_passes), TEST(a_wrong_password_is_denied),
      TEST(channel_binding_to_the_same_certificate_passes),
      TEST(channel_binding_to_another_certificate_is_refused),
      TEST(a_client_that_believes_there_is_no_binding_is_believed_only_without_tls),
      TEST(a_client_over_tls_may_do_without_binding),
      TEST(the_repeated_binding_flag_must_be_the_first_one),
      TEST(any_user_name_and_extensions_are_taken), TEST(mechanisms_depend_on_tls),
      TEST(malformed_first_messages_are_refused),
      TEST(malformed_first_messages_with_binding_are_refused),
      TEST(an_initial_response_must_fit_its_length),
      LOOP(every_prefix_of_the_first_message_is_refused, 0, 12),
      LOOP(every_prefix_of_the_final_message_is_refused, 0,
           (int)(sizeof FINAL_UNSIGNED ",p=" PROOF) - 1),
      TEST(malformed_final_messages_are_refused), TEST(messages_are_bounded_and_hold_no_nul),
      TEST(an_exchange_begins_once_and_in_order), TEST(salts_and_nonces_are_fresh),
      TEST(md5_is_checked_as_postgres_does), LOOP(libpq_logs_in_with_the_right_password_only, 0, 4))
