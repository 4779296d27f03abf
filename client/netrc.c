/* Reading .netrc files. */
#include "client/netrc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/escape.h"
#include "common/memory.h"

#define FILE_MAX ((size_t)1 << 20)

struct parser {
    struct bytes rest;
    unsigned line;
    char *word; /* the latest; secret. There is room for all of the text */
    const char *host;
    bool may_default;
    bool in_machine;          /* of this host */
    bool in_default;          /* and it is wanted */
    struct netrc_login found; /* of the host */
    struct netrc_login usual; /* of the default entry */
};

static void forget(char **secret)
{
    mem_free_secret(*secret, *secret == NULL ? 0 : strlen(*secret));
    *secret = NULL;
}

void netrc_login_clear(struct netrc_login *login)
{
    forget(&login->user);
    forget(&login->password);
}

/* ---- words -------------------------------------------------------------------------------------
 */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static uint8_t skip_byte(struct parser *parser)
{
    uint8_t byte = parser->rest.data[0];

    parser->rest = bytes_skip(parser->rest, 1);
    parser->line += byte == '\n';
    return byte;
}

static void skip_rest_of_line(struct parser *parser)
{
    while (parser->rest.len > 0 && parser->rest.data[0] != '\n')
        skip_byte(parser);
}

/* Whether the line ended in between. */
static bool skip_space(struct parser *parser)
{
    unsigned line = parser->line;

    while (parser->rest.len > 0 && is_space(parser->rest.data[0]))
        skip_byte(parser);
    return parser->line != line;
}

/* False: the closing quote is missing. */
static bool take_quoted(struct parser *parser)
{
    size_t len = 0;

    skip_byte(parser);
    while (parser->rest.len > 0 && parser->rest.data[0] != '\n') {
        uint8_t byte = skip_byte(parser);

        if (byte == '"') {
            parser->word[len] = '\0';
            return true;
        }
        if (byte == '\\' && parser->rest.len > 0 && parser->rest.data[0] != '\n')
            parser->word[len++] = escape_meaning((char)skip_byte(parser));
        else
            parser->word[len++] = (char)byte;
    }
    return false;
}

static void take_plain(struct parser *parser)
{
    size_t len = 0;

    while (parser->rest.len > 0 && !is_space(parser->rest.data[0]))
        parser->word[len++] = (char)skip_byte(parser);
    parser->word[len] = '\0';
}

/* The next word into parser->word, which is empty when there is none. False: it has no end. */
static bool take_word(struct parser *parser)
{
    skip_space(parser);
    if (parser->rest.len > 0 && parser->rest.data[0] == '"')
        return take_quoted(parser);
    take_plain(parser);
    return true;
}

/* ---- entries -----------------------------------------------------------------------------------
 */

/* A macro ends with an empty line. */
static void skip_macro(struct parser *parser)
{
    do {
        skip_rest_of_line(parser);
        if (parser->rest.len > 0)
            skip_byte(parser);
        if (parser->rest.len > 0 && parser->rest.data[0] == '\r')
            skip_byte(parser);
    } while (parser->rest.len > 0 && parser->rest.data[0] != '\n');
}

static bool is_found(const struct netrc_login *login)
{
    return login->user != NULL || login->password != NULL;
}

/* The login that the present entry is for; NULL: one that does not concern us. */
static struct netrc_login *login_of(struct parser *parser)
{
    if (parser->in_machine)
        return &parser->found;
    return parser->in_default ? &parser->usual : NULL;
}

static const char *take_value(struct parser *parser, char **into)
{
    if (!take_word(parser))
        return "the closing quote is missing";
    if (into != NULL) {
        forget(into);
        *into = mem_copy_string(parser->word);
    }
    return NULL;
}

static const char *take_machine(struct parser *parser)
{
    const char *problem = take_value(parser, NULL);

    parser->in_machine = problem == NULL && strcasecmp(parser->word, parser->host) == 0;
    parser->in_default = false;
    return problem;
}

static const char *take_entry_word(struct parser *parser)
{
    struct netrc_login *login = login_of(parser);

    if (strcmp(parser->word, "login") == 0)
        return take_value(parser, login == NULL ? NULL : &login->user);
    if (strcmp(parser->word, "password") == 0)
        return take_value(parser, login == NULL ? NULL : &login->password);
    if (strcmp(parser->word, "account") == 0)
        return take_value(parser, NULL);
    if (strcmp(parser->word, "macdef") == 0)
        skip_macro(parser);
    else
        return "only machine, default, login, password, account and macdef are known";
    return NULL;
}

