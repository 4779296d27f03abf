/* The client's TLS context: trust, session cache, explanations of failures. */
#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "client/transport.h"
#include "common/memory.h"

/* A TLS 1.3 server sends a ticket or two a connection, each good for one (RFC 8446 appendix C.4).
 */
#define SESSIONS_KEPT 8
/* Several records a system call; the buffer is released whenever it is empty. */
#define READ_BUFFER (64u * 1024u)

struct tls {
    SSL_CTX *context;
    SSL_SESSION *sessions[SESSIONS_KEPT];
    size_t session_count;
    bool trusts_system; /* the system's authorities are loaded */
};

/* OpenSSL's own text for the newest error, such as "no such file or directory". */
static const char *library_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    return reason == NULL ? "not a PEM file" : reason;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (tls->session_count == SESSIONS_KEPT) {
        SSL_SESSION_free(tls->sessions[0]);
        memmove(tls->sessions, tls->sessions + 1, (SESSIONS_KEPT - 1) * sizeof tls->sessions[0]);
        tls->session_count--;
    }
    tls->sessions[tls->session_count++] = session;
    return 1; /* the reference is ours now */
}

static SSL_SESSION *take_session(struct tls *tls, const char *host)
{
    while (tls->session_count > 0) {
        SSL_SESSION *session = tls->sessions[tls->session_count - 1];
        const char *name = SSL_SESSION_get0_hostname(session);

        /* Addresses have no server name; they are kept apart by the verification that follows. */
        if (name != NULL && strcasecmp(name, host) != 0)
            return NULL;
        /* A session of TLS 1.2 serves many connections, and a server need not renew it. */
        if (SSL_SESSION_is_resumable(session) &&
            SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION &&
            SSL_SESSION_up_ref(session) == 1)
            return session;
        tls->session_count--;
        if (SSL_SESSION_is_resumable(session))
            return session;
        SSL_SESSION_free(session);
    }
    return NULL;
}

/* OpenSSL keeps no certificate of a handshake that failed; the explanation needs it. */
static void free_rejected(void *parent, void *certificate, CRYPTO_EX_DATA *data, int index,
                          long number, void *pointer)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)pointer;
    X509_free(certificate);
}

static int rejected_index(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_rejected);
    return index;
}

static int on_verify(int accepted, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);

    if (!accepted && certificate != NULL && SSL_get_ex_data(ssl, rejected_index()) == NULL &&
        X509_up_ref(certificate) == 1)
        SSL_set_ex_data(ssl, rejected_index(), certificate);
    return accepted;
}

static SSL_CTX *context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    static const unsigned char alpn[] = "\x08http/1.1";

    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* A WebSocket says itself when it ends, so a missing close_notify means nothing more. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn - 1);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    return context;
}

static bool trust_file(SSL_CTX *context, const char *ca_file, struct error *error)
{
    if (ca_file == NULL || SSL_CTX_load_verify_file(context, ca_file) == 1)
        return true;
    error_set(error, STATUS_USAGE, "22023", "cannot use the authorities in \"%s\": %s", ca_file,
              library_reason());
    return false;
}

bool tls_trust(SSL_CTX *context, const char *ca_file, struct error *error)
{
    SSL_CTX_set_default_verify_paths(context);
    return trust_file(context, ca_file, error);
}

/* The system's authorities are a hundred and more, which takes longer than all else at start. So
 * they are loaded when somebody connects. */
static void trust_system(struct tls *tls)
{
    if (tls->trusts_system)
        return;
    tls->trusts_system = true;
    SSL_CTX_set_default_verify_paths(tls->context);
    ERR_clear_error(); /* a missing default directory is none of ours */
}

static bool use_certificate(SSL_CTX *context, const char *certificate, const char *key,
                            struct error *error)
{
    bool encrypted = false;
    bool used;

    if (certificate == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        error_set(error, STATUS_USAGE, "22023", "cannot use the certificate \"%s\": %s",
                  certificate, library_reason());
        return false;
    }
    if (key == NULL)
        key = certificate;
    SSL_CTX_set_default_passwd_cb_userdata(context, &encrypted);
    used = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (encrypted) {
        error_set(
            error, STATUS_USAGE, "22023",
            "the private key \"%s\" is encrypted, and nobody can be asked for its passphrase; "
            "give it decrypted, in a file that only you may read (openssl pkey)",
            key);
        return false;
    }
    if (!used) {
        error_set(error, STATUS_USAGE, "22023", "cannot use the private key \"%s\": %s", key,
                  library_reason());
        return false;
    }
    return true;
}

/* Without it OpenSSL would ask on the terminal, and block. Notes that it would have. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    if (data != NULL)
        *(bool *)data = true;
    return -1;
}

struct tls *tls_new(const char *ca_file, const char *certificate, const char *key,
                    struct error *error)
{
    struct tls *tls = mem_new(sizeof *tls);

    ERR_clear_error();
    tls->context = context_new();
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    if (trust_file(tls->context, ca_file, error) &&
        use_certificate(tls->context, certificate, key, error))
        return tls;
    tls_free(tls);
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    for (size_t i = 0; i < tls->session_count; i++)
        SSL_SESSION_free(tls->sessions[i]);
    SSL_CTX_free(tls->context);
    free(tls);
}

static bool is_address(const char *host)
{
    unsigned char address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

SSL *tls_connection(struct tls *tls, const char *host)
{
    SSL *ssl;
    SSL_SESSION *session = take_session(tls, host);

    trust_system(tls);
    ssl = SSL_new(tls->context);

    if (is_address(host)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        SSL_set1_host(ssl, host);
        SSL_set_tlsext_host_name(ssl, host);
    }
    if (session != NULL) {
        SSL_set_session(ssl, session);
        SSL_SESSION_free(session);
    }
    return ssl;
}

/* ---- explanations ------------------------------------------------------------------------------
 */

