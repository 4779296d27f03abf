/* client/database_url.c */
#include "client/database_url.h"
#include "tests/support/suite.h"

#include <stdlib.h>

static const struct {
    const char *given;
    const char *expected; /* NULL: of another kind */
} cases[] = {
    {"postgres://u:p@db:5432/app", "postgres://u:p@127.0.0.1:6000/app?sslmode=disable"},
    {"postgresql://db/app", "postgresql://127.0.0.1:6000/app?sslmode=disable"},
    {"postgresql://", "postgresql://127.0.0.1:6000?sslmode=disable"},
    {"POSTGRES://db", "POSTGRES://127.0.0.1:6000?sslmode=disable"},
    /* What is not meant stays as it is written. */
    {"postgres://a%40b:%2F%3a@db/my%20app",
     "postgres://a%40b:%2F%3a@127.0.0.1:6000/my%20app?sslmode=disable"},
    {"postgres://u:p@db/app?schema=public&connection_limit=5",
     "postgres://u:p@127.0.0.1:6000/app?sslmode=disable&schema=public&connection_limit=5"},
    {"postgres://db/app?options=-c%20search_path%3Dx&application_name=a@b",
     "postgres://127.0.0.1:6000/"
     "app?sslmode=disable&options=-c%20search_path%3Dx&application_name=a@b"},
    {"postgres://db/app?a=1#part", "postgres://127.0.0.1:6000/app?sslmode=disable&a=1#part"},
    {"postgres://u@db", "postgres://u@127.0.0.1:6000?sslmode=disable"},
    {"postgres://:p@/app", "postgres://:p@127.0.0.1:6000/app?sslmode=disable"},
    /* Several hosts, IPv6, sockets. */
    {"postgres://u:p@a:1,b:2,c/app?target_session_attrs=read-write",
     "postgres://u:p@127.0.0.1:6000/app?sslmode=disable&target_session_attrs=read-write"},
    {"postgres://u@[2001:db8::1]:5433/app", "postgres://u@127.0.0.1:6000/app?sslmode=disable"},
    {"postgres://u@%2Fvar%2Frun%2Fpostgresql/app",
     "postgres://u@127.0.0.1:6000/app?sslmode=disable"},
    {"postgresql:///app?host=/var/run/postgresql&port=5433&hostaddr=1.2.3.4",
     "postgresql://127.0.0.1:6000/app?sslmode=disable"},
    /* What insists on encryption. */
    {"postgres://db/app?sslmode=verify-full&sslrootcert=system&channel_binding=require&a=b",
     "postgres://127.0.0.1:6000/app?sslmode=disable&a=b"},
    {"postgres://db/app?ssl=true&sslnegotiation=direct&gssencmode=require",
     "postgres://127.0.0.1:6000/app?sslmode=disable"},
    /* Passwords that should have been escaped. */
    {"postgres://u:p@ss@db/app", "postgres://u:p@ss@127.0.0.1:6000/app?sslmode=disable"},
    {"postgres://u:p#s?s@db/app", "postgres://u:p#s?s@127.0.0.1:6000/app?sslmode=disable"},
    /* With a driver, and by frameworks' names. */
    {"postgresql+psycopg2://u@db/app",
     "postgresql+psycopg2://u@127.0.0.1:6000/app?sslmode=disable"},
    {"postgresql+asyncpg://u@db/app?ssl=require", "postgresql+asyncpg://u@127.0.0.1:6000/app"},
    {"postgresql+pg8000://u@db/app?timeout=5",
     "postgresql+pg8000://u@127.0.0.1:6000/app?timeout=5"},
    {"ecto://u:p@db/app", "ecto://u:p@127.0.0.1:6000/app?sslmode=disable"},
    {"postgis://u:p@db/app", "postgis://u:p@127.0.0.1:6000/app?sslmode=disable"},
    {"psql://u:p@db/app", "psql://u:p@127.0.0.1:6000/app?sslmode=disable"},
    {"pgx5://u@db/app?x-migrations-table=m",
     "pgx5://u@127.0.0.1:6000/app?sslmode=disable&x-migrations-table=m"},
    {"asyncpg://u:p@db/app", "asyncpg://u:p@127.0.0.1:6000/app"},
    {"jdbc:postgresql://db:5432/app", "jdbc:postgresql://127.0.0.1:6000/app?sslmode=disable"},
    {"jdbc:postgresql://a:1,b:2/app?user=u&password=p&ssl=true&channelBinding=require",
     "jdbc:postgresql://127.0.0.1:6000/app?sslmode=disable&user=u&password=p"},
    /* Keywords. */
    {"host=db user=u password=p dbname=app",
     "host=127.0.0.1 port=6000 sslmode=disable user=u password=p dbname=app"},
    {"host = '/var/run' port=5 password='a b\\' c' sslmode='require' dbname = app",
     "host=127.0.0.1 port=6000 sslmode=disable password='a b\\' c' dbname = app"},
    {"dbname=app", "host=127.0.0.1 port=6000 sslmode=disable dbname=app"},
    /* Others'. */
    {"jdbc:postgresql:app", NULL},
    {"jdbc:mysql://db/app", NULL},
    {"mysql://u:p@db/app", NULL},
    {"prisma+postgres://accelerate.example/?api_key=x", NULL},
    {"sqlite:db.sqlite3", NULL},
    {"file:./dev.db", NULL},
    {"Host=db;Username=u;Password=p", NULL},
    {"host=db;port=5;user=u", NULL},
    {"host=db and so on", NULL},
    {"", NULL},
};