/* Whether the word begins another entry, after which the one of this host is complete. */
static bool ends_entry(const struct parser *parser)
{
    return strcmp(parser->word, "machine") == 0 || strcmp(parser->word, "default") == 0;
}

/* NULL, or what is wrong with parser->line. */
static const char *parse(struct parser *parser)
{
    bool begins = true; /* a line */
    const char *problem = NULL;

    while (problem == NULL) {
        begins |= skip_space(parser);
        if (parser->rest.len == 0)
            return NULL;
        if (begins && parser->rest.data[0] == '#') {
            skip_rest_of_line(parser);
            continue;
        }
        begins = false;
        if (!take_word(parser))
            return "the closing quote is missing";
        if (ends_entry(parser) && is_found(&parser->found))
            return NULL;
        if (strcmp(parser->word, "machine") == 0) {
            problem = take_machine(parser);
        } else if (strcmp(parser->word, "default") == 0) {
            parser->in_machine = false;
            parser->in_default = parser->may_default;
        } else {
            problem = take_entry_word(parser);
        }
    }
    return problem;
}

enum status netrc_find(struct bytes text, const char *host, bool may_default,
                       struct netrc_login *login, struct error *error)
{
    struct parser parser = {.rest = text, .line = 1, .host = host, .may_default = may_default};
    const char *problem;

    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        return error_set(error, STATUS_INVALID, "22023", "it holds a zero byte");
    parser.word = mem_new(text.len + 1);
    problem = parse(&parser);
    mem_free_secret(parser.word, text.len + 1);
    *login = is_found(&parser.found) ? parser.found : parser.usual;
    netrc_login_clear(is_found(&parser.found) ? &parser.usual : &parser.found);
    if (problem == NULL)
        return STATUS_OK;
    netrc_login_clear(login);
    return error_set(error, STATUS_INVALID, "22023", "line %u: %s", parser.line, problem);
}

/* ---- the file ----------------------------------------------------------------------------------
 */

char *netrc_path(void)
{
    const char *path = getenv("NETRC");
    const char *home = getenv("HOME");

    if (path != NULL && path[0] != '\0')
        return mem_copy_string(path);
    return home == NULL || home[0] == '\0' ? NULL : mem_format("%s/.netrc", home);
}

/* Reads up to `size` bytes; -1 with errno. */
static ssize_t read_all(int fd, uint8_t *out, size_t size)
{
    size_t len = 0;
    ssize_t count = 1;

    while (count != 0 && len < size) {
        count = read(fd, out + len, size - len);
        if (count < 0 && errno != EINTR)
            return -1;
        len += count > 0 ? (size_t)count : 0;
    }
    return (ssize_t)len;
}

static enum status load(int fd, const char *host, bool may_default, struct netrc_login *login,
                        struct error *error)
{
    uint8_t *text = mem_new(FILE_MAX + 1);
    ssize_t len = read_all(fd, text, FILE_MAX + 1);
    enum status status;

    if (len < 0)
        status = error_set(error, STATUS_SYSTEM, "58030", "could not read it: %s", strerror(errno));
    else if ((size_t)len > FILE_MAX)
        status = error_set(error, STATUS_INVALID, "22023", "it is longer than 1 MiB");
    else
        status = netrc_find(bytes_of(text, (size_t)len), host, may_default, login, error);
    mem_free_secret(text, FILE_MAX + 1);
    return status;
}

enum status netrc_load(const char *path, const char *host, bool may_default,
                       struct netrc_login *login, bool *exposed, struct error *error)
{
    /* Nothing here waits for what might never come, as a pipe would. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat file;
    enum status status;

    *login = (struct netrc_login){0};
    *exposed = false;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return STATUS_OK;
    if (fd < 0)
        return error_set(error, STATUS_SYSTEM, "58030", "could not open it: %s", strerror(errno));
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        status = load(fd, host, may_default, login, error);
        *exposed = (file.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    } else {
        status = error_set(error, STATUS_INVALID, "58030", "it is no ordinary file");
    }
    close(fd);
    return status;
}