/* What the certificate is for: "a.example, *.b.example". */
static void list_names(X509 *certificate, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *text = name->d.dNSName;
        char address[INET6_ADDRSTRLEN] = "";
        int len;

        if (name->type == GEN_IPADD)
            inet_ntop(ASN1_STRING_length(text) == 4 ? AF_INET : AF_INET6,
                      ASN1_STRING_get0_data(text), address, sizeof address);
        else if (name->type != GEN_DNS)
            continue;
        len = address[0] != '\0'
                  ? snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", address)
                  : snprintf(out + used, size - used, "%s%.*s", used > 0 ? ", " : "",
                             ASN1_STRING_length(text), (const char *)ASN1_STRING_get0_data(text));
        if (len < 0 || (size_t)len >= size - used)
            break;
        used += (size_t)len;
    }
    GENERAL_NAMES_free(names);
}

static void print_date(const ASN1_TIME *time, char *out, size_t size)
{
    struct tm date;

    if (ASN1_TIME_to_tm(time, &date) == 1)
        snprintf(out, size, "%04d-%02d-%02d", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday);
    else
        snprintf(out, size, "an unknown date");
}

/* The issuer's organisation, else its common name, else all of it. */
static void print_issuer(X509 *certificate, char *out, size_t size)
{
    X509_NAME *issuer = X509_get_issuer_name(certificate);

    if (X509_NAME_get_text_by_NID(issuer, NID_organizationName, out, (int)size) <= 0 &&
        X509_NAME_get_text_by_NID(issuer, NID_commonName, out, (int)size) <= 0)
        X509_NAME_oneline(issuer, out, (int)size);
}

void tls_describe(SSL *ssl, char *out, size_t size)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    char issuer[120];
    char date[40];

    snprintf(out, size, "%s", SSL_get_version(ssl));
    if (certificate == NULL)
        return;
    print_issuer(certificate, issuer, sizeof issuer);
    print_date(X509_get0_notAfter(certificate), date, sizeof date);
    snprintf(out, size, "%s; certificate from %s, valid until %s", SSL_get_version(ssl), issuer,
             date);
}

static void describe_names(X509 *certificate, const char *host, struct error *error)
{
    char names[120] = "";

    if (certificate != NULL)
        list_names(certificate, names, sizeof names);
    error_set(error, STATUS_INVALID, "08001", "the certificate of \"%s\" is not for that name%s%s",
              host, names[0] != '\0' ? ", but for " : "", names);
    error_hint(
        error,
        "Use a name the certificate is for, or check that nothing intercepts the connection.");
}

static void describe_dates(X509 *certificate, long result, const char *host, struct error *error)
{
    bool expired = result == X509_V_ERR_CERT_HAS_EXPIRED;
    char date[40] = "an unknown date";

    if (certificate != NULL)
        print_date(expired ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate),
                   date, sizeof date);
    error_set(error, STATUS_INVALID, "08001", "the certificate of \"%s\" %s %s", host,
              expired ? "has expired on" : "is valid only from", date);
    error_hint(error, expired ? "The service must renew it; if it has, check this machine's clock."
                              : "Check this machine's clock.");
}

static void describe_issuer(X509 *certificate, const char *host, struct error *error)
{
    char issuer[120] = "unknown";

    if (certificate != NULL)
        X509_NAME_oneline(X509_get_issuer_name(certificate), issuer, sizeof issuer);
    error_set(error, STATUS_INVALID, "08001",
              "the certificate of \"%s\" is from an authority that is not trusted here: %s", host,
              issuer);
    error_hint(error, "If that is your company's or a test authority, name its certificate with "
                      "--cacert or SSL_CERT_FILE.");
}

static void describe_certificate(SSL *ssl, long result, const char *host, struct error *error)
{
    X509 *certificate = SSL_get_ex_data(ssl, rejected_index());

    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        describe_names(certificate, host, error);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        describe_dates(certificate, result, host, error);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        describe_issuer(certificate, host, error);
        break;
    default:
        error_set(error, STATUS_INVALID, "08001",
                  "the certificate of \"%s\" cannot be verified: %s", host,
                  X509_verify_cert_error_string(result));
    }
}

static void describe_library_error(const char *host, struct error *error)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *text = ERR_reason_error_string(code);

    error_set(error, STATUS_UNAVAILABLE, "08001", "TLS with \"%s\" failed: %s", host,
              text == NULL ? "unknown error" : text);
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
        error_hint(
            error,
            "That port does not speak TLS; is the service's URL http:// instead of https://?");
    else if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
             reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
             reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
        error_hint(error,
                   "The service may ask for a client certificate; give it with --cert and --key.");
}

void tls_describe_failure(SSL *ssl, int reason, int error_number, const char *host,
                          struct error *error)
{
    long result = SSL_get_verify_result(ssl);

    if (result != X509_V_OK)
        describe_certificate(ssl, result, host, error);
    else if (reason == SSL_ERROR_SSL)
        describe_library_error(host, error);
    else
        error_set(error, STATUS_UNAVAILABLE, "08001", "TLS with \"%s\" failed: %s", host,
                  error_number != 0 ? transport_reason(error_number)
                                    : "the peer closed the connection");
}
