/* The settings of electric-proxy and the table they are read by. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include "common/options.h"
#include "server/client_address.h"
#include "server/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum password_method { PASSWORD_SCRAM, PASSWORD_MD5 };
enum api_auth { API_AUTH_PASSWORD, API_AUTH_NONE };

struct server_settings {
    bool drop_introspection; /* the command, instead of serving */
    /* Postgres */
    char *database_url;
    bool require_ssl;
    bool require_ssl_given; /* set by hand: then it overrules the URL's sslmode */
    bool upstream_ipv6;
    char *shadow_databases;
    bool capture;
    unsigned long health_interval_ms; /* 0: only at start */
    /* Entrances */
    char *listen;
    bool listen_ipv6;
    unsigned http_port;
    char *pg_proxy_port;
    bool tunnel;       /* from pg_proxy_port: /proxy is served */
    bool tcp;          /* from pg_proxy_port: there is a TCP port */
    unsigned tcp_port; /* from pg_proxy_port */
    char *password;
    int password_method; /* enum password_method */
    char *tunnel_token;
    char *http_tls_cert, *http_tls_key, *http_tls_client_ca;
    char *tcp_tls_cert, *tcp_tls_key;
    bool tcp_tls_required;
    char *trusted_proxies;
    struct networks trusted_networks; /* from trusted_proxies */
    char *allowed_origins;
    /* The HTTP API */
    int api_auth; /* enum api_auth */
    char *api_token;
    /* Relay mode */
    char *relay;
    char *relay_host; /* from relay */
    uint16_t relay_port;
    bool relay_without_auth;
    /* Limits */
    unsigned long max_sessions;
    unsigned long max_http;
    unsigned long auth_timeout_ms;
    unsigned long drain_timeout_ms;
    /* Sessions that outlive their WebSocket */
    unsigned long max_detached;
    unsigned long session_retain_ms;
    unsigned long tunnel_max_age_ms; /* 0: no limit */
    size_t tunnel_window;
    size_t tunnel_memory;
    unsigned long ready_fd; /* 0: none */
    /* Log */
    int log_level;
    int log_format;
};

extern const struct option_table server_option_table;

/* Reads and checks everything; `problems` as in options_read(). */
enum status server_settings_read(int argc, char **argv, struct server_settings *settings,
                                 char **problems);
void server_settings_clear(struct server_settings *settings);

/* Without certificate: clear text. */
struct tls_files server_settings_http_tls(const struct server_settings *settings);
struct tls_files server_settings_postgres_tls(const struct server_settings *settings);

/* The database that DATABASE_URL names (or implies); owned by the caller. */
char *server_settings_database(const struct server_settings *settings);

#endif
