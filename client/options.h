/* The settings of electric-tunnel, the table they are read by, and its commands. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include "client/choice.h"
#include "common/options.h"
#include "common/url.h"

/* Exit codes; besides 0 and, on a signal, 128 and its number. */
enum {
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 69,
    EXIT_CANNOT_LISTEN = 73,
    EXIT_CANNOT_WRITE = 74,
    EXIT_NOT_AUTHORISED = 77,
};

enum client_output { CLIENT_OUTPUT_TEXT, CLIENT_OUTPUT_JSON };
enum client_protocol { CLIENT_PROTOCOL_AUTO, CLIENT_PROTOCOL_V1, CLIENT_PROTOCOL_RAW };

struct client_settings {
    const struct option_table *table; /* they were read by */
    char *service_text;
    struct url service; /* from service_text */
    unsigned local_port;
    char *listen; /* NULL: both loopback addresses */
    char *token;
    char *headers; /* secret; as client/header_lines.h */
    char *ca_file;
    char *certificate;
    char *key;
    char *env_file;
    char *database_url; /* secret */
    int protocol;       /* enum client_protocol */
    int transport;      /* enum client_transport */
    unsigned long prewarm;
    size_t tunnel_memory;
    unsigned long connect_timeout; /* milliseconds, of each step */
    unsigned long ready_timeout;   /* milliseconds */
    unsigned long ready_fd;        /* 0: none */
    int output;                    /* enum client_output */
    unsigned long idle;            /* milliseconds of silence to try; 0: none */
    bool bandwidth;
    bool quiet;
    bool same_user;
    int log_level;
    int log_format;
    char **command; /* to be run, ends with NULL; borrowed from the arguments */
};

/* Bits in option_spec.commands; in the order of their names. */
enum {
    FOR_FORWARD = 1,
    FOR_EXEC = 2,
    FOR_CHECK = 4,
};

/* The rows of all commands, and how the help of each one reads. */
extern const struct option_table client_option_table;
extern const struct option_table forward_option_table;
extern const struct option_table exec_option_table;
extern const struct option_table check_option_table;

/* What a command does; how it reads stands in the option table, in the same order. */
struct client_command {
    const char *name;
    int (*run)(const struct client_settings *settings);
};

/* Reads arguments, environment and the file of --env-file, checks everything. `problems` as in
 * options_read(). A password in the arguments is overwritten, since everybody can see those. */
enum status client_settings_read(const struct option_table *table, int argc, char **argv,
                                 struct client_settings *settings, char **problems);
void client_settings_clear(struct client_settings *settings);

#endif
