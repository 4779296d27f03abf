/* Service URLs, HOST:PORT pairs, and connection strings made fit for logs. */
#include "common/url.h"

#include "common/memory.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SQLSTATE "22023" /* invalid_parameter_value */
#define HOST_MAX 253     /* RFC 1035 section 2.3.4 */

static const struct scheme {
    const char *name;
    bool secure;
    uint16_t port;
} schemes[] = {
    {"http", false, 80},
    {"https", true, 443},
    {"ws", false, 80},
    {"wss", true, 443},
};

static enum status refuse(struct error *error, const char *text, const char *reason)
{
    char *shown = url_redact(text);

    error_set(error, STATUS_INVALID, SQLSTATE, "\"%s\" %s", shown, reason);
    free(shown);
    return STATUS_INVALID;
}

static void free_secret_string(char *string)
{
    mem_free_secret(string, string == NULL ? 0 : strlen(string));
}

void url_clear(struct url *url)
{
    free(url->user);
    free_secret_string(url->password);
    free(url->host);
    free(url->path);
    *url = (struct url){0};
}

static size_t find_any(struct bytes view, const char *set)
{
    size_t at = 0;

    while (at < view.len && (view.data[at] == '\0' || strchr(set, view.data[at]) == NULL))
        at++;
    return at;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *url_percent_decode(struct bytes in)
{
    char *out = mem_new(in.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.data[i];
        if (c == '%') {
            int high = i + 2 < in.len ? hex_digit(in.data[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.data[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : (uint8_t)(high * 16 + low);
            i += 2;
        }
        if (c == 0) {
            mem_free_secret(out, in.len + 1);
            return NULL;
        }
        out[len++] = (char)c;
    }
    return out;
}

/* Space, control characters and non-ASCII would end up in a request line: all refused. */
static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static const char *parse_user(struct bytes info, struct url *url)
{
    size_t colon = find_any(info, ":");

    url->user = url_percent_decode(bytes_first(info, colon));
    if (colon < info.len)
        url->password = url_percent_decode(bytes_skip(info, colon + 1));
    if (url->user == NULL || (colon < info.len && url->password == NULL))
        return "has a malformed %-escape in its user or password";
    return NULL;
}

static char *lower_copy(struct bytes view)
{
    char *copy = mem_copy_chars((const char *)view.data, view.len);

    for (char *c = copy; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    return copy;
}

static const char *check_name(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";

    if (*host == '\0')
        return "names no host";
    if (strlen(host) > HOST_MAX)
        return "has a host name that is too long";
    if (host[strspn(host, allowed)] != '\0')
        return "has a host name with a character that is not allowed";
    return NULL;
}

static const char *check_ipv6(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET6, host, &address) == 1 ? NULL : "has a malformed IPv6 address";
}

static const char *parse_port(struct bytes digits, uint16_t *port)
{
    unsigned long value = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return "has a port that is not a number";
        value = value * 10 + (unsigned long)(digits.data[i] - '0');
        if (value > UINT16_MAX)
            return "has a port above 65535";
    }
    if (value == 0)
        return "has the port 0";
    *port = (uint16_t)value;
    return NULL;
}

/* "host", "host:port", "[v6]", "[v6]:port"; `*port` stays as it is when none is given. */
static const char *parse_host_port(struct bytes text, char **host, uint16_t *port)
{
    bool bracket = text.len > 0 && text.data[0] == '[';
    size_t end = find_any(text, bracket ? "]" : ":");
    const char *fault;

    if (bracket && end == text.len)
        return "has no closing bracket after its IPv6 address";
    *host = lower_copy(bracket ? bytes_skip(bytes_first(text, end), 1) : bytes_first(text, end));
    fault = bracket ? check_ipv6(*host) : check_name(*host);
    if (fault != NULL)
        return fault;

    struct bytes rest = bytes_skip(text, bracket ? end + 1 : end);
    if (rest.len == 0)
        return NULL;
    if (rest.data[0] != ':')
        return "has something other than a port after its IPv6 address";
    rest = bytes_skip(rest, 1);
    if (find_any(rest, ":") < rest.len)
        return "has more than one colon; an IPv6 address stands in brackets: [::1]:5133";
    /* RFC 3986 section 3.2.3: an empty port means the default. */
    return rest.len == 0 ? NULL : parse_port(rest, port);
}

static const char *parse_authority(struct bytes authority, struct url *url)
{
    size_t at = authority.len;

    while (at > 0 && authority.data[at - 1] != '@')
        at--;
    if (at > 0) {
        const char *fault = parse_user(bytes_first(authority, at - 1), url);
        if (fault != NULL)
            return fault;
    }
    return parse_host_port(bytes_skip(authority, at), &url->host, &url->port);
}

static char *copy_path(struct bytes path)
{
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    return path.len == 0 ? mem_copy_string("/") : mem_copy_chars((const char *)path.data, path.len);
}

static const struct scheme *find_scheme(struct bytes name)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (name.len == strlen(schemes[i].name) &&
            strncasecmp((const char *)name.data, schemes[i].name, name.len) == 0)
            return &schemes[i];
    return NULL;
}

static const char *parse(const char *text, struct url *url)
{
    const char *separator = strstr(text, "://");
    const struct scheme *scheme = &schemes[0];

    if (separator != NULL) {
        scheme = find_scheme(bytes_of(text, (size_t)(separator - text)));
        text = separator + 3;
    }
    if (scheme == NULL)
        return "does not begin with http://, https://, ws:// or wss://";
    if (!is_printable(text))
        return "holds a space or a character that must be percent-encoded";
    url->secure = scheme->secure;
    url->port = scheme->port;

    struct bytes rest = bytes_of_string(text);
    struct bytes authority = bytes_first(rest, find_any(rest, "/?#"));
    struct bytes path = bytes_skip(rest, authority.len);
    if (find_any(path, "?#") < path.len)
        return "has a query or fragment, which a service URL cannot have";
    url->path = copy_path(path);
    return parse_authority(authority, url);
}

enum status url_parse(const char *text, struct url *url, struct error *error)
{
    *url = (struct url){0};
    const char *fault = parse(text, url);

    if (fault == NULL)
        return STATUS_OK;
    url_clear(url);
    return refuse(error, text, fault);
}

char *url_display(const struct url *url)
{
    bool bracket = strchr(url->host, ':') != NULL;
    bool standard = url->port == (url->secure ? 443 : 80);
    char *port = standard ? mem_copy_string("") : mem_format(":%u", url->port);
    char *text =
        mem_format("%s://%s%s%s%s%s", url->secure ? "https" : "http", bracket ? "[" : "", url->host,
                   bracket ? "]" : "", port, strcmp(url->path, "/") == 0 ? "" : url->path);

    free(port);
    return text;
}

enum status url_split_host_port(const char *text, char **host, uint16_t *port, struct error *error)
{
    *host = NULL;
    *port = 0;
    const char *fault = parse_host_port(bytes_of_string(text), host, port);

    if (fault == NULL && *port == 0)
        fault = "has no port";
    if (fault == NULL)
        return STATUS_OK;
    free(*host);
    *host = NULL;
    return refuse(error, text, fault);
}

static bool is_secret_key(struct bytes key)
{
    /* libpq decodes the keys of a URI too, so an escaped one might be any. */
    return find_any(key, "%") < key.len || bytes_find_ignoring_case(key, "password") < key.len;
}

static void put(FILE *out, const char *text, size_t len)
{
    fwrite(text, 1, len, out);
}

/* "?key=value&key=value" */
static void redact_query(FILE *out, const char *query)
{
    while (*query != '\0') {
        size_t len = 1 + strcspn(query + 1, "&");
        size_t key = strcspn(query, "=");
        if (key < len && is_secret_key(bytes_of(query, key))) {
            put(out, query, key + 1);
            fputs("***", out);
        } else {
            put(out, query, len);
        }
        query += len;
    }
}

/* scheme://user:SECRET@host/db?password=SECRET */
static void redact_uri(FILE *out, const char *text)
{
    const char *scheme = strstr(text, "://");
    const char *info = scheme == NULL ? text : scheme + 3;
    /* The last @, not the first: one that should have been escaped belongs to the password, and
     * hiding a piece of the host is better than showing a piece of that. */
    const char *at = strrchr(info, '@');
    const char *colon = at == NULL ? NULL : memchr(info, ':', (size_t)(at - info));

    if (colon != NULL) {
        put(out, text, (size_t)(colon + 1 - text));
        fputs("***", out);
        text = at;
    }
    size_t len = strcspn(text, "?");
    put(out, text, len);
    redact_query(out, text + len);
}

/* Length of a value in a keyword string: 'quoted \' text' or up to white space. */
static size_t keyword_value_len(const char *value)
{
    bool quoted = *value == '\'';
    size_t len = quoted ? 1 : 0;

    while (value[len] != '\0') {
        if (value[len] == '\\' && value[len + 1] != '\0')
            len++;
        else if (quoted ? value[len] == '\'' : strchr(" \t\n\r\f\v", value[len]) != NULL)
            break;
        len++;
    }
    return len + (quoted && value[len] == '\'' ? 1 : 0);
}

/* host=db password='SECRET' dbname=app */
static void redact_keywords(FILE *out, const char *text)
{
    while (*text != '\0') {
        size_t key = strcspn(text, "=");
        size_t value = key + (text[key] == '=');
        value += strspn(text + value, " \t\n\r\f\v");
        size_t len = keyword_value_len(text + value);
        bool secret = is_secret_key(bytes_of(text, key));
        put(out, text, secret ? value : value + len);
        if (secret)
            fputs("***", out);
        text += value + len;
    }
}

static bool begins_with_keyword(const char *text)
{
    text += strspn(text, " \t\n\r\f\v");
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    text += word;
    text += strspn(text, " \t\n\r\f\v");
    return word > 0 && *text == '=';
}

char *url_redact(const char *text)
{
    char *redacted = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&redacted, &size);

    if (out == NULL)
        return mem_copy_string("***");
    if (begins_with_keyword(text))
        redact_keywords(out, text);
    else
        redact_uri(out, text);
    if (fclose(out) != 0) {
        free(redacted);
        return mem_copy_string("***");
    }
    return redacted;
}
