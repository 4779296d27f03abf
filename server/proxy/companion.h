/* The name of the companion database, which has the electrified tables of another one and nothing
 * else. */
#ifndef SERVER_PROXY_COMPANION_H
#define SERVER_PROXY_COMPANION_H

/* The longest name that Postgres takes, and a NUL. */
#define COMPANION_NAME_SIZE 64

/* "<database>__electric"; of names too long for that a beginning and a number stand in. */
void companion_name(const char *database, char name[COMPANION_NAME_SIZE]);

#endif
