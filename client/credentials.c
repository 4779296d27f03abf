/* Choosing credentials, and making headers of them. */
#include "client/credentials.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "client/header_lines.h"
#include "client/netrc.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* ---- the Authorization header ------------------------------------------------------------------
 */

static char *base64(const char *text)
{
    size_t len = strlen(text);
    char *out = mem_new(len * 4 / 3 + 5);

    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
    return out;
}

static char *basic_authorization(const char *user, const char *password)
{
    char *pair = mem_format("%s:%s", user == NULL ? "" : user, password == NULL ? "" : password);
    char *encoded = base64(pair);
    char *line = mem_format("Authorization: Basic %s\r\n", encoded);

    mem_free_secret(encoded, strlen(encoded));
    mem_free_secret(pair, strlen(pair));
    return line;
}

/* The default entry is for whoever asks, so it is not sent in clear. */
static char *authorization_of_netrc(const struct url *service, char **origin)
{
    char *path = netrc_path();
    struct netrc_login login = {0};
    struct error error;
    bool exposed = false;
    char *line = NULL;

    if (path != NULL &&
        netrc_load(path, service->host, service->secure, &login, &exposed, &error) != STATUS_OK)
        log_warn(NULL, "no credentials are taken from %s: %s", path, error.message);
    if (login.user != NULL || login.password != NULL) {
        if (exposed)
            log_warn(NULL, "others may read the passwords in %s; chmod 600 keeps them off", path);
        line = basic_authorization(login.user, login.password);
        *origin = mem_format("user \"%s\" of %s", login.user == NULL ? "" : login.user, path);
    }
    netrc_login_clear(&login);
    free(path);
    return line;
}

/* NULL: there is none. */
static char *make_authorization(const struct client_settings *settings, char **origin)
{
    const struct url *service = &settings->service;

    if (is_given(settings->token)) {
        *origin = mem_format("a token of %zu characters (%s)", strlen(settings->token),
                             options_source(settings->table, "token-file"));
        return mem_format("Authorization: Bearer %s\r\n", settings->token);
    }
    if (service->user != NULL) {
        *origin = mem_format("user \"%s\" of the service's URL", service->user);
        return basic_authorization(service->user, service->password);
    }
    if (is_given(settings->headers) && header_lines_has(settings->headers, "Authorization")) {
        *origin = mem_format("Authorization among the headers (%s)",
                             options_source(settings->table, "header-file"));
        return NULL;
    }
    return authorization_of_netrc(service, origin);
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static char *text_of(const struct buffer *buffer)
{
    struct bytes text = buffer_peek(buffer);

    return mem_copy_chars((const char *)text.data, text.len);
}

/* "Name, Name". */
static char *names_of(const char *headers)
{
    struct buffer out;
    char *names;

    buffer_init(&out, strlen(headers) * 2 + 1);
    header_lines_name(headers, &out);
    names = buffer_len(&out) == 0 ? NULL : text_of(&out);
    buffer_clear(&out);
    return names;
}

/* `authorization` and the headers, as one text. */
static char *join(const char *authorization, const char *headers)
{
    /* A line grows by two characters of its end and the blank behind the colon. */
    size_t size = strlen(authorization) + 4 * strlen(headers) + 4;
    struct buffer out;
    size_t room;
    char *fields;

    buffer_init(&out, size);
    buffer_reserve(&out, size, &room); /* once, so that no copy is left behind */
    buffer_append(&out, bytes_of_string(authorization));
    header_lines_write(headers, &out);
    fields = text_of(&out);
    OPENSSL_cleanse(out.data, out.allocated);
    buffer_clear(&out);
    return fields;
}

void credentials_find(struct credentials *credentials, const struct client_settings *settings)
{
    const char *headers = is_given(settings->headers) ? settings->headers : "";
    char *authorization = make_authorization(settings, &credentials->origin);

    credentials->fields = join(authorization == NULL ? "" : authorization, headers);
    credentials->names = names_of(headers);
    mem_free_secret(authorization, authorization == NULL ? 0 : strlen(authorization));
}

void credentials_clear(struct credentials *credentials)
{
    mem_free_secret(credentials->fields,
                    credentials->fields == NULL ? 0 : strlen(credentials->fields));
    free(credentials->origin);
    free(credentials->names);
    *credentials = (struct credentials){0};
}

bool credentials_given(const struct credentials *credentials)
{
    return is_given(credentials->fields);
}
