/* SatOpMigrate: a group of statements as the client libraries read it. */
#ifndef SERVER_RENDER_SATELLITE_H
#define SERVER_RENDER_SATELLITE_H

#include "server/render/script.h"

/* Appends the message in base64. `terminator` is put behind each statement. */
void satellite_append(const struct script *script, const struct script_group *group,
                      const char *version, const char *terminator, struct buffer *out);

#endif
