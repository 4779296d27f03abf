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

/* Who logs in where, decoded; NULL for what it does not name. Each is the caller's, and `password`
 * to be overwritten. */
struct database_identity {
    char *user;
    char *password;
    char *database;
};

struct database_identity database_url_identity(const char *text);
/* The same of `text` (may be NULL), completed with PGUSER, PGPASSWORD and PGDATABASE. */
struct database_identity database_identity_known(const char *text);
void database_identity_clear(struct database_identity *identity);

#endif
