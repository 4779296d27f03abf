/* Writes a zip archive (PKWARE's APPNOTE) front to back, file by file, into a buffer that somebody
 * empties meanwhile. Each file is compressed whole before its header is written, so sizes stand in
 * front and nothing needs to seek. What is remembered of a file until the end is some dozen bytes
 * and its name. */
#ifndef SERVER_API_ZIP_H
#define SERVER_API_ZIP_H

#include "common/buffer.h"
#include "common/status.h"

#include <stdint.h>

struct zip;

struct zip *zip_new(void);
/* NULL-safe. */
void zip_free(struct zip *zip);

/* `at` in seconds since 1970 becomes the file's time, UTC; 1980 to 2107 can be told. STATUS_FULL
 * when the archive or the buffer is. */
enum status zip_add(struct zip *zip, const char *name, struct bytes content, int64_t at,
                    struct buffer *out, struct error *error);

/* The directory at the end, a part a call, so that it fits into a buffer: false once all is
 * appended. No file can be added after the first call. */
bool zip_finish(struct zip *zip, struct buffer *out);

#endif
