/* Headers for the service, as they stand in a file or a variable: Name: value, a line each; empty
 * lines and those that begin with # do not count. No I/O. */
#ifndef CLIENT_HEADER_LINES_H
#define CLIENT_HEADER_LINES_H

#include "common/buffer.h"
#include "common/status.h"

#include <stdbool.h>

/* Whether all of it may be sent: names and values as in RFC 9110 section 5, and none that the
 * handshake has itself. `error` names the line, and never quotes a value. */
bool header_lines_check(const char *text, struct error *error);

/* The rest is for text that passed. */
bool header_lines_has(const char *text, const char *name);
/* As they go over the wire, with their line ends. Appended. */
void header_lines_write(const char *text, struct buffer *out);
/* "Name, Name", without what is secret. Appended. */
void header_lines_name(const char *text, struct buffer *out);

#endif
