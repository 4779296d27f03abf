/* Rewriting connection strings piece by piece, so that what is not meant stays byte for byte. */
#include "client/database_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "common/url.h"

#define WHITE " \t\n\r\f\v"

/* A piece of the text. */
static struct bytes piece(const char *begin, const char *end)
{
    return bytes_of(begin, (size_t)(end - begin));
}

static void put(FILE *out, struct bytes text)
{
    fwrite(text.data, 1, text.len, out);
}

/* Parameters that say where to connect, or that insist on encryption, of which there is none on the
 * way to us; a verified certificate or a channel binding cannot be had without. Names that begin
 * with "ssl" are treated likewise: libpq has a dozen of them, and drivers have more. */
static bool is_replaced(struct bytes name)
{
    static const char *const names[] = {
        "host",        "hostaddr",        "port",           "unix_sock",  "requiressl",
        "requirepeer", "channel_binding", "channelBinding", "gssencmode", "gssEncMode"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bytes_equal_string(name, names[i]))
            return true;
    return bytes_starts_with(name, "ssl");
}

/* ---- URIs --------------------------------------------------------------------------------------
 */

struct uri {
    struct bytes scheme;
    struct bytes userinfo; /* data NULL: none */
    struct bytes path;     /* with its slash */
    struct bytes query;    /* without its question mark */
    struct bytes fragment; /* with its # */
};

/* "postgresql" of "postgresql+psycopg2", and of "jdbc:postgresql". */
static struct bytes scheme_family(struct bytes scheme)
{
    const uint8_t *plus = scheme.len == 0 ? NULL : memchr(scheme.data, '+', scheme.len);
    struct bytes family = plus == NULL ? scheme : bytes_first(scheme, (size_t)(plus - scheme.data));
    size_t begin = family.len;

    while (begin > 0 && family.data[begin - 1] != ':')
        begin--;
    return bytes_skip(family, begin);
}

static bool is_postgres(struct bytes scheme)
{
    static const char *const families[] = {
        "postgres",  "postgresql",  "postgis", "psql", "pgsql", "pg",   "cockroachdb",
        "timescale", "timescaledb", "ecto",    "pgx",  "pgx4",  "pgx5", "asyncpg"};
    struct bytes family = scheme_family(scheme);

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (family.len == strlen(families[i]) &&
            strncasecmp((const char *)family.data, families[i], family.len) == 0)
            return true;
    return false;
}

static bool ends_with(struct bytes text, const char *end)
{
    size_t len = strlen(end);

    return text.len >= len && bytes_equal_string(bytes_skip(text, text.len - len), end);
}

/* Drivers of Python that have no parameter of this name, and fail over it. */
static bool knows_sslmode(struct bytes scheme)
{
    return !ends_with(scheme, "asyncpg") && !ends_with(scheme, "+pg8000");
}

/* The last one among the first `len` characters, or NULL. */
static const char *last_at(const char *text, size_t len)
{
    while (len > 0 && text[len - 1] != '@')
        len--;
    return len > 0 ? text + len - 1 : NULL;
}

/* Where user and password end, NULL when there are none. A password may hold what should have been
 * escaped; libpq looks for the @ as far as the path. */
static const char *find_at(const char *authority)
{
    const char *at = last_at(authority, strcspn(authority, "/?#"));

    return at != NULL ? at : last_at(authority, strcspn(authority, "/"));
}

static bool parse_uri(const char *text, struct uri *uri)
{
    const char *separator = strstr(text, "://");
    const char *at;
    const char *end;

    *uri = (struct uri){.scheme = {0}};
    if (separator == NULL || !is_postgres(piece(text, separator)))
        return false;
    uri->scheme = piece(text, separator);
    text = separator + 3;
    at = find_at(text);
    if (at != NULL) {
        uri->userinfo = piece(text, at);
        text = at + 1;
    }
    text += strcspn(text, "/?#"); /* the hosts */
    end = text + strcspn(text, "?#");
    uri->path = piece(text, end);
    if (*end == '?') {
        text = end + 1;
        end = text + strcspn(text, "#");
        uri->query = piece(text, end);
    }
    uri->fragment = bytes_of_string(end);
    return true;
}

/* Takes "name=value" from the front of a query. */
static bool take_parameter(struct bytes *query, struct bytes *whole, struct bytes *name,
                           struct bytes *value)
{
    const uint8_t *end;
    const uint8_t *equals;

    if (query->len == 0)
        return false;
    end = memchr(query->data, '&', query->len);
    *whole = bytes_first(*query, end == NULL ? query->len : (size_t)(end - query->data));
    *query = bytes_skip(*query, whole->len + 1);
    equals = memchr(whole->data, '=', whole->len);
    *name = bytes_first(*whole, equals == NULL ? whole->len : (size_t)(equals - whole->data));
    *value = bytes_skip(*whole, name->len + 1);
    return true;
}

static void write_query(FILE *out, const struct uri *uri)
{
    struct bytes query = uri->query;
    struct bytes whole;
    struct bytes name;
    struct bytes value;
    char separator = '?';

    if (knows_sslmode(uri->scheme)) {
        fprintf(out, "?sslmode=disable");
        separator = '&';
    }
    while (take_parameter(&query, &whole, &name, &value)) {
        if (whole.len == 0 || is_replaced(name))
            continue;
        fputc(separator, out);
        put(out, whole);
        separator = '&';
    }
}

