/* Who we are for the service: what is sent with each request, and where we know it from. */
#ifndef CLIENT_CREDENTIALS_H
#define CLIENT_CREDENTIALS_H

#include "client/options.h"

/* All zero: none. */
struct credentials {
    char *fields; /* header lines, each with its end; "" for none. Secret */
    char *origin; /* for people: 'user "me" of /home/me/.netrc'; NULL: nobody */
    char *names;  /* of the headers that were given; NULL: none */
};

/* Of the token, the URL's user, the headers' Authorization and ~/.netrc the first that is there. A
 * file that is of no use is warned of. */
void credentials_find(struct credentials *credentials, const struct client_settings *settings);
void credentials_clear(struct credentials *credentials);
/* Whether anything is sent. */
bool credentials_given(const struct credentials *credentials);

#endif
