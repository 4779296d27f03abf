/* URL parsing: what parses is well-formed, shows no secret and parses again. */
#include "common/url.h"

#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void check_url(const struct url *url)
{
    assert(url->host[0] != '\0' && url->port != 0);
    assert(url->path[0] == '/');
    assert(strlen(url->path) == 1 || url->path[strlen(url->path) - 1] != '/');
    for (const char *c = url->path; *c != '\0'; c++)
        assert(*c > ' ' && *c <= '~'); /* it goes into a request line */
}

static void check_display(const struct url *url)
{
    char *shown = url_display(url);
    struct url again;

    assert(url_parse(shown, &again, NULL) == STATUS_OK);
    assert(strcmp(again.host, url->host) == 0 && strcmp(again.path, url->path) == 0);
    assert(again.port == url->port && again.secure == url->secure);
    assert(again.user == NULL);
    url_clear(&again);
    free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_copy_chars((const char *)data, size);
    struct url url;
    struct error error;
    char *host;
    uint16_t port;

    if (url_parse(text, &url, &error) == STATUS_OK) {
        check_url(&url);
        check_display(&url);
        url_clear(&url);
    }
    if (url_split_host_port(text, &host, &port, &error) == STATUS_OK) {
        assert(host[0] != '\0' && port != 0);
        free(host);
    }
    free(url_redact(text));
    free(text);
    return 0;
}
