/* Cookies that a balancer sets to find the same server again: kept for one session and sent back as
 * they came (RFC 6265, as far as one host and one path need it). No I/O. */
#ifndef CLIENT_COOKIES_H
#define CLIENT_COOKIES_H

#include "common/buffer.h"

#define COOKIES_MAX 8      /* kept */
#define COOKIES_SIZE 4096u /* of all together */

/* Embedded by value, all zero at first; fields private. */
struct cookies {
    char *pairs[COOKIES_MAX]; /* name=value */
    size_t count;
    size_t size;
};

/* Takes the value of a Set-Cookie field: a new cookie, another value of a known one, or its end.
 * What is malformed or too much is passed over. */
void cookies_set(struct cookies *cookies, struct bytes field);
/* Appends a Cookie field with its line end, if there are any. */
void cookies_write(const struct cookies *cookies, struct buffer *out);
void cookies_clear(struct cookies *cookies);

#endif
