/* HTTP/1.1 messages (RFC 9112), client's end: requests out, responses in. No I/O. */
#ifndef CLIENT_HTTP_MESSAGE_H
#define CLIENT_HTTP_MESSAGE_H

#include "common/buffer.h"
#include "common/status.h"
#include "common/url.h"

/* ---- pieces of a head --------------------------------------------------------------------------
 */

/* A head longer than this is refused. */
#define HTTP_HEAD_MAX (16u * 1024u)

/* Takes a line without its end, which may be CRLF or LF alone (RFC 9112 section 2.2). False: it is
 * not complete. */
bool http_take_line(struct bytes *in, struct bytes *line);
/* HTTP/1.x and a status code. */
bool http_read_status_line(struct bytes line, unsigned *minor, unsigned *status);
/* "name: value", the value trimmed. */
bool http_read_field(struct bytes line, struct bytes *name, struct bytes *value);
/* Whether a comma-separated list holds `token`. */
bool http_list_has(struct bytes list, const char *token);
/* Whether bytes may be the beginning of a response; to refuse what cannot before a line has come.
 */
bool http_begins_well(struct bytes in);

/* "host", "host:port", "[v6]:port": the port is left out when it is the scheme's. Appended. */
void http_write_host(struct buffer *out, const struct url *url);
/* `path`, which may have a query already, and `query` added to it. */
void http_write_target(struct buffer *out, const char *path, const char *query);

/* ---- responses ---------------------------------------------------------------------------------
 */

struct http_head {
    unsigned status;
    struct bytes fields; /* all field lines */
};

/* The first field of that name, or nothing. */
struct bytes http_head_field(const struct http_head *head, const char *name);

enum http_event_type {
    HTTP_HEAD,
    HTTP_BODY, /* a piece of it */
    HTTP_END,  /* of the response; its end was marked, so it is whole */
};

/* Views borrow from the input or from the decoder until the next call. */
struct http_event {
    enum http_event_type type;
    struct http_head head;
    struct bytes body;
};

/* Embedded by value; private. */
struct http_decoder {
    struct buffer held; /* a head or a line, of which more is to come */
    enum {
        HTTP_DECODER_HEAD,
        HTTP_DECODER_LENGTH, /* in a body of known length */
        HTTP_DECODER_CHUNK_SIZE,
        HTTP_DECODER_CHUNK,
        HTTP_DECODER_CHUNK_END,
        HTTP_DECODER_TRAILER,
        HTTP_DECODER_UNTIL_CLOSE,
        HTTP_DECODER_END, /* HTTP_END is due */
        HTTP_DECODER_BROKEN,
    } state;
    uint64_t left;      /* of the body, or the chunk */
    size_t trailer_len; /* so far */
    bool keeps;
    bool given; /* what is held was an event's */
};

void http_decoder_init(struct http_decoder *decoder);
/* Ready for the first response of another connection. */
void http_decoder_clear(struct http_decoder *decoder);
/* Takes what makes the next event from the front of `in`. STATUS_MORE: all of it was taken.
 * STATUS_INVALID: this is no HTTP/1 response. Interim responses (1xx but 101) are passed over;
 * requests are taken to be neither HEAD nor CONNECT. */
enum status http_decode(struct http_decoder *decoder, struct bytes *in, struct http_event *event,
                        struct error *error);
/* After HTTP_END: the connection may carry another request. */
bool http_decoder_keeps(const struct http_decoder *decoder);
/* The connection has ended: whether a body that only that ends has come as far as can be known
 * (RFC 9112 section 6.3: this cannot be told from one that was cut short). */
bool http_decoder_ends_with_connection(const struct http_decoder *decoder);

#endif
