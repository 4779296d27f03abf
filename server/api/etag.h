/* Entity tags (RFC 9110 section 8.8.3). */
#ifndef SERVER_API_ETAG_H
#define SERVER_API_ETAG_H

#include "common/bytes.h"

enum { ETAG_SIZE = 35 }; /* quotes, 32 hex digits, NUL */

/* A strong tag for whatever `facts` determine. */
void etag_make(struct bytes facts, char tag[ETAG_SIZE]);
/* Whether If-None-Match names it: a list of tags, weak ones too, or a star; NULL names none. */
bool etag_is_known(const char *if_none_match, const char *tag);

#endif
