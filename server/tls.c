/* TLS of our own ports: contexts, ALPN, client certificates, channel binding. */
#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

struct tls {
    enum tls_use use;
    struct tls_files files;
    SSL_CTX *context;
};

/* ALPN's wire form: each name behind its length. */
static const unsigned char http_protocol_names[] = "\x08http/1.1";
static const unsigned char postgres_protocol_names[] = "\x0apostgresql";
static const unsigned char session_context[] = "electric-proxy";
/* Stands as application data in connections that must agree on a protocol. */
static char must_agree;

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *offered, unsigned offered_len, void *names)
{
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, names, 1 + *(const unsigned char *)names, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Direct negotiation without ALPN might be another protocol's client, sent here by an attacker. */
static int on_hello(SSL *ssl, int *alert, void *unused)
{
    const unsigned char *extension;
    size_t len;

    (void)unused;
    if (SSL_get_app_data(ssl) != &must_agree ||
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &extension, &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

/* A wrong certificate is refused in words, by whoever needs a right one. */
static int on_verified(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

/* An encrypted key: there is nobody to ask. */
static int on_passphrase(char *out, int size, int writing, void *unused)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)unused;
    return 0;
}

static enum status unusable(struct error *error, const char *what, const char *path)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    /* Behind "no such file" stands what OpenSSL wanted it for. */
    for (unsigned long earlier; (earlier = ERR_get_error()) != 0;)
        if (ERR_SYSTEM_ERROR(earlier))
            reason = strerror(ERR_GET_REASON(earlier));
    return error_set(error, STATUS_USAGE, "22023", "cannot use the %s \"%s\": %s", what, path,
                     reason != NULL ? reason : "malformed");
}

static enum status load_own(SSL_CTX *context, const struct tls_files *files, struct error *error)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
        return unusable(error, "certificate", files->certificate);
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return unusable(error, "key", files->key);
    return STATUS_OK;
}

static enum status load_client_ca(SSL_CTX *context, const char *path, struct error *error)
{
    STACK_OF(X509_NAME) * names;

    ERR_clear_error();
    names = SSL_load_client_CA_file(path);
    if (names == NULL || SSL_CTX_load_verify_file(context, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return unusable(error, "client CA", path);
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verified);
    return STATUS_OK;
}

static void configure(SSL_CTX *context, enum tls_use use)
{
    const unsigned char *names = use == TLS_HTTP ? http_protocol_names : postgres_protocol_names;

    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle connection keeps no record buffers. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(context, on_passphrase);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, (void *)(uintptr_t)names);
    SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
    /* Resumption by tickets only; Postgres clients never ask for it. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context) - 1);
    (void)SSL_CTX_set_num_tickets(context, use == TLS_HTTP ? 1 : 0);
    if (use == TLS_POSTGRES)
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
}

static SSL_CTX *load(enum tls_use use, const struct tls_files *files, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL) {
        (void)error_set(error, STATUS_SYSTEM, "53200", "OpenSSL has no memory");
        return NULL;
    }
    configure(context, use);
    if (load_own(context, files, error) == STATUS_OK &&
        (files->client_ca == NULL || load_client_ca(context, files->client_ca, error) == STATUS_OK))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

struct tls *tls_new(enum tls_use use, const struct tls_files *files, struct error *error)
{
    SSL_CTX *context = load(use, files, error);
    struct tls *tls;

    if (context == NULL)
        return NULL;
    tls = mem_new(sizeof(*tls));
    *tls = (struct tls){.use = use, .files = *files, .context = context};
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

enum status tls_reload(struct tls *tls, struct error *error)
{
    SSL_CTX *context = load(tls->use, &tls->files, error);

    if (context == NULL)
        return STATUS_USAGE;
    SSL_CTX_free(tls->context); /* connections hold on to theirs */
    tls->context = context;
    return STATUS_OK;
}

SSL *tls_accept(const struct tls *tls, int fd, bool direct)
{
    SSL *ssl = SSL_new(tls->context);

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    if (direct)
        SSL_set_app_data(ssl, &must_agree);
    SSL_set_accept_state(ssl);
    return ssl;
}

size_t tls_binding(const SSL *ssl, uint8_t out[TLS_BINDING_MAX])
{
    const X509 *certificate = SSL_get_certificate(ssl);
    const EVP_MD *digest;
    int hash = NID_undef;
    unsigned len = 0;

    if (certificate == NULL ||
        X509_get_signature_info((X509 *)(uintptr_t)certificate, &hash, NULL, NULL, NULL) != 1)
        return 0;
    /* The weak ones are replaced. */
    if (hash == NID_md5 || hash == NID_sha1)
        hash = NID_sha256;
    digest = EVP_get_digestbynid(hash);
    if (digest == NULL || EVP_MD_get_size(digest) > TLS_BINDING_MAX ||
        X509_digest(certificate, digest, out, &len) != 1)
        return 0;
    return len;
}

enum tls_client tls_client(const SSL *ssl, const char **reason)
{
    long result = SSL_get_verify_result(ssl);

    *reason = NULL;
    if (SSL_get0_peer_certificate(ssl) == NULL)
        return TLS_CLIENT_NONE;
    if (result == X509_V_OK)
        return TLS_CLIENT_RIGHT;
    *reason = X509_verify_cert_error_string(result);
    return TLS_CLIENT_WRONG;
}

void tls_client_identity(const SSL *ssl, uint8_t out[TLS_IDENTITY_SIZE])
{
    const X509 *certificate = ssl != NULL ? SSL_get0_peer_certificate(ssl) : NULL;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    const X509_NAME *name;
    const unsigned char *bytes = NULL;
    size_t len = 0;
    int at;

    memset(out, 0, TLS_IDENTITY_SIZE);
    if (certificate == NULL || digest == NULL) {
        EVP_MD_CTX_free(digest);
        return;
    }
    name = X509_get_subject_name(certificate);
    (void)EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    if (X509_NAME_get0_der((X509_NAME *)(uintptr_t)name, &bytes, &len) == 1)
        (void)EVP_DigestUpdate(digest, bytes, len);
    at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    if (at >= 0) {
        const ASN1_OCTET_STRING *names = X509_EXTENSION_get_data(X509_get_ext(certificate, at));

        (void)EVP_DigestUpdate(digest, ASN1_STRING_get0_data(names),
                               (size_t)ASN1_STRING_length(names));
    }
    (void)EVP_DigestFinal_ex(digest, out, NULL);
    EVP_MD_CTX_free(digest);
}
