/* Credentials in ~/.netrc, where many tools keep them: machine NAME login USER password PASSWORD.
 */
#ifndef CLIENT_NETRC_H
#define CLIENT_NETRC_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>

/* Owns its strings, secret; both NULL: nothing was found. */
struct netrc_login {
    char *user;
    char *password;
};

void netrc_login_clear(struct netrc_login *login);

/* Looks in the text of a file for the first entry of `host`; else, if `may_default`, for the
 * default entry. Words may stand in "…", with \n, \r, \t, \" and \\; macros are skipped; lines that
 * begin with # are comments. STATUS_INVALID: `error` names the line, and never quotes it. What
 * stands behind the entry that was found is not looked at. */
enum status netrc_find(struct bytes text, const char *host, bool may_default,
                       struct netrc_login *login, struct error *error);

/* The file to look in: NETRC, else .netrc in HOME; the caller frees. NULL: there is none. */
char *netrc_path(void);
/* Looks in the file at `path`. One that is not there holds nothing. `*exposed`: others may read
 * it. */
enum status netrc_load(const char *path, const char *host, bool may_default,
                       struct netrc_login *login, bool *exposed, struct error *error);

#endif
