/* Connection strings of Postgres, as DATABASE_URL holds them: pointed at another host and port, and
 * asked for whom they connect. Postgres documentation, "Connection Strings". No I/O. */
#ifndef CLIENT_DATABASE_URL_H
#define CLIENT_DATABASE_URL_H

/* `text` with its hosts and ports replaced by this address and encryption switched off;
 * credentials, database and all other parameters stay as they are written. Takes URIs (postgres,
 * postgresql, also with a driver: postgresql+psycopg, and what frameworks call them: postgis, ecto
 * …) and keywords
 * ("host=… dbname=…"). Owned by the caller, who overwrites it: it holds the password. NULL: `text`
 * is of another kind, and would have to be changed in a way that is not known. */
char *database_url_redirect(const char *text, const char *host, unsigned port);

/* The user and the database it names, decoded; NULL for what it does not name. Owned by the caller.
 */
void database_url_identity(const char *text, char **user, char **database);

#endif
