/* Postgres messages → bytes, appended to a buffer whose failure is sticky: build, then check once.
 */
#ifndef SERVER_PGWIRE_ENCODE_H
#define SERVER_PGWIRE_ENCODE_H

#include "common/buffer.h"
#include "common/status.h"
#include "server/pgwire/message.h"

/* Opens a message of `type`; returns the mark that pgwire_end() needs to fill in the length. */
size_t pgwire_begin(struct buffer *out, uint8_t type);
void pgwire_end(struct buffer *out, size_t mark);

/* ErrorResponse or NoticeResponse. `severity` is "FATAL", "ERROR", "WARNING", "NOTICE" … */
void pgwire_encode_error(struct buffer *out, const char *severity, const struct error *error);
void pgwire_encode_notice(struct buffer *out, const char *severity, const struct error *error);

void pgwire_encode_authentication(struct buffer *out, uint32_t code, struct bytes data);
void pgwire_encode_parameter_status(struct buffer *out, const char *name, const char *value);
void pgwire_encode_backend_key_data(struct buffer *out, uint32_t pid, uint32_t secret);
/* `status` is 'I', 'T' or 'E'. */
void pgwire_encode_ready_for_query(struct buffer *out, char status);
void pgwire_encode_command_complete(struct buffer *out, const char *tag);
/* The newest minor version we speak, and the `_pq_.` options of the client that we do not know. */
void pgwire_encode_negotiate_version(struct buffer *out, uint32_t newest_minor,
                                     const struct bytes *unknown, size_t unknown_count);

#endif