static void write_uri(FILE *out, const struct uri *uri, const char *host, unsigned port)
{
    put(out, uri->scheme);
    fputs("://", out);
    if (uri->userinfo.data != NULL) {
        put(out, uri->userinfo);
        fputc('@', out);
    }
    fprintf(out, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    put(out, uri->path);
    write_query(out, uri);
    put(out, uri->fragment);
}

/* ---- keywords ----------------------------------------------------------------------------------
 */

/* Length of a value: 'quoted \' text', or up to white space. */
static size_t value_len(const char *value)
{
    bool quoted = *value == '\'';
    size_t len = quoted ? 1 : 0;

    while (value[len] != '\0') {
        if (value[len] == '\\' && value[len + 1] != '\0')
            len++;
        else if (quoted ? value[len] == '\'' : strchr(WHITE, value[len]) != NULL)
            return len + quoted;
        len++;
    }
    return len;
}

/* Takes "name = value" from the front. False: there is none, or it is malformed: then `*text` is
 * not at its end. Other systems have strings of their own with semicolons. */
static bool take_keyword(const char **text, struct bytes *whole, struct bytes *name,
                         struct bytes *value)
{
    const char *begin = *text + strspn(*text, WHITE);
    const char *at = begin + strspn(begin, "abcdefghijklmnopqrstuvwxyz_");

    *text = begin;
    *name = piece(begin, at);
    at += strspn(at, WHITE);
    if (name->len == 0 || *at != '=')
        return false;
    at++;
    at += strspn(at, WHITE);
    *value = bytes_of(at, value_len(at));
    if (*at != '\'' && value->len > 0 && memchr(at, ';', value->len) != NULL)
        return false;
    *text = at + value->len;
    *whole = piece(begin, *text);
    return true;
}

static bool write_keywords(FILE *out, const char *text, const char *host, unsigned port)
{
    struct bytes whole;
    struct bytes name;
    struct bytes value;
    bool any = false;

    fprintf(out, "host=%s port=%u sslmode=disable", host, port);
    while (take_keyword(&text, &whole, &name, &value)) {
        any = true;
        if (is_replaced(name))
            continue;
        fputc(' ', out);
        put(out, whole);
    }
    return any && *text == '\0';
}

/* Without quotes and backslashes. Owned by the caller. */
static char *unquote(struct bytes value)
{
    char *out = mem_new(value.len + 1);
    bool quoted = value.len >= 2 && value.data[0] == '\'';
    size_t end = quoted ? value.len - 1 : value.len;
    size_t len = 0;

    for (size_t i = quoted ? 1 : 0; i < end; i++) {
        if (value.data[i] == '\\' && i + 1 < end)
            i++;
        out[len++] = (char)value.data[i];
    }
    return out;
}

/* ---- both --------------------------------------------------------------------------------------
 */

char *database_url_redirect(const char *text, const char *host, unsigned port)
{
    char *redirected = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&redirected, &size);
    struct uri uri;
    bool known = true;

    if (out == NULL)
        abort();
    if (parse_uri(text, &uri))
        write_uri(out, &uri, host, port);
    else
        known = write_keywords(out, text, host, port);
    if (fclose(out) != 0)
        abort();
    if (known)
        return redirected;
    mem_free_secret(redirected, size);
    return NULL;
}

static void set_decoded(char **out, struct bytes text)
{
    if (text.len == 0)
        return;
    free(*out);
    *out = url_percent_decode(text);
}

/* Where the value of that parameter belongs; NULL: nowhere. */
static char **identity_field(struct database_identity *identity, struct bytes name)
{
    if (bytes_equal_string(name, "user"))
        return &identity->user;
    if (bytes_equal_string(name, "password"))
        return &identity->password;
    return bytes_equal_string(name, "dbname") ? &identity->database : NULL;
}

static void identify_uri(const struct uri *uri, struct database_identity *identity)
{
    struct bytes query = uri->query;
    struct bytes whole;
    struct bytes name;
    struct bytes value;

    if (uri->userinfo.data != NULL) {
        const uint8_t *colon = memchr(uri->userinfo.data, ':', uri->userinfo.len);
        size_t len = colon == NULL ? uri->userinfo.len : (size_t)(colon - uri->userinfo.data);

        set_decoded(&identity->user, bytes_first(uri->userinfo, len));
        set_decoded(&identity->password, bytes_skip(uri->userinfo, len + 1));
    }
    set_decoded(&identity->database, bytes_skip(uri->path, 1));
    while (take_parameter(&query, &whole, &name, &value)) {
        char **out = identity_field(identity, name);

        if (out != NULL)
            set_decoded(out, value);
    }
}

static void identify_keywords(const char *text, struct database_identity *identity)
{
    struct bytes whole;
    struct bytes name;
    struct bytes value;

    while (take_keyword(&text, &whole, &name, &value)) {
        char **out = identity_field(identity, name);

        if (out == NULL)
            continue;
        free(*out);
        *out = unquote(value);
    }
}

struct database_identity database_url_identity(const char *text)
{
    struct database_identity identity = {NULL, NULL, NULL};
    struct uri uri;

    if (parse_uri(text, &uri))
        identify_uri(&uri, &identity);
    else
        identify_keywords(text, &identity);
    return identity;
}

static void complete(char **field, const char *variable)
{
    const char *value = getenv(variable);

    if (*field == NULL && value != NULL && value[0] != '\0')
        *field = mem_copy_string(value);
}

struct database_identity database_identity_known(const char *text)
{
    struct database_identity identity = {NULL, NULL, NULL};

    if (text != NULL)
        identity = database_url_identity(text);
    complete(&identity.user, "PGUSER");
    complete(&identity.password, "PGPASSWORD");
    complete(&identity.database, "PGDATABASE");
    return identity;
}

void database_identity_clear(struct database_identity *identity)
{
    free(identity->user);
    if (identity->password != NULL)
        mem_free_secret(identity->password, strlen(identity->password));
    free(identity->database);
    *identity = (struct database_identity){NULL, NULL, NULL};
}