START_TEST(only_the_place_is_replaced)
{
    char *redirected = database_url_redirect(cases[_i].given, "127.0.0.1", 6000);

    if (cases[_i].expected == NULL)
        ck_assert_ptr_null(redirected);
    else
        ck_assert_str_eq(redirected, cases[_i].expected);
    free(redirected);
}
END_TEST

START_TEST(an_ipv6_address_gets_brackets_in_a_uri_only)
{
    char *uri = database_url_redirect("postgres://db/app", "::1", 6000);
    char *keywords = database_url_redirect("dbname=app", "::1", 6000);

    ck_assert_str_eq(uri, "postgres://[::1]:6000/app?sslmode=disable");
    ck_assert_str_eq(keywords, "host=::1 port=6000 sslmode=disable dbname=app");
    free(uri);
    free(keywords);
}
END_TEST

static const struct {
    const char *given;
    const char *user;
    const char *password;
    const char *database;
} identities[] = {
    {"postgres://a%40b:p@db/my%20app?x=y", "a@b", "p", "my app"},
    {"postgres://db", NULL, NULL, NULL},
    {"postgres://db/?user=u&dbname=d", "u", NULL, "d"},
    {"postgres://:p%3a@db/app", NULL, "p:", "app"},
    {"dbname='my \\'app' user = u password=p", "u", "p", "my 'app"},
    {"postgres://bad%zz@db/app", NULL, NULL, "app"},
    {"jdbc:postgresql://db/app?user=u", "u", NULL, "app"},
};

static void expect(const char *got, const char *wanted)
{
    if (wanted == NULL)
        ck_assert_ptr_null(got);
    else
        ck_assert_str_eq(got, wanted);
}

START_TEST(it_names_who_logs_in_where)
{
    struct database_identity identity = database_url_identity(identities[_i].given);

    expect(identity.user, identities[_i].user);
    expect(identity.password, identities[_i].password);
    expect(identity.database, identities[_i].database);
    database_identity_clear(&identity);
}
END_TEST

SUITE("client_database_url", LOOP(only_the_place_is_replaced, 0, sizeof cases / sizeof cases[0]),
      TEST(an_ipv6_address_gets_brackets_in_a_uri_only),
      LOOP(it_names_who_logs_in_where, 0, sizeof identities / sizeof identities[0]))
