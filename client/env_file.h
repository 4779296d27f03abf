/* Files of variables, as many tools keep them in .env: NAME=VALUE, a line each. */
#ifndef CLIENT_ENV_FILE_H
#define CLIENT_ENV_FILE_H

#include "common/bytes.h"
#include "common/status.h"

/* A variable that was found; both are borrowed for the call. */
typedef void env_file_variable(void *owner, const char *name, const char *value);

/* Reads the text of a file. `export` may stand in front, `#` begins a comment, also behind white
 * space; values may stand in '…', as they are, or in "…", with \n, \r, \t, \", \\ and \$, over more
 * than one line. Nothing is expanded. STATUS_INVALID: `error` names the line, and never quotes it,
 * since it may hold a secret. */
enum status env_file_parse(struct bytes text, env_file_variable *on_variable, void *owner,
                           struct error *error);

/* Puts the variables of the file at `path` into the environment of this process, but for those that
 * are set already. */
enum status env_file_load(const char *path, struct error *error);

#endif
