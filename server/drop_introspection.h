/* `electric-proxy drop-introspection`: removes the database that introspecting tools are shown. */
#ifndef SERVER_DROP_INTROSPECTION_H
#define SERVER_DROP_INTROSPECTION_H

struct server_settings;

/* Says on stdout what was done, on stderr why it was not. The exit code: 0 when there is no such
 * database any more, 69 when Postgres cannot be reached, 77 without the right, 1 otherwise. */
int drop_introspection(const struct server_settings *settings);

#endif
