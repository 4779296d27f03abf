/* Start-up parameters. */
#include "server/proxy/parameters.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Settings that change how a session talks and waits, not what its changes lead to. */
static const char *const allowed[] = {
    "application_name",
    "bytea_output",
    "check_function_bodies",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_tablespace",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lc_messages",
    "lock_timeout",
    "maintenance_work_mem",
    "role",
    "row_security",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_buffers",
    "temp_tablespaces",
    "timezone",
    "transaction_timeout",
    "work_mem",
    "xmloption",
};

static bool is_allowed(struct bytes name)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (name.len == strlen(allowed[i]) &&
            strncasecmp((const char *)name.data, allowed[i], name.len) == 0)
            return true;
    return false;
}

static void add_string(struct parameters *parameters, struct bytes text)
{
    parameters->list =
        mem_resize(parameters->list, (parameters->count + 2) * sizeof parameters->list[0]);
    parameters->list[parameters->count++] = mem_copy_chars((const char *)text.data, text.len);
    parameters->list[parameters->count] = NULL;
}

static enum status add(struct parameters *parameters, struct bytes name, struct bytes value,
                       struct error *error)
{
    if (!is_allowed(name)) {
        enum status status =
            error_set(error, STATUS_DENIED, "0A000",
                      "start-up parameter \"%.*s\" is not allowed through the migrations proxy",
                      (int)(name.len < 64 ? name.len : 64), (const char *)name.data);
        error_hint(error, "Leave it out of the connection string, or use SET once connected.");
        return status;
    }
    add_string(parameters, name);
    add_string(parameters, value);
    return STATUS_OK;
}

/* The next word of `options`, unescaped into `word` (as long as `in` at least): white space
 * separates, a backslash keeps the next character (as pg_split_opts() reads it). */
static bool next_word(struct bytes *in, uint8_t *word, size_t *len)
{
    size_t at = 0;

    *len = 0;
    while (at < in->len && strchr(" \t\n\r\f\v", in->data[at]) != NULL)
        at++;
    if (at == in->len)
        return false;
    while (at < in->len && strchr(" \t\n\r\f\v", in->data[at]) == NULL) {
        if (in->data[at] == '\\' && at + 1 < in->len)
            at++;
        word[(*len)++] = in->data[at++];
    }
    *in = bytes_skip(*in, at);
    return true;
}

static enum status refuse_options(struct error *error)
{
    enum status status = error_set(error, STATUS_DENIED, "0A000",
                                   "start-up options other than -c name=value are not allowed "
                                   "through the migrations proxy");
    error_hint(error, "Change PGOPTIONS or the options parameter of the connection string.");
    return status;
}

/* `name=value` of one -c; in names `-` means `_`, as in Postgres. */
static enum status add_assignment(struct parameters *parameters, uint8_t *word, size_t len,
                                  struct error *error)
{
    uint8_t *equals = memchr(word, '=', len);

    if (equals == NULL)
        return refuse_options(error);
    for (uint8_t *at = word; at < equals; at++)
        if (*at == '-')
            *at = '_';
    return add(parameters, bytes_of(word, (size_t)(equals - word)),
               bytes_of(equals + 1, len - (size_t)(equals + 1 - word)), error);
}

static enum status add_options(struct parameters *parameters, struct bytes options,
                               struct error *error)
{
    uint8_t *word = mem_new(options.len + 1);
    enum status status = STATUS_OK;
    size_t len;

    while (status == STATUS_OK && next_word(&options, word, &len)) {
        if (len == 2 && memcmp(word, "-c", 2) == 0)
            status = next_word(&options, word, &len) ? add_assignment(parameters, word, len, error)
                                                     : refuse_options(error);
        else if (len > 2 && (memcmp(word, "-c", 2) == 0 || memcmp(word, "--", 2) == 0))
            status = add_assignment(parameters, word + 2, len - 2, error);
        else
            status = refuse_options(error);
    }
    free(word);
    return status;
}

static bool is_own(struct bytes name)
{
    return bytes_equal_string(name, "user") || bytes_equal_string(name, "database") ||
           bytes_equal_string(name, "options") || bytes_starts_with(name, "_pq_.");
}

/* As parse_bool() reads it: any beginning that is clear. */
static bool is_false(struct bytes value)
{
    static const char *const words[] = {"false", "off", "no", "0"};

    if (value.len == 0 || (value.len == 1 && (value.data[0] | 0x20) == 'o'))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (value.len <= strlen(words[i]) &&
            strncasecmp((const char *)value.data, words[i], value.len) == 0)
            return true;
    return false;
}

static enum status add_replication(struct bytes value, struct error *error)
{
    if (is_false(value))
        return STATUS_OK;
    error_set(error, STATUS_DENIED, "0A000",
              "replication connections are not possible through the migrations proxy");
    error_hint(error, "Connect to Postgres itself for replication.");
    return STATUS_DENIED;
}

/* Postgres takes no longer a packet of us than we of the client, and we have parameters to add. */
static enum status check_size(const struct parameters *parameters, struct error *error)
{
    size_t size = 0;

    for (size_t i = 0; i < parameters->count; i++)
        size += strlen(parameters->list[i]) + 1;
    if (size <= PARAMETERS_SIZE_MAX)
        return STATUS_OK;
    return error_set(error, STATUS_DENIED, "08P01",
                     "start-up parameters of more than %u bytes cannot be forwarded",
                     PARAMETERS_SIZE_MAX);
}

enum status parameters_collect(struct parameters *parameters, const struct startup_packet *packet,
                               struct error *error)
{
    struct bytes rest = packet->parameters;
    struct startup_parameter next;
    enum status status = STATUS_OK;

    *parameters = (struct parameters){mem_new(sizeof parameters->list[0]), 0};
    while (status == STATUS_OK && startup_next_parameter(&rest, &next)) {
        if (bytes_equal_string(next.name, "replication"))
            status = add_replication(next.value, error);
        else if (!is_own(next.name))
            status = add(parameters, next.name, next.value, error);
    }
    if (status == STATUS_OK)
        status = add_options(parameters, startup_parameter(packet, "options"), error);
    if (status == STATUS_OK)
        status = check_size(parameters, error);
    return status;
}

void parameters_free(struct parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++)
        free(parameters->list[i]);
    free(parameters->list);
    *parameters = (struct parameters){NULL, 0};
}
