/* Files of people's own: ~/.netrc, and headers for the service. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/header_lines.h"
#include "client/netrc.h"
#include "common/memory.h"

static void look_for(struct bytes text, const char *host, bool may_default)
{
    struct netrc_login login;
    struct error error = {.message = ""};
    enum status status;

    memset(&login, 0, sizeof login);
    status = netrc_find(text, host, may_default, &login, &error);
    assert((status == STATUS_OK) == (error.message[0] == '\0'));
    assert(status == STATUS_OK || (login.user == NULL && login.password == NULL));
    netrc_login_clear(&login);
}

/* What passed is whole header lines: nobody adds one of their own, or ends the head. */
static void write_headers(struct bytes text)
{
    char *copy = mem_copy_chars((const char *)text.data, text.len);
    struct error error;
    struct buffer out;

    buffer_init(&out, 4 * text.len + 16);
    if (header_lines_check(copy, &error)) {
        header_lines_write(copy, &out);
        assert(!buffer_failed(&out));
        for (struct bytes rest = buffer_peek(&out); rest.len > 0;) {
            const uint8_t *end = memchr(rest.data, '\r', rest.len);
            const uint8_t *colon = memchr(rest.data, ':', rest.len);

            assert(end != NULL && colon != NULL && rest.data < colon && colon < end);
            assert(memchr(rest.data, '\n', rest.len) == end + 1);
            rest = bytes_skip(rest, (size_t)(end - rest.data) + 2);
        }
    }
    buffer_clear(&out);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);

    look_for(text, "db.example", true);
    look_for(text, "db.example", false);
    write_headers(text);
    return 0;
}
